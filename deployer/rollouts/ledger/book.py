"""The ledger itself: the labels of one Swarm config object, `deployer.ledger`.

Of a config object only the labels can be changed, and its version index makes each change a
compare-and-swap. What a person ordered and what has failed is here, not on the services: a write to a
service clears its UpdateStatus, resumes an update that the engine has paused, and takes
`docker service rollback` away; and `docker stack deploy` resets the labels of services.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from deployer.errors import StaleVersionError, TemporaryError
from deployer.rollouts.ledger import failures, holds
from deployer.rollouts.ledger.failures import FAILED, Failure
from deployer.rollouts.ledger.holds import FREEZE, HOLD, Hold

NAME = "deployer.ledger"  # the config object's name
TRIES = 10


@dataclass(frozen=True)
class Ledger:
    """The labels of the config object as they were read; the write is refused if they have changed since."""

    labels: Mapping[str, str] = field(default_factory=dict)
    id: str | None = None  # None: there is no such object yet
    version: int = 0

    def hold(self, service_name: str, service_id: str, now: datetime) -> Hold | None:
        """Return the hold that a service stands under, the freeze of all or its own."""
        return self.freeze(now) or self.own_hold(service_name, service_id, now)

    def freeze(self, now: datetime) -> Hold | None:
        """Return the hold of all services."""
        return holds.find(self.labels, (FREEZE,), now)

    def own_hold(self, service_name: str, service_id: str, now: datetime) -> Hold | None:
        """Return a service's own hold; older versions kept it by the service's id."""
        return holds.find(self.labels, (HOLD + service_name, HOLD + service_id), now)

    def failures(self, service_name: str) -> Mapping[str, Failure]:
        """Return the digests that a service must not try again by itself, newest first."""
        return failures.of(self.labels, service_name)


class Store(Protocol):
    """A place that keeps the ledger."""

    def ledger(self) -> Ledger:
        """Read it; an empty one if there is none yet."""

    def write_ledger(self, ledger: Ledger, labels: Mapping[str, str]) -> None:
        """Replace the labels; StaleVersionError if somebody else has since the read."""


Change = Callable[[Ledger], "Mapping[str, str] | None"]


def amend(store: Store, change: Change) -> bool:
    """Read, change and write the ledger, again until nobody comes between.

    Args:
        store: where the ledger is kept.
        change: returns the labels to write, or None to leave all as it is.

    Returns:
        Whether `change` returned labels.

    Raises:
        TemporaryError: too many others write at the same time.
    """
    for _ in range(TRIES):
        ledger = store.ledger()
        labels = change(ledger)
        if labels is None:
            return False
        if labels == ledger.labels:
            return True
        try:
            store.write_ledger(ledger, labels)
        except StaleVersionError:
            continue
        return True
    raise TemporaryError("too many workers write the Swarm's config object at the same time")


def replaced(ledger: Ledger, changes: Mapping[str, str | None]) -> dict[str, str]:
    """Return the ledger's labels with some replaced, or taken out (None)."""
    kept = {key: text for key, text in ledger.labels.items() if key not in changes}
    return kept | {key: text for key, text in changes.items() if text}


def set_freeze(store: Store, hold: Hold | str | None) -> None:
    """Hold all services, or (None) end that."""
    amend(store, lambda ledger: replaced(ledger, {FREEZE: _text(hold)}))


def set_hold(store: Store, service_name: str, hold: Hold | str | None, also: str = "") -> None:
    """Hold a service, or (None) end its hold.

    Args:
        store: where the ledger is kept.
        service_name: the service's name.
        hold: the hold.
        also: the service's id, under which older versions kept its hold.
    """
    changes = {HOLD + also: None, HOLD + service_name: _text(hold)}
    amend(store, lambda ledger: replaced(ledger, changes))


def _text(hold: Hold | str | None) -> str | None:
    return holds.encode(hold) if isinstance(hold, Hold) else hold


def remember(store: Store, failed: Mapping[str, Mapping[str, Failure]]) -> None:
    """Remember the digests that failed, by service name, in one write; none if all are known already.

    Call it before or after the write that goes back, as often as the failure is seen.
    """
    new = {FAILED + name: tuple(by_digest.values()) for name, by_digest in failed.items() if by_digest}
    if new:
        amend(
            store,
            lambda ledger: replaced(
                ledger, {key: failures.merge(ledger.labels.get(key, ""), more) for key, more in new.items()}
            ),
        )


def forget(store: Store, service_name: str, digest: str | None) -> None:
    """Forget that a digest failed with a service, since a person overrode it; None for all digests."""
    key = FAILED + service_name
    amend(store, lambda ledger: replaced(ledger, {key: failures.without(ledger.labels.get(key, ""), digest)}))
