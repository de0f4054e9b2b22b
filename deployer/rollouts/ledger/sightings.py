"""First sights: when a digest was first wanted for a service, where its registry does not tell its age.

One label for each service, one line for each digest, newest first: `digest time`. It is kept where no message
can change it, and counts for whoever asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from deployer.model.image import is_digest
from deployer.model.service import is_time
from deployer.rollouts.ledger.book import Ledger, Store, amend, replaced

SEEN = "deployer.seen."
KEPT = 10  # of a service; who pushes more often than that has none of them come of age


def of(ledger: Ledger, service_name: str) -> dict[str, datetime]:
    """Return when digests were first seen, newest first, without lines that we cannot have written."""
    lines = ledger.labels.get(SEEN + service_name, "").split("\n")
    pairs = [(digest, at) for digest, _, at in (line.partition(" ") for line in lines)]
    return {digest: datetime.fromisoformat(at) for digest, at in pairs if is_digest(digest) and is_time(at)}


def note(store: Store, service_name: str, digest: str, now: datetime) -> None:
    """Write down that a digest is seen now, unless it has been before."""

    def change(ledger: Ledger) -> Mapping[str, str] | None:
        known = of(ledger, service_name)
        if digest in known:
            return None
        kept = [(digest, now), *known.items()][:KEPT]
        text = "\n".join(f"{one} {at.isoformat(timespec='seconds')}" for one, at in kept)
        return replaced(ledger, {SEEN + service_name: text})

    amend(store, change)
