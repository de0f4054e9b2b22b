"""A change of the core, as the writes to ECS that bring it about."""

from __future__ import annotations

import logging
from dataclasses import replace

from deployer.errors import PermanentError, StaleVersionError
from deployer.model.image import Image
from deployer.model.service import Service
from deployer.rollouts.ports import Change
from deployer.targets.ecs import definitions
from deployer.targets.ecs.going_back import go_back
from deployer.targets.ecs.names import last
from deployer.targets.ecs.service import Revision, Unit
from deployer.targets.ecs.writing import Writer

log = logging.getLogger(__name__)


def apply(writer: Writer, service: Service, change: Change) -> None:
    """Write a change to a service that was read.

    Raises:
        StaleVersionError: the service is not what was read, or somebody else writes just now.
        PermanentError: ECS refuses it, or it would lose something; the service is as it was.
    """
    unit: Unit = service.native
    if service.untouchable or unit.revision is None:
        raise PermanentError(f"nothing is written: {service.untouchable or 'it has no task definition'}")
    if unit.late:
        raise StaleVersionError("ECS does not show its newest deployment of the service yet")
    if change.image is None and not change.force:
        if writer.note(unit, unit.revision, change.state, unit.primary.get("id")):
            return
        log.info("Service %s gets a revision of its own, for its tags", service.name)
    image = change.image or Image.find(service.image_text)
    if image is None or not image.digest:
        raise PermanentError("nothing is written: the image has no digest")
    _check_platform(unit, unit.revision, change)
    # ECS takes a tag or a digest: the tag that is followed is kept in our state.
    wanted = definitions.revise(unit.revision.raw, unit.containers, str(replace(image, tag=None)))
    state = replace(change.state, template=definitions.fingerprint(wanted))
    if change.image and change.state.by == "rollback" and go_back(writer, unit, wanted, state):
        return
    writer.go_on(unit, unit.revision, wanted, state)


def _check_platform(unit: Unit, revision: Revision, change: Change) -> None:
    platforms = change.manifest.platforms if change.manifest else ()
    fargate = "FARGATE" in (unit.raw.get("launchType"), *(revision.raw.get("requiresCompatibilities") or ()))
    lacking = definitions.lacks_platform(revision.raw, platforms, fargate=fargate)
    if lacking:
        family = last(revision.arn)
        raise PermanentError(f"{change.image} does not run on what {family} asks for: {lacking}")
