"""ECS's API as the target uses it: one action with raw JSON in and out, and its refusals as errors of ours.

Members are passed on as they are. A typed client would drop those that its model does not know yet, and
the next revision of a task definition would lose them.
"""

from __future__ import annotations

import re
from typing import Any, Protocol

from deployer.aws.errors import EXPIRED
from deployer.errors import (
    AccessDeniedError,
    BusyError,
    DeployerError,
    PermanentError,
    TemporaryError,
    printable,
)

SERVICE = "AmazonEC2ContainerServiceV20141113"  # the prefix of X-Amz-Target
MAX_SAID = 500  # characters of AWS's message that an error quotes

_THROTTLED = {"ThrottlingException", "Throttling", "RequestLimitExceeded", "TooManyRequestsException"}
_LATER = {"ServerException", "ServiceUnavailable", "ServiceUnavailableException", "InternalFailure"}
_DENIED = {
    "AccessDeniedException",
    "AccessDenied",
    "UnrecognizedClientException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "IncompleteSignature",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "OptInRequired",
}
# "User: … is not authorized to perform: ecs:UpdateService on resource: arn:… because no … policy allows …"
_NOT_AUTHORIZED = re.compile(
    r"not authorized to perform: (?P<action>[\w:-]+)(?: on resource: (?P<resource>\S+))?"
)


class Api(Protocol):
    """ECS in one region, with the credentials of one account."""

    @property
    def region(self) -> str:
        """The AWS region."""

    @property
    def account(self) -> str | None:
        """The number of the account, None for that of our own credentials."""

    def call(self, action: str, /, **members: Any) -> dict[str, Any]:
        """Send one request and return its answer, both as ECS's JSON has it.

        Args:
            action: as ECS names it, `UpdateService`.
            members: of the request, `taskDefinition="web:7"`.

        Raises:
            BusyError: a quota is used up for now, ours for ECS or ECS's own.
            TemporaryError: AWS answers 5xx or not at all, or the credentials have expired.
            AccessDeniedError: AWS refuses the action; the message names it and the resource.
            Refused: AWS refuses the request for any other reason.
        """


_HINTS = {
    "ClusterNotFoundException": " Are name, region and account in DEPLOYER_ECS_CLUSTERS or --cluster right?"
}


class Refused(PermanentError):  # noqa: N818 - as it reads where it is raised
    """ECS refuses a request as it is.

    Args:
        code: ECS's, `InvalidParameterException`.
        message: in words; ECS's own are in it.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def error_of(action: str, status: int, code: str, message: str) -> DeployerError:
    """Return our error for an answer of ECS that is none of success.

    Args:
        action: the request's, as ECS names it.
        status: of HTTP.
        code: the answer's `__type`, with or without a namespace; empty where the answer is no JSON.
        message: the answer's.
    """
    code = code.rpartition("#")[2].partition(":")[0]
    said = f"{code or status}: {printable(message)[:MAX_SAID]}".removesuffix(": ")
    if code in _THROTTLED or status == 429:
        return BusyError(f"ECS throttles ecs:{action} ({said})", 1.0)
    if code in EXPIRED:
        return TemporaryError(f"the AWS credentials for ecs:{action} have expired ({said}): renew them")
    if code in _LATER or status >= 500:
        return TemporaryError(f"ECS cannot answer ecs:{action} now ({said})")
    if code in _DENIED or status in (401, 403):
        return _denied(action, code, message, said)
    hint = _HINTS.get(code, "")
    return Refused(code or str(status), f"ECS refuses ecs:{action}: {said}{hint}")


def _denied(action: str, code: str, message: str, said: str) -> AccessDeniedError:
    found = _NOT_AUTHORIZED.search(message)
    if found is None:
        return AccessDeniedError(f"AWS refuses ecs:{action}: {said}")
    wanted, resource = found["action"], printable(found["resource"] or "")
    where = f" on {resource}" if resource else ""
    on_the_way = "" if wanted == f"ecs:{action}" else f", which ecs:{action} needs"
    return AccessDeniedError(
        f"AWS refuses {wanted}{where}{on_the_way}: {code}; allow it in the role's policy"
    )
