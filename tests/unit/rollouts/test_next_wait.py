"""What waits asks more and more rarely."""

from hypothesis import given
from hypothesis import strategies as st

from deployer.rollouts.waiting import next_wait


@given(st.floats(0, 1e9), st.text(min_size=1))
def test_a_wait_has_bounds_and_grows(waited, service):
    assert 3 <= next_wait(waited, service) <= 120
    assert next_wait(waited, service) <= next_wait(waited + 10, service)


@given(st.floats(9, 1e6), st.text(min_size=1))
def test_nothing_waits_much_longer_than_it_had_to(waited, service):
    assert next_wait(waited, service) <= waited * 0.45


def test_services_that_began_to_wait_together_look_at_different_times():
    assert len({round(next_wait(1000, f"web{n}"), 1) for n in range(300)}) > 100


def test_three_hundred_that_wait_look_less_than_four_times_a_second():
    assert sum(1 / next_wait(1000, f"web{n}") for n in range(300)) < 4
