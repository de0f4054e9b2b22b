"""A job that runs the new image before a service does, migrations say (label `deployer.pre-job`).

The job service itself remembers: it stands at the new digest, and its tasks tell how that went. So a job
that has failed is not run again by a repeated event, and two services may share one.
"""

from __future__ import annotations

from dataclasses import dataclass

from deployer.model.deployment import Request
from deployer.model.label_names import PRE_JOB
from deployer.model.service import LabelError, State
from deployer.model.snapshot import Phase, Snapshot
from deployer.policies.labels import ServiceLabels
from deployer.rollouts.decision import Rules, Update

LABEL = PRE_JOB


@dataclass(frozen=True)
class Run:
    """The job has to be updated to the new image."""

    state: State


@dataclass(frozen=True)
class Running:
    """The job runs; `what` names this run, `count` says how far it is."""

    count: str
    what: str


@dataclass(frozen=True)
class Failed:
    """The job has failed, and the service stays where it is."""

    reason: str


@dataclass(frozen=True)
class Done:
    """The job has completed on the new image."""


def in_time(said: Running | Failed | Done, request: Request, timeout: float) -> Running | Failed | Done:
    """Return what a command that runs first means, which has failed if it takes too long."""
    if isinstance(said, Running) and request.waiting.get(said.what, 0.0) >= timeout:
        return Failed(f"not complete after {timeout:g} s")
    return said


def judge(
    job: Snapshot,
    update: Update,
    request: Request,
    rules: Rules,
    label: str = PRE_JOB,
    waited: float | None = None,
) -> Run | Running | Failed | Done:
    """Return what the job means for an update that is to follow it, or that it follows.

    Args:
        job: the job as it is now.
        update: of the service.
        request: for it.
        rules: the settings.
        label: that names the job.
        waited: seconds for which it has been waited; None for what the request knows.

    Raises:
        LabelError: the label names something that cannot run first.
    """
    service, image = job.service, job.service.image
    if not service.is_job or image is None or not image.same_repository(update.image):
        raise LabelError(f"label {label}: {service.name} is no job of the repository {update.image.name}")
    alive = job.job is not None and job.job.alive
    began = job.job.began_at.isoformat() if job.job and job.job.began_at else "soon"
    running = Running(f"{job.progress.ready}/{job.progress.desired}", f"run of {service.name} since {began}")
    timeout = ServiceLabels.parse(service.labels).timeout or rules.rollout_timeout
    overdue = (request.waiting.get(running.what, 0.0) if waited is None else waited) >= timeout
    mine = service.state.task == request.deployment_id or request.pre_job == update.image.digest
    if image.digest != update.image.digest or (request.force and not mine):
        # A migration under way, whoever began it, is not to be killed half-way.
        return (
            running
            if alive and not overdue
            else Run(_state(job, update, request, label.removeprefix("deployer.")))
        )
    if job.progress.phase is Phase.CONVERGED:
        return Done()
    if overdue:
        text = f"not complete after {timeout:g} s ({running.count}): {job.progress.reason}"
        return Failed(text.rstrip(": "))
    return Failed(job.progress.reason) if job.progress.reason and not alive else running


def _state(job: Snapshot, update: Update, request: Request, by: str) -> State:
    image = job.service.image
    return State(
        image=str(update.image),
        previous=job.service.image_text if image and image.digest else None,
        task=request.deployment_id,
        event=request.event,
        by=by,
        at=job.now.isoformat(timespec="milliseconds"),
    )
