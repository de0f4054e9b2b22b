"""Takes revisions out of use that nobody needs: ours, which nothing runs and nothing may go back to.

A revision that is out of use still runs where it does, but no service can be pointed to it again. So one is
taken only if nothing speaks for it, and never one of somebody else's unless a person asks for all.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress

from deployer.errors import BusyError, NoSuchServiceError, NotFoundError
from deployer.model.service import Service
from deployer.targets.ecs import definitions, schedules, tags
from deployer.targets.ecs.names import UnitId, family_of, last
from deployer.targets.ecs.place import Place
from deployer.targets.ecs.service import Options, Revision, Unit, read_units, record_in

log = logging.getLogger(__name__)


def prunable(places: Sequence[Place], service: Service, keep: int, *, every: bool = False) -> list[str]:
    """Return the revisions of a service's family that nobody needs, oldest first.

    Args:
        places: all clusters that are served; what any of them uses stays.
        service: as it was read.
        keep: how many of the newest stay whatever they are.
        every: also those that others have registered, and that other services have run.

    Raises:
        NoSuchServiceError: its cluster is not served here.
    """
    unit: Unit = service.native
    place = next((one for one in places if one.cluster == unit.cluster), None)
    if place is None:
        raise NoSuchServiceError(f"service {service.name} is in none of the clusters that are served here")
    if unit.revision is None or service.rolling:
        return []  # after success only
    family = family_of(unit.revision.arn)
    used = _used(places, unit, family)
    found = []
    for number, arn in enumerate(place.family(family)):
        if number >= keep and arn not in used and (every or _is_ours(place, unit, arn)):
            found.append(arn)
    return found[::-1]


def _used(places: Sequence[Place], unit: Unit, family: str) -> set[str]:
    """Return the revisions of a family that something runs, or may go back to."""
    used = set()
    for place in places:
        used |= place.running(family)
        for raw in place.services(place.service_arns()):
            used |= {str(one.get("taskDefinition")) for one in (raw, *(raw.get("deployments") or ()))}
            now = str(raw.get("taskDefinition") or "")
            if family_of(now) == family:  # it shares the family, and has a way back of its own
                used |= _ways_back(place.revision(now), str(raw["serviceArn"]))
    used |= _scheduled(places, family)
    if unit.revision and unit.record.former:
        used.add(f"{unit.revision.arn.rpartition('/')[0]}/{unit.record.former}")
    return used


def _scheduled(places: Sequence[Place], family: str) -> set[str]:
    """Return the revisions that the schedules of the family's services run."""
    found: set[str] = set()
    for place in places:
        for raw in place.services(place.service_arns()) if place.schedules else ():
            now = str(raw.get("taskDefinition") or "")
            if place.schedules and family_of(now) == family:
                units = read_units(place.cluster, raw, place.revision(now), "", Options(opt_in=False))
                for name in {name for one in units for name in schedules.named(one)}:
                    with suppress(NotFoundError):  # one that is gone runs nothing
                        found |= set(schedules.revisions(place.schedules, name))
    return found


def _ways_back(revision: Revision, service: str) -> set[str]:
    """Return the revisions to which the units of a service would go back from the one that it has."""
    containers = [None, *(str(one["name"]) for one in definitions.containers(revision.raw))]
    marks = {UnitId(service, container).mark for container in containers}
    return {f"{revision.arn.rpartition('/')[0]}/{name}" for name in tags.formers(revision.tags, marks)}


def _is_ours(place: Place, unit: Unit, arn: str) -> bool:
    record = record_in(place.revision(arn, fresh=False), unit)
    return bool(record.state.task) and not record.foreign


def prune(places: Sequence[Place], service: Service, keep: int, *, every: bool = False) -> list[str]:
    """Take those revisions out of use, one by one, as far as ECS's quota for registrations has room.

    Returns:
        Those that were taken out of use, as `family:revision`.
    """
    gone: list[str] = []
    for arn in prunable(places, service, keep, every=every):
        unit: Unit = service.native
        place = next(one for one in places if one.cluster == unit.cluster)
        try:
            place.deregister(arn)
        except BusyError as fault:
            log.info("The other revisions of %s stay for now: %s", family_of(arn), fault)
            break
        gone.append(last(arn))
    return gone
