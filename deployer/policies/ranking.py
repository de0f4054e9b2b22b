"""The order of tags: what makes one newer than another, and the words that say so. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from deployer.policies.versions import version_key

_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")


class Order(StrEnum):
    """The ways in which one tag may be newer than another."""

    PUSH = "push"
    SEMVER = "semver"
    ALPHABETICAL = "alphabetical"
    NUMERICAL = "numerical"


_BEST = {
    Order.PUSH: "the one pushed last",
    Order.SEMVER: "the highest version",
    Order.ALPHABETICAL: "the last by name",
    Order.NUMERICAL: "the highest number",
}
NO_KEY = {
    Order.PUSH: "the registry does not say when it was pushed",
    Order.SEMVER: "{!r} is no version",
    Order.ALPHABETICAL: "it has no name",
    Order.NUMERICAL: "{!r} is no number",
}


@dataclass(frozen=True)
class Tag:
    """One tag, as the registry lists it."""

    name: str
    pushed_at: datetime | None = None  # with a time zone; None where the registry does not say
    digest: str | None = None


Verdicts = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Selection:
    """The tag to follow, and why."""

    tag: str  # maybe the one that runs already
    reason: str  # one line for people
    explain: Callable[[], Verdicts] = field(repr=False, compare=False)

    @property
    def verdicts(self) -> Verdicts:
        """Every tag and why it lost or won, best first; of many tags this takes a while."""
        return self.explain()


@dataclass(frozen=True)
class Candidate:
    """A tag that may be followed."""

    tag: str
    key: Any  # its place in the order: comparable with the other tags' of one ranking
    tie: tuple[Any, ...] = ()  # what decides between equals, before their names do

    @property
    def rank(self) -> tuple[Any, ...]:
        """To sort by; no two tags have the same."""
        return self.key, self.tie, self.tag


def key_of(order: Order, tag: Tag, text: str | None) -> Any:
    """Return the place of a tag in an order, or None if it has none (`NO_KEY` says why).

    Args:
        order: any.
        tag: what the registry says of it.
        text: the part of its name to sort by.
    """
    if order is Order.PUSH:
        return tag.pushed_at
    if order is Order.SEMVER:
        return version_key(text or "")
    if order is Order.NUMERICAL:
        return Decimal(text) if text and _NUMBER.fullmatch(text) else None
    return text


@dataclass(frozen=True)
class Ranking:
    """The tag that runs, and how others compare with it."""

    order: Order
    current: str
    current_key: Any = None  # its place in the order; None if it has none
    listed: bool = True  # the registry knows it
    foreign: bool = False  # the policy does not take the tag that runs: an equal one counts as newer
    blocked: str | None = None  # why nothing can count as newer

    def newer(self, key: Any) -> bool:
        """Return whether a tag is newer than the one that runs; with no place in the order, every one is."""
        if self.blocked:
            return False
        current = self.current_key
        return bool(current is None or key > current or (self.foreign and key == current))

    def reason(self, found: bool) -> str:
        """Return the reason for the choice of the newest tag, or of the one that runs."""
        if self.blocked:
            return f"no tag counts as newer than {self.current}: {self.blocked}"
        if not found:
            return f"no tag that may be followed is newer than {self.current}"
        return f"{_BEST[self.order]} of those that may follow {self.current}"

    def verdicts(self, candidates: Sequence[Candidate], refused: Mapping[str, str]) -> Verdicts:
        """Return every tag and why it lost or won, best first.

        Args:
            candidates: tags that may be followed, without the one that runs.
            refused: tags that may not, and why.
        """
        ranked = sorted(candidates, key=lambda candidate: candidate.rank, reverse=True)
        newer = [candidate for candidate in ranked if self.newer(candidate.key)]
        return (
            *((candidate.tag, self._won_or_lost(candidate, newer[0])) for candidate in newer),
            (self.current, "the tag that runs" + ("" if self.listed else "; the registry does not list it")),
            *((c.tag, self._not_newer(c)) for c in ranked if not self.newer(c.key)),
            *sorted(refused.items()),
        )

    def _won_or_lost(self, candidate: Candidate, winner: Candidate) -> str:
        if candidate is winner:
            return f"chosen: {_BEST[self.order]}"
        return f"equal to {winner.tag}" if candidate.key == winner.key else f"older than {winner.tag}"

    def _not_newer(self, candidate: Candidate) -> str:
        if self.blocked:
            return "not known to be newer"
        if candidate.key == self.current_key:
            return f"equal to {self.current}, which runs"
        return f"older than {self.current}"
