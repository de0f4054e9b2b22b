"""The slots of DEPLOYER_MAX_ROLLOUTS: leases that name their owner and ask no other machine's clock."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_ledger import Store

from deployer.rollouts.ledger.slots import (
    LEASE,
    Observer,
    give_slot_back,
    keep_slot,
    slots_full,
    take_slot,
)


class Worker:
    """A process with a clock of its own, which began at any time."""

    def __init__(self, store, began=0.0):
        self.store, self.time = store, began
        self.observer = Observer(lambda: self.time)

    def take(self, service, owner, width=1, rolling=()):
        return take_slot(self.store, service, owner, rolling, width, self.observer)

    def keep(self, service, owner):
        keep_slot(self.store, service, owner, self.observer)

    def give(self, service, owner):
        give_slot_back(self.store, service, owner)

    def full(self, service, width=1):
        return slots_full(self.store.ledger(), width, service, self.observer)


@pytest.fixture
def store():
    return Store()


def test_roll_outs_that_others_began_count(store):
    worker = Worker(store)
    assert not worker.take("c", "3", 2, {"a", "b"})
    assert worker.take("c", "3", 2, {"a"})
    assert worker.take("c", "3", 2, {"a", "c"})


def test_who_waits_knows_from_the_ledger_alone(store):
    worker = Worker(store)
    assert not worker.full("a")
    worker.take("a", "1")
    assert worker.full("b")
    assert not worker.full("a"), "its own slot"
    assert not worker.full("b", width=2)
    worker.give("a", "1")
    assert not worker.full("b")


def test_the_overtaken_does_not_give_back_the_slot_of_the_one_that_overtook_it(store):
    worker = Worker(store)
    assert worker.take("a", "old")
    assert worker.take("a", "new")
    worker.keep("a", "old")
    worker.give("a", "old")
    assert worker.full("b")
    worker.give("a", "new")
    assert not worker.full("b")


@pytest.mark.parametrize("apart", [-86_400.0, -300.0, 0.0, 300.0, 86_400.0])
def test_the_slot_of_a_dead_worker_comes_free_however_far_clocks_are_apart(store, apart):
    dead, alive = Worker(store, 1e6), Worker(store, 1e6 + apart)
    assert dead.take("a", "1")
    assert alive.full("b")
    alive.time += LEASE - 1
    assert not alive.take("b", "2")
    alive.time += 1
    assert not alive.full("b")
    assert alive.take("b", "2")


@pytest.mark.parametrize("apart", [-300.0, 0.0, 300.0])
def test_a_slot_that_is_renewed_is_never_taken_for_dead(store, apart):
    rolling, waiting = Worker(store, 1e6), Worker(store, 1e6 + apart)
    assert rolling.take("a", "1")
    for _ in range(200):
        rolling.time += 15
        waiting.time += 15
        rolling.keep("a", "1")
        assert waiting.full("b")


def test_a_worker_that_has_just_started_waits_before_it_judges(store):
    Worker(store).take("a", "1")
    for _ in range(5):
        assert not Worker(store, 1e9).take("b", "2")


def test_a_slot_that_was_lost_is_taken_again_while_its_roll_out_lasts(store):
    worker = Worker(store)
    worker.take("a", "1")
    store.write_ledger(store.ledger(), {})
    worker.keep("a", "1")
    assert worker.full("b")


def test_a_process_does_not_write_what_it_has_just_written(store):
    worker, other = Worker(store), Worker(store)
    worker.take("a", "1")
    worker.time += 10
    worker.keep("a", "1")
    assert store.writes == 1
    other.keep("a", "1")
    assert store.writes == 2
    worker.keep("a", "1")
    assert store.writes == 3


@pytest.mark.parametrize("text", ["soon", "2026-01-01T00:01:00+00:00", "9999-01-01T00:00:00+00:00", "a b c"])
def test_no_value_holds_a_slot_for_longer_than_a_lease(store, text):
    store.write_ledger(store.ledger(), {"deployer.slot.x": text})
    worker = Worker(store)
    worker.take("a", "1")
    worker.time += LEASE
    assert worker.take("a", "1")
    assert worker.full("b")
    assert not worker.full("b", width=2)
    assert "deployer.slot.x" not in store.ledger().labels


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from("abcde"), st.sampled_from("tkg"), st.integers(0, 40)),
        max_size=60,
    )
)
def test_never_more_slots_than_the_width(steps):
    store, width = Store(), 2
    workers = [Worker(store, began) for began in (0.0, 1e6, -1e6)]
    for number, service, what, seconds in steps:
        for worker in workers:
            worker.time += seconds
        worker = workers[number]
        if what == "t":
            granted = worker.take(service, service, width)
            assert granted or worker.full(service, width)
        elif what == "g":
            worker.give(service, service)
        elif f"deployer.slot.{service}" in store.ledger().labels:
            worker.keep(service, service)
        assert len(store.ledger().labels) <= width + 3
        assert len(worker.observer.live(store.ledger())) <= width
