"""Requests to an ECS in memory: what it keeps, what it refuses, and how it gives out lists."""

import pytest

from deployer.errors import AccessDeniedError, BusyError
from deployer.targets.ecs.wire.api import Refused
from lab.ecs.memory import FakeEcs
from lab.ecs.operators import Operator, container
from lab.ecs.rules import READ_ONLY

IMAGE = "123456789012.dkr.ecr.eu-north-1.amazonaws.com/team/web:1"


@pytest.fixture
def ecs():
    return FakeEcs()


@pytest.fixture
def operator(ecs):
    return Operator(ecs.api())


def refused(ecs, action, **members):
    with pytest.raises(Refused) as found:
        ecs.api().call(action, **members)
    return found.value


def test_a_revision_keeps_what_nobody_knows_yet_and_goes_round_unchanged(ecs, operator):
    given = container("web", IMAGE, futureField={"deep": [1]}, portMappings=[{"containerPort": 80}])
    operator.register("web", given, pidMode="task", nextYear="x", tags={"team": "a"})
    first = operator.definition("web:1")
    assert first["containerDefinitions"][0]["futureField"] == {"deep": [1]}
    assert (first["pidMode"], first["nextYear"]) == ("task", "x")
    again = {name: value for name, value in first.items() if name not in READ_ONLY}
    second = ecs.api().call("RegisterTaskDefinition", **again)["taskDefinition"]
    assert {name: value for name, value in second.items() if name not in READ_ONLY} == again
    assert operator.tags_of("web:1") == {"team": "a"}
    assert operator.tags_of("web:2") == {}


def test_tags_come_only_where_they_are_asked_for(ecs, operator):
    operator.create("web", container("web", IMAGE), tags={"a": "b"})
    call = ecs.api().call
    assert "tags" not in call("DescribeServices", cluster="prod", services=["web"])["services"][0]
    assert operator.service("web")["tags"] == [{"key": "a", "value": "b"}]
    assert "tags" not in call("DescribeTaskDefinition", taskDefinition="web:1")


def test_inactive_revisions_are_described_and_run_but_not_assigned(ecs, operator):
    operator.create("web", container("web", IMAGE))
    operator.register("web", container("web", IMAGE))
    ecs.api().call("DeregisterTaskDefinition", taskDefinition="web:2")
    assert operator.definition("web:2")["status"] == "INACTIVE"
    assert operator.definition("web")["revision"] == 1
    assert "inactive" in str(
        refused(ecs, "UpdateService", cluster="prod", service="web", taskDefinition="web:2")
    )
    ecs.api().call("DeregisterTaskDefinition", taskDefinition="web:1")
    ecs.advance(10)
    assert operator.scale("web", 2)["desiredCount"] == 2
    ecs.advance(10)
    assert operator.service("web")["runningCount"] == 2


def test_a_familys_name_is_a_prefix_and_the_newest_may_come_first(ecs, operator):
    for family in ("web", "web-admin", "web"):
        operator.register(family, container("web", IMAGE))
    call = ecs.api().call
    listed = call("ListTaskDefinitions", familyPrefix="web", sort="DESC", maxResults=2)
    names = [arn.rpartition("/")[2] for arn in listed["taskDefinitionArns"]]
    rest = call(
        "ListTaskDefinitions", familyPrefix="web", sort="DESC", maxResults=2, nextToken=listed["nextToken"]
    )
    names += [arn.rpartition("/")[2] for arn in rest["taskDefinitionArns"]]
    assert names == ["web-admin:1", "web:2", "web:1"]
    assert "nextToken" not in rest
    assert call("ListTaskDefinitionFamilies", familyPrefix="web-")["families"] == ["web-admin"]


def test_services_come_ten_at_a_time(ecs, operator):
    names = {operator.create(f"s{number}", container("web", IMAGE))["serviceArn"] for number in range(25)}
    found, token, pages = [], {}, 0
    while pages == 0 or token:
        answer = ecs.api().call("ListServices", cluster="prod", **token)
        found += answer["serviceArns"]
        token = {"nextToken": answer["nextToken"]} if "nextToken" in answer else {}
        pages += 1
    assert (pages, set(found)) == (3, names)
    assert (
        refused(ecs, "DescribeServices", cluster="prod", services=found[:11]).code
        == "InvalidParameterException"
    )
    missing = ecs.api().call("DescribeServices", cluster="prod", services=["nobody"])
    assert [one["reason"] for one in missing["failures"]] == ["MISSING"]


