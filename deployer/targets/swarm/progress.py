"""Judges a roll-out from one service and its tasks, as the engine describes them, without memory of its own.

The engine's `UpdateStatus` alone is not enough: it says `completed` for a service that crashes with
failure action `continue`, and says nothing at all at 0 replicas or after an update of labels only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from deployer.model.image import Image
from deployer.model.service import CLOCKS_APART, Service, State
from deployer.model.snapshot import MOVED, JobRun, Left, Phase, Progress, Snapshot
from deployer.targets.swarm.service import BUSY_STATES, image_of, is_ours

Raw = Mapping[str, Any]

FAILED_STATES = {"failed", "rejected"}
JOB_ENDED = {"complete", "shutdown", "failed", "rejected", "remove", "orphaned"}
# A task that came up after others of its kind had failed must last this long before it is believed.
STEADY_SECONDS = 15.0


def snapshot_of(service: Service, tasks: Sequence[Raw], now: datetime) -> Snapshot:
    """Return everything that a reading of a service and its tasks tells.

    Args:
        service: the service as it is now.
        tasks: `GET /tasks?filters={"service": [id]}`, raw.
        now: the time of the look, aware.
    """
    raw = service.native
    status = raw.get("UpdateStatus") or {}
    before = (raw.get("PreviousSpec") or {}).get("TaskTemplate") or {}
    return Snapshot(
        service,
        assess(service, tasks, now),
        now,
        ours=is_ours(raw),
        rolled_back=(status.get("State") or "").startswith("rollback"),
        left=_left(service, tasks),
        former_images=_former_images(tasks),
        before=image_of(before),
        untouched=not status.get("State"),
        job=_newest_run(service, tasks) if service.is_job else None,
    )


def assess(service: Service, tasks: Sequence[Raw], now: datetime) -> Progress:
    """Judge the roll-out of what stands in the service's spec."""
    ours = [task for task in tasks if _is_of_spec(task, service)]
    ready, wanted = _count(service, tasks, ours)
    reason = failure_reason(service, ours)
    status = service.native.get("UpdateStatus") or {}
    state = status.get("State")
    phase = Phase.ROLLING
    if state in {"paused", "rollback_paused"}:
        phase, reason = Phase.PAUSED, reason or status.get("Message") or ""
    elif state == "rollback_completed":
        others = [task for task in tasks if not _is_of_spec(task, service)]
        phase, reason = Phase.REVERTED, failure_reason(service, others) or status.get("Message") or ""
    elif state not in BUSY_STATES and _all_up(service, tasks, ours, ready, wanted) and _steady(ours, now):
        phase = Phase.CONVERGED
    return Progress(
        phase,
        ready,
        wanted,
        reason,
        engine_busy=state in BUSY_STATES,
        engine_done=state == "completed",
        leftovers=_leftovers(service, tasks, ours),
        has_failed=any(_state(task) in FAILED_STATES for task in ours),
        longest_up=_longest_up(tasks, ours),
    )


def _longest_up(tasks: Sequence[Raw], ours: Sequence[Raw]) -> float:
    """Return for how many seconds a task has lived, at least, by nothing but the managers' own clock."""
    newest = max((at for at in map(_word_at, tasks) if at), default=None)
    lives = [0.0]
    for task in ours:
        # One on a lost node stays "running" for the engine, long after it was told to stop.
        runs = _state(task) == "running" and _is_wanted(task)
        begin, end = _made_at(task), newest if runs else _word_at(task)
        if begin and end:
            lives.append((end - begin).total_seconds())
    return max(lives)


def _word_at(task: Raw) -> datetime | None:
    text = task.get("UpdatedAt") or task.get("CreatedAt")
    return datetime.fromisoformat(text) if text else None


def _template(service: Service) -> Raw:
    template: Raw = service.native["Spec"].get("TaskTemplate") or {}
    return template


def _iteration(service: Service) -> int:
    return int(((service.native.get("JobStatus") or {}).get("JobIteration") or {}).get("Index", 0))


def _is_of_spec(task: Raw, service: Service) -> bool:
    spec = task.get("Spec", {})
    if image_of(spec) != service.image_text:
        return False
    if service.is_job:
        return int((task.get("JobIteration") or {}).get("Index", 0)) == _iteration(service)
    return int(spec.get("ForceUpdate", 0)) == int(_template(service).get("ForceUpdate", 0))


def _state(task: Raw) -> str:
    return str(task.get("Status", {}).get("State", "new"))


def _is_wanted(task: Raw) -> bool:
    return task.get("DesiredState") in {"running", "ready", "complete"}


def _count(service: Service, tasks: Sequence[Raw], ours: Sequence[Raw]) -> tuple[int, int]:
    if service.is_job:
        ready = sum(_state(task) == "complete" for task in ours)
        # A global job has a task on each node that fits; before it has any, one at least is missing.
        return ready, service.desired if service.desired is not None else max(len(ours), 1)
    ready = sum(_is_wanted(task) and _state(task) == "running" for task in ours)
    return ready, service.desired if service.desired is not None else _nodes(tasks)


def _nodes(tasks: Sequence[Raw]) -> int:
    """Return on how many nodes a global service should run: those whose newest task lives or has failed.

    A task that failed and is not restarted (its restart condition says so) is still missing on its node.
    One that was shut down without having failed is not: its node was drained or has left.
    """
    newest: dict[str, Raw] = {}
    for task in sorted(tasks, key=lambda task: str(task.get("CreatedAt", ""))):
        newest[str(task.get("NodeID") or task["ID"])] = task
    return sum(_is_wanted(task) or _state(task) in FAILED_STATES for task in newest.values())


