"""Has a roll-out ended, and how? Judged from one service and its tasks, without memory of its own.

The engine's `UpdateStatus` alone is not enough: it says `completed` for a service that crashes with
failure action `continue`, and says nothing at all at 0 replicas or after an update of labels only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from deployer.model.service import Service

FAILED_STATES = {"failed", "rejected"}
BUSY_STATES = {"updating", "rollback_started"}  # of the engine's UpdateStatus
# A task that came up after others of its kind had failed must last this long before it is believed.
STEADY_SECONDS = 15.0


class Phase(StrEnum):
    """Where a roll-out stands."""

    ROLLING = "rolling"  # the engine is still replacing tasks, or they are not up yet
    CONVERGED = "converged"  # every wanted task runs the image of the spec
    PAUSED = "paused"  # the engine stopped replacing tasks after a failure
    REVERTED = "reverted"  # the engine went back to the former spec by itself


@dataclass(frozen=True)
class Progress:
    """Where a roll-out stands, how far it is, and what went wrong on the way."""

    phase: Phase
    ready: int
    wanted: int
    reason: str = ""
    engine_busy: bool = False  # the engine itself says that an update or a rollback is under way


def assess(service: Service, tasks: Sequence[Mapping[str, Any]], now: datetime) -> Progress:
    """Judge the roll-out of what stands in the service's spec.

    Args:
        service: the service as it is now.
        tasks: `GET /tasks?filters={"service": [id]}`, raw.
        now: the time of the look, aware.
    """
    ours = [task for task in tasks if _is_of_spec(task, service)]
    ready, wanted = _count(service, tasks, ours)
    reason = failure_reason(service, ours)
    state = service.update_state
    if state in {"paused", "rollback_paused"}:
        return Progress(Phase.PAUSED, ready, wanted, reason or service.update_message)
    if state in BUSY_STATES:
        return Progress(Phase.ROLLING, ready, wanted, reason, engine_busy=True)
    if state == "rollback_completed":
        return Progress(Phase.REVERTED, ready, wanted, _reverted_reason(service, tasks))
    done = _all_up(service, tasks, ours, ready, wanted) and _steady(ours, now)
    return Progress(Phase.CONVERGED if done else Phase.ROLLING, ready, wanted, reason)


def under_way(service: Service, now: datetime, timeout: float) -> bool:
    """Whether the engine says that an update is under way, and for no longer than a roll-out may take.

    It says so for good where tasks find no node.

    Args:
        service: any service.
        now: the time of the look, aware.
        timeout: seconds that a roll-out of it may take.
    """
    if service.update_state not in BUSY_STATES or not service.update_started_at:
        return service.update_state in BUSY_STATES
    return (now - datetime.fromisoformat(service.update_started_at)).total_seconds() < timeout


def _is_of_spec(task: Mapping[str, Any], service: Service) -> bool:
    spec = task.get("Spec", {})
    image = (spec.get("ContainerSpec") or {}).get("Image")
    if service.is_job:
        index = (task.get("JobIteration") or {}).get("Index", 0)
        return image == service.image_text and index == (service.job_iteration or 0)
    return image == service.image_text and int(spec.get("ForceUpdate", 0)) == service.force_update


def _state(task: Mapping[str, Any]) -> str:
    return str(task.get("Status", {}).get("State", "new"))


def _is_wanted(task: Mapping[str, Any]) -> bool:
    return task.get("DesiredState") in {"running", "ready", "complete"}


def _count(
    service: Service, tasks: Sequence[Mapping[str, Any]], ours: Sequence[Mapping[str, Any]]
) -> tuple[int, int]:
    if service.is_job:
        ready = sum(_state(task) == "complete" for task in ours)
        return ready, service.wanted if service.wanted is not None else len(ours)
    live = [task for task in tasks if _is_wanted(task)]
    ready = sum(_is_wanted(task) and _state(task) == "running" for task in ours)
    return ready, service.wanted if service.wanted is not None else len(live)


def _all_up(
    service: Service,
    tasks: Sequence[Mapping[str, Any]],
    ours: Sequence[Mapping[str, Any]],
    ready: int,
    wanted: int,
) -> bool:
    if service.is_job:
        return ready >= wanted and bool(ours or not wanted)
    kept = {task["ID"] for task in ours}
    leftovers = any(_is_wanted(task) and task["ID"] not in kept for task in tasks)
    return ready >= wanted and not leftovers


def _steady(ours: Sequence[Mapping[str, Any]], now: datetime) -> bool:
    if not any(_state(task) in FAILED_STATES for task in ours):
        return True
    up = [_since(task) for task in ours if _state(task) == "running"]
    return all((now - since).total_seconds() >= STEADY_SECONDS for since in up)


def _since(task: Mapping[str, Any]) -> datetime:
    """When a task came into its state: by the managers' clock, a node's may be far from it."""
    return datetime.fromisoformat(task.get("UpdatedAt") or task["Status"]["Timestamp"])


def have_failed(service: Service, tasks: Sequence[Mapping[str, Any]]) -> bool:
    """Whether tasks of what stands in the service's spec have failed."""
    return any(_state(task) in FAILED_STATES for task in tasks if _is_of_spec(task, service))


def failure_reason(service: Service, tasks: Sequence[Mapping[str, Any]]) -> str:
    """What the newest failing task says, as `docker service ps --no-trunc` shows it; may be empty."""
    failing = [task for task in tasks if _state(task) in FAILED_STATES or _stuck(task)]
    if not failing:
        return ""
    newest = max(failing, key=lambda task: str(task.get("UpdatedAt") or task.get("CreatedAt") or ""))
    status = newest["Status"]
    text = status.get("Err") or status.get("Message") or _state(newest)
    place = newest.get("Slot") or newest.get("NodeID", "")
    return f"{service.name}.{place}: {text}"


def _stuck(task: Mapping[str, Any]) -> bool:
    return _state(task) == "pending" and bool(task.get("Status", {}).get("Err"))


def _reverted_reason(service: Service, tasks: Sequence[Mapping[str, Any]]) -> str:
    others = [task for task in tasks if not _is_of_spec(task, service)]
    return failure_reason(service, others) or service.update_message


JOB_ENDED = {"complete", "shutdown", "failed", "rejected", "remove", "orphaned"}


def newest_run(job: Service, tasks: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The tasks of a job's newest run."""
    index = job.job_iteration or 0
    return [task for task in tasks if (task.get("JobIteration") or {}).get("Index", 0) == index]


def job_lives(job: Service, tasks: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a task of a job's newest run may still complete."""
    return any(_state(task) not in JOB_ENDED for task in newest_run(job, tasks))


def image_of(task: Mapping[str, Any]) -> str | None:
    """The image that a task was made with."""
    return (task.get("Spec", {}).get("ContainerSpec") or {}).get("Image")


def former_images(tasks: Sequence[Mapping[str, Any]]) -> list[str]:
    """The images that the Swarm's own task history knows, newest first, without those that only failed."""
    lasted = [task for task in tasks if _state(task) not in FAILED_STATES and image_of(task)]
    lasted.sort(key=lambda task: str(task.get("CreatedAt", "")), reverse=True)
    return list(dict.fromkeys(str(image_of(task)) for task in lasted))