@pytest.mark.parametrize(
    "tag",
    [
        {"key": "deployer.policy", "value": "semver:^1.2"},
        {"key": "deployer.policy", "value": "glob:main-*"},
        {"key": "deployer.containers", "value": "a,b"},
        {"key": "k" * 129, "value": ""},
        {"key": "k", "value": "v" * 257},
        {"key": "aws:x", "value": ""},
    ],
)
def test_tags_that_aws_refuses_are_refused(ecs, operator, tag):
    arn = operator.create("web", container("web", IMAGE))["serviceArn"]
    assert refused(ecs, "TagResource", resourceArn=arn, tags=[tag]).code == "InvalidParameterException"


@pytest.mark.parametrize(
    "value", ["semver:1.x", "semver:1.2 - 1.9", "minor", "2026-01-01T10:00:00+00:00", IMAGE]
)
def test_tags_that_aws_takes_are_taken(ecs, operator, value):
    arn = operator.create("web", container("web", IMAGE))["serviceArn"]
    ecs.api().call("TagResource", resourceArn=arn, tags=[{"key": "deployer.x", "value": value}])
    assert {"key": "deployer.x", "value": value} in operator.service("web")["tags"]


def test_fifty_tags_are_the_most(ecs, operator):
    arn = operator.create("web", container("web", IMAGE))["serviceArn"]
    operator.tag(arn, {f"k{number}": "" for number in range(50)})
    assert "50" in str(refused(ecs, "TagResource", resourceArn=arn, tags=[{"key": "more", "value": ""}]))


@pytest.mark.parametrize("controller", ["CODE_DEPLOY", "EXTERNAL"])
def test_other_controllers_refuse_a_revision(ecs, operator, controller):
    operator.create("web", container("web", IMAGE), deploymentController={"type": controller})
    operator.register("web", container("web", IMAGE))
    found = refused(ecs, "UpdateService", cluster="prod", service="web", taskDefinition="web:2")
    assert controller in str(found)


def test_a_client_token_runs_a_task_once(ecs, operator):
    operator.register("job", container("job", IMAGE))
    ecs.image(IMAGE, "job", exit_code=3, run_seconds=5)
    members = {"cluster": "prod", "taskDefinition": "job:1", "clientToken": "t"}
    call = ecs.api().call
    (first,), (second,) = (call("RunTask", **members)["tasks"] for _ in range(2))
    assert first["taskArn"] == second["taskArn"]
    assert refused(ecs, "RunTask", **members, startedBy="x").code == "ConflictException"
    ecs.advance(10)
    (done,) = call("DescribeTasks", cluster="prod", tasks=[first["taskArn"]])["tasks"]
    assert (done["lastStatus"], done["containers"][0]["exitCode"]) == ("STOPPED", 3)


def test_a_command_stands_in_for_the_images_own(ecs, operator):
    operator.register("web", container("web", IMAGE))
    ecs.command(["migrate"], exit_code=1)
    override = {"containerOverrides": [{"name": "web", "command": ["migrate"]}]}
    answer = ecs.api().call("RunTask", cluster="prod", taskDefinition="web:1", overrides=override)
    ecs.advance(10)
    (done,) = ecs.api().call("DescribeTasks", cluster="prod", tasks=[answer["tasks"][0]["taskArn"]])["tasks"]
    assert done["containers"][0]["exitCode"] == 1


def test_quotas_refuse_the_twenty_first_registration_and_fill_up_again(ecs, operator):
    ecs.quotas = True
    for _ in range(20):
        operator.register("web", container("web", IMAGE))
    with pytest.raises(BusyError):
        operator.register("web", container("web", IMAGE))
    ecs.advance(1)
    assert operator.register("web", container("web", IMAGE)) == "web:21"


def test_accounts_and_regions_are_apart(ecs):
    one, other = (Operator(ecs.api("eu-north-1", account)) for account in (None, "210987654321"))
    one.create("web", container("web", IMAGE))
    assert ecs.api("eu-north-1", "210987654321").call("ListServices", cluster="prod")["serviceArns"] == []
    assert other.create("web", container("web", IMAGE))["serviceArn"].split(":")[4] == "210987654321"


def test_a_missing_permission_names_action_and_resource(ecs, operator):
    operator.create("web", container("web", IMAGE))
    ecs.faults.denied.add("ecs:UpdateService")
    with pytest.raises(AccessDeniedError, match=r"ecs:UpdateService on arn:aws:ecs:.*service/prod/web"):
        operator.force("web")
    ecs.faults.denied = {"iam:PassRole"}
    with pytest.raises(AccessDeniedError, match=r"iam:PassRole on arn:aws:iam::1:role/x"):
        operator.register("web", container("web", IMAGE), executionRoleArn="arn:aws:iam::1:role/x")
