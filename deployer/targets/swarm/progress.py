"""Judges a roll-out from one service and its tasks, as the engine describes them, without memory of its own.

The engine's `UpdateStatus` alone is not enough: it says `completed` for a service that crashes with
failure action `continue`, and says nothing at all at 0 replicas or after an update of labels only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from deployer.model.service import Service
from deployer.model.snapshot import JobRun, Phase, Progress, Snapshot
from deployer.targets.swarm.history import (
    FAILED_STATES,
    former_images,
    left_by,
    made_at,
    moved_from,
    starts_anew,
    state_of,
)
from deployer.targets.swarm.service import BUSY_STATES, image_of, is_ours

Raw = Mapping[str, Any]

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
        rolled_back=service.rolled_back,
        left=left_by(service, tasks),
        former_images=former_images(tasks),
        moved=moved_from(service, tasks),
        anew=starts_anew(service),
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
        has_failed=any(state_of(task) in FAILED_STATES for task in ours),
        longest_up=_longest_up(tasks, ours),
    )


def _longest_up(tasks: Sequence[Raw], ours: Sequence[Raw]) -> float:
    """Return for how many seconds a task has lived, at least, by nothing but the managers' own clock."""
    newest = max((at for at in map(_word_at, tasks) if at), default=None)
    lives = [0.0]
    for task in ours:
        # One on a lost node stays "running" for the engine, long after it was told to stop.
        runs = state_of(task) == "running" and _is_wanted(task)
        begin, end = made_at(task), newest if runs else _word_at(task)
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


def _is_wanted(task: Raw) -> bool:
    return task.get("DesiredState") in {"running", "ready", "complete"}


def _count(service: Service, tasks: Sequence[Raw], ours: Sequence[Raw]) -> tuple[int, int]:
    if service.is_job:
        ready = sum(state_of(task) == "complete" for task in ours)
        # A global job has a task on each node that fits; before it has any, one at least is missing.
        return ready, service.desired if service.desired is not None else max(len(ours), 1)
    ready = sum(_is_wanted(task) and state_of(task) == "running" for task in ours)
    return ready, service.desired if service.desired is not None else _nodes(tasks)


def _nodes(tasks: Sequence[Raw]) -> int:
    """Return on how many nodes a global service should run: those whose newest task lives or has failed.

    A task that failed and is not restarted (its restart condition says so) is still missing on its node.
    One that was shut down without having failed is not: its node was drained or has left.
    """
    newest: dict[str, Raw] = {}
    for task in sorted(tasks, key=lambda task: str(task.get("CreatedAt", ""))):
        newest[str(task.get("NodeID") or task["ID"])] = task
    return sum(_is_wanted(task) or state_of(task) in FAILED_STATES for task in newest.values())


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
    if not any(state_of(task) in FAILED_STATES for task in ours):
        return True
    up = [_since(task) for task in ours if state_of(task) == "running"]
    return all((now - since).total_seconds() >= STEADY_SECONDS for since in up)


def _since(task: Raw) -> datetime:
    """Return when a task came into its state: by the managers' clock, a node's may be far from it."""
    return datetime.fromisoformat(task.get("UpdatedAt") or task["Status"]["Timestamp"])


def failure_reason(service: Service, tasks: Sequence[Raw]) -> str:
    """Return the newest failing task's words, as `docker service ps --no-trunc` shows them; may be empty."""
    failing = [task for task in tasks if state_of(task) in FAILED_STATES or _stuck(task)]
    if not failing:
        return ""
    newest = max(failing, key=lambda task: str(task.get("UpdatedAt") or task.get("CreatedAt") or ""))
    status = newest["Status"]
    text = status.get("Err") or status.get("Message") or state_of(newest)
    place = newest.get("Slot") or newest.get("NodeID", "")
    return f"{service.name}.{place}: {text}"


def _stuck(task: Raw) -> bool:
    return state_of(task) == "pending" and bool(task.get("Status", {}).get("Err"))


def _newest_run(job: Service, tasks: Sequence[Raw]) -> JobRun:
    index = _iteration(job)
    run = [task for task in tasks if (task.get("JobIteration") or {}).get("Index", 0) == index]
    times = [at for at in map(made_at, run) if at]
    return JobRun(any(state_of(task) not in JOB_ENDED for task in run), min(times, default=None))
