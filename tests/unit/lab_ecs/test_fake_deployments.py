"""Deployments of an ECS in memory: they replace tasks, complete, fail, and are taken back."""

import pytest

from deployer.errors import TemporaryError
from deployer.targets.ecs.wire.api import Refused
from lab.ecs.memory import FakeEcs
from lab.ecs.operators import Operator, container

GOOD, BAD = "sha256:" + "a" * 64, "sha256:" + "b" * 64
REPO = "123456789012.dkr.ecr.eu-north-1.amazonaws.com/team/web"
BREAKER = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}


@pytest.fixture
def ecs():
    return FakeEcs()


@pytest.fixture
def operator(ecs):
    return Operator(ecs.api())


def created(ecs, operator, config=None, **more):
    """Create a service `web`, and let it come up."""
    service = operator.create(
        "web", container("web", f"{REPO}@{GOOD}"), deploymentConfiguration=config or {}, **more
    )
    ecs.advance(30)
    return service


def primary(operator, name="web"):
    return next(one for one in operator.service(name)["deployments"] if one["status"] == "PRIMARY")


def fate(operator, ecs, name="web"):
    arn = ecs.api().call("ListServiceDeployments", cluster="prod", service=name)["serviceDeployments"][0]
    found = ecs.api().call("DescribeServiceDeployments", serviceDeploymentArns=[arn["serviceDeploymentArn"]])
    return found["serviceDeployments"][0]


def test_a_good_deployment_replaces_every_task_and_completes(ecs, operator):
    created(ecs, operator, desired=3)
    first = primary(operator)
    assert (first["rolloutState"], first["runningCount"]) == ("COMPLETED", 3)
    assert fate(operator, ecs)["status"] == "SUCCESSFUL"
    operator.deploy("web", {"web": f"{REPO}@{BAD}"})
    rolling = primary(operator)
    assert rolling["rolloutState"] == "IN_PROGRESS"
    assert rolling["id"] != first["id"]
    assert {one["id"]: one["status"] for one in operator.service("web")["deployments"]}[
        first["id"]
    ] == "ACTIVE"
    ecs.advance(30)
    service = operator.service("web")
    assert [one["id"] for one in service["deployments"]] == [rolling["id"]]
    assert service["deployments"][0]["rolloutState"] == "COMPLETED"
    assert {task["containers"][0]["imageDigest"] for task in operator.tasks("web")} == {BAD}
    assert fate(operator, ecs)["status"] == "SUCCESSFUL"


def test_the_circuit_breaker_takes_back_and_the_old_deployment_keeps_its_id(ecs, operator):
    created(ecs, operator, BREAKER, desired=2)
    before = primary(operator)
    ecs.image(BAD, "crash")
    operator.deploy("web", {"web": f"{REPO}@{BAD}"})
    bad = primary(operator)
    ecs.advance(20)
    told = fate(operator, ecs)
    assert told["status"] in {"ROLLBACK_IN_PROGRESS", "ROLLBACK_SUCCESSFUL"}
    assert told["deploymentCircuitBreaker"] == {"status": "TRIGGERED", "failureCount": 4, "threshold": 3} or (
        told["deploymentCircuitBreaker"]["status"] == "TRIGGERED"
    )
    ecs.advance(10)
    after = operator.service("web")
    assert primary(operator)["id"] == before["id"]
    assert after["taskDefinition"] == before["taskDefinition"]
    failed = [one for one in after["deployments"] if one["id"] == bad["id"]]
    assert [one["rolloutState"] for one in failed] in (["FAILED"], [])
    assert fate(operator, ecs)["status"] == "ROLLBACK_SUCCESSFUL"
    exits = {task["containers"][0].get("exitCode") for task in operator.tasks("web", "STOPPED")}
    assert exits == {7}
    ecs.advance(3700)
    assert operator.tasks("web", "STOPPED") == []


def test_without_a_breaker_a_bad_deployment_goes_on_for_ever_and_old_tasks_serve(ecs, operator):
    created(ecs, operator, desired=2)
    ecs.image(BAD, "crash")
    operator.deploy("web", {"web": f"{REPO}@{BAD}"})
    ecs.advance(3000)
    assert primary(operator)["rolloutState"] == "IN_PROGRESS"
    assert primary(operator)["failedTasks"] > 10
    assert operator.service("web")["runningCount"] == 2


