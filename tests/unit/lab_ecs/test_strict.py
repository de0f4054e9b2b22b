"""The strict front, before an ECS in memory as forgetful as the emulator."""

import pytest

from lab.ecs.front.strict import Strict
from lab.ecs.memory import FakeEcs
from lab.ecs.operators import Operator, container
from lab.ecs.refusal import Refusal

IMAGE = "123456789012.dkr.ecr.eu-north-1.amazonaws.com/team/web:1"


class Emulator:
    """Answers as the emulator does where that is not as ECS does."""

    def __init__(self):
        self.ecs = FakeEcs()
        self.operator = Operator(self.ecs.api())

    def send(self, action, members):
        region = self.ecs.region()
        if action == "RegisterTaskDefinition":
            answer = region.answer(action, {k: v for k, v in members.items() if k != "enableFaultInjection"})
            answer["taskDefinition"] |= {"pidMode": "", "taskRoleArn": ""}
            return answer
        if action == "DescribeTaskDefinition":
            members = {**members, "include": ["TAGS"]}
        return region.answer(action, members)


@pytest.fixture
def emulator():
    return Emulator()


@pytest.fixture
def strict(emulator):
    return Strict(emulator.send, lambda: emulator.ecs.clock.seconds)


def refusal(strict, action, **members):
    with pytest.raises(Refusal) as found:
        strict.request(action, members)
    return found.value


def test_a_revision_is_shown_as_it_was_given(strict):
    given = {"family": "web", "containerDefinitions": [container("web", IMAGE)], "enableFaultInjection": True}
    shown = strict.request("RegisterTaskDefinition", given)["taskDefinition"]
    assert shown["enableFaultInjection"] is True
    assert "pidMode" not in shown
    assert "taskRoleArn" not in shown


def test_tags_come_only_where_they_are_asked_for(strict, emulator):
    emulator.operator.register("web", container("web", IMAGE), tags={"a": "b"})
    assert "tags" not in strict.request("DescribeTaskDefinition", {"taskDefinition": "web:1"})
    shown = strict.request("DescribeTaskDefinition", {"taskDefinition": "web:1", "include": ["TAGS"]})
    assert shown["tags"] == [{"key": "a", "value": "b"}]


def test_more_than_ten_names_and_bad_tags_are_refused(strict):
    names = [f"s{number}" for number in range(11)]
    assert (
        refusal(strict, "DescribeServices", cluster="prod", services=names).code
        == "InvalidParameterException"
    )
    tags = [{"key": "deployer.policy", "value": "glob:*"}]
    assert refusal(strict, "TagResource", resourceArn="x", tags=tags).code == "InvalidParameterException"


def test_lists_come_by_pages(strict, emulator):
    for number in range(12):
        emulator.operator.create(f"s{number}", container("web", IMAGE))
    first = strict.request("ListServices", {"cluster": "prod"})
    rest = strict.request("ListServices", {"cluster": "prod", "nextToken": first["nextToken"]})
    assert (len(first["serviceArns"]), len(rest["serviceArns"])) == (10, 2)


def test_an_inactive_revision_and_another_controller_are_refused_before_the_emulator_is_asked(
    strict, emulator
):
    operator = emulator.operator
    operator.create("web", container("web", IMAGE))
    operator.create("other", container("web", IMAGE), deploymentController={"type": "CODE_DEPLOY"})
    operator.register("web", container("web", IMAGE))
    emulator.send("DeregisterTaskDefinition", {"taskDefinition": "web:2"})
    sent = refusal(strict, "UpdateService", cluster="prod", service="web", taskDefinition="web:2")
    assert "inactive" in sent.message
    sent = refusal(strict, "UpdateService", cluster="prod", service="other", taskDefinition="web:1")
    assert "CODE_DEPLOY" in sent.message


def test_a_client_token_reaches_the_emulator_once(strict, emulator):
    emulator.operator.register("web", container("web", IMAGE))
    members = {"cluster": "prod", "taskDefinition": "web:1", "clientToken": "t"}
    first, second = (strict.request("RunTask", dict(members)) for _ in range(2))
    assert first == second


def test_service_deployments_are_told_from_what_is_seen(strict, emulator):
    emulator.operator.create("web", container("web", IMAGE))
    emulator.ecs.advance(30)
    emulator.operator.register("web", container("web", IMAGE))
    here = {"cluster": "prod", "service": "web"}

    def fates():
        return [one["status"] for one in strict.request("ListServiceDeployments", here)["serviceDeployments"]]

    assert fates() == ["SUCCESSFUL"]
    strict.request("UpdateService", {**here, "taskDefinition": "web:2"})
    assert fates() == ["IN_PROGRESS", "SUCCESSFUL"]
    strict.request("UpdateService", {**here, "taskDefinition": "web:1"})
    assert fates() == ["IN_PROGRESS", "STOPPED", "SUCCESSFUL"]
    emulator.ecs.advance(30)
    assert fates() == ["SUCCESSFUL", "STOPPED", "SUCCESSFUL"]
    arn = strict.request("ListServiceDeployments", here)["serviceDeployments"][0]["serviceDeploymentArn"]
    assert refusal(strict, "StopServiceDeployment", serviceDeploymentArn=arn).code == "ConflictException"


def test_a_rollback_of_the_circuit_breaker_is_told(strict, emulator):
    config = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
    emulator.operator.create("web", container("web", IMAGE), deploymentConfiguration=config)
    emulator.ecs.advance(30)
    here = {"cluster": "prod", "service": "web"}
    strict.request("ListServiceDeployments", here)
    emulator.operator.register("web", container("web", "x/bad:1"))
    emulator.ecs.image("x/bad:1", "crash")
    strict.request("UpdateService", {**here, "taskDefinition": "web:2"})
    emulator.ecs.advance(60)
    newest = strict.request("ListServiceDeployments", here)["serviceDeployments"][0]
    assert newest["status"] == "ROLLBACK_SUCCESSFUL"
    full = strict.request(
        "DescribeServiceDeployments", {"serviceDeploymentArns": [newest["serviceDeploymentArn"]]}
    )
    (source,) = full["serviceDeployments"][0]["sourceServiceRevisions"]
    known = strict.request("DescribeServiceRevisions", {"serviceRevisionArns": [source["arn"]]})
    assert known["serviceRevisions"][0]["taskDefinition"].endswith("web:1")


def test_descriptions_can_be_old(strict, emulator):
    emulator.operator.create("web", container("web", IMAGE))
    emulator.ecs.advance(30)
    asked = {"cluster": "prod", "services": ["web"]}
    before = strict.request("DescribeServices", asked)["services"][0]["deployments"][0]["id"]
    strict.faults.stale_seconds = 10
    strict.request("UpdateService", {"cluster": "prod", "service": "web", "forceNewDeployment": True})
    emulator.ecs.advance(5)
    assert strict.request("DescribeServices", asked)["services"][0]["deployments"][0]["id"] == before
    emulator.ecs.advance(10)
    assert strict.request("DescribeServices", asked)["services"][0]["deployments"][0]["id"] != before
