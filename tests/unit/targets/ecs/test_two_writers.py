"""Two workers at one service, at every point of each other's writes."""

import contextlib
import logging

import pytest
from ecs_world import REPOSITORY, EcsWorld, digest, pinned

from deployer.errors import TemporaryError
from deployer.model.deployment import Outcome, Request
from deployer.targets.ecs.wire.ledger import NoLedger

POINTS = [
    ("before", "DescribeServices"),
    ("after", "DescribeServices"),
    ("before", "ListTaskDefinitions"),
    ("after", "ListTaskDefinitions"),
    ("before", "RegisterTaskDefinition"),
    ("after", "RegisterTaskDefinition"),
    ("before", "UpdateService"),
    ("after", "UpdateService"),
    ("before", "TagResource"),
    ("after", "TagResource"),
]


@pytest.fixture
def world():
    world = EcsWorld()
    world.create()
    world.push(2)
    return world


def fates(world):
    answer = world.api.call("ListServiceDeployments", cluster="prod", service="web")
    return answer["serviceDeployments"]


def meanwhile(world, when, action, act):
    """Have something happen once, at some point of the next deployment."""
    plan = getattr(world.fake.faults, when)
    plan(action, lambda members: act())


@pytest.mark.parametrize(("when", "action"), POINTS)
def test_10_two_workers_with_a_ledger_make_one_deployment_of_one_image(world, when, action):
    other = world.worker()

    def second():
        with contextlib.suppress(TemporaryError):  # it comes back later
            other.advance("web", Request("second", trigger="event"))

    meanwhile(world, when, action, second)
    report = world.deploy("first")
    assert report.outcome in {Outcome.UPDATED, Outcome.UNCHANGED, Outcome.SUPERSEDED}
    assert world.deploy("second").outcome in {Outcome.UPDATED, Outcome.UNCHANGED}
    assert len(fates(world)) == 2  # the service's first, and one of ours
    assert world.images() == [pinned(2)]


@pytest.mark.parametrize(("when", "action"), POINTS)
def test_10_of_two_pushes_the_newer_one_stays(world, when, action):
    other = world.worker()

    def second():
        world.push(3)
        with contextlib.suppress(TemporaryError):  # it comes back later
            other.advance("web", Request("second", trigger="event"))

    meanwhile(world, when, action, second)
    world.deploy("first")
    world.deploy("second")
    world.wait(120)
    assert world.images() == [pinned(3)]


@pytest.mark.parametrize(("when", "action"), POINTS)
def test_10_without_a_ledger_the_end_is_right(world, when, action, caplog):
    first, other = world.worker(NoLedger()), world.worker(NoLedger())
    begun = []

    def second():
        with contextlib.suppress(TemporaryError):  # it comes back later
            begun.append(other.advance("web", Request("second", trigger="event")))

    meanwhile(world, when, action, second)
    with caplog.at_level(logging.WARNING):
        world.deploy("first", worker=first)
    world.deploy("second", worker=other)
    world.wait(120)
    assert world.images() == [pinned(2)]
    assert len(fates(world)) == 2 or "updated service" in caplog.text


def test_10_a_number_that_another_worker_has_claimed_since_is_no_right_to_write(world):
    arn = world.operator.service("web")["serviceArn"]
    meanwhile(
        world, "after", "RegisterTaskDefinition", lambda: world.store.claim(arn, world.store.counter(arn))
    )
    world.fake.faults.before("UpdateService", lambda members: updates.append(world.store.counter(arn)))
    updates = []
    assert world.deploy("first").outcome is Outcome.UPDATED
    assert (updates, world.revision()) == ([3], "web:3")
    assert world.operator.definition("web:2")["status"] == "INACTIVE"


def test_10_an_overlap_that_nothing_could_prevent_is_said(world, caplog):
    world.fake.push(f"{REPOSITORY}:theirs", digest(9))
    meanwhile(
        world,
        "before",
        "UpdateService",
        lambda: world.operator.deploy("web", {"app": f"{REPOSITORY}:theirs"}),
    )
    with caplog.at_level(logging.WARNING):
        world.begin()
    assert "Somebody else updated service web at the same time" in caplog.text


def test_a_deployment_alone_is_no_overlap(world, caplog):
    with caplog.at_level(logging.WARNING):
        world.deploy()
    assert "Somebody else" not in caplog.text
