"""The images that ran before, and who left them: by PreviousSpec, UpdateStatus and the tasks of the past."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from deployer.model.image import Image
from deployer.model.service import CLOCKS_APART, Service, State
from deployer.model.snapshot import MOVED, Left
from deployer.targets.swarm.service import image_of, is_ours

Raw = Mapping[str, Any]

FAILED_STATES = {"failed", "rejected"}
WENT_BACK = "somebody went back from it"


def state_of(task: Raw) -> str:
    """Return the state that a task has come to."""
    return str(task.get("Status", {}).get("State", "new"))


def former_images(tasks: Sequence[Raw]) -> tuple[str, ...]:
    """Return the images that tasks ran, newest first, without those that failed or never had a container."""
    ran = [task for task in tasks if _has_run(task) and image_of(task.get("Spec", {}))]
    return tuple(dict.fromkeys(str(image_of(task["Spec"])) for task in _newest_first(ran)))


def _has_run(task: Raw) -> bool:
    """Return whether a task's container ran without failing.

    One that is stopped before it has a container is called `shutdown` like any other.
    """
    if state_of(task) in {"running", "complete"}:
        return True
    container = (task.get("Status") or {}).get("ContainerStatus") or {}
    return state_of(task) in {"shutdown", "remove", "orphaned"} and bool(container.get("ContainerID"))


def _newest_first(tasks: Iterable[Raw]) -> list[Raw]:
    return sorted(tasks, key=lambda task: str(task.get("CreatedAt", "")), reverse=True)


def _written(task: Raw) -> tuple[int, str]:
    """Order tasks by the store's index: the clocks of two leaders may be minutes apart."""
    return int((task.get("Version") or {}).get("Index", 0)), str(task.get("CreatedAt", ""))


def left_by(service: Service, tasks: Sequence[Raw]) -> Left | None:
    """Return what the service was rolled back from.

    A rollback by hand swaps Spec and PreviousSpec, the engine's own drops PreviousSpec
    (swarmkit, controlapi/service.go and orchestrator/update/updater.go). Every later write clears
    UpdateStatus; then only tasks that are newer than our last write tell that somebody came and went.
    """
    raw, status = service.native, service.native.get("UpdateStatus") or {}
    message = str(status.get("Message") or "")
    before = raw.get("PreviousSpec")
    if (status.get("State") or "").startswith("rollback"):
        if before:
            return _gone_from(service, image_of(before.get("TaskTemplate") or {}), True, message)
        others = [task for task in tasks if _differs(task, service.native["Spec"].get("TaskTemplate") or {})]
        last = max(others, key=_written, default=None)
        return _gone_from(service, image_of(last["Spec"]) if last else None, False, message)
    return _come_and_gone(service, tasks)


def _differs(task: Raw, template: Raw) -> bool:
    spec = task.get("Spec", {})
    return any(spec.get(member) != template.get(member) for member in ("ContainerSpec", "ForceUpdate"))


def starts_anew(service: Service) -> bool:
    """Return whether a `docker stack deploy` took our labels off, and says where to start anew."""
    former, status = service.native.get("PreviousSpec") or {}, service.native.get("UpdateStatus") or {}
    went_back = str(status.get("State") or "").startswith("rollback")
    return not service.state.at and not went_back and bool(State.of(former.get("Labels") or {}).task)


def _come_and_gone(service: Service, tasks: Sequence[Raw]) -> Left | None:
    state, former = service.state, service.native.get("PreviousSpec") or {}
    if starts_anew(service):
        return None
    if not is_ours(service.native):
        # Nobody but a person can have written another image over what is in PreviousSpec.
        moved = image_of(former.get("TaskTemplate") or {})
        if gone := _gone_from(service, moved, True, MOVED):
            return gone
    if state.at and state.image != service.image_text:
        return None
    # Two machines' clocks: only tasks that are newer beyond doubt, or that others of the same image surround.
    since = datetime.fromisoformat(state.at) + CLOCKS_APART if state.at else datetime.max.replace(tzinfo=UTC)
    made = [made_at(task) for task in tasks if image_of(task.get("Spec", {})) == service.image_text]
    first = min((at for at in made if at), default=None)
    others = [task for task in tasks if image_of(task.get("Spec", {})) not in {None, service.image_text}]
    newest = next(iter(_newest_first(others)), None)
    at = made_at(newest) if newest else None
    if newest is None or at is None or image_of(newest["Spec"]) == state.previous:
        return None
    if at < since and not (first is not None and at > first):
        return None
    gone = _gone_from(service, image_of(newest["Spec"]), True, WENT_BACK)
    return None if gone and gone.digest in state.failures else gone  # we went back from those ourselves


def moved_from(service: Service, tasks: Sequence[Raw]) -> dict[str, str]:
    """Return the digests that somebody moved the service away from since our last write to it, and why.

    `Left` is the last of them, and the engine keeps one former spec only. Of several writes by hand between
    two looks tasks alone tell.
    """
    state, current = service.state, service.image
    if current is None or not current.digest or starts_anew(service):
        return {}
    since = _begin_of(state, tasks)
    known = {
        image.digest for image in (current, Image.find(state.image), Image.find(state.previous)) if image
    }
    moved: dict[str, str] = {}
    for task in tasks:
        image = Image.find(image_of(task.get("Spec", {})))
        if image and image.digest and image.digest not in known and _is_after(task, since):
            ran = _has_run(task) or moved.get(image.digest) == MOVED
            moved[image.digest] = MOVED if ran else WENT_BACK
    return moved


def _begin_of(state: State, tasks: Sequence[Raw]) -> datetime | None:
    """Return when the tasks of our last write began, by the engine's clock; None if we never wrote."""
    if not state.at:
        return None
    written = datetime.fromisoformat(state.at)
    made = [made_at(task) for task in tasks if image_of(task.get("Spec", {})) == state.image]
    ours = [at for at in made if at and at >= written - CLOCKS_APART]
    return min(ours, default=written + CLOCKS_APART)


def _is_after(task: Raw, moment: datetime | None) -> bool:
    at = made_at(task)
    return moment is None or (at is not None and at > moment)


def made_at(task: Raw) -> datetime | None:
    """Return when a task was made, by the managers' clock."""
    return datetime.fromisoformat(task["CreatedAt"]) if task.get("CreatedAt") else None


def _gone_from(service: Service, text: str | None, by_operator: bool, reason: str) -> Left | None:
    image, current = Image.find(text), service.image
    if not text or not image or not image.digest or not current or image.digest == current.digest:
        return None
    return Left(text, image.digest, by_operator, reason)
