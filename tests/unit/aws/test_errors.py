"""AWS's refusals in our words: what may pass, and what a person has to mend."""

from __future__ import annotations

import pytest
from botocore.exceptions import (
    ClientError,
    CredentialRetrievalError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
)

from deployer.aws.errors import code_of, translated
from deployer.errors import AccessDeniedError, DeployerError, NotFoundError, PermanentError, TemporaryError


def refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "secret"}}, "GetAuthorizationToken")


CASES = [
    # Fault 13: the metadata service hiccups for a second, and the way back was given up.
    pytest.param(NoCredentialsError(), TemporaryError, id="no credentials now"),
    pytest.param(
        CredentialRetrievalError(provider="iam-role", error_msg="timed out"), TemporaryError, id="metadata"
    ),
    pytest.param(EndpointConnectionError(endpoint_url="https://x"), TemporaryError, id="unreachable"),
    pytest.param(refusal("ExpiredTokenException"), TemporaryError, id="expired"),
    pytest.param(refusal("ThrottlingException"), TemporaryError, id="throttled"),
    pytest.param(refusal("AccessDeniedException"), AccessDeniedError, id="denied"),
    pytest.param(refusal("RepositoryNotFoundException"), NotFoundError, id="no repository"),
    pytest.param(refusal("AWS.SimpleQueueService.NonExistentQueue"), NotFoundError, id="no queue"),
    pytest.param(refusal("ValidationException"), PermanentError, id="not understood"),
    pytest.param(NoRegionError(), PermanentError, id="no region"),
]


@pytest.mark.parametrize(("fault", "meaning"), CASES)
def test_who_must_act(fault: Exception, meaning: type[DeployerError]) -> None:
    with pytest.raises(DeployerError) as told, translated("ecr:GetAuthorizationToken", "for account 1"):
        raise fault
    assert type(told.value) is meaning
    assert told.value.__cause__ is fault
    assert "secret" not in str(told.value)


def test_a_code_is_told_without_the_prefix_of_its_protocol() -> None:
    assert code_of(refusal("AWS.SimpleQueueService.NonExistentQueue")) == "NonExistentQueue"
    assert code_of(ValueError()) == code_of(None) == ""
