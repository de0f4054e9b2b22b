"""The digests that failed, or that somebody went back from, by service. Pure.

One label for each service, one line for each digest, newest first: `digest time tag reason`. There is no
bound on the number that failed, for beyond one the services would begin to try failed digests again. What a
label of thousands drops is the reasons of the oldest. Where people move services by hand every day, the last
moves are kept, for a digest is chosen again only while a tag still means it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from deployer.model.image import is_digest, is_tag
from deployer.model.service import is_time
from deployer.model.snapshot import MOVED

FAILED = "deployer.failed."
LONGEST_REASON = 200  # characters
WITH_REASON = 100  # of the newest failures of a service; the engine takes 1 MiB for all services
KEPT_MOVES = 10  # of a service: a thousand services moved by hand each day must not fill the ledger
UNKNOWN = "-"  # no tag begins with it


@dataclass(frozen=True)
class Failure:
    """A digest that must not be tried again by itself."""

    digest: str
    tag: str | None = None  # that it was chosen by
    reason: str = ""
    at: str | None = None  # ISO 8601 with a time zone


def encode(failures: Iterable[Failure]) -> str:
    """Return a service's label."""
    return "\n".join(_line(one, reason=place < WITH_REASON) for place, one in enumerate(failures))


def decode(text: str) -> dict[str, Failure]:
    """Read a service's label, newest first; lines that we cannot have written are passed over."""
    found = (_failure(line) for line in text.split("\n"))
    return {failure.digest: failure for failure in found if failure}


def merge(text: str, more: Iterable[Failure]) -> str:
    """Add failures to a service's label; what is known already stays as it was first told."""
    known = decode(text)
    new = {failure.digest: failure for failure in more if failure.digest not in known}
    return encode(_bounded([*new.values(), *known.values()])) if new else text


def _bounded(failures: Iterable[Failure]) -> Iterator[Failure]:
    moves = 0
    for failure in failures:
        moves += failure.reason == MOVED
        if failure.reason != MOVED or moves <= KEPT_MOVES:
            yield failure


def without(text: str, digest: str | None) -> str:
    """Take a digest out of a service's label; None for all."""
    return encode(failure for failure in decode(text).values() if digest not in {None, failure.digest})


def of(labels: Mapping[str, str], name: str) -> dict[str, Failure]:
    """Return the failures of a service by digest, newest first."""
    return decode(labels.get(FAILED + name, ""))


def _line(failure: Failure, reason: bool) -> str:
    words = failure.reason.split() if reason else []
    said = " ".join(words)[:LONGEST_REASON]
    return f"{failure.digest} {failure.at or UNKNOWN} {failure.tag or UNKNOWN} {said}".rstrip()


def _failure(line: str) -> Failure | None:
    digest, at, tag, reason = [*line.split(" ", 3), "", "", ""][:4]
    if not is_digest(digest) or not (at == UNKNOWN or is_time(at)) or not (tag == UNKNOWN or is_tag(tag)):
        return None
    return Failure(digest, None if tag == UNKNOWN else tag, reason, None if at == UNKNOWN else at)
