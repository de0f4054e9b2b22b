"""`deployer doctor` on ECS: each permission is tried, nothing is written, and the missing statement is named."""

import json

import pytest

from deployer.errors import AccessDeniedError, BusyError, SettingsError, TemporaryError
from deployer.model.service import Service
from deployer.reports import ecs_checks
from deployer.rollouts.ledger import Ledger
from deployer.targets.ecs.wire.api import Refused, error_of

SERVICE = "arn:aws:ecs:eu-west-1:123456789012:service/prod/web"
WRITES = {"UpdateService", "RegisterTaskDefinition", "DeregisterTaskDefinition", "TagResource", "RunTask"}
WRITES |= {"StopServiceDeployment"}


class Ecs:
    """ECS as a policy lets it be seen: what is denied, and what there is."""

    region, account = "eu-west-1", None

    def __init__(self, *denied):
        self.denied, self.asked, self.down = set(denied), {}, None

    def call(self, action, **members):
        self.asked[action] = members
        if action in self.denied:
            said = f"User: arn:x is not authorized to perform: ecs:{action} on resource: {SERVICE} because no policy"
            raise error_of(action, 400, "AccessDeniedException", said)
        if self.down:
            raise self.down
        if action == "ListServices":
            return {"serviceArns": [SERVICE]}
        if action == "DescribeServices":
            return {"services": [{"taskDefinition": "arn:aws:ecs:eu-west-1:1:task-definition/shop-web:7"}]}
        raise Refused("ClientException", "it does not exist")


def rows(ecs):
    return list(ecs_checks.cluster(ecs_checks.Place("prod", "prod", ecs, "123456789012")))


def test_all_is_allowed():
    ecs = Ecs()
    assert [(row.level, row.found) for row in rows(ecs)] == [
        ("ok", "1 services"),
        ("ok", "all 15 actions are allowed"),
    ]


def test_what_is_tried_cannot_be_carried_out():
    ecs = Ecs()
    rows(ecs)
    assert set(ecs.asked) >= WRITES
    assert ecs.asked["UpdateService"]["service"] == ecs_checks.NOTHING
    assert ecs.asked["RegisterTaskDefinition"] == {"family": "shop-web", "containerDefinitions": []}
    for action in ("DeregisterTaskDefinition", "RunTask"):
        assert ecs.asked[action]["taskDefinition"] == f"shop-web:{ecs_checks.NO_REVISION}"
    assert ecs.asked["TagResource"]["resourceArn"].endswith(
        f":task-definition/shop-web:{ecs_checks.NO_REVISION}"
    )


@pytest.mark.parametrize(
    "action",
    [trial.action for trial in ecs_checks.trials(ecs_checks.Place("prod", "prod", Ecs()), [SERVICE])],
)
def test_28_the_statement_that_is_missing_is_named(action):
    found = [row for row in rows(Ecs(action)) if row.level != "ok"]
    assert [row.check for row in found] == [f"ECS prod: ecs:{action}"]
    assert found[0].found.startswith(f"AWS refuses ecs:{action} on {SERVICE}")
    added = json.loads(found[0].fix.removeprefix("add to the role's policy: "))
    assert (added["Effect"], added["Action"]) == ("Allow", f"ecs:{action}")
    assert added["Resource"] == "*" or added["Resource"].startswith("arn:aws:ecs:eu-west-1:123456789012:")


def test_a_region_of_china():
    ecs = Ecs("UpdateService")
    ecs.region = "cn-north-1"
    assert '"arn:aws-cn:ecs:cn-north-1:123456789012:service/prod/*"' in rows(ecs)[-1].fix


@pytest.mark.parametrize(
    ("fault", "fix"),
    [
        (Refused("ClusterNotFoundException", "Cluster not found."), "correct DEPLOYER_ECS_CLUSTERS"),
        (TemporaryError("ECS in eu-west-1 does not answer"), "let this worker reach ECS"),
    ],
)
def test_a_cluster_that_cannot_be_asked(fault, fix):
    ecs = Ecs()
    ecs.down = fault
    [row] = rows(ecs)
    assert (row.level, row.found) == ("fail", str(fault))
    assert row.fix.startswith(fix)


