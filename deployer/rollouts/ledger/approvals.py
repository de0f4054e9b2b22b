"""Approvals: people's words that one digest may be rolled out to a service, as they stand in the ledger.

A service has those of one digest at a time: the first word for another one, or a newer push, voids them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from deployer.model.image import is_digest
from deployer.rollouts.ledger.book import Ledger, Store, amend, replaced

APPROVAL = "deployer.approval."


@dataclass(frozen=True)
class Approval:
    """One person's word; `at` is ISO 8601 with a time zone."""

    by: str
    at: str
    reason: str = ""


@dataclass(frozen=True)
class Approvals:
    """The words for one digest, each person's once, oldest first."""

    digest: str = ""
    people: tuple[Approval, ...] = ()

    def valid(self, digest: str, now: datetime, within: float) -> tuple[Approval, ...]:
        """Return the words for a digest that are no older than so many seconds."""
        oldest = now - timedelta(seconds=within)
        return tuple(one for one in self.people if self.digest == digest and _at(one) > oldest)


def of(ledger: Ledger, service_name: str) -> Approvals:
    """Return the approvals of a service; none where there are none that we can have written."""
    try:
        told = json.loads(ledger.labels.get(APPROVAL + service_name) or "{}")
        people = tuple(Approval(**one) for one in told["people"])
        digest = str(told["digest"])
        dated = all(_at(one).tzinfo for one in people)
    except (ValueError, TypeError, KeyError):
        return Approvals()
    return Approvals(digest, people) if is_digest(digest) and dated else Approvals()


def approve(store: Store, service_name: str, digest: str, word: Approval) -> None:
    """Write a person's word down, in the place of their own older one and of all for other digests."""

    def change(ledger: Ledger) -> Mapping[str, str]:
        known = of(ledger, service_name)
        kept = [one for one in known.people if known.digest == digest and one.by != word.by]
        return replaced(ledger, {APPROVAL + service_name: _text(digest, (*kept, word))})

    amend(store, change)


def void(store: Store, service_name: str, but: str) -> None:
    """Forget the approvals of a service, unless they are for this digest."""

    def change(ledger: Ledger) -> Mapping[str, str] | None:
        known = of(ledger, service_name).digest
        return replaced(ledger, {APPROVAL + service_name: None}) if known not in {"", but} else None

    amend(store, change)


def _text(digest: str, people: tuple[Approval, ...]) -> str:
    return json.dumps({"digest": digest, "people": [asdict(one) for one in people]}, ensure_ascii=False)


def _at(one: Approval) -> datetime:
    return datetime.fromisoformat(one.at)
