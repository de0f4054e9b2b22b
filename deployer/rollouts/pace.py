"""A limit on updates begun by one worker (DEPLOYER_RATE_LIMIT). Pure."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta


class Pace:
    """A limit on updates begun, for one process: safe for several threads.

    Args:
        per_second: how many may begin; 0 for no limit.
    """

    def __init__(self, per_second: float = 0.0) -> None:
        self._gap = timedelta(seconds=1 / per_second) if per_second else timedelta()
        self._next = datetime(1970, 1, 1, tzinfo=UTC)
        # Threads come with readings of slightly different age, and what was not used is given back.
        self._longest = self._gap + timedelta(seconds=60)
        self._lock = threading.Lock()

    def take(self, now: datetime) -> float:
        """Count an update as begun, or return the seconds to wait and count nothing."""
        if not self._gap:
            return 0.0  # threads come with times of their own, one of them always a little late
        with self._lock:
            if now < self._next - self._longest:
                self._next = now  # the clock was set back
            if now < self._next:
                return (self._next - now).total_seconds()
            self._next = now + self._gap
            return 0.0

    def give_back(self) -> None:
        """Return what was taken and not used."""
        with self._lock:
            self._next -= self._gap
