"""The tag that a service follows: a policy, read from its labels, chooses from the tags of the registry.

The labels are `deployer.policy`, `.order`, `.allow-tags`, `.ignore-tags` and `.prerelease`. Pure.

- `tag` (the default) follows the tag that the service runs, `none` nothing.
- `patch`, `minor`, `major`, `all` follow higher versions than the one that runs; if that is no version,
  nothing is higher. `all` takes prereleases too.
- `semver:RANGE` follows the highest version in an npm range, `glob:` and `regexp:` the newest tag that the
  pattern fits (a glob the whole tag, an expression anywhere in it). They say by themselves what may run,
  so a service that runs something else, such as `latest`, comes to them.

*Newest* is what `deployer.order` says: `semver` for versions, else `push`, the time of the push, because
names like `main-1a2b3c` have no order of their own. `alphabetical` and `numerical` sort by the tag, or by
what a `regexp:` captures in its group `order`, else in its first group.

Nothing ever goes back in that order, nor sideways: where two are equal, the tag that runs stays. If the
registry does not know when that was pushed, nothing counts as pushed later. Prereleases are taken if
`deployer.prerelease` says so; unless it says anything, while the service runs one, and with `semver:` as in
npm where the range names one. A variant such as `-alpine` stays the same. Signatures, attestations and
SBOMs are never followed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TypeVar

from deployer.model.image import is_companion_tag
from deployer.model.label_names import ALLOW_TAGS, IGNORE_TAGS, ORDER, POLICY, PRERELEASE
from deployer.model.service import LabelError
from deployer.policies import patterns
from deployer.policies.npm_range import Range
from deployer.policies.policy_view import View
from deployer.policies.ranking import Candidate, Order, Selection, Tag
from deployer.policies.values import parse_flag

MAX_TAG = 128  # characters, by the distribution grammar

_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


class Kind(StrEnum):
    """The word that a policy begins with."""

    TAG = "tag"
    PATCH = "patch"
    MINOR = "minor"
    MAJOR = "major"
    ALL = "all"
    SEMVER = "semver"
    GLOB = "glob"
    REGEXP = "regexp"
    NONE = "none"


_Word = TypeVar("_Word", bound=StrEnum)
_WITH_VALUE = (Kind.SEMVER, Kind.GLOB, Kind.REGEXP)
_BY_PATTERN = (Kind.GLOB, Kind.REGEXP)
_KEPT = {Kind.PATCH: 2, Kind.MINOR: 1, Kind.MAJOR: 0, Kind.ALL: 0}  # numbers of a version that must stay
_USAGE = (
    "it may be tag, patch, minor, major, all, none, semver:RANGE (semver:^1.2), glob:PATTERN (glob:main-*) "
    "or regexp:PATTERN (regexp:^main-)"
)


@dataclass(frozen=True)
class Policy:
    """A tag policy; every one that `of` returns can be used."""

    kind: Kind = Kind.TAG
    text: str = "tag"  # as it was written
    order: Order = Order.PUSH
    range: Range | None = None
    pattern: re.Pattern[str] | None = None
    allow: tuple[re.Pattern[str], ...] = ()
    ignore: tuple[re.Pattern[str], ...] = ()
    prerelease: bool | None = None

    @classmethod
    def of(cls, labels: Mapping[str, str]) -> Policy:
        """Read the policy from a service's labels.

        Raises:
            LabelError: one cannot be understood, or has no meaning beside the others.
        """
        text = " ".join(labels.get(POLICY, "").split()) or Kind.TAG.value
        word, colon, value = text.partition(":")
        kind = _word(Kind, word)
        if kind is None or bool(colon) != (kind in _WITH_VALUE):
            raise _error(POLICY, text, _USAGE)
        if kind is Kind.NONE:  # off is off, whatever else is written
            return cls(kind, text)
        range_, pattern = _value(kind, text, value.strip())
        order = _order(labels, kind, text, pattern)
        return cls(
            kind,
            text,
            order,
            range_,
            pattern,
            _list(labels, ALLOW_TAGS, kind),
            _list(labels, IGNORE_TAGS, kind),
            _prerelease(labels, kind, order),
        )

    @property
    def follows_tag(self) -> bool:
        """Return whether the tag never changes, only its digest: no list of tags is needed."""
        return self.kind is Kind.TAG

    @property
    def off(self) -> bool:
        """Return whether nothing is followed at all."""
        return self.kind is Kind.NONE

    @property
    def takes_all(self) -> bool:
        """Return whether prereleases are taken unless a label says otherwise."""
        return self.kind is Kind.ALL

    @property
    def kept_numbers(self) -> int | None:
        """Return how many leading numbers of a version must stay; None if a range or a pattern decides."""
        return _KEPT.get(self.kind)

    def may_follow(self, current: str, tag: str) -> bool:
        """Return whether a push of `tag` could matter where `current` runs; quick and generous."""
        if self.off or tag == current:
            return not self.off
        if self.follows_tag:
            return False
        view = View(self, current, Tag(current, _LONG_AGO))
        candidate = view.candidate(Tag(tag, _LONG_AGO))
        if not isinstance(candidate, Candidate):
            return False
        return self.order is Order.PUSH or view.ranking.newer(candidate.key)

    def choose(self, current: str, tags: Sequence[Tag]) -> Selection:
        """Return the tag to follow among those that the registry lists, in any order; never an older one."""
        listed: dict[str, Tag] = {}
        for tag in tags:
            known = listed.get(tag.name)
            listed[tag.name] = max(known, tag, key=_pushed) if known else tag
        if self.off or self.follows_tag:
            why = f"policy {self.text}: {'nothing is' if self.off else 'only its own tag is'} followed"
            return Selection(current, why, lambda: tuple((name, why) for name in sorted(listed)))
        view = View(self, current, listed.pop(current, None))
        best = view.best(listed.values())
        reason = f"policy {self.text}: {view.ranking.reason(best is not None)}"
        return Selection(best.tag if best else current, reason, lambda: view.verdicts(listed))

    def refuse(self, tag: str) -> str | None:
        """Return the reason why a tag may never be followed, or None if it may."""
        if len(tag) > MAX_TAG or is_companion_tag(tag):
            return "no image: a signature, an attestation, an SBOM or no tag at all"
        if self.allow and not patterns.matches(self.allow, tag):
            return f"{ALLOW_TAGS} does not take it"
        return f"{IGNORE_TAGS} takes it out" if patterns.matches(self.ignore, tag) else None

    def sort_key(self, tag: str) -> str | None:
        """Return the part of a tag that it is sorted by; None if the pattern does not take the tag."""
        if self.pattern is None:
            return tag
        match = self.pattern.search(tag) if len(tag) <= MAX_TAG else None
        if match is None or self.kind is Kind.GLOB or self.order is Order.PUSH or not self.pattern.groups:
            return tag if match else None
        key: str | None = match["order" if "order" in self.pattern.groupindex else 1]
        return key


def _pushed(tag: Tag) -> tuple[bool, datetime]:
    return tag.pushed_at is not None, tag.pushed_at or _LONG_AGO


def _error(label: str, text: str, why: str) -> LabelError:
    return LabelError(f"label {label}={text[:40]!r}: {why}")


def _word(words: type[_Word], text: str) -> _Word | None:
    return next((word for word in words if word.value == text.strip().lower()), None)


def _value(kind: Kind, text: str, value: str) -> tuple[Range | None, re.Pattern[str] | None]:
    try:
        if kind is Kind.SEMVER:
            return Range.parse(value), None
        if kind in _BY_PATTERN:
            return None, patterns.glob(value) if kind is Kind.GLOB else patterns.regexp(value)
    except ValueError as fault:
        raise _error(POLICY, text, f"{fault}; {_USAGE}") from fault
    return None, None


def _order(labels: Mapping[str, str], kind: Kind, text: str, pattern: re.Pattern[str] | None) -> Order:
    written = labels.get(ORDER, "").strip()
    order = _word(Order, written) if written else None
    if written and order is None:
        raise _error(ORDER, written, "it may be push, semver, alphabetical or numerical")
    if kind not in _BY_PATTERN:
        _no_meaning(ORDER, written if kind is Kind.TAG else "", kind)
        if order not in (None, Order.SEMVER):
            raise _error(ORDER, written, f"{POLICY}={kind} sorts by version, it may be semver only")
        return Order.PUSH if kind is Kind.TAG else Order.SEMVER
    if pattern and "order" in pattern.groupindex and order in (None, Order.PUSH):
        why = f"{POLICY}={text[:40]!r} has a group to sort by, it may be semver, alphabetical or numerical"
        raise _error(ORDER, written, why)
    return order or Order.PUSH


def _list(labels: Mapping[str, str], label: str, kind: Kind) -> tuple[re.Pattern[str], ...]:
    text = labels.get(label, "").strip()
    if not text:
        return ()
    _no_meaning(label, text, kind)
    try:
        return patterns.any_of(text)
    except ValueError as fault:
        raise _error(
            label, text, f"{fault}; it may be globs with commas between them, or regexp:PATTERN"
        ) from fault


def _prerelease(labels: Mapping[str, str], kind: Kind, order: Order) -> bool | None:
    text = labels.get(PRERELEASE, "").strip()
    if not text:
        return None
    try:
        value = parse_flag(text)
    except ValueError as fault:
        raise _error(PRERELEASE, text, str(fault)) from fault
    _no_meaning(PRERELEASE, text, kind)
    if order is not Order.SEMVER:
        raise _error(PRERELEASE, text, f"it has no meaning unless {ORDER} is semver")
    return value


def _no_meaning(label: str, text: str, kind: Kind) -> None:
    if text and kind is Kind.TAG:
        raise _error(label, text, f"it has no meaning with {POLICY}=tag; {_USAGE}")


def explain(policy: Policy, current: str, tags: Sequence[str]) -> list[str]:
    """Say in lines what a policy would choose, for people who try one out.

    Args:
        policy: any.
        current: the tag that runs; it counts as pushed first, unless it is in `tags`.
        tags: names, in the order in which they were pushed, oldest first.
    """
    names = [*([] if current in tags else [current]), *tags]
    choice = policy.choose(current, [Tag(n, _LONG_AGO + timedelta(minutes=i)) for i, n in enumerate(names)])
    width = max(len(name) for name in names)
    return [f"{choice.tag}: {choice.reason}", *(f"  {tag:<{width}}  {why}" for tag, why in choice.verdicts)]
