"""A command in a task of the new revision, before or after (`deployer.pre-command`, `deployer.post-command`).

ECS itself remembers: tasks are listed for an hour after their end, by who has started them. A client token
keeps a request that is sent twice from starting two.
"""

from __future__ import annotations

import shlex
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from deployer.model.label_names import POST_COMMAND, PRE_COMMAND
from deployer.model.service import LabelError, Service
from deployer.rollouts.ports import Change
from deployer.rollouts.prejob import Done, Failed, Running
from deployer.targets.ecs.names import NAMESPACE, last, seconds
from deployer.targets.ecs.place import Place
from deployer.targets.ecs.progress import words_of
from deployer.targets.ecs.service import Raw, Revision, Unit
from deployer.targets.ecs.writes.apply import check, revised
from deployer.targets.ecs.writes.writing import Writer

_OF_SERVICE = ("networkConfiguration", "platformVersion", "capacityProviderStrategy", "launchType")


def run_first(writer: Writer, service: Service, change: Change, command: str) -> Running | Failed | Done:
    """Run a command on a change's image, once for each deployment; return how that goes.

    Only one such task of a service runs at a time: a migration under way is not to meet another one.

    Raises:
        LabelError: the command cannot be understood.
        StaleVersionError: the service is not what was read, or another worker writes it just now.
        TemporaryError: ECS finds no place for the task.
    """
    unit, base = check(service)
    words = _words(command, PRE_COMMAND)
    who, group = f"deployer/{unit.id.mark}", _group("pre-command", change.state.task, _digest(change))
    if said := _known(writer.place, unit, who, group):
        return said
    wanted, state = revised(unit, base, change, change.image)
    _, revision, _ = writer.registered(unit, base, wanted, state)
    return _start(writer.place, unit, revision, words, who, group)


def run_after(place: Place, service: Service, command: str) -> Running | Failed | Done:
    """Run a command in a task of the revision that a service has, once for each deployment.

    Raises:
        LabelError: the command cannot be understood.
        TemporaryError: ECS finds no place for the task.
    """
    unit: Unit = service.native
    words, revision = _words(command, POST_COMMAND), unit.revision
    if revision is None:
        raise LabelError(f"label {POST_COMMAND}: the service has no revision")
    digest = service.image.digest if service.image else ""
    who, group = f"deployer/{unit.id.mark}", _group("post-command", service.state.task, digest)
    return _known(place, unit, who, group) or _start(place, unit, revision, words, who, group)


def _known(place: Place, unit: Unit, who: str, group: str) -> Running | Failed | Done | None:
    """Return what the tasks that were started before tell; None if one is to be started."""
    tasks = sorted(place.started_by(who), key=lambda one: seconds(one.get("createdAt")))
    alive = [one for one in tasks if one.get("lastStatus") != "STOPPED"]
    if alive:
        return Running("0/1", f"task {last(str(alive[-1]['taskArn']))}")
    mine = [one for one in tasks if one.get("group") == group]
    return _ended(mine[-1], unit) if mine else None


def _start(
    place: Place, unit: Unit, revision: Revision, words: Sequence[str], who: str, group: str
) -> Running:
    names = {"startedBy": who, "group": group, "clientToken": group.partition(":")[2]}
    task = place.run(**as_of_service(unit, revision, words), **names)
    return Running("0/1", f"task {last(str(task['taskArn']))}")


def _words(command: str, label: str) -> Sequence[str]:
    try:
        return shlex.split(command)
    except ValueError as fault:
        raise LabelError(f"label {label}={command[:40]!r}: {fault}") from fault


def _group(kind: str, task: str | None, digest: str | None) -> str:
    return f"{kind}:{uuid.uuid5(NAMESPACE, f'{task} {digest}')}"


def _digest(change: Change) -> str | None:
    return change.image.digest if change.image else ""


def as_of_service(unit: Unit, revision: Revision, words: Sequence[str]) -> Mapping[str, Any]:
    """Return the members of RunTask for a task like the service's own, with a command if there is one."""
    place = {name: unit.raw[name] for name in _OF_SERVICE if unit.raw.get(name)}
    if "capacityProviderStrategy" in place:
        place.pop("launchType", None)
    override = {"name": unit.containers[0]} | ({"command": list(words)} if words else {})
    return {**place, "taskDefinition": revision.arn, "overrides": {"containerOverrides": [override]}}


def _ended(task: Raw, unit: Unit) -> Failed | Done:
    mine = [one for one in task.get("containers") or () if one.get("name") == unit.containers[0]]
    return Done() if mine and mine[0].get("exitCode") == 0 else Failed(words_of(task))
