"""The deployer on ECS, updating itself: the worker that has written is replaced by what it wrote."""

import pytest
from ecs_world import BREAKER, MANAGED, REPOSITORY, EcsWorld, container, pinned

from deployer.model.deployment import Again, Outcome, Report
from deployer.tasks.message import DeploymentMessage
from deployer.tasks.rollout import Ended, look

IMAGE = f"{REPOSITORY}:latest"


@pytest.fixture
def world():
    world = EcsWorld()
    world.push(1)
    parts = [container(name, IMAGE, MANAGED) for name in ("worker", "bridge")]
    world.operator.create("deployer", *parts, desired=1, deploymentConfiguration=BREAKER)
    world.wait(60)
    return world


def followed(world, message):
    """A look by a new worker each time, which knows the message alone; and the end."""
    for _ in range(500):
        message = DeploymentMessage.decode(message.encode())
        done = look(world.worker(), "deployer", message.request("t"), message)
        if isinstance(done, Ended):
            return done.report
        message = done.message
        world.wait(done.seconds)
    raise AssertionError("it does not end")


def test_bridge_and_worker_move_together_and_whoever_comes_next_tells_the_end(world):
    world.push(2)
    report = followed(world, DeploymentMessage(by="event"))
    assert (report.outcome, report.service) == (Outcome.UPDATED, "deployer")
    assert world.images("deployer") == [pinned(2), pinned(2)]
    assert world.counted("UpdateService") == 1


def test_a_bad_version_of_the_deployer_is_taken_back_by_the_old_one_that_still_runs(world):
    world.push(2, behaviour="crash")
    report = followed(world, DeploymentMessage(by="event"))
    assert report.outcome is Outcome.ROLLED_BACK
    assert world.images("deployer") != [pinned(2), pinned(2)]
    assert world.operator.service("deployer")["runningCount"] == 1


def test_the_message_of_a_worker_that_was_stopped_in_mid_task_comes_again(world):
    world.push(2)
    begun = world.deploy("t", "deployer", until=lambda step: step.watch)
    assert isinstance(begun, Again)
    # Its message was not deleted, so another worker begins from the start.
    report = followed(world, DeploymentMessage(by="event"))
    assert isinstance(report, Report)
    assert report.outcome is Outcome.UPDATED
    assert world.counted("UpdateService") == 1
