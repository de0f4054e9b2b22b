"""A rollback by hand before it is sent: from where, to where, and what comes after it."""

from __future__ import annotations

from dataclasses import dataclass

from deployer.errors import DeployerError
from deployer.model.service import LabelError
from deployer.model.snapshot import Snapshot
from deployer.policies.labels import ServiceLabels
from deployer.rollouts.core import Core
from deployer.rollouts.ledger import Ledger
from deployer.rollouts.memory import known_failures
from deployer.rollouts.rollback import way_back

BY_HAND = "rolled back by hand"  # the reason that the rules write


@dataclass(frozen=True)
class GoingBack:
    """A rollback as it would go now."""

    service: str
    leaves: str | None  # the image that it leaves
    to: str | None  # the image that it goes to; None if there is no way back
    waits: str | None  # the image that goes out as soon as the rollback has ended
    again: str | None  # why the service was rolled back already, if that was the last thing
    by_hand: bool = False  # a person did that


def going_back(core: Core, name: str) -> GoingBack:
    """Return where a rollback of a service would lead; nothing is written.

    Args:
        core: the core.
        name: the service's name or id.

    Raises:
        NoSuchServiceError: there is no such service.
        TemporaryError, PermanentError: the engine does not answer, or is no manager.
    """
    snapshot = core.read(name)
    ledger = core.target.ledger()
    back = way_back(snapshot, known_failures(snapshot, ledger))
    return GoingBack(
        snapshot.service.name,
        snapshot.service.image_text,
        str(back) if back else None,
        _waiting(core, snapshot, ledger),
        _rolled_back_before(snapshot),
        snapshot.left.by_operator if snapshot.left else snapshot.service.state.reason == BY_HAND,
    )


def _rolled_back_before(snapshot: Snapshot) -> str | None:
    state = snapshot.service.state
    if snapshot.left:
        return snapshot.left.reason or "by the engine"
    if state.by == "rollback" and state.image == snapshot.service.image_text:
        return state.reason or "by hand"
    return None


def _waiting(core: Core, snapshot: Snapshot, ledger: Ledger) -> str | None:
    """Return the image that a push has left waiting, or None where that is held or cannot be told."""
    service = snapshot.service
    if (
        service.image is None
        or ServiceLabels.parse(service.labels).hold
        or ledger.hold(service.name, service.id, snapshot.now)
    ):
        return None
    failures = known_failures(snapshot, ledger)
    try:
        wanted = core.followed(service, service.image.without_digest(), failures)
        digest = core.manifest(wanted, service.login)[0].digest
    except (LabelError, DeployerError):
        return None
    # What the rollback leaves counts as failed, so only another digest goes out after it.
    if digest == service.image.digest or digest in failures:
        return None
    return str(wanted.with_digest(digest))
