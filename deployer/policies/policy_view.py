"""The tags of a repository as a policy sees them from the tag that a service runs. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Any

from deployer.policies.allowed_versions import AllowedVersions
from deployer.policies.ranking import NO_KEY, Candidate, Order, Ranking, Tag, Verdicts, key_of
from deployer.policies.versions import Version

if TYPE_CHECKING:
    from deployer.policies.tag_policy import Policy


@dataclass(frozen=True)
class View:
    """A policy, the tag that runs, and what the registry says of that one."""

    policy: Policy
    current: str
    tag: Tag | None  # None if the registry does not list it

    @cached_property
    def allowed(self) -> AllowedVersions:
        """The versions that may follow, where versions are what counts."""
        policy, text = self.policy, self.policy.sort_key(self.current)
        current = Version.of(text) if text is not None else None
        prereleases = True if policy.takes_all and policy.prerelease is None else policy.prerelease
        return AllowedVersions(current, policy.kept_numbers or 0, policy.range, prereleases)

    @cached_property
    def ranking(self) -> Ranking:
        """The order of tags, seen from the one that runs."""
        policy, tag = self.policy, self.tag or Tag(self.current)
        text = policy.sort_key(self.current)
        # A version stays a version where the pattern does not take it: it must not go back either.
        name = self.current if text is None and policy.order is Order.SEMVER else text
        key = key_of(policy.order, tag, name)
        blocked = None
        if policy.order is Order.PUSH and key is None:
            blocked = "the registry does not say when that was pushed"
        if policy.kept_numbers is not None and key is None:
            blocked = "that is no version"
        # A push often moves `latest` too, so that one never is older than the tag that it came with.
        return Ranking(policy.order, self.current, key, self.tag is not None, text is None, blocked)

    def best(self, tags: Iterable[Tag]) -> Candidate | None:
        """Return the newest tag that may be followed, or None if none is newer than the one that runs.

        All rules are asked only of the newest tags, downwards until one may be followed: a repository may
        have a hundred thousand.
        """
        keyed = [(key, tag) for tag in tags if (key := self._key(tag)) is not None]
        newer = sorted(((k, t) for k, t in keyed if self.ranking.newer(k)), key=_first, reverse=True)
        for _, equals in groupby(newer, _first):
            candidates = [c for _, tag in equals if isinstance(c := self.candidate(tag), Candidate)]
            if candidates:
                return max(candidates, key=lambda candidate: candidate.rank)
        return None

    def verdicts(self, tags: Mapping[str, Tag]) -> Verdicts:
        """Return every tag and why it lost or won, best first."""
        judged = {name: self.candidate(tag) for name, tag in tags.items()}
        return self.ranking.verdicts(
            [candidate for candidate in judged.values() if isinstance(candidate, Candidate)],
            {name: fault for name, fault in judged.items() if isinstance(fault, str)},
        )

    def candidate(self, tag: Tag) -> Candidate | str:
        """Return the tag as one that may be followed, or the reason why it may not."""
        fault = self.policy.refuse(tag.name)
        if fault:
            return fault
        text = self.policy.sort_key(tag.name)
        if text is None:
            return f"{self.policy.text} does not take it"
        key = key_of(self.policy.order, tag, text)
        if key is None:
            return NO_KEY[self.policy.order].format(text)
        version = Version.of(text) if self.policy.order is Order.SEMVER else None
        if version is None:
            return Candidate(tag.name, key)
        return self.allowed.refuse(version) or Candidate(tag.name, key, self.allowed.similarity(version))

    def _key(self, tag: Tag) -> Any:
        """Return the tag's place in the order, whether or not the policy takes it."""
        if self.policy.order is Order.PUSH:
            return tag.pushed_at
        return key_of(self.policy.order, tag, self.policy.sort_key(tag.name))


def _first(pair: tuple[Any, Tag]) -> Any:
    return pair[0]
