"""How a service stands, by all that ECS says of its deployments."""

import pytest

from deployer.model.service import State
from deployer.model.snapshot import Phase
from deployer.targets.ecs.cluster import Cluster
from deployer.targets.ecs.names import UnitId
from deployer.targets.ecs.progress import Fate, assess, failed_one, failure_of
from deployer.targets.ecs.service import Revision, Unit
from deployer.targets.ecs.tags import Record

MINE, OTHER = "arn:aws:ecs:x:1:task-definition/web:7", "arn:aws:ecs:x:1:task-definition/web:6"


def deployment(state, status="PRIMARY", definition=MINE, at=10.0, running=2, **more):
    counts = {"desiredCount": 2, "runningCount": running}
    return {
        "status": status,
        "rolloutState": state,
        "taskDefinition": definition,
        "createdAt": at,
        **counts,
        **more,
    }


def unit(*deployments, undone=None, by="event", **raw):
    record = Record(State(task="t", by=by), undone=undone)
    service = {"deployments": list(deployments), "serviceArn": "arn:web", **raw}
    return Unit(Cluster("prod"), service, UnitId("arn:web"), Revision(MINE, {}, {}), ("app",), record)


def fate(status, target="rev/7", **more):
    return {"serviceDeploymentArn": "x/sd-1", "status": status, "targetServiceRevisionArn": target, **more}


@pytest.mark.parametrize(
    ("state", "status", "phase"),
    [
        ("IN_PROGRESS", "PENDING", Phase.ROLLING),
        ("IN_PROGRESS", "IN_PROGRESS", Phase.ROLLING),
        ("COMPLETED", "IN_PROGRESS", Phase.ROLLING),  # it bakes
        ("COMPLETED", "SUCCESSFUL", Phase.CONVERGED),
        ("COMPLETED", None, Phase.CONVERGED),
        ("IN_PROGRESS", None, Phase.ROLLING),
        ("FAILED", None, Phase.PAUSED),
        ("FAILED", "STOPPED", Phase.PAUSED),
        ("IN_PROGRESS", "STOPPED", Phase.PAUSED),  # somebody aborted it
        ("FAILED", "ROLLBACK_REQUESTED", Phase.ROLLING),
        ("IN_PROGRESS", "ROLLBACK_IN_PROGRESS", Phase.ROLLING),
        ("COMPLETED", "ROLLBACK_SUCCESSFUL", Phase.REVERTED),
        ("IN_PROGRESS", "ROLLBACK_FAILED", Phase.PAUSED),
    ],
)
def test_the_phase_is_the_fate_of_the_deployment(state, status, phase):
    raw = fate(status) if status else {}
    judged = assess(unit(deployment(state)), Fate(raw))
    assert judged.phase is phase
    assert judged.engine_busy is (phase is Phase.ROLLING)


def test_a_service_that_has_fewer_tasks_than_it_wants_has_converged_all_the_same():
    # It is scaled out, or a task of it has died since: that is nothing that its deployment has done.
    judged = assess(unit(deployment("COMPLETED", running=1)), Fate(fate("SUCCESSFUL")))
    assert (judged.phase, judged.ready, judged.desired) == (Phase.CONVERGED, 1, 2)


def test_our_own_way_back_is_what_was_wanted():
    own = unit(deployment("COMPLETED"), undone="sd-1", by="rollback")
    assert assess(own, Fate(fate("ROLLBACK_SUCCESSFUL"))).phase is Phase.CONVERGED
    assert Fate(fate("ROLLBACK_SUCCESSFUL"), left=OTHER).went_back(own) is False
    later = unit(deployment("COMPLETED"), undone="sd-0", by="rollback")
    assert Fate(fate("ROLLBACK_SUCCESSFUL"), left=OTHER).went_back(later) is True


def test_a_rollback_that_the_service_does_not_show_yet_is_under_way_and_nothing_more():
    asked = Fate(fate("ROLLBACK_REQUESTED"), switched=False)
    ours = unit(deployment("FAILED"))
    assert (assess(ours, asked).phase, asked.went_back(ours)) == (Phase.ROLLING, False)


def test_a_stopped_deployment_of_which_the_service_knows_nothing_is_news_that_comes_late():
    known = {"currentServiceRevisions": [{"arn": "rev/6"}]}
    old = unit(deployment("COMPLETED"), **known)
    assert assess(old, Fate(fate("STOPPED"))).phase is Phase.ROLLING
    assert assess(old, Fate(fate("STOPPED", target="rev/6"))).phase is Phase.PAUSED


