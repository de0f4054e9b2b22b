"""The slots of DEPLOYER_MAX_ROLLOUTS: at most so many services of the whole Swarm roll at once.

A slot is a lease on a service's name, with the deployment that owns it. No clocks of two machines are
compared: each renewal writes another value, and a process takes a slot for dead when it has seen the same
value for LEASE seconds of its own monotonic clock.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Collection, Mapping

from deployer.rollouts.ledger.book import Ledger, Store, amend, replaced

SLOT = "deployer.slot."
BAKE = "deployer.baking."  # of a service whose roll-out is to bake; the same lease, and no limit
LEASE = 90.0  # seconds; a live deployment is looked at, and renews its slot, at least every 15 s
RENEW = 20.0  # seconds in which a process does not renew what it has written itself


class Observer:
    """The time for which this process has seen each slot unchanged. Keep one for all; safe for threads.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: dict[str, tuple[str, float]] = {}
        self._written: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()

    def live(self, ledger: Ledger, kind: str = SLOT) -> Mapping[str, str]:
        """Return the slots that count, as service and owner, and note what was seen."""
        slots = {key: text for key, text in ledger.labels.items() if key.startswith((SLOT, BAKE))}
        with self._lock:
            now = self._clock()
            for key, text in slots.items():
                if self._since.get(key, ("", 0.0))[0] != text:
                    self._since[key] = text, now
            self._since = {key: self._since[key] for key in slots}
            return {
                key.removeprefix(kind): text.partition(" ")[0]
                for key, text in slots.items()
                if key.startswith(kind) and now - self._since[key][1] < LEASE
            }

    def value(self, key: str, owner: str) -> str:
        """Return what to write for a slot: another value each time."""
        text = f"{owner} {secrets.token_hex(4)}"
        with self._lock:
            self._written[key] = text, self._clock()
        return text

    def is_fresh(self, ledger: Ledger, key: str) -> bool:
        """Tell whether a slot is as this process wrote it a moment ago."""
        text, at = self._written.get(key, ("", 0.0))
        return ledger.labels.get(key) == text and self._clock() - at < RENEW


def slots_full(ledger: Ledger, width: int, service: str, observer: Observer) -> bool:
    """Tell whether a service that waits for a slot has to wait on, from the ledger alone.

    Ask this first, before the service, its registry or the list of all services is read; when it says no,
    go on as for a first look.
    """
    live = observer.live(ledger)
    return service not in live and len(live) >= width


def take_slot(
    store: Store, service: str, owner: str, rolling: Collection[str], width: int, observer: Observer
) -> bool:
    """Take a slot for a roll-out that is about to begin, also over from an older deployment of the service.

    Whoever takes one and then does not write the service (somebody else came between, or a fault) gives it
    back.

    Args:
        store: where the ledger is kept.
        service: the service's name.
        owner: the deployment's id.
        rolling: the names of services that the engine says are rolling, whoever began it.
        width: how many may roll at once.
        observer: this process's.
    """

    def change(ledger: Ledger) -> Mapping[str, str] | None:
        live = observer.live(ledger)
        busy = {*live, *rolling}
        if service not in busy and len(busy) >= width:
            return None
        dead = {key: None for key in ledger.labels if key.startswith(SLOT) and key[len(SLOT) :] not in live}
        return replaced(ledger, {**dead, SLOT + service: observer.value(SLOT + service, owner)})

    return amend(store, change)


def keep_slot(store: Store, service: str, owner: str, observer: Observer, kind: str = SLOT) -> None:
    """Renew a slot at each look at its roll-out, unless another deployment has taken it over."""

    def change(ledger: Ledger) -> Mapping[str, str] | None:
        key, live = kind + service, observer.live(ledger, kind)
        if live.get(service, owner) != owner or observer.is_fresh(ledger, key):
            return None
        return replaced(ledger, {key: observer.value(key, owner)})

    amend(store, change)


def begin_bake(store: Store, service: str, owner: str, observer: Observer) -> None:
    """Note before its write that a roll-out is to bake, also in the place of an older one of the service."""
    key = BAKE + service
    amend(store, lambda ledger: replaced(ledger, {key: observer.value(key, owner)}))


def owner_of_bake(ledger: Ledger, service: str) -> str:
    """Return the deployment of a service that is to bake, or bakes; nothing if there is none."""
    return ledger.labels.get(BAKE + service, "").partition(" ")[0]


def give_slot_back(store: Store, service: str, owner: str, kind: str = SLOT) -> None:
    """Free a service's slot if this deployment owns it, when it ends or has not written after all."""

    def change(ledger: Ledger) -> Mapping[str, str] | None:
        if ledger.labels.get(kind + service, "").partition(" ")[0] != owner:
            return None
        return replaced(ledger, {kind + service: None})

    amend(store, change)