def test_what_could_not_be_tried_is_not_called_allowed():
    class Busy(Ecs):
        def call(self, action, **members):
            if action == "RunTask":
                raise TemporaryError("throttled")
            return super().call(action, **members)

    assert [(row.check, row.level) for row in rows(Busy())[1:]] == [("ECS prod: ecs:RunTask", "warn")]


# -- services, ledger and roles ----------------------------------------------------------------------------


class Target:
    def __init__(self, *services):
        self.services = lambda: services


def test_no_service_is_ours():
    [row] = ecs_checks.services(Target())
    assert (row.level, row.found) == ("warn", "none is ours")
    assert "DEPLOYER_ECS_OPT_IN=false" in row.fix


def test_services_that_are_left_alone_are_named():
    named = [Service(f"id{n}", f"s{n}", 0, None, untouchable="CodeDeploy's") for n in range(7)]
    [row] = ecs_checks.services(Target(Service("id", "web", 0, None), *named))
    assert row.found.startswith("s0 (CodeDeploy's); s1 ")
    assert row.found.endswith("; s4 (CodeDeploy's) and 2 more")
    assert not list(ecs_checks.services(Target(Service("id", "web", 0, None))))


class Store:
    def __init__(self, reading=None, writing=None):
        self.reading, self.writing = reading, writing or BusyError("late", 3)

    def ledger(self):
        if self.reading:
            raise self.reading
        return Ledger({"deployer.hold.web": "audit"})

    def claim(self, unit_id, seen):
        raise self.writing


def test_the_ledger():
    found = [(row.check, row.level) for row in ecs_checks.ledger(Store(), "deployer-ledger")]
    assert found == [("ECS ledger: dynamodb:GetItem", "ok"), ("ECS ledger: dynamodb:PutItem", "ok")]


def test_no_ledger():
    [row] = ecs_checks.ledger(Store(), None)
    assert row.level == "warn"
    assert "DEPLOYER_ECS_LEDGER" in row.fix


def test_what_the_ledger_lacks():
    denied = AccessDeniedError("AWS refuses dynamodb:PutItem on table deployer-ledger")
    row = list(ecs_checks.ledger(Store(writing=denied), "deployer-ledger"))[1]
    assert (row.level, row.found) == ("fail", str(denied))
    assert json.loads(row.fix.partition(": ")[2])["Action"] == "dynamodb:PutItem"
    [row] = ecs_checks.ledger(Store(SettingsError("DEPLOYER_ECS_LEDGER='x': there is no such table")), "x")
    assert row.level == "fail"


class Iam:
    def __init__(self, *decisions):
        self.decisions, self.asked = decisions, None

    def simulate_principal_policy(self, **members):
        self.asked = members
        if not self.decisions:
            raise RuntimeError
        results = zip(members["ResourceArns"], self.decisions, strict=True)
        return {
            "EvaluationResults": [{"EvalResourceName": arn, "EvalDecision": said} for arn, said in results]
        }


ROLES = ["arn:aws:iam::1:role/execution", "arn:aws:iam::1:role/task"]
ME = "arn:aws:sts::1:assumed-role/worker/i-1"


def test_roles_that_may_not_be_passed_are_named():
    iam = Iam("allowed", "implicitDeny")
    row = ecs_checks.pass_role(iam, ME, ROLES)
    assert iam.asked["PolicySourceArn"] == "arn:aws:iam::1:role/worker"
    assert (row.level, row.found) == ("fail", "denied for arn:aws:iam::1:role/task")
    assert json.loads(row.fix.partition(": ")[2])["Resource"] == ["arn:aws:iam::1:role/task"]
    assert ecs_checks.pass_role(Iam("allowed", "allowed"), ME, ROLES).found == "allowed for 2 roles"


def test_a_role_that_may_not_simulate_is_no_fault():
    row = ecs_checks.pass_role(Iam(), ME, ROLES)
    assert row.level == "ok"
    assert row.found.startswith("not tried (RuntimeError)")
