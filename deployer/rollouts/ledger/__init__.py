"""What belongs to the whole Swarm: holds, memory of failure, slots, turns, in one config object's labels."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from deployer.rollouts.ledger.book import (
    NAME,
    Ledger,
    Store,
    amend,
    forget,
    remember,
    replaced,
    set_freeze,
    set_hold,
)
from deployer.rollouts.ledger.failures import Failure
from deployer.rollouts.ledger.holds import FREEZE, HOLD, Hold
from deployer.rollouts.ledger.slots import SLOT
from deployer.rollouts.pace import Pace

__all__ = [
    "FREEZE",
    "HOLD",
    "NAME",
    "Failure",
    "Hold",
    "Ledger",
    "Pace",
    "Store",
    "amend",
    "forget",
    "give_slot_back",
    "remember",
    "set_freeze",
    "set_hold",
    "take_slot",
]

# Until the callers use `slots`: leases by the clock.
LEASE = timedelta(seconds=90)
LONGEST_LEASE = timedelta(hours=1)


def live_slots(ledger: Ledger, now: datetime) -> set[str]:
    """Return the services (ids) that hold a slot."""
    leases = {key.removeprefix(SLOT): value for key, value in ledger.labels.items() if key.startswith(SLOT)}
    return {service for service, until in leases.items() if _is_later(until, now)}


def _is_later(text: str, now: datetime) -> bool:
    try:
        return now < datetime.fromisoformat(text) <= now + LONGEST_LEASE
    except (ValueError, TypeError):
        return False


def take_slot(store: Store, service_id: str, rolling: set[str], width: int, now: datetime) -> bool:
    """Take one of the Swarm's slots for a roll-out, or renew it; `slots.take_slot` comes in its place."""

    def change(ledger: Ledger) -> Mapping[str, str] | None:
        live = live_slots(ledger, now)
        if service_id not in live | rolling and len(live | rolling) >= width:
            return None
        dead = {key: None for key in ledger.labels if key.startswith(SLOT) and key[len(SLOT) :] not in live}
        return replaced(ledger, {**dead, SLOT + service_id: (now + LEASE).isoformat(timespec="seconds")})

    return amend(store, change)


def give_slot_back(store: Store, service_id: str) -> None:
    """Free a service's slot; `slots.give_slot_back` comes in its place."""
    amend(store, lambda ledger: replaced(ledger, {SLOT + service_id: None}))
