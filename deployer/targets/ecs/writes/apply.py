"""A change of the core, as the writes to ECS that bring it about."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from deployer.errors import PermanentError, StaleVersionError
from deployer.model.image import Image
from deployer.model.service import Service, State
from deployer.rollouts.ports import Change
from deployer.targets.ecs import definitions
from deployer.targets.ecs.names import last
from deployer.targets.ecs.service import Revision, Unit
from deployer.targets.ecs.writes.going_back import go_back
from deployer.targets.ecs.writes.writing import Writer

log = logging.getLogger(__name__)


def apply(writer: Writer, service: Service, change: Change) -> None:
    """Write a change to a service that was read.

    Raises:
        StaleVersionError: the service is not what was read, or somebody else writes just now.
        PermanentError: ECS refuses it, or it would lose something; the service is as it was.
    """
    unit, base = check(service)
    if change.image is None and not change.force:
        if writer.note(unit, base, change.state, unit.primary.get("id")):
            return
        log.info("Service %s gets a revision of its own, for its tags", service.name)
    image = change.image or Image.find(service.image_text)
    wanted, state = revised(unit, base, change, image)
    if change.image and state.by == "rollback" and go_back(writer, unit, wanted, state):
        return
    writer.go_on(unit, base, wanted, state)


def check(service: Service) -> tuple[Unit, Revision]:
    """Return a service's own record and revision, if it may be written to by this reading.

    Raises:
        StaleVersionError: the reading is old.
        PermanentError: nobody may write to it.
    """
    unit: Unit = service.native
    if service.untouchable or unit.revision is None:
        raise PermanentError(f"nothing is written: {service.untouchable or 'it has no task definition'}")
    if unit.late:
        raise StaleVersionError("ECS does not show its newest deployment of the service yet")
    return unit, unit.revision


def revised(unit: Unit, base: Revision, change: Change, image: Image | None) -> tuple[dict[str, Any], State]:
    """Return the revision that a change asks for, and the state that goes with it.

    Raises:
        PermanentError: the image cannot run there.
    """
    if image is None or not image.digest:
        raise PermanentError("nothing is written: the image has no digest")
    _check_platform(unit, base, change)
    # ECS takes a tag or a digest: the tag that is followed is kept in our state.
    wanted = definitions.revise(base.raw, unit.containers, str(replace(image, tag=None)))
    return wanted, replace(change.state, template=definitions.fingerprint(wanted))


def _check_platform(unit: Unit, revision: Revision, change: Change) -> None:
    platforms = change.manifest.platforms if change.manifest else ()
    fargate = "FARGATE" in (unit.raw.get("launchType"), *(revision.raw.get("requiresCompatibilities") or ()))
    lacking = definitions.lacks_platform(revision.raw, platforms, fargate=fargate)
    if lacking:
        family = last(revision.arn)
        raise PermanentError(f"{change.image} does not run on what {family} asks for: {lacking}")
