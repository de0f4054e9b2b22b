"""Outages: no number of faults ends anything, and an outage is told once."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

import pytest

from deployer.observability.outage import LONGEST_BACKOFF, Outage, backoff, kind

log = logging.getLogger("deployer.test")


@pytest.mark.parametrize("faults", [1, 10, 1023, 1024, 10**6, 10**40, 0, -7])
def test_any_number_of_faults_gives_a_time_to_wait(faults: int) -> None:
    """Fault 4: after 1,024 faults in a row `2.0 ** faults` ended tasks and the bridge."""
    assert 0 <= backoff(faults) <= LONGEST_BACKOFF


def test_the_time_grows_with_the_faults_up_to_the_longest_and_is_spread() -> None:
    longest = [max(backoff(faults, longest=16) for _ in range(300)) for faults in (1, 2, 3, 9)]
    assert longest == sorted(longest)
    assert 0.5 < longest[0] <= 1
    assert 12 < longest[-1] <= 16
    assert min(backoff(9) for _ in range(300)) < 5, "full jitter: some try again soon"


def test_a_short_longest_time_is_kept_to_its_fraction() -> None:
    assert 0 < max(backoff(9, longest=0.01) for _ in range(200)) <= 0.01


def test_an_outage_is_told_when_it_begins_and_when_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    outage = Outage(log, "it fails: %s", "it works")
    outage.worked()
    for _ in range(3000):
        assert 0 <= outage.failed(OSError("no route")) <= LONGEST_BACKOFF
    outage.worked()
    outage.worked()
    outage.failed("no route either")
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("WARNING", "it fails: OSError: no route"),
        ("INFO", "it works"),
        ("WARNING", "it fails: no route either"),
    ]


def test_the_time_to_wait_begins_anew_after_a_success() -> None:
    outage = Outage(log, "%s", "")
    for _ in range(50):
        outage.failed(OSError())
    outage.worked()
    assert outage.failed(OSError()) <= 1


def test_an_error_whose_text_may_hold_a_password_is_told_by_its_kind(
    caplog: pytest.LogCaptureFixture,
) -> None:
    Outage(log, "Redis: %s", "", describe=kind).failed(ConnectionError("redis://:secret@host"))
    assert caplog.messages == ["Redis: ConnectionError"]


def test_threads_that_see_the_same_outage_tell_it_once(caplog: pytest.LogCaptureFixture) -> None:
    outage = Outage(log, "%s", "")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: outage.failed(OSError("x")), range(400)))
    assert len(caplog.records) == 1
