"""The way back of a service: by ECS's own rollback of our deployment, or to the revision that it came from.

Each of them leads to what is wanted, or is not taken: a copy of what is wanted is registered then.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from deployer.model.service import State
from deployer.targets.ecs import definitions
from deployer.targets.ecs.names import family_of, last
from deployer.targets.ecs.service import Raw, Revision, Unit
from deployer.targets.ecs.wire.api import Refused
from deployer.targets.ecs.writes.writing import Writer

log = logging.getLogger(__name__)


def go_back(writer: Writer, unit: Unit, wanted: Mapping[str, object], state: State) -> bool:
    """Go back without a new revision, if that leads to what is wanted; return whether it does."""
    if _stop(writer, unit, wanted, state):
        return True
    former = _former(writer, unit)
    if former is None or not former.active or not definitions.same_content(former.raw, wanted):
        return False
    number = writer.counters.claim(unit.id.service, unit.counter)
    if not writer.note(unit, former, state):
        return False
    writer.point(unit, writer.place.revision(former.arn, fresh=False), number)
    return True


def _former(writer: Writer, unit: Unit) -> Revision | None:
    name = unit.record.former
    if not name or unit.revision is None or family_of(unit.revision.arn) != name.rpartition(":")[0]:
        return None
    try:
        return writer.place.revision(f"{unit.revision.arn.rpartition('/')[0]}/{name}")
    except Refused:
        return None


def _stop(writer: Writer, unit: Unit, wanted: Mapping[str, object], state: State) -> bool:
    """Have ECS roll back our own deployment, if it is under way and came from what is wanted.

    ECS refuses it if the deployment has ended meanwhile, or another one has taken its place.
    """
    fates = writer.place.fates(unit.id.service) if unit.ours else []
    if not fates or fates[0].get("status") not in {"PENDING", "IN_PROGRESS"}:
        return False
    arn = str(fates[0]["serviceDeploymentArn"])
    source = _source(writer, unit, arn, wanted)
    if source is None:
        return False
    # First the memory, then the act: whoever looks in between sees the deployment that failed, as before.
    if not writer.note(unit, source, state):
        return False
    try:
        writer.place.stop(arn)
    except Refused as fault:
        log.info("ECS does not roll back %s: %s", last(arn), fault)
        return False
    return True


def _source(writer: Writer, unit: Unit, arn: str, wanted: Mapping[str, object]) -> Revision | None:
    """Return the revision that a deployment of ours came from, if going back to it is what is wanted."""
    fate = writer.place.fate(arn)
    target = str((fate.get("targetServiceRevision") or {}).get("arn"))
    sources = [str(one.get("arn")) for one in fate.get("sourceServiceRevisions") or ()]
    found = {
        str(one.get("serviceRevisionArn")): one for one in writer.place.service_revisions([target, *sources])
    }
    mine = unit.revision.arn if unit.revision else None
    if len(sources) != 1 or sources[0] not in found or found.get(target, {}).get("taskDefinition") != mine:
        return None
    source = writer.place.revision(str(found[sources[0]]["taskDefinition"]))
    return source if _leads_to(found[sources[0]], source, unit, wanted) else None


def _leads_to(service_revision: Raw, source: Revision, unit: Unit, wanted: Mapping[str, object]) -> bool:
    """Return whether a service revision runs what is wanted: a tag that it has resolved stays resolved."""
    if definitions.same_content(source.raw, wanted):
        return True
    images = {one["name"]: str(one.get("image")) for one in definitions.containers(wanted)}
    image = images.get(unit.containers[0], "")
    resolved = {
        one.get("imageDigest")
        for one in service_revision.get("containerImages") or ()
        if one.get("containerName") in unit.containers
    }
    same = definitions.same_content(definitions.revise(source.raw, unit.containers, image), wanted)
    return same and resolved == {image.partition("@")[2]}
