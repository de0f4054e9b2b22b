"""Versions as image tags write them, and npm's ranges of them. Pure.

A tag is read as `[v]MAJOR[.MINOR[.PATCH]][-SUFFIX]`; numbers that are not written count as 0. Order and
prereleases are those of semver.org 2.0.0, with one exception: in `rc10` the number counts as a number,
so that `rc10` comes after `rc9`. A suffix that is no prerelease (`alpine`, `slim-bookworm`, `prod`) is a
*variant*: another kind of the same version, neither older nor newer. Ranges are those of npm's `semver`,
as its README ("Ranges", "Prerelease Tags") describes them.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

MAX_RANGE = 200  # characters

Identifier = tuple[int, str, int, str]
Key = tuple[tuple[int, int, int], int, tuple[Identifier, ...]]

_TAG = re.compile(r"([vV]?)([0-9]+)(?:\.([0-9]+))?(?:\.([0-9]+))?(?:-(.+))?")
# What a suffix must begin with to be a prerelease. `dev` needs a number: alone it names an environment,
# like `prod` (so keel's documentation uses it).
_WORDS = "alpha|beta|pre|preview|rc|cr|ea|snapshot|nightly|canary|next|milestone"
_SUFFIX = re.compile(
    rf"((?:(?:{_WORDS})(?=[0-9.-]|$)|(?:dev|[abm])(?=\.?[0-9])|[0-9]+(?=[.-]|$))[0-9A-Za-z.]*"
    r"(?:-[0-9][0-9.]*(?=-|$))*)?-?(.*)",
    re.IGNORECASE,
)
_WORD_AND_NUMBER = re.compile(r"([^0-9]*)([0-9]*)(.*)")
_COMMIT = 7  # digits from which on a number alone may be the beginning of a commit's id, or a date


@dataclass(frozen=True)
class Version:
    """A version; compare `key`, which knows no variant."""

    numbers: tuple[int, int, int]
    prerelease: str = ""
    variant: str = ""
    precision: int = 3  # how many numbers were written
    prefixed: bool = False  # with a `v`

    @classmethod
    def of(cls, text: str) -> Version | None:
        """Read a tag; None if it is no version."""
        match = _TAG.fullmatch(text)
        if not match:
            return None
        prefix, *parts, suffix = match.groups()
        written = [int(part) for part in parts if part is not None]
        prerelease, variant = _split(suffix or "")
        # 20240115, 12345678 and 2024-01-15 are dates and commits, not versions.
        if len(written) == 1 and not prefix and (len(parts[0]) >= _COMMIT or prerelease[:1].isdigit()):
            return None
        major, minor, patch = (*written, 0, 0)[:3]
        return cls((major, minor, patch), prerelease, variant, len(written), bool(prefix))

    @property
    def bare(self) -> bool:
        """Whether it is a number and nothing but a number, apart from its variant."""
        return self.precision == 1 and not self.prefixed

    @cached_property
    def key(self) -> Key:
        """The place in the order of versions."""
        return (self.numbers, 0 if self.prerelease else 1, _identifiers(self.prerelease))


def _split(suffix: str) -> tuple[str, str]:
    match = _SUFFIX.fullmatch(suffix)
    return (match[1] or "", match[2]) if match else ("", suffix)


def _identifiers(prerelease: str) -> tuple[Identifier, ...]:
    return tuple(_identifier(part) for part in prerelease.split(".")) if prerelease else ()


def _identifier(text: str) -> Identifier:
    if text.isdecimal():
        return 0, "", int(text), ""
    match = _WORD_AND_NUMBER.fullmatch(text)
    assert match is not None  # noqa: S101 - it matches every text of one line
    word, number, rest = match.groups()
    return 1, word, int(number) if number else -1, rest


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
                return cls(tuple(numbers))
            numbers.append(int(part))
        return cls(tuple(numbers), prerelease or "")

    @property
    def full(self) -> bool:
        return len(self.numbers) == 3

    @property
    def first(self) -> Key:
        """The lowest version that it stands for; the prereleases of a missing number are among them."""
        if self.full:
            return Version(self._padded, self.prerelease).key
        return (self._padded, 0, ())

    def after(self, place: int) -> Key:
        """The lowest of all versions, prereleases too, whose number at this place is one higher."""
        major, minor, patch = (*self.numbers[:place], self.numbers[place] + 1, 0, 0)[:3]
        return ((major, minor, patch), 0, ())

    @property
    def _padded(self) -> tuple[int, int, int]:
        major, minor, patch = (*self.numbers, 0, 0, 0)[:3]
        return major, minor, patch


_NOTHING: Bound = ("<", ((0, 0, 0), 0, ()))


def _bounds(sign: str, version: _Partial) -> list[Bound]:
    """What a comparator asks for, as bounds that a version is compared with."""
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


@dataclass(frozen=True)
class _Alternative:
    """One side of `||`: every bound must hold."""

    bounds: tuple[Bound, ...]
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
        return cls(bounds, frozenset(version.numbers for _, version in parts if version.prerelease))

    def holds(self, version: Version, prereleases: bool) -> bool:
        if version.prerelease and not prereleases and version.numbers not in self.named:
            return False
        return all(_COMPARE[sign](version.key, bound) for sign, bound in self.bounds)


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
        """Whether a version is within the range, whatever its variant.

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


@dataclass(frozen=True)
class Upgrades:
    """Which versions may follow the one that runs; whether they are higher is for their keys to say."""

    here: Version | None  # what runs; None if that is no version
    kept: int = 0  # how many of its leading numbers must stay
    range: Range | None = None
    prereleases: bool | None = None  # None: while one runs, or where the range names one

    def refuse(self, version: Version) -> str | None:
        """Why a version may not follow; None if it may."""
        here = self.here
        if version.bare and not (here and here.bare):
            return "a number alone is no version, unless one runs"
        # With nothing to compare, a pattern says by itself which variants it takes, a range does not.
        if version.variant != (here.variant if here else "") and (here or self.range):
            return "another variant"
        if version.prerelease and not self._takes_prereleases:
            return "a prerelease (deployer.prerelease=true takes them)"
        if self.range and not self.range.holds(version, prereleases=bool(self.prereleases)):
            return f"outside of {self.range}"
        if here and version.numbers[: self.kept] != here.numbers[: self.kept]:
            return f"another {'major' if self.kept == 1 else 'minor'} version"
        return None

    @property
    def _takes_prereleases(self) -> bool:
        if self.prereleases is not None:
            return self.prereleases
        return self.range is not None or (self.here is not None and bool(self.here.prerelease))

    def likeness(self, version: Version) -> tuple[int, ...]:
        """Of equal versions, the one written like the one that runs wins, then the most precise one."""
        here = self.here or version
        alike = version.prefixed == here.prefixed, version.precision == here.precision
        return (not version.variant, *alike, version.precision)
