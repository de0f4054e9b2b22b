"""Virtual time: acts that are due later, played in their order when the clock is moved."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


class Timeline:
    """A clock that stands still until it is moved, and the acts that wait for it."""

    def __init__(self, begin: datetime = BEGIN) -> None:
        self.begin = begin
        self.seconds = 0.0  # since the beginning
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._now = (self.seconds, begin, begin)

    @property
    def now(self) -> datetime:
        """Return the time that a right clock shows."""
        if self._now[:2] != (self.seconds, self.begin):
            self._now = self.seconds, self.begin, self.begin + timedelta(seconds=self.seconds)
        return self._now[2]

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """Have an act done later; acts of one moment are done in the order in which they were asked for."""
        heapq.heappush(self._due, (self.seconds + seconds, next(self._order), act))

    def skip(self, seconds: float) -> None:
        """Move the clock, and let what is due come so much later: as if everything had stood still."""
        self.seconds += seconds
        # All by the same amount: the order, and with it the heap, stays.
        self._due = [(due + seconds, order, act) for due, order, act in self._due]

    def advance(self, seconds: float) -> None:
        """Move the clock, and do what becomes due on the way."""
        until = self.seconds + seconds
        while self._due and self._due[0][0] <= until + 1e-9:
            due, _, act = heapq.heappop(self._due)
            self.seconds = max(self.seconds, due)
            act()
        self.seconds = max(self.seconds, until)
