"""A rollback by hand before it is sent: from where, to where, and what comes after it."""

from __future__ import annotations

from dataclasses import dataclass

from deployer.errors import DeployerError
from deployer.model.service import LabelError
from deployer.rollouts.core import Core, Look
from deployer.rollouts.rollback import way_back


@dataclass(frozen=True)
class GoingBack:
    """A rollback as it would go now."""

    service: str
    leaves: str | None  # the image that it leaves
    to: str | None  # the image that it goes to; None if there is no way back
    waits: str | None  # the image that goes out as soon as the rollback has ended
    again: str | None  # why the service was rolled back already, if that was the last thing


def going_back(core: Core, name: str) -> GoingBack:
    """Return where a rollback of a service would lead; nothing is written.

    Args:
        core: the core.
        name: the service's name or id.

    Raises:
        NoSuchServiceError: there is no such service.
        TemporaryError, PermanentError: the engine does not answer, or is no manager.
    """
    look = core.look(name)
    service = look.service
    back = way_back(service, look.tasks)
    return GoingBack(
        service.name,
        service.image_text,
        str(back) if back else None,
        _waiting(core, look),
        _rolled_back_before(look),
    )


def _rolled_back_before(look: Look) -> str | None:
    service, state = look.service, look.service.state
    if service.is_rolling_back:
        return service.update_message or "by the engine"
    if state.by == "rollback" and state.image == service.image_text:
        return state.reason or "by hand"
    return None


def _waiting(core: Core, look: Look) -> str | None:
    """Return the image that a push has left waiting, or None where that is held or cannot be told."""
    service = look.service
    if service.image is None or service.hold or core.swarm.ledger().hold(service.id):
        return None
    try:
        wanted = core.followed(service, service.image.without_digest())
        digest = core.manifest(wanted, service.login)[0].digest
    except (LabelError, DeployerError):
        return None
    # What the rollback leaves counts as failed, so only another digest goes out after it.
    if digest == service.image.digest or digest in service.state.failures:
        return None
    return str(wanted.with_digest(digest))
