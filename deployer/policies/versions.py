"""Versions as image tags write them, and which of them may follow another. Pure.

A tag is read as `[v]MAJOR[.MINOR[.PATCH]][-SUFFIX]`; numbers that are not written count as 0. Order and
prereleases are those of semver.org 2.0.0, with one exception: in `rc10` the number counts as a number,
so that `rc10` comes after `rc9`. A suffix that is no prerelease (`alpine`, `slim-bookworm`, `prod`) is a
*variant*: another kind of the same version, neither older nor newer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

Identifier = tuple[int, str, int, str]
Key = tuple[tuple[int, int, int], int, tuple[Identifier, ...]]

_TAG = re.compile(r"([vV]?)([0-9]+)(?:\.([0-9]+))?(?:\.([0-9]+))?(?:-(.+))?")
_PLAIN = re.compile(r"[vV]?([0-9]+)\.([0-9]+)\.([0-9]+)")  # most tags, in a repository of many
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
        """Return whether it is a number and nothing but a number, apart from its variant."""
        return self.precision == 1 and not self.prefixed

    @cached_property
    def key(self) -> Key:
        """The place in the order of versions."""
        return (self.numbers, 0 if self.prerelease else 1, _identifiers(self.prerelease))


def version_key(text: str) -> Key | None:
    """Return the place of a tag in the order of versions, or None if it is no version; quicker than `of`."""
    plain = _PLAIN.fullmatch(text)
    if plain:
        return (int(plain[1]), int(plain[2]), int(plain[3])), 1, ()
    version = Version.of(text)
    return version.key if version else None


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
