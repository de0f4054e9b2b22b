"""A roll-out that bakes: it has ended only when its tasks have stayed up; what fails meanwhile goes back."""

import pytest
from world import REPOSITORY, World, digest

from deployer.model.deployment import Outcome, Request
from deployer.policies.labels import ServiceLabels
from deployer.tasks.message import DeploymentMessage


@pytest.fixture
def world():
    world = World()
    world.create(1, labels={"deployer.bake": "10m"}, replicas=2)
    world.wait(60)
    return world


def baking(world, n=2, task="t2"):
    """A deployment whose roll-out has converged."""
    world.push(n)
    step = world.deploy(task, until=lambda step: "bakes" in step.reason)
    assert step.watch.baking_from is not None
    return step


def go_on(world, step, task="t2", seconds=0.0, **request):
    if seconds:
        world.wait(seconds)
    return world.deployer.advance("web", Request(task, **{"trigger": "event", **request}), step.watch)


def labels(world):
    return world.ledger().labels


def test_it_ends_after_its_time_and_not_before(world):
    world.push(2)
    begun, seen = world.deployer.clock(), []
    done = world.deploy("t2", until=lambda step: seen.append(step.reason) or False)
    assert (done.outcome, done.reason) == (Outcome.UPDATED, "2/2 running")
    assert 600 <= (world.deployer.clock() - begun).total_seconds() < 700
    assert "2/2 running, bakes" in seen
    assert any("s more" in one for one in seen)
    assert not any("baking" in key for key in labels(world))


def test_a_task_that_fails_while_it_bakes_takes_it_back_and_is_remembered(world):
    step = baking(world)
    world.swarm.images.crashing.add(digest(2))
    world.operator.scale("web", 3)  # its new task runs into it
    world.wait(5)
    done = go_on_to_its_end(world, step)
    assert done.outcome is Outcome.ROLLED_BACK
    assert done.reason.startswith("while it baked: ")
    assert world.n() == 1
    assert world.deploy("again").outcome is Outcome.HELD


def go_on_to_its_end(world, step, task="t2"):
    for _ in range(200):
        step = go_on(world, step, task, getattr(step, "seconds", 0.0))
        if not hasattr(step, "watch"):
            return step
    raise AssertionError(step)


def test_a_newer_push_waits_until_it_has_baked(world):
    step = baking(world)
    world.push(3)
    newer = world.deployer.advance("web", Request("t3", "event"))
    assert newer.reason == "the roll-out before bakes still"
    assert go_on_to_its_end(world, step).outcome is Outcome.UPDATED
    assert world.deploy("t3").outcome is Outcome.UPDATED
    assert world.n() == 3


def test_a_newer_push_does_not_wait_for_a_dead_deployment_for_ever(world):
    baking(world)
    world.push(3)
    begun = world.deployer.clock()
    assert world.deploy("t3", until=lambda step: step.watch)
    assert (world.deployer.clock() - begun).total_seconds() < 400


def test_a_rollback_by_hand_does_not_wait(world):
    step = baking(world)
    back = world.deploy("back", trigger="rollback", rollback=True)
    assert back.outcome is Outcome.ROLLED_BACK
    assert go_on(world, step).outcome is Outcome.SUPERSEDED


def test_an_operators_own_update_while_it_bakes_is_theirs(world):
    step = baking(world)
    world.operator.update("web", image=f"{REPOSITORY}:latest@{digest(1)}")
    world.wait(30)
    assert go_on_to_its_end(world, step).outcome is Outcome.SUPERSEDED
    assert world.n() == 1


def test_a_message_that_is_lost_begins_the_bake_anew_and_one_that_comes_twice_ends_alike(world):
    step = baking(world)
    again = world.deployer.advance("web", Request("t2", "event"))
    assert "bakes" in again.reason
    assert again.watch.baking_from == 0.0
    assert go_on_to_its_end(world, again).outcome is Outcome.UPDATED
    assert go_on_to_its_end(world, step).outcome is Outcome.UPDATED


def test_a_message_carries_it_and_older_workers_do_not_trip_over_it(world):
    body = DeploymentMessage().after(baking(world)).encode()
    assert "baking_from" not in body["watch"]
    assert DeploymentMessage.decode(body).watch.baking_from is not None


def test_without_the_label_nothing_bakes():
    world = World()
    world.create(1)
    world.push(2)
    begun = world.deployer.clock()
    assert world.deploy("t2").outcome is Outcome.UPDATED
    assert (world.deployer.clock() - begun).total_seconds() < 60
    assert labels(world) == {}
    assert "it may be" in ServiceLabels.parse({"deployer.bake": "long"}).problem
