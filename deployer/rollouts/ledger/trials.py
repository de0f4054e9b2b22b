"""The last write to services of which nothing in the target tells once it has been taken back.

A service without replicas has no tasks, and a task history of one keeps none of an update that failed. Where
the engine, or a person, goes back from such a write, and somebody writes again, no label, no spec and no task
tells that it ever was. So it is noted before it is made: `digest version deployment`, where the version is
the one that the write replaces.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from deployer.model.image import is_digest
from deployer.model.snapshot import Snapshot
from deployer.rollouts.ledger.book import Ledger, Store, amend, replaced

TRIAL = "deployer.trial."


@dataclass(frozen=True)
class Trial:
    """A write that the deployer was about to make."""

    digest: str
    version: int  # of the service before it
    deployment: str

    def left(self, snapshot: Snapshot) -> bool:
        """Return whether it was made, and somebody, or the target, has gone back from it."""
        service, state = snapshot.service, snapshot.service.state
        known = self.deployment in {state.task, *state.former_tasks}
        runs = service.image is not None and service.image.digest == self.digest
        return not (known or runs or snapshot.anew or service.version == self.version)


def find(ledger: Ledger, service_name: str) -> Trial | None:
    """Return what was noted of a service; None for nothing, or nothing that we can have written."""
    digest, version, deployment = [*ledger.labels.get(TRIAL + service_name, "").split(" "), "", "", ""][:3]
    return Trial(digest, int(version), deployment) if is_digest(digest) and version.isdecimal() else None


def of_write(snapshot: Snapshot, digest: str | None, deployment: str) -> Trial | None:
    """Return what to note of a write before it is made; None where the target itself would tell of it."""
    return Trial(digest, snapshot.service.version, deployment) if digest and snapshot.forgetful else None


def note(store: Store, new: Mapping[str, Trial | None]) -> None:
    """Note writes that are about to be made, by the service's name, in one write; None: forget it."""
    texts = {TRIAL + name: f"{t.digest} {t.version} {t.deployment}" if t else None for name, t in new.items()}
    if texts:
        amend(store, lambda ledger: replaced(ledger, texts))
