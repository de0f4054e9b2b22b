"""Numbers of repeated runs, and a row of the table that compares them with a floor. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Spread:
    """What repetitions of one measurement gave, in its unit."""

    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of at least one value."""
        if not values:
            raise ValueError("nothing was measured")
        return cls(tuple(values))

    @property
    def median(self) -> float:
        """Return the middle value."""
        return statistics.median(self.values)

    @property
    def p95(self) -> float:
        """Return the smallest value that 95 % of the repetitions do not exceed (nearest rank)."""
        ranked = sorted(self.values)
        return ranked[math.ceil(0.95 * len(ranked)) - 1]

    @property
    def least(self) -> float:
        """Return the smallest value."""
        return min(self.values)

    @property
    def most(self) -> float:
        """Return the largest value."""
        return max(self.values)

    def json(self) -> dict[str, Any]:
        """Return it for a file that people read too."""
        names = {"median": self.median, "p95": self.p95, "min": self.least, "max": self.most}
        return {"n": len(self.values), **{name: rounded(value) for name, value in names.items()}}


def rounded(value: float, digits: int = 4) -> float:
    """Return a number with so many significant digits."""
    return float(f"{value:.{digits}g}")


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Args:
        name: for the command line and for programs that read the results.
        what: for people.
        unit: of `ours` and `floor`.
        ours: what the deployer took.
        floor: what the bare work took; None where the target is a number of the unit.
        target: to reach: of the ratio ours / floor, or of ours where there is no floor; None for none.
        at_least: the target is reached from it upwards.
        by: whether medians or the 95th percentiles are compared.
        note: how it was measured, if the name does not say.
    """

    name: str
    what: str
    unit: str
    ours: Spread
    floor: Spread | None = None
    target: float | None = None
    at_least: bool = False
    by: str = "median"
    note: str = ""

    @property
    def value(self) -> float:
        """Return the value that is compared with the target."""
        ours: float = getattr(self.ours, self.by)
        return ours / float(getattr(self.floor, self.by)) if self.floor else ours

    @property
    def pairs(self) -> Spread | None:
        """Return the ratios of the repetitions, each with the floor that ran next to it."""
        if not self.floor or len(self.floor.values) != len(self.ours.values) or not all(self.floor.values):
            return None
        return Spread(tuple(o / f for o, f in zip(self.ours.values, self.floor.values, strict=True)))

    @property
    def met(self) -> bool | None:
        """Return whether the target is reached; None where there is no target."""
        if self.target is None:
            return None
        return self.value >= self.target if self.at_least else self.value <= self.target

    def json(self) -> dict[str, Any]:
        """Return it for a file that people read too."""
        return {
            "name": self.name,
            "what": self.what,
            "unit": self.unit,
            "ours": self.ours.json(),
            "floor": self.floor.json() if self.floor else None,
            "compared": self.by,
            "value": rounded(self.value),
            "ratios": self.pairs.json() if self.pairs else None,
            "target": self.target,
            "sense": "at least" if self.at_least else "at most",
            "met": self.met,
            "note": self.note,
        }


@dataclass(frozen=True)
class Curve:
    """How a cost grows with a size."""

    name: str
    what: str
    unit: str
    sizes: tuple[int, ...]
    ours: tuple[float, ...]
    floor: tuple[float, ...]

    def json(self) -> dict[str, Any]:
        """Return it for a file that people read too."""
        points = [
            {"size": size, "ours": rounded(ours), "floor": rounded(floor)}
            for size, ours, floor in zip(self.sizes, self.ours, self.floor, strict=True)
        ]
        return {"name": self.name, "what": self.what, "unit": self.unit, "points": points}
