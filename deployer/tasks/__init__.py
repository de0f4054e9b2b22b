"""The Celery tasks: decode, call the core, retry what is temporary, report how it ended.

`update_service.delay("web")` from Python is a manual redeploy; its `AsyncResult` ends when the roll-out has.
One deployment is one task: it acts, then sends itself back to SQS with a delay until the roll-out has ended.
"""

from __future__ import annotations

import logging
import random
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from deployer.app import app, credentials_age, deployer, notifier, reconcile_interval, swarm
from deployer.broker.batching import Parcel
from deployer.broker.channel import DurableTask
from deployer.errors import DeploymentFailedError, TemporaryError, brief
from deployer.model.deployment import Outcome, Report, Request, Watch
from deployer.model.service import Service
from deployer.observability import metrics
from deployer.observability.logs import about
from deployer.policies.labels import concerns
from deployer.rollouts import batch, renewal, survey
from deployer.triggers import events

log = logging.getLogger(__name__)

# A deployment that has not begun by then ends as failed; the periodic look finds what it left.
PATIENCE = timedelta(hours=24)
# Another worker, whose manager is well, may take the task at its next try: it should not have to wait long.
LONGEST_BACKOFF = 30.0  # seconds
SHOWN = 20  # names of services in a line of the log
CATCH_UP_SECONDS = 120.0  # over which the updates of one look at all services are spread
NAMESPACE = uuid.UUID("5f0d3b5a-6f0e-5c55-9d0c-0a6e8f5d9a11")


def task_id(*parts: str) -> str:
    """A task id that the same event (and the same service) leads to every time."""
    return str(uuid.uuid5(NAMESPACE, "/".join(parts)))


