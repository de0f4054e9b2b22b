"""Freeze, holds, slots and pace: what keeps an update from beginning."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.errors import StaleVersionError, TemporaryError
from deployer.rollouts.ledger import (
    LEASE,
    Ledger,
    Pace,
    give_slot_back,
    live_slots,
    set_freeze,
    set_hold,
    take_slot,
)
from deployer.testing import FakeSwarm

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_hold_is_of_one_service_and_a_freeze_of_all():
    swarm = FakeSwarm()
    set_hold(swarm, "a", "audit")
    assert (swarm.ledger().hold("a"), swarm.ledger().hold("b")) == ("audit", None)
    set_freeze(swarm, "christmas")
    assert (swarm.ledger().hold("a"), swarm.ledger().hold("b")) == ("christmas", "christmas")
    set_freeze(swarm, None)
    set_hold(swarm, "a", None)
    assert swarm.ledger().labels == {}


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.booleans(), st.integers(0, 120)), max_size=40))
def test_never_more_slots_than_the_width(steps):
    swarm, now, width = FakeSwarm(), NOW, 2
    for service, take, seconds in steps:
        now += timedelta(seconds=seconds)
        if take:
            granted = take_slot(swarm, service, set(), width, now)
            assert granted is (service in live_slots(swarm.ledger(), now))
        else:
            give_slot_back(swarm, service)
        assert len(live_slots(swarm.ledger(), now)) <= width


def test_roll_outs_that_others_began_count():
    swarm = FakeSwarm()
    assert not take_slot(swarm, "c", {"a", "b"}, 2, NOW)
    assert take_slot(swarm, "c", {"a"}, 2, NOW)


def test_the_slot_of_a_dead_worker_comes_free():
    swarm = FakeSwarm()
    assert take_slot(swarm, "a", set(), 1, NOW)
    assert not take_slot(swarm, "b", set(), 1, NOW + LEASE - timedelta(seconds=1))
    assert take_slot(swarm, "b", set(), 1, NOW + LEASE)


@pytest.mark.parametrize("text", ["", "soon", "2026-01-01T00:01:00", "9999-01-01T00:00:00+00:00"])
def test_a_lease_that_nobody_can_have_written_takes_no_slot(text):
    swarm = FakeSwarm()
    swarm.write_ledger(swarm.ledger(), {"deployer.slot.x": text})
    assert take_slot(swarm, "a", set(), 1, NOW)
    assert live_slots(swarm.ledger(), NOW) == {"a"}


class Contended(FakeSwarm):
    """Somebody else writes between our read and our write, so many times."""

    def __init__(self, times):
        super().__init__()
        self.times = times

    def write_ledger(self, read, labels):
        if self.times:
            self.times -= 1
            self._ledger = Ledger({"other": str(self.times)}, "id", next(self._index))
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
