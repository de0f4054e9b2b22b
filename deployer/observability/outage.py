"""Outages: the time between two tries, and one line when an outage begins and one when it is over."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from celery.utils.time import get_exponential_backoff_interval

from deployer.errors import brief

LONGEST_BACKOFF = 30.0  # seconds
FIRST_BACKOFF = 0.5  # seconds, doubled with each fault
MOST_DOUBLINGS = 20  # beyond any longest time; floats overflow at 1024


def backoff(faults: int, longest: float = LONGEST_BACKOFF) -> float:
    """Return the seconds to wait after so many faults in a row: exponential, with full jitter.

    Any number will do, also one that a message made up.
    """
    doublings = min(max(faults, 0), MOST_DOUBLINGS)
    # Celery reckons in whole numbers; milliseconds keep the jitter of a short time.
    return (
        get_exponential_backoff_interval(
            int(FIRST_BACKOFF * 1000), doublings, int(longest * 1000), full_jitter=True
        )
        / 1000
    )


def kind(fault: Exception) -> str:
    """Return the name of the error's class, where its text may hold a password."""
    return type(fault).__name__


class Outage:
    """Say once that something fails, and once that it works again. Threads may share one.

    Args:
        log: the logger of whoever sees it fail.
        begins: the line when it begins, with a place for the error.
        ends: the line when it is over.
        longest: seconds between two tries, at most.
        describe: turn the error into text.
        level: of the first line.
    """

    def __init__(
        self,
        log: logging.Logger,
        begins: str,
        ends: str,
        *,
        longest: float = LONGEST_BACKOFF,
        describe: Callable[[Exception], str] = brief,
        level: int = logging.WARNING,
    ) -> None:
        self._log, self._begins, self._ends = log, begins, ends
        self._longest, self._describe, self._level = longest, describe, level
        self._lock = threading.Lock()
        self._faults = 0
        self.since: float | None = None  # on time.monotonic's clock

    def failed(self, fault: Exception | str) -> float:
        """Note a fault; return the seconds to wait before the next try."""
        with self._lock:
            self._faults += 1
            first, faults = self.since is None, self._faults
            if first:
                self.since = time.monotonic()
        if first:
            text = fault if isinstance(fault, str) else self._describe(fault)
            self._log.log(self._level, self._begins, text)
        return backoff(faults, self._longest)

    def worked(self) -> None:
        """Note a success."""
        if self.since is None:  # nearly always
            return
        with self._lock:
            over, self.since, self._faults = self.since is not None, None, 0
        if over:
            self._log.info(self._ends)
