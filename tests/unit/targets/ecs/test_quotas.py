"""ECS's quotas, kept by us: what waits, for how long, and that no token lies unused meanwhile."""

import heapq
import random

import pytest

from deployer.errors import BusyError
from deployer.targets.ecs.wire.quotas import LONGEST_WAIT, Buckets, quota_of

REGISTER = "RegisterTaskDefinition"


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        assert seconds <= LONGEST_WAIT
        self.now += seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def buckets(clock):
    return Buckets(clock, clock.sleep)


def taken(buckets, clock, action, count):
    began = clock.now
    for _ in range(count):
        buckets.take(action)
    return clock.now - began


def test_a_burst_waits_for_nothing(buckets, clock):
    assert taken(buckets, clock, REGISTER, 20) == 0


def test_one_thread_goes_on_with_one_a_second(buckets, clock):
    assert taken(buckets, clock, REGISTER, 30) == pytest.approx(10)


def test_actions_of_one_quota_share_it_and_others_do_not(buckets, clock):
    taken(buckets, clock, REGISTER, 20)
    assert taken(buckets, clock, "UpdateService", 50) == 0
    assert taken(buckets, clock, "DeregisterTaskDefinition", 1) == pytest.approx(1)


def test_what_was_not_used_is_kept_up_to_the_burst(buckets, clock):
    taken(buckets, clock, REGISTER, 20)
    clock.now += 3600
    assert taken(buckets, clock, REGISTER, 20) == 0
    assert taken(buckets, clock, REGISTER, 1) == pytest.approx(1)


def test_each_that_must_come_again_is_given_a_time_of_its_own(clock):
    threads = Buckets(clock, lambda _: None)  # all of them at the same moment
    taken(threads, clock, REGISTER, 21)  # one of them sleeps
    waits = []
    for _ in range(5):
        with pytest.raises(
            BusyError, match="quota of RegisterTaskDefinition .20 at once, then 1 a sec"
        ) as fault:
            threads.take(REGISTER)
        waits.append(fault.value.seconds)
    assert waits == pytest.approx([2, 3, 4, 5, 6])


def test_ecs_throttles_because_others_use_the_quota_too(buckets):
    assert buckets.throttled(REGISTER) == pytest.approx(1)
    assert buckets.throttled(REGISTER) == pytest.approx(2)
    assert buckets.throttled("UpdateService") == pytest.approx(0.2)


def test_unknown_actions_have_a_quota_too():
    assert quota_of("SomethingOfNextYear").per_second == 10


@pytest.mark.parametrize("late", [0.0, 1.0, 3.0])
def test_17_two_hundred_that_come_again_when_they_are_told_to_begin_in_time(clock, late):
    """SQS's delays are whole seconds, and are late; others come in between."""
    chance = random.Random(17)
    threads = Buckets(clock, lambda _: None)
    queue = [(clock.now, n) for n in range(200)]
    began, looks = {}, dict.fromkeys(range(200), 0)
    start = clock.now
    while queue:
        clock.now, one = heapq.heappop(queue)
        looks[one] += 1
        try:
            threads.take(REGISTER)
            began[one] = clock.now - start
        except BusyError as busy:
            again = clock.now + -(-busy.seconds // 1) + chance.uniform(0, late)
            heapq.heappush(queue, (again, one))
    assert len(began) == 200
    assert max(began.values()) <= 190 + late
    for second in range(190):
        assert sum(second < at <= second + 10 for at in began.values()) <= 12 + late
    assert max(looks.values()) <= 5
