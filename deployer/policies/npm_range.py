"""npm's ranges of versions, by the README of its `semver` ("Ranges", "Prerelease Tags"). Pure."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

from deployer.policies.versions import Key, Version

MAX_RANGE = 200  # characters

_PARTIAL_NUMBER = r"[0-9]+|[xX*]"
_PARTIAL = (
    rf"v?({_PARTIAL_NUMBER})(?:\.({_PARTIAL_NUMBER})(?:\.({_PARTIAL_NUMBER})(?:-([0-9A-Za-z.-]+))?"
    r"(?:\+[0-9A-Za-z.-]+)?)?)?"
)
_COMPARATOR = re.compile(rf"(\^|~>?|[<>]=?|=)?{_PARTIAL}")
_HYPHEN = re.compile(rf"{_PARTIAL}\s+-\s+{_PARTIAL}")
_GAP = re.compile(r"(\^|~>?|[<>]=?|=)\s+")
_COMPARE: dict[str, Callable[[Key, Key], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
}

Bound = tuple[str, Key]


@dataclass(frozen=True)
class _Partial:
    """A version in a range, of which trailing numbers may be missing (`1.2`, `1.x`, `*`)."""

    numbers: tuple[int, ...]
    prerelease: str = ""

    @classmethod
    def of(cls, *groups: str | None) -> _Partial:
        *parts, prerelease = groups
        numbers: list[int] = []
        for part in parts:
            if part is None or part in "xX*":
                break
            numbers.append(int(part))
        else:
            return cls(tuple(numbers), prerelease or "")
        if prerelease or any(part is not None and part not in "xX*" for part in parts[len(numbers) :]):
            raise ValueError("after x or * no number may follow (1.x, not 1.x.5)")
        return cls(tuple(numbers))

    @property
    def full(self) -> bool:
        return len(self.numbers) == 3

    @property
    def first(self) -> Key:
        """The lowest version that it stands for; the prereleases of a missing number are among them."""
        if self.full:
            return Version(self.padded, self.prerelease).key
        return (self.padded, 0, ())

    def after(self, place: int) -> Key:
        """Return the lowest of all versions, prereleases too, whose number at this place is one higher."""
        major, minor, patch = (*self.numbers[:place], self.numbers[place] + 1, 0, 0)[:3]
        return ((major, minor, patch), 0, ())

    @property
    def padded(self) -> tuple[int, int, int]:
        major, minor, patch = (*self.numbers, 0, 0, 0)[:3]
        return major, minor, patch


_NOTHING: Bound = ("<", ((0, 0, 0), 0, ()))


def _bounds(sign: str, version: _Partial) -> list[Bound]:
    """Return the bounds of a comparator, which a version is compared with."""
    count = len(version.numbers)
    if count == 0:
        return [_NOTHING] if sign in ("<", ">") else []
    if sign == "^":
        significant = next((i for i, number in enumerate(version.numbers) if number), count - 1)
        return [(">=", version.first), ("<", version.after(significant))]
    if sign in ("~", "~>"):
        return [(">=", version.first), ("<", version.after(min(count, 2) - 1))]
    if version.full:
        return [(sign or "=", version.first)]
    return {
        "<": [("<", version.first)],
        ">=": [(">=", version.first)],
        "<=": [("<", version.after(count - 1))],
        ">": [(">=", version.after(count - 1))],
    }.get(sign, [(">=", version.first), ("<", version.after(count - 1))])


def _wide_bounds(sign: str, version: _Partial) -> list[Bound]:
    """Return the bounds of an end of a hyphen where prereleases count: the end's own are within it."""
    if not version.full or version.prerelease:
        return _bounds(sign, version)
    return [(">=", (version.padded, 0, ()))] if sign == ">=" else [("<", version.after(2))]


@dataclass(frozen=True)
class _Alternative:
    """One side of `||`: every bound must hold."""

    bounds: tuple[Bound, ...]
    wide: tuple[Bound, ...]  # where prereleases count: those of both ends of a hyphen are within it
    named: frozenset[tuple[int, ...]]  # the versions of which the range itself names a prerelease

    @classmethod
    def parse(cls, text: str) -> _Alternative:
        hyphen = _HYPHEN.fullmatch(text)
        if hyphen:
            groups = hyphen.groups()
            parts = [(">=", _Partial.of(*groups[:4])), ("<=", _Partial.of(*groups[4:]))]
        else:
            parts = [_comparator(word) for word in _GAP.sub(r"\1", text).split()]
        bounds = tuple(bound for sign, version in parts for bound in _bounds(sign, version))
        ends = tuple(bound for sign, version in parts for bound in _wide_bounds(sign, version))
        named = frozenset(version.numbers for _, version in parts if version.prerelease)
        return cls(bounds, ends if hyphen else bounds, named)

    def holds(self, version: Version, prereleases: bool) -> bool:
        if version.prerelease and not prereleases and version.numbers not in self.named:
            return False
        return all(
            _COMPARE[sign](version.key, bound) for sign, bound in (self.wide if prereleases else self.bounds)
        )


def _comparator(word: str) -> tuple[str, _Partial]:
    match = _COMPARATOR.fullmatch(word)
    if not match:
        raise ValueError(f"{word[:40]!r} is no part of an npm range")
    sign, *groups = match.groups()
    return sign or "", _Partial.of(*groups)


@dataclass(frozen=True)
class Range:
    """A range of npm: `^1.2`, `~1.2.3`, `1.x`, `>=1.2 <2`, `1.2 - 1.4`, alternatives with `||`."""

    text: str
    alternatives: tuple[_Alternative, ...]

    @classmethod
    def parse(cls, text: str) -> Range:
        """Read a range; a comma between comparators counts as a space, as in Go's libraries.

        Raises:
            ValueError: it is none, or an alternative is empty (which npm reads as "any version").
        """
        if len(text) > MAX_RANGE:
            raise ValueError(f"it is longer than {MAX_RANGE} characters")
        sides = [side.strip() for side in text.replace(",", " ").split("||")]
        if not all(sides):
            raise ValueError("it is empty, or one side of || is")
        return cls(text, tuple(_Alternative.parse(side) for side in sides))

    def holds(self, version: Version, *, prereleases: bool = False) -> bool:
        """Return whether a version is within the range, whatever its variant.

        Args:
            version: any.
            prereleases: count them like other versions. Otherwise, as in npm, only those of a version
                of which the range itself names a prerelease: `>=1.2.0-rc.1` holds 1.2.0-rc.2 and 1.3.0,
                not 1.3.0-rc.1.
        """
        return any(alternative.holds(version, prereleases) for alternative in self.alternatives)

    def __str__(self) -> str:
        """As it was written."""
        return self.text
