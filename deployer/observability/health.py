"""Write to a file every few seconds how this process is, and read it for `deployer health`.

A process that hangs stops writing, so an old file is as telling as a bad one. A file needs no port, and no
two processes of one host get into each other's way.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from deployer.errors import DeployerError
from deployer.observability.outage import Outage

log = logging.getLogger(__name__)

BEAT = 5.0  # seconds between two looks
STALE = 30.0  # seconds after which a file tells of a process that hangs or is gone
SILENCE = 90.0  # seconds without an answer of SQS: four long polls, or the longest backoff and its polls
LONGEST_TASK = 600.0  # seconds; one look at a service is bounded by the engine's time-outs

Check = Callable[[], str | None]
"""Returns the reason why a process is unhealthy, None if it is healthy."""


class UnhealthyError(DeployerError):
    """The process is unhealthy; the message says why."""


class HealthWriter(threading.Thread):
    """Look at the process it lives in, and write what it sees.

    Args:
        path: the file.
        role: `worker` or `bridge`, for people.
        checks: asked one after another; the first reason is the one that is told.
    """

    def __init__(self, path: Path, role: str, *checks: Check) -> None:
        super().__init__(name="health", daemon=True)
        self._path, self._role, self._checks = path, role, checks
        self._outage = Outage(log, "Unhealthy: %s", "Healthy again", level=logging.ERROR)

    def run(self) -> None:
        """Look and write, for ever."""
        while True:
            try:
                self.beat()
            except Exception:
                # What is looked at is changed by other threads meanwhile. A look that never works is told by
                # the file's age.
                log.exception("Health cannot be told")
            time.sleep(BEAT)

    def beat(self) -> None:
        """Look once."""
        reason = next((told for check in self._checks if (told := check())), None)
        if reason:
            self._outage.failed(reason)
        else:
            self._outage.worked()
        text = json.dumps({"role": self._role, "pid": os.getpid(), "at": time.time(), "reason": reason})
        fresh = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            fresh.write_text(text)
            fresh.replace(self._path)  # nobody reads half of it
        except OSError as fault:
            with suppress(OSError):
                fresh.unlink()
            log.debug("The health file cannot be written: %s", fault)


def read(path: Path, now: float) -> str:
    """Return the file's line on a healthy process.

    Args:
        path: the file.
        now: seconds since the epoch.

    Raises:
        UnhealthyError: the process is unhealthy, hangs, or has never written.
    """
    try:
        told = json.loads(path.read_text())
        role, at, reason = str(told["role"]), float(told["at"]), told["reason"]
    except (OSError, ValueError, KeyError, TypeError) as fault:
        why = getattr(fault, "strerror", None) or fault  # without the path, which is named already
        raise UnhealthyError(f"{path} tells nothing (DEPLOYER_HEALTH_FILE): {why}") from fault
    if reason:
        raise UnhealthyError(f"{role}: {reason}")
    if now - at > STALE:
        raise UnhealthyError(f"{role}: no sign of life for {now - at:.0f} s")
    return f"{role}: healthy"


class LoopCheck:
    """Check that the loop of a worker still turns.

    Args:
        call_soon: has the loop call a function.
    """

    def __init__(self, call_soon: Callable[[Callable[[], None]], object]) -> None:
        self._call_soon = call_soon
        self._asked_at: float | None = None

    def __call__(self) -> str | None:
        """Ask the loop for a turn, and see whether it has made the last one."""
        now = time.monotonic()
        if self._asked_at is None:
            self._asked_at = now
            self._call_soon(self._turned)
        elif now - self._asked_at > STALE:
            return f"the worker's loop is stuck for {now - self._asked_at:.0f} s"
        return None

    def _turned(self) -> None:
        self._asked_at = None


def bounded(seconds: Callable[[], float], most: float, what: str) -> Check:
    """Return a check that something does not take too long.

    Args:
        seconds: how long it has taken so far.
        most: seconds that it may take.
        what: the words for it, before the time.
    """

    def check() -> str | None:
        taken = seconds()
        return f"{what} for {taken:.0f} s" if taken > most else None

    return check


def silence(seconds: Callable[[], float]) -> Check:
    """Return a check that SQS has not been silent for too long: the poll under way, with its retries."""
    return bounded(seconds, SILENCE, "SQS has not answered")


def stuck(seconds: Callable[[], float]) -> Check:
    """Return a check that no task, of which the oldest counts, runs for so long that it will not end."""
    return bounded(seconds, LONGEST_TASK, "a task has been running")
