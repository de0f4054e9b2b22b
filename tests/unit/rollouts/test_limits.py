"""Freeze, holds, slots and pace: what keeps an update from beginning."""

from datetime import UTC, datetime, timedelta

import pytest

from deployer.errors import StaleVersionError, TemporaryError
from deployer.rollouts.ledger import set_freeze, set_hold
from deployer.rollouts.pace import Pace
from deployer.testing import FakeSwarm

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def held(swarm):
    holds = [swarm.ledger().hold(name, f"id-{name}", NOW) for name in "ab"]
    return [hold and hold.reason for hold in holds]


def test_a_hold_is_of_one_service_and_a_freeze_of_all():
    swarm = FakeSwarm()
    set_hold(swarm, "a", "audit")
    assert held(swarm) == ["audit", None]
    set_freeze(swarm, "christmas")
    assert held(swarm) == ["christmas", "christmas"]
    set_freeze(swarm, None)
    set_hold(swarm, "a", None)
    assert swarm.ledger().labels == {}


class Contended(FakeSwarm):
    """Somebody else writes between our read and our write, so many times."""

    def __init__(self, times):
        super().__init__()
        self.times = times

    def write_ledger(self, read, labels):
        if self.times:
            self.times -= 1
            super().write_ledger(self.ledger(), {"other": str(self.times)})
        super().write_ledger(read, labels)


def test_a_change_in_between_is_kept_and_ours_as_well():
    swarm = Contended(3)
    set_hold(swarm, "a", "x")
    assert swarm.ledger().labels == {"other": "0", "deployer.hold.a": "x"}


def test_endless_contention_is_a_temporary_fault():
    with pytest.raises(TemporaryError):
        set_hold(Contended(99), "a", "x")


def test_a_stale_write_is_refused():
    swarm = FakeSwarm()
    old = swarm.ledger()
    swarm.write_ledger(old, {"a": "b"})
    with pytest.raises(StaleVersionError):
        swarm.write_ledger(old, {})


def test_pace_spaces_what_begins_and_takes_back_what_did_not():
    pace = Pace(per_second=0.5)
    assert pace.take(NOW) == 0
    assert pace.take(NOW + timedelta(seconds=0.5)) == 1.5
    assert pace.take(NOW + timedelta(seconds=2)) == 0
    pace.give_back()
    assert pace.take(NOW + timedelta(seconds=2)) == 0


def test_without_a_limit_everything_begins():
    pace = Pace()
    earlier = [NOW - timedelta(seconds=number) for number in range(3)]
    assert [pace.take(now) for now in earlier] == [0, 0, 0], "threads come with times of their own"


def test_a_clock_that_is_set_back_stops_nobody_for_as_long():
    pace = Pace(0.5)
    assert pace.take(NOW) == 0.0
    assert 0 < pace.take(NOW) <= 2
    assert pace.take(NOW - timedelta(hours=1)) <= 2