def _leftovers(service: Service, tasks: Sequence[Raw], ours: Sequence[Raw]) -> bool:
    if service.is_job:
        return False
    kept = {task["ID"] for task in ours}
    return any(_is_wanted(task) and task["ID"] not in kept for task in tasks)


def _all_up(service: Service, tasks: Sequence[Raw], ours: Sequence[Raw], ready: int, wanted: int) -> bool:
    if service.is_job:
        return ready >= wanted and bool(ours or not wanted)
    return ready >= wanted and not _leftovers(service, tasks, ours)


def _steady(ours: Sequence[Raw], now: datetime) -> bool:
    if not any(_state(task) in FAILED_STATES for task in ours):
        return True
    up = [_since(task) for task in ours if _state(task) == "running"]
    return all((now - since).total_seconds() >= STEADY_SECONDS for since in up)


def _since(task: Raw) -> datetime:
    """Return when a task came into its state: by the managers' clock, a node's may be far from it."""
    return datetime.fromisoformat(task.get("UpdatedAt") or task["Status"]["Timestamp"])


def failure_reason(service: Service, tasks: Sequence[Raw]) -> str:
    """Return the newest failing task's words, as `docker service ps --no-trunc` shows them; may be empty."""
    failing = [task for task in tasks if _state(task) in FAILED_STATES or _stuck(task)]
    if not failing:
        return ""
    newest = max(failing, key=lambda task: str(task.get("UpdatedAt") or task.get("CreatedAt") or ""))
    status = newest["Status"]
    text = status.get("Err") or status.get("Message") or _state(newest)
    place = newest.get("Slot") or newest.get("NodeID", "")
    return f"{service.name}.{place}: {text}"


def _stuck(task: Raw) -> bool:
    return _state(task) == "pending" and bool(task.get("Status", {}).get("Err"))


# -- what ran before ----------------------------------------------------------------------------------


def _former_images(tasks: Sequence[Raw]) -> tuple[str, ...]:
    lasted = [task for task in tasks if _state(task) not in FAILED_STATES and image_of(task.get("Spec", {}))]
    return tuple(dict.fromkeys(str(image_of(task["Spec"])) for task in _newest_first(lasted)))


def _newest_first(tasks: Iterable[Raw]) -> list[Raw]:
    return sorted(tasks, key=lambda task: str(task.get("CreatedAt", "")), reverse=True)


def _written(task: Raw) -> tuple[int, str]:
    """Order tasks by the store's index: the clocks of two leaders may be minutes apart."""
    return int((task.get("Version") or {}).get("Index", 0)), str(task.get("CreatedAt", ""))


def _left(service: Service, tasks: Sequence[Raw]) -> Left | None:
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
        others = [task for task in tasks if _differs(task, _template(service))]
        last = max(others, key=_written, default=None)
        return _gone_from(service, image_of(last["Spec"]) if last else None, False, message)
    return _come_and_gone(service, tasks)


def _differs(task: Raw, template: Raw) -> bool:
    spec = task.get("Spec", {})
    return any(spec.get(member) != template.get(member) for member in ("ContainerSpec", "ForceUpdate"))


def _come_and_gone(service: Service, tasks: Sequence[Raw]) -> Left | None:
    state, former = service.state, service.native.get("PreviousSpec") or {}
    if not state.at and State.of(former.get("Labels") or {}).task:
        return None  # a `docker stack deploy` took our labels off, and says where to start anew
    if not is_ours(service.native):
        # Nobody but a person can have written another image over what is in PreviousSpec.
        moved = image_of(former.get("TaskTemplate") or {})
        if gone := _gone_from(service, moved, True, MOVED):
            return gone
    if state.at and state.image != service.image_text:
        return None
    # Two machines' clocks: only tasks that are newer beyond doubt, or that others of the same image surround.
    since = datetime.fromisoformat(state.at) + CLOCKS_APART if state.at else datetime.max.replace(tzinfo=UTC)
    made = [_made_at(task) for task in tasks if image_of(task.get("Spec", {})) == service.image_text]
    first = min((at for at in made if at), default=None)
    others = [task for task in tasks if image_of(task.get("Spec", {})) not in {None, service.image_text}]
    newest = next(iter(_newest_first(others)), None)
    at = _made_at(newest) if newest else None
    if newest is None or at is None or image_of(newest["Spec"]) == state.previous:
        return None
    if at < since and not (first is not None and at > first):
        return None
    gone = _gone_from(service, image_of(newest["Spec"]), True, "somebody went back from it")
    return None if gone and gone.digest in state.failures else gone  # we went back from those ourselves


def _made_at(task: Raw) -> datetime | None:
    return datetime.fromisoformat(task["CreatedAt"]) if task.get("CreatedAt") else None


def _gone_from(service: Service, text: str | None, by_operator: bool, reason: str) -> Left | None:
    image, current = Image.find(text), service.image
    if not text or not image or not image.digest or not current or image.digest == current.digest:
        return None
    return Left(text, image.digest, by_operator, reason)


def _newest_run(job: Service, tasks: Sequence[Raw]) -> JobRun:
    index = _iteration(job)
    run = [task for task in tasks if (task.get("JobIteration") or {}).get("Index", 0) == index]
    times = [at for at in map(_made_at, run) if at]
    return JobRun(any(_state(task) not in JOB_ENDED for task in run), min(times, default=None))
