"""Schedules that run the task definition of a service: they follow it to the revision that it runs.

A rule of EventBridge (`rule/NAME`) has targets, an entry of EventBridge Scheduler (`schedule/GROUP/NAME`) has
one. Both keep the revision that they were given for ever, and stop without a word once it is out of use.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from deployer.errors import DeployerError, PermanentError
from deployer.model import label_names as names
from deployer.model.service import Service
from deployer.policies.labels import ServiceLabels
from deployer.targets.ecs.names import last
from deployer.targets.ecs.service import Raw, Unit

log = logging.getLogger(__name__)

READ_ONLY = frozenset({"Arn", "CreationDate", "LastModificationDate"})  # of a schedule
RULE = "rule"
COMPLETED = "COMPLETED"  # a deployment whose tasks have replaced all others


class Schedules(Protocol):
    """EventBridge and its scheduler in one region, in their own JSON; errors of ours."""

    def targets(self, rule: str) -> Sequence[Raw]:
        """Return the targets of a rule of the default bus."""

    def put_targets(self, rule: str, targets: Sequence[Raw]) -> None:
        """Replace targets; PermanentError if any of them was not taken."""

    def schedule(self, group: str, name: str) -> Raw:
        """Return an entry of the scheduler."""

    def put_schedule(self, members: Raw) -> None:
        """Replace an entry as a whole."""


def follow(schedules: Schedules, service: Service) -> None:
    """Point the schedules of a service to the revision that it has converged on.

    Whatever goes wrong is logged, and made good by the next look at all services.
    """
    unit: Unit = service.native
    if unit.revision is None or unit.primary.get("rolloutState", COMPLETED) != COMPLETED:
        return
    for name in named(service):
        try:
            moved = _move(schedules, name, unit.revision.arn)
        except DeployerError as fault:
            log.warning("Schedule %s of service %s stays as it is: %s", name, service.name, fault)
        else:
            if moved:
                log.info("Schedule %s runs %s, as service %s does", name, moved, service.name)


def named(service: Service) -> Sequence[str]:
    """Return the schedules that the label of a service names."""
    return ServiceLabels.parse(service.labels).schedules


def problems(schedules: Schedules, service: Service) -> Iterator[tuple[str, str]]:
    """Yield each schedule of a service that cannot follow it, and why."""
    unit: Unit = service.native
    family = _family(unit.revision.arn) if unit.revision else ""
    for name in named(service):
        try:
            runs = [last(arn) for arn in revisions(schedules, name)]
        except DeployerError as fault:
            yield name, str(fault)
            continue
        if family not in set(map(_family, runs)):
            yield name, f"it runs {', '.join(runs) or 'no task'}, and no revision of {family}"


def revisions(schedules: Schedules, name: str) -> list[str]:
    """Return the task definitions that a schedule runs, as it names them."""
    _, targets = _read(schedules, name)
    return [str(_definition(one)) for one in targets if _definition(one)]


def _read(schedules: Schedules, name: str) -> tuple[Raw | None, Sequence[Raw]]:
    """Return a schedule's entry, None for a rule, and its targets."""
    kind, *path = name.split("/")
    if kind == RULE:
        return None, schedules.targets(path[0])
    entry = schedules.schedule(*path)
    return entry, [entry.get("Target") or {}]


def _move(schedules: Schedules, name: str, arn: str) -> str | None:
    """Point a schedule to a revision; return which, or None where there is nothing to change."""
    entry, targets = _read(schedules, name)
    mine = [one for one in targets if _family(_definition(one) or "") == _family(arn)]
    if not mine:
        raise PermanentError(f"it runs nothing of {_family(arn)} ({names.SCHEDULES})")
    # Without a revision it names the newest one, and needs no help.
    old = [one for one in mine if ":" in last(str(_definition(one))) and _definition(one) != arn]
    if not old:
        return None
    new = [{**one, "EcsParameters": {**one["EcsParameters"], "TaskDefinitionArn": arn}} for one in old]
    if entry is None:
        schedules.put_targets(name.partition("/")[2], new)
    else:
        kept = {member: value for member, value in entry.items() if member not in READ_ONLY}
        schedules.put_schedule({**kept, "Target": new[0]})
    return last(arn)


def _family(definition: str) -> str:
    return last(definition).partition(":")[0]  # a target may name no revision


def _definition(target: Mapping[str, Any]) -> str | None:
    return (target.get("EcsParameters") or {}).get("TaskDefinitionArn")