def test_a_breaker_without_rollback_stalls(ecs, operator):
    created(ecs, operator, {"deploymentCircuitBreaker": {"enable": True, "rollback": False}})
    ecs.image(BAD, "missing")
    operator.deploy("web", {"web": f"{REPO}@{BAD}"})
    ecs.advance(60)
    assert primary(operator)["rolloutState"] == "FAILED"
    assert fate(operator, ecs)["status"] == "STOPPED"
    started = len(operator.tasks("web", "STOPPED"))
    ecs.advance(600)
    assert len(operator.tasks("web", "STOPPED")) == started
    assert operator.service("web")["runningCount"] == 1


def test_a_limping_deployment_never_trips_a_breaker_that_resets(ecs, operator):
    created(ecs, operator, BREAKER)
    ecs.image(BAD, "crash_later", start_seconds=2, run_seconds=1)
    ecs.image(GOOD, "ok")
    operator.deploy("web", {"web": f"{REPO}@{BAD}"})
    ecs.advance(300)
    assert fate(operator, ecs)["deploymentCircuitBreaker"]["status"] == "MONITORING"


def test_unhealthy_tasks_are_failures(ecs, operator):
    created(ecs, operator, BREAKER)
    ecs.image(BAD, "unhealthy", run_seconds=3)
    operator.deploy("web", {"web": f"{REPO}@{BAD}"})
    ecs.advance(120)
    assert fate(operator, ecs)["status"] == "ROLLBACK_SUCCESSFUL"


def test_a_deployment_that_finds_no_place_stays_under_way(ecs, operator):
    created(ecs, operator, BREAKER)
    ecs.image(BAD, "never")
    operator.deploy("web", {"web": f"{REPO}@{BAD}"})
    ecs.advance(600)
    assert primary(operator)["rolloutState"] == "IN_PROGRESS"
    assert primary(operator)["pendingCount"] == 1


def test_stop_takes_back_this_deployment_and_no_other(ecs, operator):
    created(ecs, operator)
    before = primary(operator)
    ecs.image(BAD, "crash")
    operator.deploy("web", {"web": f"{REPO}@{BAD}"})
    stale = fate(operator, ecs)["serviceDeploymentArn"]
    operator.force("web")
    with pytest.raises(Refused) as refused:
        ecs.api().call("StopServiceDeployment", serviceDeploymentArn=stale, stopType="ROLLBACK")
    assert refused.value.code == "ConflictException"
    mine = fate(operator, ecs)["serviceDeploymentArn"]
    ecs.api().call("StopServiceDeployment", serviceDeploymentArn=mine, stopType="ROLLBACK")
    ecs.advance(30)
    assert primary(operator)["id"] == before["id"]
    assert fate(operator, ecs)["status"] == "ROLLBACK_SUCCESSFUL"
    with pytest.raises(Refused):
        ecs.api().call("StopServiceDeployment", serviceDeploymentArn=mine, stopType="ROLLBACK")


def test_the_same_revision_starts_nothing_unless_forced(ecs, operator):
    created(ecs, operator)
    before = primary(operator)["id"]
    operator.point("web", "web:1")
    operator.scale("web", 2)
    operator.update("web", deploymentConfiguration=BREAKER)
    ecs.advance(30)
    assert primary(operator)["id"] == before
    assert operator.service("web")["runningCount"] == 2
    operator.force("web")
    assert primary(operator)["id"] != before


def test_a_daemon_service_has_one_task_a_machine(ecs, operator):
    created(ecs, operator, desired=None, schedulingStrategy="DAEMON")
    assert operator.service("web")["runningCount"] == 2
    operator.deploy("web", {"web": f"{REPO}@{BAD}"})
    ecs.advance(30)
    assert primary(operator)["rolloutState"] == "COMPLETED"
    assert operator.service("web")["runningCount"] == 2


def test_nothing_wanted_completes_at_once(ecs, operator):
    created(ecs, operator, desired=0)
    operator.deploy("web", {"web": f"{REPO}@{BAD}"})
    ecs.advance(1)
    assert primary(operator)["rolloutState"] == "COMPLETED"


