"""A command in a task of the new revision, before the service gets it (label `deployer.pre-command`).

ECS itself remembers: tasks are listed for an hour after their end, by who has started them. A client token
keeps a request that is sent twice from starting two.
"""

from __future__ import annotations

import shlex
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from deployer.model.label_names import PRE_COMMAND
from deployer.model.service import LabelError, Service
from deployer.rollouts.ports import Change
from deployer.rollouts.prejob import Done, Failed, Running
from deployer.targets.ecs.names import NAMESPACE, last, seconds
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
    words = _words(command)
    who, group = f"deployer/{unit.id.mark}", _group(change)
    tasks = sorted(writer.place.started_by(who), key=lambda one: seconds(one.get("createdAt")))
    alive = [one for one in tasks if one.get("lastStatus") != "STOPPED"]
    if alive:
        return Running("0/1", f"task {last(str(alive[-1]['taskArn']))}")
    mine = [one for one in tasks if one.get("group") == group]
    if mine:
        return _ended(mine[-1], unit)
    wanted, state = revised(unit, base, change, change.image)
    _, revision, _ = writer.registered(unit, base, wanted, state)
    names = {"startedBy": who, "group": group, "clientToken": group.partition(":")[2]}
    task = writer.place.run(**as_of_service(unit, revision, words), **names)
    return Running("0/1", f"task {last(str(task['taskArn']))}")


def _words(command: str) -> Sequence[str]:
    try:
        return shlex.split(command)
    except ValueError as fault:
        raise LabelError(f"label {PRE_COMMAND}={command[:40]!r}: {fault}") from fault


def _group(change: Change) -> str:
    digest = change.image.digest if change.image else ""
    return f"pre-command:{uuid.uuid5(NAMESPACE, f'{change.state.task} {digest}')}"


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