class ReadableTask(DurableTask):
    """A task whose arguments people can read in Flower and in `celery inspect`."""

    abstract = True
    resultrepr_maxsize = 4096  # characters; a report is longer than Celery's 1024 allow

    def readable(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[str, str]:
        """What the task is about, and what began it."""
        return _tell(args, kwargs)


def _tell(args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[str, str]:
    """What a task is about, and what began it."""
    subject = args[0] if args else kwargs.get("service") or kwargs.get("event") or ""
    memory = kwargs.get("deployment") or {}
    if isinstance(subject, Mapping):
        pushed = events.parse(subject, accept=events.OPT_IN_KINDS)
        if isinstance(pushed, events.Deploy):
            return f"push of {pushed.image}@{pushed.digest}", f"event {pushed.id}"
        return "no push", ""
    image = (memory.get("watch") or {}).get("image") or kwargs.get("image") or memory.get("image")
    if image and memory.get("hint") and "@" not in image:
        image = f"{image}@{memory['hint']}"
    force = ", forced" if kwargs.get("force") else ""
    by = f"event {memory['event']}" if memory.get("event") else memory.get("by", "manual")
    return f"{subject} to {image}" if image else str(subject), f"by {by}{force}"


@app.task(bind=True, base=ReadableTask, name="deployer.tasks.image_pushed", max_retries=None)
def image_pushed(
    self: Any, event: Mapping[str, Any], *, deployment: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Update every service that runs the image of a raw ECR event, and enqueue its `update_service`.

    A push that many services follow is shared: the task sends itself once more for each part of them.

    Args:
        event: the event as AWS sent it, without an envelope.
        deployment: what the task remembers between its tries; not for callers.

    Returns:
        The event's id and image, and the names of the services with their task ids.
    """
    # The bridge has decided already which kinds of event count as a push here.
    pushed = events.parse(event, accept=events.OPT_IN_KINDS)
    if not isinstance(pushed, events.Deploy):
        log.warning("image_pushed was given an event that is no push: %s %s", pushed.reason, pushed.detail)
        return {"outcome": Outcome.IGNORED, "reason": pushed.reason}
    with about(event=pushed.id):
        return _fan_out(self, pushed, dict(deployment or {}))


def _fan_out(task: Any, pushed: events.Deploy, memory: dict[str, Any]) -> dict[str, Any]:
    ids = tuple[str, ...](memory.get("services") or ())  # of a part of those that follow the push
    try:
        services = swarm().services(*ids, keep=lambda s: concerns(s, pushed.image))
        if not ids:
            log.info(
                "Push of %s is followed by %d services: %s", pushed.image, len(services), _some(services)
            )
        part, *others = [services] if ids else batch.parts(services)
        count = memory.get("count", len(services))
        _send_parts(pushed, others, len(part), count)
        requests = [_request_of(pushed, service) for service in part]
        begun = batch.begin(deployer(), part, requests)
        _send_begun(pushed, begun, memory.get("place", 0), count)
    except TemporaryError as fault:
        raise _again_later(task, fault, memory) from fault
    names = {service.name: task_id(pushed.id, service.id) for service in services}
    return {"event": pushed.id, "image": str(pushed.image), "services": names}


def _some(services: Sequence[Service]) -> str:
    names = sorted(service.name for service in services)
    return ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "") or "-"


def _request_of(pushed: events.Deploy, service: Service) -> Request:
    number, at = task_id(pushed.id, service.id), pushed.pushed_at.isoformat()
    return Request(task=number, by="event", event=pushed.id, hint=pushed.digest, pushed_at=at)


def _send_parts(pushed: events.Deploy, others: Sequence[Sequence[Service]], place: int, count: int) -> None:
    """Hand all parts but the first to whichever worker is free."""
    parcel = Parcel()
    for number, part in enumerate(others):
        ids = [service.id for service in part]
        memory = {"services": ids, "place": place, "count": count}
        place += len(part)
        with parcel.gather(number):
            image_pushed.apply_async(
                (pushed.event,), {"deployment": memory}, task_id=task_id(pushed.id, *ids)
            )
    _dispatch(parcel)


def _send_begun(pushed: events.Deploy, looks: Sequence[batch.Begun], place: int, count: int) -> None:
    """Let each service's deployment go on as a task of its own."""
    parcel = Parcel()
    for number, look in enumerate(looks):
        request, step = look.request, look.step
        memory: dict[str, Any] = {
            "by": request.by,
            "event": request.event,
            "image": str(pushed.image),
            "hint": request.hint,
            "pushed_at": request.pushed_at,
        }
        options: dict[str, Any] = {}
        if step and step.watch:
            metrics.update_begun(request.pushed_at, datetime.now(UTC))
            memory |= {"watch": asdict(step.watch), "quiet": dict(step.quiet)}
            options["countdown"] = batch.next_look(place + number, count)
        with parcel.gather(number):
            update_service.apply_async(
                (look.service.name,), {"deployment": memory}, task_id=request.task, **options
            )
    _dispatch(parcel)


def _dispatch(parcel: Parcel) -> None:
    for fault in parcel.send().values():
        raise TemporaryError(f"SQS has not taken a task: {brief(fault)}") from fault


@app.task(
    bind=True,
    base=ReadableTask,
    name="deployer.tasks.update_service",
    max_retries=None,
    throws=(DeploymentFailedError,),
)
def update_service(
    self: Any,
    service: str,
    image: str | None = None,
    force: bool = False,
    *,
    allow_repository_change: bool = False,
    seen: str | None = None,
    deployment: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Bring a service to what its tag means at the registry now, and follow the roll-out to its end.

    Args:
        service: the service's name or id.
        image: another tag (or digest) of the same repository; None for what the service follows.
        force: restart the tasks also on the same digest, and try a digest that failed before.
        allow_repository_change: let `image` name another repository, if DEPLOYER_ALLOW_REPOSITORIES of the
            worker names it.
        seen: the digest that the service ran when a person asked; if it runs another one by now, nothing is
            done.
        deployment: what the deployment remembers between its looks; not for callers.

    Returns:
        The report: `outcome`, `reason`, `service`, `image`, `previous`, `duration` in seconds, …

    Raises:
        DeploymentFailedError: the outcome is `failed`, or `rolled-back` without having been asked for.
    """
    memory = dict(deployment or {})
    request = Request(
        task=self.request.id,
        by=memory.get("by", "manual"),
        image=image,
        force=force,
        allow_repository_change=allow_repository_change,
        event=memory.get("event"),
        hint=memory.get("hint"),
        pushed_at=memory.get("pushed_at"),
        seen=seen,
        quiet=memory.get("quiet") or {},
    )
    return _advance(self, service, request, memory)


@app.task(
    bind=True,
    base=ReadableTask,
    name="deployer.tasks.rollback_service",
    max_retries=None,
    throws=(DeploymentFailedError,),
)
def rollback_service(
    self: Any, service: str, *, seen: str | None = None, deployment: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Bring a service back to the image that it ran before, and remember the digest that it leaves.

    Args:
        service: the service's name or id.
        seen: the digest that the service ran when a person asked; if it runs another one by now, nothing is
            done.
        deployment: what the deployment remembers between its looks; not for callers.

    Returns:
        The report, with the outcome `rolled-back`.

    Raises:
        DeploymentFailedError: there is no way back, or it failed.
    """
    memory = dict(deployment or {})
    request = Request(task=self.request.id, by="rollback", rollback=True, seen=seen)
    return _advance(self, service, request, memory)


@app.task(bind=True, base=ReadableTask, name="deployer.tasks.reconcile", max_retries=None)
def reconcile(self: Any, *, deployment: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Enqueue `update_service` for every service that is behind its registry: events that never came.

    The updates go through the same holds, limits and memory of failures as those of events, and are spread
    over some time, so that it is gentle after an outage.

    Returns:
        How many services and images were looked at, the services that were enqueued, how many pushes had
        been missed, and the services whose registry did not tell.
    """
    try:
        found = survey.survey(deployer())
    except TemporaryError as fault:
        raise _again_later(self, fault, dict(deployment or {})) from fault
    late = [one for one in found.behind if one.now]
    for one in late:
        origin = {"by": "reconcile", "image": one.wanted}
        update_service.apply_async(
            (one.service,),
            {"deployment": origin},
            task_id=task_id("reconcile", one.service_id, one.wanted),
            countdown=random.uniform(0, min(len(late), CATCH_UP_SECONDS)),  # noqa: S311 - jitter
        )
    metrics.MISSED.inc(found.missed)
    level = logging.INFO if late or found.faults else logging.DEBUG
    text = "Caught up: %d pushes had been missed, %d of %d services are behind: %s"
    log.log(level, text, found.missed, len(late), found.services, ", ".join(o.service for o in late) or "-")
    for service, why in found.faults:
        log.warning("Service %s cannot be compared with its registry: %s", service, why)
    return {
        "services": found.services,
        "images": found.images,
        "missed": found.missed,
        "enqueued": [one.service for one in late],
        "held": {one.service: one.reason for one in found.behind if not one.now},
        "faults": dict(found.faults),
    }


@app.task(bind=True, base=ReadableTask, name="deployer.tasks.refresh_credentials", max_retries=None)
def refresh_credentials(self: Any, *, deployment: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Renew the ECR credentials that the Swarm keeps with idle services, before they expire.

    Returns:
        The names of the services whose credentials were renewed.
    """
    try:
        renewed = renewal.refresh(deployer(), credentials_age())
    except TemporaryError as fault:
        raise _again_later(self, fault, dict(deployment or {})) from fault
    metrics.RENEWED.inc(len(renewed))
    return {"renewed": renewed}


def _advance(task: Any, service: str, request: Request, memory: dict[str, Any]) -> dict[str, Any]:
    with about(event=request.event, task=request.task, service=service):
        return _look(task, service, request, memory)


def _look(task: Any, service: str, request: Request, memory: dict[str, Any]) -> dict[str, Any]:
    watch = Watch(**memory["watch"]) if memory.get("watch") else None
    try:
        step = deployer().advance(service, request, watch)
    except TemporaryError as fault:
        raise _again_later(task, fault, memory) from fault
    if isinstance(step, Report):
        return _end(task, step, request)
    if step.watch is None and request.by == "reconcile" and _out_of_patience(memory, reconcile_interval()):
        # What waits for its turn must not pile up: each look at all services enqueues it anew.
        ended = Report(Outcome.SUPERSEDED, f"left to the next look: {step.reason}", service, by=request.by)
        return _end(task, ended, request)
    if step.watch is None and _out_of_patience(memory):
        return _end(
            task,
            Report(Outcome.FAILED, f"gave up waiting: {step.reason}", service, by=request.by),
            request,
        )
    if step.patient:
        memory.pop("deadline", None)
    if step.watch and not watch:
        metrics.update_begun(request.pushed_at, datetime.now(UTC))
    memory |= {
        "watch": asdict(step.watch) if step.watch else None,
        "quiet": dict(step.quiet),
        "faults": 0,
    }
    log.debug("Looking again in %.0f s: %s", step.seconds, step.reason)
    raise _send_back(task, memory, step.seconds, step.reason)


def _end(task: Any, report: Report, request: Request) -> dict[str, Any]:
    # The plain word: monitors show the text of a result.
    result = {**asdict(report), "outcome": report.outcome.value, "task": task.request.id}
    line = (
        f"Deployment {task.request.id} of service {report.service} ended: {report.outcome}, {report.reason}"
    )
    bad = report.outcome is Outcome.FAILED or (report.outcome is Outcome.ROLLED_BACK and not request.rollback)
    said = {"outcome": report.outcome.value, "duration": report.duration, "image": report.image}
    log.log(logging.ERROR if bad else logging.INFO, "%s", line, extra=said)
    metrics.deployment_ended(report)
    notifier().tell(report, task.request.id)
    if bad:
        raise DeploymentFailedError(f"{report.service}: {report.outcome}, {report.reason}", result)
    return result


def _out_of_patience(memory: dict[str, Any], patience: timedelta = PATIENCE) -> bool:
    now = datetime.now(UTC)
    deadline = memory.setdefault("deadline", (now + patience).isoformat())
    return now > datetime.fromisoformat(deadline)


def _again_later(task: Any, fault: TemporaryError, memory: dict[str, Any]) -> Exception:
    """Send the task back after a temporary fault, with exponential backoff and full jitter, or give up."""
    if _out_of_patience(memory):
        raise DeploymentFailedError(
            f"gave up after {PATIENCE}: {fault}", {"outcome": Outcome.FAILED, "reason": str(fault)}
        )
    faults = memory["faults"] = int(memory.get("faults") or 0) + 1
    delay = random.uniform(1, min(LONGEST_BACKOFF, 2.0**faults))  # noqa: S311 - jitter
    level = logging.WARNING if faults == 1 else logging.DEBUG
    log.log(level, "%s waits %.0f s: %s", task.name.rpartition(".")[2], delay, fault)
    metrics.RETRIES.labels(task.name.rpartition(".")[2]).inc()
    return _send_back(task, memory, delay, str(fault))


class Waiting(Exception):  # noqa: N818 - Flower shows the name
    """Why a deployment that has not ended is looked at again."""


def _send_back(task: Any, memory: dict[str, Any], seconds: float, reason: str) -> Exception:
    # Retry of Celery keeps id, arguments and headers; the delay becomes SQS's own (DurableTask).
    kwargs = {**task.request.kwargs, "deployment": memory}
    retry: Exception = task.retry(
        args=task.request.args, kwargs=kwargs, countdown=seconds, exc=Waiting(reason), throw=False
    )
    return retry