@pytest.mark.parametrize(
    ("config", "minutes"),
    [
        ({"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 10}, 10),
        (
            {
                "strategy": "CANARY",
                "bakeTimeInMinutes": 5,
                "canaryConfiguration": {"canaryPercent": 10, "canaryBakeTimeInMinutes": 20},
            },
            25,
        ),
        (
            {
                "strategy": "LINEAR",
                "linearConfiguration": {"stepPercent": 25, "stepBakeTimeInMinutes": 3},
            },
            12,
        ),
    ],
)
def test_deployments_in_stages_take_their_bake_times(ecs, operator, config, minutes):
    created(ecs, operator, config, desired=2)
    operator.deploy("web", {"web": f"{REPO}@{BAD}"})
    ecs.advance(minutes * 60 - 5)
    assert primary(operator)["rolloutState"] == "IN_PROGRESS"
    assert operator.service("web")["runningCount"] == 4
    ecs.advance(60)
    assert primary(operator)["rolloutState"] == "COMPLETED"
    assert operator.service("web")["runningCount"] == 2
    assert fate(operator, ecs)["status"] == "SUCCESSFUL"


def test_a_pause_waits_for_a_person(ecs, operator):
    hook = {
        "targetType": "PAUSE",
        "lifecycleStages": ["POST_SCALE_UP"],
        "timeoutConfiguration": {"timeoutInMinutes": 3 * 1440},
    }
    created(ecs, operator, {"strategy": "BLUE_GREEN", "lifecycleHooks": [hook]})
    operator.deploy("web", {"web": f"{REPO}@{BAD}"})
    ecs.advance(2 * 86400)
    told = fate(operator, ecs)
    assert (told["status"], told["lifecycleStage"]) == ("IN_PROGRESS", "POST_SCALE_UP")
    (waiting,) = told["lifecycleHookDetails"]
    assert waiting["status"] == "AWAITING_ACTION"
    arn = told["serviceDeploymentArn"]
    ecs.api().call(
        "ContinueServiceDeployment", serviceDeploymentArn=arn, hookId=waiting["hookId"], action="CONTINUE"
    )
    ecs.advance(120)
    assert fate(operator, ecs)["status"] == "SUCCESSFUL"


def test_a_hook_that_says_no_takes_back(ecs, operator):
    hook = {"hookTargetArn": "arn:aws:lambda:x:1:function:check", "lifecycleStages": ["POST_SCALE_UP"]}
    created(ecs, operator, {"strategy": "BLUE_GREEN", "lifecycleHooks": [hook]})
    before = primary(operator)["id"]
    ecs.region().world.hooks[hook["hookTargetArn"]] = "FAILED"
    operator.deploy("web", {"web": f"{REPO}@{BAD}"})
    ecs.advance(120)
    assert fate(operator, ecs)["status"] == "ROLLBACK_SUCCESSFUL"
    assert "hook failed" in fate(operator, ecs)["rollback"]["reason"]
    assert primary(operator)["id"] == before
    assert operator.service("web")["runningCount"] == 1


def test_an_alarm_takes_back_while_it_is_watched(ecs, operator):
    config = {"alarms": {"enable": True, "rollback": True, "alarmNames": ["errors"]}}
    created(ecs, operator, config)
    ecs.advance(600)
    before = primary(operator)["id"]
    operator.deploy("web", {"web": f"{REPO}@{BAD}"})
    ecs.advance(60)
    assert primary(operator)["rolloutState"] == "IN_PROGRESS"
    ecs.alarm("errors")
    ecs.advance(60)
    assert primary(operator)["id"] == before
    assert fate(operator, ecs)["alarms"]["triggeredAlarmNames"] == ["errors"]


def test_descriptions_can_be_old(ecs, operator):
    created(ecs, operator)
    before = primary(operator)["id"]
    ecs.answer_late(10)
    operator.deploy("web", {"web": f"{REPO}@{BAD}"})
    ecs.advance(9)
    assert primary(operator)["id"] == before
    ecs.advance(2)
    assert primary(operator)["id"] != before


def test_an_answer_can_be_lost_after_the_work_is_done(ecs, operator):
    created(ecs, operator)
    before = primary(operator)["id"]
    ecs.faults.lose_answer("UpdateService")
    with pytest.raises(TemporaryError):
        operator.force("web")
    assert primary(operator)["id"] != before


def test_an_update_during_another_one_stops_that(ecs, operator):
    created(ecs, operator)
    operator.deploy("web", {"web": f"{REPO}@{BAD}"})
    ecs.advance(1)
    operator.force("web")
    listed = ecs.api().call("ListServiceDeployments", cluster="prod", service="web")["serviceDeployments"]
    assert [one["status"] for one in listed] == ["IN_PROGRESS", "STOPPED", "SUCCESSFUL"]
    ecs.advance(30)
    assert primary(operator)["rolloutState"] == "COMPLETED"
