"""Answers of ECS that are none of success, and what a person reads of them."""

import pytest

from deployer.errors import AccessDeniedError, BusyError, PermanentError, TemporaryError
from deployer.targets.ecs.wire.api import Refused, error_of

ROLE = "arn:aws:sts::123456789012:assumed-role/worker/abc"
SERVICE = "arn:aws:ecs:eu-west-1:123456789012:service/prod/web"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (500, "ServerException"),
        (503, ""),
        (502, "whatever"),
        (400, "com.amazonaws.ecs#ServerException"),
        (400, "ExpiredTokenException"),
        (400, "RequestExpired"),
    ],
)
def test_it_may_work_later(status, code):
    assert isinstance(error_of("DescribeServices", status, code, ""), TemporaryError)


def test_throttled():
    fault = error_of("RegisterTaskDefinition", 400, "ThrottlingException", "Rate exceeded")
    assert isinstance(fault, BusyError)
    assert fault.seconds == 1
    assert str(fault) == "ECS throttles ecs:RegisterTaskDefinition (ThrottlingException: Rate exceeded)"


def test_a_refusal_has_its_code():
    fault = error_of("UpdateService", 400, "com.amazonaws#ServiceNotActiveException:http://x", "it is gone")
    assert isinstance(fault, Refused)
    assert fault.code == "ServiceNotActiveException"
    assert str(fault) == "ECS refuses ecs:UpdateService: ServiceNotActiveException: it is gone"


def test_a_refusal_that_is_no_json():
    fault = error_of("UpdateService", 404, "", "")
    assert isinstance(fault, Refused)
    assert (fault.code, str(fault)) == ("404", "ECS refuses ecs:UpdateService: 404")


def test_a_missing_permission_is_named_with_its_resource():
    said = f"User: {ROLE} is not authorized to perform: ecs:UpdateService on resource: {SERVICE} because no policy"
    fault = error_of("UpdateService", 400, "AccessDeniedException", said)
    assert isinstance(fault, AccessDeniedError)
    assert str(fault).startswith(f"AWS refuses ecs:UpdateService on {SERVICE}: AccessDeniedException")


def test_a_permission_that_the_action_needs_beside_its_own():
    said = f"User: {ROLE} is not authorized to perform: iam:PassRole on resource: arn:aws:iam::1:role/task"
    fault = error_of("RegisterTaskDefinition", 400, "AccessDeniedException", said)
    assert "iam:PassRole on arn:aws:iam::1:role/task, which ecs:RegisterTaskDefinition needs" in str(fault)


@pytest.mark.parametrize("code", ["UnrecognizedClientException", "InvalidSignatureException"])
def test_credentials_that_are_no_good(code):
    fault = error_of("DescribeServices", 400, code, "The security token is invalid.")
    assert isinstance(fault, AccessDeniedError)
    assert "The security token is invalid." in str(fault)


def test_a_message_neither_moves_the_cursor_nor_fills_the_log():
    fault = error_of("UpdateService", 400, "ClientException", "\x1b[2J" + "x" * 10_000)
    assert isinstance(fault, PermanentError)
    assert "\x1b" not in str(fault)
    assert len(str(fault)) < 700


def test_a_cluster_that_does_not_exist_is_said_with_the_settings_that_name_it():
    fault = error_of("DescribeServices", 400, "ClusterNotFoundException", "Cluster not found.")
    assert "DEPLOYER_ECS_CLUSTERS" in str(fault)
