"""A Swarm job that runs the new image before a service does, migrations say (label `deployer.pre-job`). Pure.

The job service itself remembers: it stands at the new digest, and its tasks tell how that went. So a job
that has failed is not run again by a repeated event, and two services may share one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from deployer.model.deployment import Request
from deployer.model.service import LabelError, Service, State
from deployer.rollouts.decision import Rules, Update
from deployer.targets.swarm.progress import Phase, Progress, job_lives, newest_run

LABEL = "deployer.pre-job"
ORDERED = "job"  # what a deployment remembers between its looks: the digest that it had the job run


@dataclass(frozen=True)
class Run:
    """The job has to be updated to the new image."""

    state: State


@dataclass(frozen=True)
class Running:
    """It runs; `count` says how far it is."""

    count: str


@dataclass(frozen=True)
class Failed:
    """It has failed, and the service stays where it is."""

    reason: str


@dataclass(frozen=True)
class Done:
    """It has completed on the new image."""


def judge(
    job: Service,
    tasks: Sequence[Mapping[str, Any]],
    progress: Progress,
    update: Update,
    request: Request,
    rules: Rules,
    now: datetime,
) -> Run | Running | Failed | Done:
    """What the job means for an update that is to follow it.

    Raises:
        LabelError: the label names something that cannot run first.
    """
    image = job.image
    if not job.is_job or image is None or not image.same_repository(update.image):
        raise LabelError(f"label {LABEL}: {job.name} is no job of the repository {update.image.name}")
    mine = job.state.task == request.task or request.quiet.get(ORDERED) == update.image.digest
    count = f"{progress.ready}/{progress.wanted}"
    timeout = job.seconds("deployer.timeout", rules.rollout_timeout)
    began = _began(job, tasks)
    overdue = began is not None and (now - began).total_seconds() > timeout
    if image.digest != update.image.digest or (request.force and not mine):
        if job_lives(job, tasks) and not overdue:
            return Running(count)  # what migrates is not to be killed half-way
        at = now.isoformat(timespec="milliseconds")
        state = State(
            image=str(update.image),
            previous=job.image_text if image.digest else None,
            task=request.task,
            event=request.event,
            by="pre-job",
            at=at,
        )
        return Run(state)
    if progress.phase is Phase.CONVERGED:
        return Done()
    if overdue:
        return Failed(f"not complete after {timeout:g} s ({count}): {progress.reason}".rstrip(": "))
    if progress.reason and not job_lives(job, tasks):
        return Failed(progress.reason)
    return Running(count)


def _began(job: Service, tasks: Sequence[Mapping[str, Any]]) -> datetime | None:
    """When this run began: as we wrote it, else by its tasks."""
    if job.state.at and job.state.image == job.image_text:
        return datetime.fromisoformat(job.state.at)
    times = [
        datetime.fromisoformat(task["CreatedAt"]) for task in newest_run(job, tasks) if task.get("CreatedAt")
    ]
    return min(times, default=None)
