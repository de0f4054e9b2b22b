"""What makes one tag newer than another, and which one of many wins. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from deployer.policies.versions import Version

_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")


class Order(StrEnum):
    """What makes one tag newer than another."""

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
    """What the registry says of one tag."""

    name: str
    pushed_at: datetime | None = None  # with a time zone; None where the registry does not say
    digest: str | None = None


@dataclass(frozen=True)
class Choice:
    """The tag to follow, and why."""

    tag: str  # maybe the one that runs already
    reason: str  # one line for people
    verdicts: tuple[tuple[str, str], ...]  # every tag and why it lost or won, best first


@dataclass(frozen=True)
class Place:
    """Where a tag that may be followed stands."""

    tag: str
    key: Any  # its place in the order: comparable with the other tags' of one ranking
    tie: tuple[Any, ...] = ()  # what decides between equals, before their names do

    @property
    def rank(self) -> tuple[Any, ...]:
        """To sort by; no two tags have the same."""
        return self.key, self.tie, self.tag


def key_of(order: Order, tag: Tag, text: str | None) -> Any:
    """The place of a tag in an order, to compare with the others'; None if it has none (`NO_KEY` says why).

    Args:
        order: any.
        tag: what the registry says of it.
        text: the part of its name to sort by.
    """
    if order is Order.PUSH:
        return tag.pushed_at
    if order is Order.SEMVER:
        version = Version.of(text or "")
        return version.key if version else None
    if order is Order.NUMERICAL:
        return Decimal(text) if text and _NUMBER.fullmatch(text) else None
    return text


@dataclass(frozen=True)
class Ranking:
    """The tag that runs, and how others compare with it."""

    order: Order
    current: str
    here: Any = None  # its place in the order; None if it has none
    listed: bool = True  # the registry knows it
    foreign: bool = False  # the policy does not take the tag that runs: an equal one counts as newer
    blocked: str | None = None  # why nothing can count as newer

    def newer(self, place: Place) -> bool:
        """Whether a tag is newer than the one that runs; with no place in the order, every one is."""
        if self.blocked:
            return False
        return bool(self.here is None or place.key > self.here or (self.foreign and place.key == self.here))

    def choose(self, places: Sequence[Place], refused: Mapping[str, str]) -> Choice:
        """The newest place, or the tag that runs if none is newer.

        Args:
            places: tags that may be followed, without the one that runs.
            refused: tags that may not, and why.
        """
        ranked = sorted(places, key=lambda place: place.rank, reverse=True)
        newer = [place for place in ranked if self.newer(place)]
        verdicts = [
            *((place.tag, self._won_or_lost(place, newer[0])) for place in newer),
            (self.current, "the tag that runs" + ("" if self.listed else "; the registry does not list it")),
            *((place.tag, self._not_newer(place)) for place in ranked if not self.newer(place)),
            *sorted(refused.items()),
        ]
        return Choice(newer[0].tag if newer else self.current, self._reason(len(newer)), tuple(verdicts))

    def _reason(self, count: int) -> str:
        if self.blocked:
            return f"no tag counts as newer than {self.current}: {self.blocked}"
        if not count:
            return f"no tag that may be followed is newer than {self.current}"
        return f"{_BEST[self.order]} of {count} that may follow {self.current}"

    def _won_or_lost(self, place: Place, winner: Place) -> str:
        if place is winner:
            return f"chosen: {_BEST[self.order]}"
        return f"equal to {winner.tag}" if place.key == winner.key else f"older than {winner.tag}"

    def _not_newer(self, place: Place) -> str:
        if self.blocked:
            return "not known to be newer"
        return (
            f"equal to {self.current}, which runs" if place.key == self.here else f"older than {self.current}"
        )
