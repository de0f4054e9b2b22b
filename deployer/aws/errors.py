"""AWS's refusals in our words: what may be tried again, and what a person has to mend."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    InvalidRegionError,
    NoCredentialsError,
    NoRegionError,
)

from deployer.errors import (
    AccessDeniedError,
    NotFoundError,
    PermanentError,
    StaleVersionError,
    TemporaryError,
)

NO_CREDENTIALS = (
    "no AWS credentials are found: set AWS_PROFILE or AWS_SHARED_CREDENTIALS_FILE, or run it where there is "
    "an instance role or task role"
)

NO_REGION = "AWS_REGION={!r} is no region; it may be one such as eu-central-1"

DENIED = {
    "AccessDenied",
    "AccessDeniedException",
    "UnrecognizedClientException",
    "InvalidClientTokenId",
}
EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
STALE = {"ConditionalCheckFailedException", "TransactionConflictException"}
MISSING = {
    "RepositoryNotFoundException",
    "ImageNotFoundException",
    "QueueDoesNotExist",
    "NonExistentQueue",
    "ResourceNotFoundException",
}
INVALID = {"InvalidParameterException", "ValidationError", "ValidationException"}


@contextmanager
def translated(action: str, where: str) -> Iterator[None]:
    """Turn the failures of a call of AWS into ours.

    Args:
        action: as IAM names it.
        where: what it is asked for, for the message.

    Raises:
        TemporaryError: AWS cannot be reached, answers 5xx or throttles, or our credentials have expired or
            are not there now.
        AccessDeniedError: AWS refuses the action.
        NotFoundError: there is no such repository, queue or table.
        StaleVersionError: a conditional write came late.
        PermanentError: no region is set, or the request is not valid.
    """
    try:
        yield
    except ClientError as fault:
        raise _meaning(code_of(fault), action, where) from fault
    except NoCredentialsError as fault:
        # A metadata service that hiccups is told apart from one that is not there by trying again only.
        raise TemporaryError(NO_CREDENTIALS) from fault
    except CredentialRetrievalError as fault:
        raise TemporaryError(f"the AWS credentials cannot be had now: {fault}") from fault
    except NoRegionError as fault:
        raise PermanentError(f"{fault} (AWS_REGION)") from fault
    except InvalidRegionError as fault:
        raise PermanentError(NO_REGION.format(fault.kwargs.get("region_name"))) from fault
    except BotoCoreError as fault:
        raise TemporaryError(f"AWS does not answer {action} {where}: {fault}") from fault


def code_of(fault: BaseException | None) -> str:
    """Return AWS's code of an error without a protocol's prefix; nothing for other errors."""
    if not isinstance(fault, ClientError):
        return ""
    return str(fault.response.get("Error", {}).get("Code", "")).rpartition(".")[2]


def _meaning(code: str, action: str, where: str) -> Exception:
    if code in DENIED:
        return AccessDeniedError(f"AWS refuses {action} {where}: {code}")
    if code in EXPIRED:
        # Mounted credentials are replaced in place: botocore reads them again.
        return TemporaryError(f"the AWS credentials for {action} {where} have expired ({code})")
    if code in STALE:
        return StaleVersionError(f"{action} {where}: somebody else was quicker")
    if code in MISSING:
        return NotFoundError(f"{action} {where}: {code}")
    if code in INVALID:
        return PermanentError(f"AWS does not understand {action} {where}: {code}")
    return TemporaryError(f"{action} {where} failed: {code}")
