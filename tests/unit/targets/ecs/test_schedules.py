"""Schedules that run a service's task definition: they follow it to what it has converged on, and nowhere else."""

import pytest
from ecs_world import BREAKER, MANAGED, EcsWorld, pinned

from deployer.errors import AccessDeniedError
from deployer.model.deployment import Outcome
from deployer.model.service import Service
from deployer.policies.labels import ServiceLabels
from deployer.reports import ecs_checks
from deployer.rollouts.fleet import survey
from deployer.targets.ecs.writes.prune import prunable
from lab.ecs.memory import ACCOUNT, REGION

LABEL = "rule/nightly schedule/default/weekly"
ARN = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/"


def target(number, family="web", **more):
    parameters = {"TaskDefinitionArn": f"{ARN}{family}:{number}", "TaskCount": 1, "Future": {"kept": 1}}
    return {"Id": family, "Arn": "cluster", "RoleArn": "role", "EcsParameters": parameters, **more}


@pytest.fixture
def world():
    world = EcsWorld()
    world.schedules.rules["nightly"] = [target(1, Input="{}"), target(4, "other")]
    entry = {"Name": "weekly", "GroupName": "default", "ScheduleExpression": "rate(7 days)", "Later": [1]}
    world.schedules.entries["default", "weekly"] = {
        **entry,
        "Arn": "arn",
        "CreationDate": 0.0,
        "Target": target(1),
    }
    world.create(labels={**MANAGED, "deployer.schedules": LABEL}, deploymentConfiguration=BREAKER)
    world.deployer = world.worker()
    return world


def runs(world):
    """The revisions that rule and schedule run."""
    every = [*world.schedules.rules["nightly"], world.schedules.entries["default", "weekly"]["Target"]]
    return [one["EcsParameters"]["TaskDefinitionArn"].rpartition("/")[2] for one in every]


def test_they_follow_the_service_after_success_and_lose_nothing(world):
    world.push(2)
    assert world.deploy(until=lambda step: step.watch)
    assert runs(world) == ["web:1", "other:4", "web:1"]
    assert world.deploy().outcome is Outcome.UPDATED
    assert runs(world) == ["web:2", "other:4", "web:2"]
    assert world.schedules.rules["nightly"] == [target(2, Input="{}"), target(4, "other")]
    assert world.schedules.entries["default", "weekly"]["Later"] == [1]


def test_a_failed_roll_out_moves_nothing(world):
    world.push(2, behaviour="crash")
    assert world.deploy().outcome is Outcome.ROLLED_BACK
    assert runs(world) == ["web:1", "other:4", "web:1"]
    assert world.schedules.written == []


def test_a_rollback_by_hand_takes_them_along(world):
    world.push(2)
    world.deploy()
    assert world.deploy("back", rollback=True, trigger="rollback").outcome is Outcome.ROLLED_BACK
    assert world.images() == [pinned(1)]
    assert runs(world) == ["web:3", "other:4", "web:3"]  # the former revision again, with what is known now


def test_what_could_not_be_moved_is_moved_at_the_next_look_at_all(world, caplog):
    world.schedules.fault = AccessDeniedError("AWS refuses events:PutTargets rule nightly: AccessDenied")
    world.push(2)
    assert world.deploy().outcome is Outcome.UPDATED
    assert "Schedule rule/nightly of service web stays as it is: AWS refuses events:PutTargets" in caplog.text
    world.schedules.fault = None
    for service in survey.survey(world.deployer).scheduled:
        world.deployer.target.settled(service)
    assert runs(world) == ["web:2", "other:4", "web:2"]
    written = len(world.schedules.written)
    for service in survey.survey(world.deployer).scheduled:
        world.deployer.target.settled(service)
    assert len(world.schedules.written) == written


def test_one_of_another_family_is_left_alone_and_said(world, caplog):
    world.schedules.rules["nightly"] = [target(4, "other")]
    world.push(2)
    assert world.deploy().outcome is Outcome.UPDATED
    assert runs(world) == ["other:4", "web:2"]
    assert "rule/nightly of service web stays as it is: it runs nothing of web" in caplog.text
    found = list(ecs_checks.schedules(world.deployer.target))
    assert [(one.level, one.check) for one in found] == [("fail", "schedule rule/nightly of web")]
    assert "it runs other:4, and no revision of web" in found[0].found


def test_one_without_a_revision_runs_the_newest_anyway(world):
    world.schedules.rules["nightly"] = [{**target(1), "EcsParameters": {"TaskDefinitionArn": f"{ARN}web"}}]
    world.push(2)
    assert world.deploy().outcome is Outcome.UPDATED
    assert world.schedules.written == ["weekly"]


def test_the_revision_of_a_schedule_is_not_taken_out_of_use(world):
    for n in (2, 3, 4):
        world.push(n)
        world.deploy(f"t{n}")
    (service,) = world.deployer.target.services()
    places = world.deployer.target.places
    assert [one.rpartition("/")[2] for one in prunable(places, service, 1)] == ["web:2"]
    world.schedules.entries["default", "weekly"]["Target"] = target(2)
    assert prunable(places, service, 1) == []
    del world.schedules.rules["nightly"]
    assert prunable(places, service, 1) == []
    world.schedules.fault = AccessDeniedError("AWS refuses scheduler:GetSchedule")
    with pytest.raises(AccessDeniedError):
        prunable(places, service, 1)


@pytest.mark.parametrize("text", ["nightly", "rule/", "schedule/weekly", "rule/a rule/b/c", "bus/x"])
def test_a_name_that_is_none_is_said(text):
    problem = ServiceLabels.parse({"deployer.schedules": text}).problem
    assert "neither rule/NAME nor schedule/GROUP/NAME" in problem


def test_without_the_label_nobody_is_asked(world):
    world.schedules.fault = AssertionError("nobody asks")
    world.create("api", labels=MANAGED, n=1)
    world.push(2)
    assert world.deploy("a", "api").outcome is Outcome.UPDATED
    assert isinstance(world.deployer.target.services()[0], Service)
