"""A command that runs in a task of the new revision first: once, where the service runs, and its exit code decides."""

import pytest
from ecs_world import MANAGED, REPOSITORY, EcsWorld, container, digest, pinned

from deployer.errors import TemporaryError
from deployer.model.deployment import Again, Outcome, Request

MIGRATE = ["manage", "migrate", "--to the end"]
LABELS = {**MANAGED, "deployer.pre-command": "manage migrate '--to the end'"}
NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-1"], "securityGroups": ["sg-1"]}}


@pytest.fixture
def world():
    world = EcsWorld(rollout_timeout=120)
    world.create(labels=LABELS, networkConfiguration=NETWORK)
    world.push(2)
    world.forget_calls()
    return world


def test_27_the_command_runs_on_the_new_revision_as_the_services_tasks_do_and_then_it_is_deployed(world):
    world.fake.command(MIGRATE, exit_code=0, run_seconds=20)
    first = world.begin_first()
    assert "its command runs first" in first.reason
    assert world.images() == [f"{REPOSITORY}:latest"]
    [run] = world.fake.called("RunTask")
    assert run["taskDefinition"].endswith("/web:2")
    assert run["networkConfiguration"] == NETWORK
    assert run["overrides"] == {"containerOverrides": [{"name": "app", "command": MIGRATE}]}
    report = world.deploy()
    assert (report.outcome, world.revision(), world.images()) == (Outcome.UPDATED, "web:2", [pinned(2)])
    assert (world.counted("RunTask"), world.counted("RegisterTaskDefinition")) == (1, 1)


def test_27_a_command_that_fails_leaves_the_service_untouched_and_is_not_repeated(world):
    world.fake.command(MIGRATE, exit_code=1)
    report = world.deploy()
    assert report.outcome is Outcome.FAILED
    assert "container app exited with code 1" in report.reason
    assert world.deploy("again").outcome is Outcome.HELD
    assert (world.revision(), world.counted("UpdateService"), world.counted("RunTask")) == ("web:1", 0, 1)
    world.fake.command(MIGRATE, exit_code=0)
    assert world.deploy("by hand", trigger="manual", force=True).outcome is Outcome.UPDATED
    assert world.counted("RunTask") == 2


@pytest.mark.parametrize("lose", ["lose_request", "lose_answer"])
@pytest.mark.parametrize("action", ["RegisterTaskDefinition", "RunTask", "ListTasks", "DescribeTasks"])
def test_27_it_runs_once_whatever_is_lost_on_the_way(world, action, lose):
    world.fake.command(MIGRATE, exit_code=0, run_seconds=20)
    getattr(world.fake.faults, lose)(action)
    assert world.deploy().outcome is Outcome.UPDATED
    tasks = {task["taskArn"] for task in world.started()}
    assert (len(tasks), world.revision()) == (1, "web:2")


def test_27_two_commands_of_a_service_never_run_at_the_same_time(world):
    world.fake.command(MIGRATE, exit_code=0, run_seconds=60)
    world.begin_first("two")
    world.push(3)
    second = world.deployer.advance("web", Request("three", trigger="event"))
    assert isinstance(second, Again)
    assert "its command runs first" in second.reason
    assert world.counted("RunTask") == 1
    assert world.deploy("three").outcome is Outcome.UPDATED
    assert (world.counted("RunTask"), world.images()) == (2, [pinned(3)])


def test_27_a_command_that_does_not_end_fails_by_the_time_out(world):
    world.fake.command(MIGRATE, run_seconds=10_000)
    report = world.deploy()
    assert report.outcome is Outcome.FAILED
    assert "not complete after 120 s" in report.reason
    assert world.revision() == "web:1"


def test_27_a_rollback_runs_no_command(world):
    world.fake.command(MIGRATE)
    world.deploy("two")
    report = world.deploy("back", trigger="rollback", rollback=True)
    assert (report.outcome, world.counted("RunTask")) == (Outcome.ROLLED_BACK, 1)


def test_27_a_task_that_finds_no_place_is_tried_again(world):
    region = world.fake.region()
    answers, runs = region._answers, []

    def full(members):
        runs.append(members)
        return {"tasks": [], "failures": [{"reason": "RESOURCE:MEMORY"}]}

    run = answers["RunTask"]
    answers["RunTask"] = full
    with pytest.raises(TemporaryError, match="cannot start a task in cluster prod: RESOURCE:MEMORY"):
        world.deployer.advance("web", Request("t", trigger="event"))
    answers["RunTask"] = run
    world.fake.command(MIGRATE)
    assert world.deploy().outcome is Outcome.UPDATED
    assert runs[0]["clientToken"] == world.fake.called("RunTask")[-1]["clientToken"]


def test_27_a_command_that_cannot_be_read_is_a_label_that_is_wrong():
    world = EcsWorld()
    world.create(labels={**MANAGED, "deployer.pre-command": "say 'hello"})
    world.push(2)
    report = world.deploy()
    assert report.outcome is Outcome.IGNORED
    assert 'label deployer.pre-command="say \'hello": No closing quotation' in report.reason
    assert digest(1) in report.runs


def test_27_a_sidecars_exit_code_does_not_decide():
    world = EcsWorld()
    side = container("side", "envoy:1", essential=False)
    world.create(containers=[container("app", f"{REPOSITORY}:latest", LABELS), side])
    world.fake.command(MIGRATE, exit_code=0)
    world.push(2)
    assert world.deploy().outcome is Outcome.UPDATED


AFTER = {**MANAGED, "deployer.post-command": "manage smoke"}


@pytest.mark.parametrize("exit_code", [0, 1])
def test_a_command_runs_after_it_has_converged_once_and_its_exit_code_decides(exit_code):
    world = EcsWorld(rollout_timeout=600)
    world.create(labels=AFTER, networkConfiguration=NETWORK)
    world.push(2)
    world.fake.command(["manage", "smoke"], exit_code=exit_code, run_seconds=20)
    report = world.deploy()
    assert (world.counted("RunTask"), world.fake.called("RunTask")[0]["taskDefinition"][-5:]) == (1, "web:2")
    if exit_code:
        assert report.outcome is Outcome.ROLLED_BACK
        assert "its command, which runs after it: " in report.reason
        assert "container app exited with code 1" in report.reason
        assert world.deploy("again").outcome is Outcome.HELD
    else:
        assert (report.outcome, world.images()) == (Outcome.UPDATED, [pinned(2)])