def test_only_a_failed_deployment_that_is_newer_than_what_runs_has_been_left():
    back = deployment("COMPLETED", at=5.0)
    assert (
        failed_one({"deployments": [back, deployment("FAILED", "ACTIVE", OTHER, at=9.0)]})["createdAt"] == 9.0
    )
    assert failed_one({"deployments": [back, deployment("FAILED", "ACTIVE", OTHER, at=4.0)]}) is None
    assert failed_one({"deployments": [back, deployment("FAILED", "ACTIVE", MINE, at=9.0)]}) is None


@pytest.mark.parametrize(
    ("settings", "seconds"),
    [
        ({}, 0.0),
        ({"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 10}, 600.0),
        (
            {
                "strategy": "CANARY",
                "bakeTimeInMinutes": 1,
                "canaryConfiguration": {"canaryBakeTimeInMinutes": 2},
            },
            180.0,
        ),
        (
            {"strategy": "LINEAR", "linearConfiguration": {"stepPercent": 30, "stepBakeTimeInMinutes": 1}},
            240.0,
        ),
        ({"alarms": {"enable": True}}, 600.0),
        ({"alarms": {"enable": False}}, 0.0),
    ],
)
def test_what_ecs_takes_on_purpose_is_known_from_its_settings(settings, seconds):
    judged = assess(
        unit(deployment("IN_PROGRESS"), deploymentConfiguration=settings), Fate(fate("IN_PROGRESS"))
    )
    assert judged.patience == seconds


@pytest.mark.parametrize(
    ("hook", "pause"),
    [
        (
            {"status": "AWAITING_ACTION", "targetType": "PAUSE"},
            "ECS pauses at PRE_SCALE_UP until somebody lets it go on",
        ),
        (
            {"status": "IN_PROGRESS", "targetType": "AWS_LAMBDA"},
            "ECS waits for a lifecycle hook at PRE_SCALE_UP",
        ),
        ({"status": "SUCCEEDED", "targetType": "PAUSE"}, ""),
    ],
)
def test_a_hook_that_keeps_a_deployment_waiting_is_named(hook, pause):
    raw = fate("IN_PROGRESS", lifecycleStage="PRE_SCALE_UP", lifecycleHookDetails=[hook])
    assert assess(unit(deployment("IN_PROGRESS")), Fate(raw)).pause == pause


def stopped(said, definition=MINE, at=1.0, code="EssentialContainerExited", **container):
    told = {"taskDefinitionArn": definition, "stoppedReason": said, "stopCode": code, "stoppedAt": at}
    return {**told, "containers": [{"name": "app", **container}]}


def test_the_reason_is_that_of_the_newest_task_that_ended_by_itself():
    tasks = [
        stopped("Essential container in task exited", at=1.0, exitCode=3),
        stopped("of another revision", OTHER, at=9.0),
        stopped("Scaling activity initiated by (deployment x)", at=8.0, code="ServiceSchedulerInitiated"),
    ]
    assert failure_of(tasks, MINE) == "Essential container in task exited: container app exited with code 3"
    pull = stopped(
        "CannotPullContainerError: no",
        at=10.0,
        code="TaskFailedToStart",
        reason="CannotPullContainerError: no",
    )
    assert failure_of([*tasks, pull], MINE) == "CannotPullContainerError: no"
    ill = stopped("Task failed container health checks", at=11.0, code="ServiceSchedulerInitiated")
    assert failure_of([*tasks, ill], MINE) == "Task failed container health checks"
    assert failure_of([], MINE) == ""


def test_a_task_that_finds_no_place_is_told_by_the_services_event():
    event = {
        "createdAt": 11.0,
        "message": "(service web) was unable to place a task because no instance had room.",
    }
    old = {"createdAt": 9.0, "message": "(service web) was unable to place a task."}
    rolling = unit(deployment("IN_PROGRESS"), events=[event, old])
    assert "no instance had room" in assess(rolling, Fate(fate("IN_PROGRESS"))).reason
    assert assess(unit(deployment("IN_PROGRESS"), events=[old]), Fate(fate("IN_PROGRESS"))).reason == ""
