"""What keeps an update from beginning: a freeze, holds, the slots of the whole Swarm, this worker's pace.

All but the pace is kept in the labels of one Swarm config object, the ledger, whose version index makes
each change a compare-and-swap. Holds ordered by command are here, not on the services: a write to a
service clears its UpdateStatus, resumes an update that the engine has paused, and takes
`docker service rollback` away. They outlive `docker stack deploy` as well.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

from deployer.errors import StaleVersionError, TemporaryError

NAME = "deployer.ledger"  # the config object's name
FREEZE, HOLD, SLOT = "deployer.freeze", "deployer.hold.", "deployer.slot."
# A dead worker's slot comes free after this; a live one looks at least every 15 s and renews it.
LEASE = timedelta(seconds=90)
LONGEST_LEASE = timedelta(hours=1)  # as far as the clocks of two managers may be apart
TRIES = 10


@dataclass(frozen=True)
class Failure:
    """A digest that failed, or that somebody went back from."""

    digest: str
    tag: str | None
    reason: str
    at: str


@dataclass(frozen=True)
class Ledger:
    """The labels of the config object as they were read; the write is refused if they have changed since."""

    labels: Mapping[str, str] = field(default_factory=dict)
    id: str | None = None  # None: there is no such object yet
    version: int = 0

    def hold(self, service_id: str) -> str | None:
        """Why a service is held, by its own hold or the freeze of all; None if it is not."""
        return self.labels.get(FREEZE) or self.labels.get(HOLD + service_id)

    def failures(self, name: str) -> Mapping[str, Failure]:
        """Return the remembered failures of a service, by digest."""
        import json

        try:
            raw = json.loads(self.labels.get("deployer.failures." + name, "{}"))
            return {d: Failure(d, *rest) for d, rest in raw.items()}
        except (ValueError, TypeError):
            return {}

    def slots(self, now: datetime) -> set[str]:
        """The services (ids) that hold a slot."""
        leases = {key.removeprefix(SLOT): value for key, value in self.labels.items() if key.startswith(SLOT)}
        return {service for service, until in leases.items() if _is_later(until, now)}


def _is_later(text: str, now: datetime) -> bool:
    """Whether a lease lasts; what we cannot have written lasts no more."""
    try:
        return now < datetime.fromisoformat(text) <= now + LONGEST_LEASE
    except (ValueError, TypeError):
        return False


class Store(Protocol):
    """Where the ledger is kept."""

    def ledger(self) -> Ledger:
        """Read it; an empty one if there is none yet."""

    def write_ledger(self, ledger: Ledger, labels: Mapping[str, str]) -> None:
        """Replace the labels; StaleVersionError if somebody else has since the read."""


Change = Callable[[Ledger], "Mapping[str, str] | None"]


def amend(store: Store, change: Change) -> bool:
    """Read, change, write, again until nobody came between; whether `change` gave labels to write.

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


def _with(ledger: Ledger, key: str, value: str | None) -> dict[str, str]:
    others = {k: v for k, v in ledger.labels.items() if k != key}
    return others if value is None else {**others, key: value}


def set_freeze(store: Store, reason: str | None) -> None:
    """Hold all services for a reason, or none (None) any more."""
    amend(store, lambda ledger: _with(ledger, FREEZE, reason))


def set_hold(store: Store, service_id: str, reason: str | None) -> None:
    """Hold a service for a reason, or not (None) any more."""
    amend(store, lambda ledger: _with(ledger, HOLD + service_id, reason))


def _failures(store: Store, name: str, change: Callable[[dict[str, Failure]], object]) -> None:
    import json

    def rewrite(ledger: Ledger) -> dict[str, str]:
        known = dict(ledger.failures(name))
        change(known)
        text = json.dumps({d: [f.tag, f.reason, f.at] for d, f in known.items()}) if known else None
        return _with(ledger, "deployer.failures." + name, text)

    amend(store, rewrite)


def remember(store: Store, name: str, failures: Mapping[str, Failure]) -> None:
    """Remember failures of a service."""
    _failures(store, name, lambda known: known.update({d: f for d, f in failures.items() if d not in known}))


def forget(store: Store, name: str, digest: str) -> None:
    """Forget a failure of a service."""
    _failures(store, name, lambda known: known.pop(digest, None))


def take_slot(store: Store, service_id: str, rolling: set[str], width: int, now: datetime) -> bool:
    """Take one of the Swarm's slots for a roll-out, or renew it.

    Args:
        store: where the ledger is kept.
        service_id: the service that is to be rolled out.
        rolling: the services that the engine says are rolling, whoever began it.
        width: how many may roll at once.
        now: the time, for the leases.
    """

    def change(ledger: Ledger) -> Mapping[str, str] | None:
        busy = ledger.slots(now) | rolling
        if service_id not in busy and len(busy) >= width:
            return None
        expired = {k for k in ledger.labels if k.startswith(SLOT)} - {SLOT + s for s in ledger.slots(now)}
        kept = {k: v for k, v in ledger.labels.items() if k not in expired}
        return {**kept, SLOT + service_id: (now + LEASE).isoformat(timespec="seconds")}

    return amend(store, change)


def give_slot_back(store: Store, service_id: str) -> None:
    """Free a service's slot."""
    amend(store, lambda ledger: _with(ledger, SLOT + service_id, None))


class Pace:
    """A limit on updates begun, for one process: safe for several threads.

    Args:
        per_second: how many may begin; 0 for no limit.
    """

    def __init__(self, per_second: float = 0.0) -> None:
        self._gap = timedelta(seconds=1 / per_second) if per_second else timedelta()
        self._next = datetime(1970, 1, 1, tzinfo=UTC)
        # Threads come with readings of slightly different age, and what was not used is given back.
        self._longest = self._gap + timedelta(seconds=60)
        self._lock = threading.Lock()

    def take(self, now: datetime) -> float:
        """Count an update as begun; the seconds to wait, and nothing counted, if it may not begin yet."""
        if not self._gap:
            return 0.0  # threads come with times of their own, one of them always a little late
        with self._lock:
            if now < self._next - self._longest:
                self._next = now  # the clock was set back
            if now < self._next:
                return (self._next - now).total_seconds()
            self._next = now + self._gap
            return 0.0

    def give_back(self) -> None:
        """What was taken was not used."""
        with self._lock:
            self._next -= self._gap
