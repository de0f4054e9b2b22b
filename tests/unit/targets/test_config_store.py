"""The ledger as a config object: also when scripts remove it."""

from datetime import UTC, datetime

import pytest
from world import World, digest

from deployer.errors import StaleVersionError
from deployer.model.deployment import Outcome
from deployer.reports import doctor
from deployer.rollouts.ledger import NAME, Failure, Hold, remember, set_freeze, set_hold
from deployer.targets.swarm.target import SwarmTarget


@pytest.fixture
def world():
    world = World()
    world.push(1)
    world.create()
    return world


def test_fault_33_a_ledger_that_is_removed_is_put_back(world, caplog):
    set_hold(world, "web", Hold("audit", by="ann"))
    remember(world, {"web": {digest(3): Failure(digest(3), "latest", "crashed", None)}})
    world.push(2)
    assert world.deploy("t1").outcome is Outcome.HELD
    world.swarm.remove_config(NAME)
    report = world.deploy("t2")
    assert (report.outcome, report.reason) == (Outcome.HELD, "held: audit (by ann)")
    assert caplog.text.count("was removed") == 1
    assert list(world.ledger().failures("web")) == [digest(3)]


def test_a_ledger_that_is_removed_before_the_write_is_read_again(world):
    set_freeze(world, Hold("christmas"))
    read = world.ledger()
    world.swarm.remove_config(NAME)
    with pytest.raises(StaleVersionError):
        world.write_ledger(read, {})
    set_hold(world, "web", Hold("audit"))
    assert set(world.ledger().labels) == {"deployer.freeze", "deployer.hold.web"}


def test_each_loss_is_counted(world):
    losses = []
    target = SwarmTarget(world.swarm, lambda: losses.append(1))
    set_freeze(target, Hold("christmas"))
    for _ in range(2):
        target.ledger()
        world.swarm.remove_config(NAME)
        target.ledger()
    assert losses == [1, 1]


def row(world):
    told = {"Swarm": {"ControlAvailable": True}}
    found = list(doctor.engine(world.deployer, lambda: told, datetime.now(UTC)))
    return next(one for one in found if one.check == "engine: configs")


def test_doctor_tells_what_is_held_and_that_a_ledger_is_gone(world):
    assert row(world).found == "readable; nothing is held"
    world.push(2, crashing=True)
    assert world.deploy("t1").outcome is Outcome.ROLLED_BACK
    set_hold(world, "web", Hold("audit"))
    assert row(world).found == "a hold of web (audit), 1 failed digest of web"
    world.swarm.remove_config(NAME)
    fresh = SwarmTargetOver(world)
    assert (row(fresh).level, "is gone, though web had failures" in row(fresh).found) == ("warn", True)


class SwarmTargetOver(World):
    """Another process that looks at the same Swarm."""

    def __init__(self, other):
        SwarmTarget.__init__(self, other.swarm)
        self.rules = other.rules
        self.deployer = self.worker()
