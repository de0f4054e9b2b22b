"""Memory of failure: the digests that a service must not try again by itself. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from deployer.model.image import Image
from deployer.model.service import CLOCKS_APART, Service
from deployer.model.snapshot import MOVED, Snapshot
from deployer.rollouts.ledger import Failure, Ledger, trials


def is_put_back(service: Service, failed: Mapping[str, Failure]) -> bool:
    """Return whether the service was written long after its image was given up, by whoever put it back.

    A rollback with the target's own command takes back labels and all, so that it looks like our roll-out.
    """
    failure = failed.get(service.image.digest or "") if service.image else None
    if failure is None or not failure.at or not service.written_at or service.state.by == "rollback":
        return False
    return datetime.fromisoformat(service.written_at) > datetime.fromisoformat(failure.at) + CLOCKS_APART


def known_failures(snapshot: Snapshot, ledger: Ledger) -> dict[str, str]:
    """Return the digests that must not be tried again by themselves, and why.

    They are remembered on the service (in the write that went back), in the ledger (which outlives what
    others write), and known from what the target itself tells of a rollback.
    """
    service, state = snapshot.service, snapshot.service.state
    known = dict.fromkeys(state.failures, state.reason or "")
    if snapshot.left:
        reason = snapshot.left.reason
        known[snapshot.left.digest] = reason if reason == MOVED else f"rolled back: {reason}"
    ours = Image.find(state.image)
    if ours and ours.digest and (service.image is None or service.image.digest != ours.digest):
        known[ours.digest] = MOVED
    trial = trials.find(ledger, service.name)
    if trial and trial.left(snapshot):
        known.setdefault(trial.digest, "rolled back: only the ledger tells of it")
    remembered = ledger.failures(service.name)
    known |= {digest: failure.reason for digest, failure in remembered.items()}
    return known


def unwritten(
    snapshot: Snapshot, failures: Mapping[str, str], remembered: Collection[str]
) -> dict[str, Mapping[str, Failure]]:
    """Return what the ledger does not know yet of a service's failures, by the service's name."""
    at = snapshot.now.isoformat(timespec="seconds")
    new = {d: Failure(d, None, why, at) for d, why in failures.items() if d not in remembered}
    return {snapshot.service.name: new}
