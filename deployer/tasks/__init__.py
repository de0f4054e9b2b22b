"""The Celery tasks: decode, call the core, retry what is temporary, report how it ended.

`update_service.delay("web")` from Python is a manual redeploy; its `AsyncResult` ends when the roll-out has.
One deployment is one task: it acts, then sends itself back to SQS with a delay until the roll-out has ended.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from deployer.app import (
    app,
    credentials_age,
    deployer,
    notifier,
    outbox,
    reconcile_interval,
    refresh_interval,
)
from deployer.broker.task import DurableTask
from deployer.errors import DeployerError, DeploymentFailedError
from deployer.model.deployment import Outcome, Report, Request
from deployer.observability import metrics
from deployer.observability.logs import about
from deployer.rollouts.fleet import renewal, survey
from deployer.rollouts.ledger.turns import take_turn
from deployer.tasks import worker
from deployer.tasks.again import Delayed, Rolling, Waiting, again_later, leave, note_fault, send_back
from deployer.tasks.ending import end
from deployer.tasks.fan_out import begin_deployments
from deployer.tasks.message import DeploymentMessage, Message, PartMessage, describe, task_id
from deployer.tasks.rollout import PATIENCE, Ended, look
from deployer.tasks.telling import audited, tell_on
from deployer.triggers import events
from deployer.triggers.forms import EVERY_KIND
from deployer.triggers.verdict import Deploy

log = logging.getLogger(__name__)

CATCH_UP_SECONDS = 120.0  # over which the updates of one look at all services are spread


class ReadableTask(DurableTask):
    """A task whose arguments people can read in Flower and in `celery inspect`."""

    abstract = True
    resultrepr_maxsize = 4096  # characters; a report is longer than Celery's 1024 allow

    def readable(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[str, str]:
        """Return the task's subject and origin."""
        return describe(args, kwargs)


@app.task(
    bind=True,
    base=ReadableTask,
    name="deployer.tasks.image_pushed",
    max_retries=None,
    throws=(DeploymentFailedError,),
)
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
    pushed = events.parse(event, accept=EVERY_KIND)
    if not isinstance(pushed, Deploy):
        log.warning("image_pushed was given an event that is no push: %s %s", pushed.reason, pushed.detail)
        return {"outcome": Outcome.IGNORED, "reason": pushed.reason}
    message = PartMessage.decode(deployment)
    with about(event=pushed.id):
        try:
            return begin_deployments(pushed, message)
        except DeployerError as fault:
            if message.waited < PATIENCE.total_seconds():
                raise again_later(self, fault, message) from fault
            return _give_up(self.request.id, pushed, str(fault))


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
    by: str | None = None,
    reason: str | None = None,
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
        by: the person who asks, for the audit log.
        reason: why, for the audit log.
        deployment: what the deployment remembers between its looks; not for callers.

    Returns:
        The report: `outcome`, `reason`, `service`, `image`, `previous`, `duration` in seconds, …

    Raises:
        DeploymentFailedError: the outcome is `failed`, or `rolled-back` without having been asked for.
    """
    message = DeploymentMessage.decode(deployment).told(by, reason)
    request = message.request(
        self.request.id,
        image=image,
        force=force,
        allow_repository_change=allow_repository_change,
        seen=seen or message.seen,
    )
    return _advance(self, service, request, message)


@app.task(
    bind=True,
    base=ReadableTask,
    name="deployer.tasks.rollback_service",
    max_retries=None,
    throws=(DeploymentFailedError,),
)
def rollback_service(
    self: Any,
    service: str,
    to: str | None = None,
    *,
    seen: str | None = None,
    by: str | None = None,
    reason: str | None = None,
    deployment: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Bring a service back to the image that it ran before, and remember the digest that it leaves.

    Args:
        service: the service's name or id.
        to: another image of its repository than the one before, by digest or as a whole reference. One that
            the service's labels and tasks do not tell of passes the gates first (docs/gates.md).
        seen: the digest that the service ran when a person asked; if it runs another one by now, nothing is
            done.
        by: the person who asks, for the audit log.
        reason: why, for the audit log.
        deployment: what the deployment remembers between its looks; not for callers.

    Returns:
        The report, with the outcome `rolled-back`.

    Raises:
        DeploymentFailedError: there is no way back, or it failed.
    """
    message = DeploymentMessage.decode(deployment).told(by, reason)
    seen = seen or message.seen
    request = message.request(self.request.id, trigger="rollback", rollback=True, image=to, seen=seen)
    return _advance(self, service, request, message)


@app.task(
    bind=True,
    base=ReadableTask,
    name="deployer.tasks.reconcile",
    max_retries=None,
    throws=(DeploymentFailedError,),
)
def reconcile(self: Any, *, deployment: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Enqueue `update_service` for every service that is behind its registry: events that never came.

    The updates go through the same holds, limits and memory of failures as those of events, and are spread
    over some time, so that it is gentle after an outage.

    Returns:
        How many services and images were looked at, the services that were enqueued, how many pushes had
        been missed, and the services whose registry did not tell.
    """
    message = Message.decode(deployment)
    try:
        if message.turn is not None and not take_turn(
            deployer().target, "reconcile", self.request.id, message.turn
        ):
            return {"skipped": "another worker, which has started since, has looked"}
        found = survey.survey(deployer())
    except DeployerError as fault:
        raise leave(self, fault, message, reconcile_interval()) from fault
    for service in found.scheduled:  # also those whose worker died before it could
        deployer().target.settled(service)
    late = [one for one in found.behind if one.now]
    for one in late:
        memory = DeploymentMessage(by="reconcile", image=one.wanted, service_id=one.service_id).encode()
        update_service.apply_async(
            (one.service,),
            {"deployment": memory},
            task_id=task_id("reconcile", one.service_id, one.wanted, self.request.id),
            countdown=random.uniform(0, min(len(late), CATCH_UP_SECONDS)),  # noqa: S311 - jitter
        )
    metrics.MISSED.inc(
        sum(worker.told_ends().claim(f"missed-{image}") is None for image in {o.wanted for o in late})
    )
    level = logging.INFO if late or found.faults else logging.DEBUG
    text = "Caught up: %d pushes had been missed, %d of %d services are behind: %s"
    log.log(level, text, found.missed, len(late), found.services, ", ".join(o.service for o in late) or "-")
    for name, why in found.faults:
        log.warning("Service %s cannot be compared with its registry: %s", name, why)
    return {
        "services": found.services,
        "images": found.images,
        "missed": found.missed,
        "enqueued": [one.service for one in late],
        "held": {one.service: one.reason for one in found.behind if not one.now},
        "faults": dict(found.faults),
    }


@app.task(
    bind=True,
    base=ReadableTask,
    name="deployer.tasks.refresh_credentials",
    max_retries=None,
    throws=(DeploymentFailedError,),
)
def refresh_credentials(self: Any, *, deployment: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Renew the ECR credentials that the Swarm keeps with idle services, before they expire.

    Returns:
        The names of the services whose credentials were renewed.
    """
    try:
        renewed = renewal.refresh(deployer(), credentials_age())
    except DeployerError as fault:
        raise leave(self, fault, Message.decode(deployment), refresh_interval()) from fault
    metrics.RENEWED.inc(len(renewed))
    return {"renewed": renewed}


def _advance(task: Any, service: str, request: Request, message: DeploymentMessage) -> dict[str, Any]:
    with about(event=request.event, task=request.deployment_id, service=service):
        if message.is_first and (request.trigger == "release" or not request.by_itself):
            audited(task.name, service, request, message)
        step = look(deployer(), service, request, message, reconcile_interval())
        if isinstance(step, Ended):
            return end(request.deployment_id, step.report, request, worker.told_ends(), notifier(), outbox())
        if step.begun:
            metrics.update_begun(request.pushed_at, datetime.now(UTC))
        if outbox().tells and not step.fault:
            tell_on(service, request, step, worker.told_ends(), outbox())
        if step.fault:
            note_fault(task, step.fault, step.message, step.seconds)
        log.debug("Looking again in %.0f s: %s", step.seconds, step.reason)
        why = Delayed if step.fault else Rolling if step.message.watch else Waiting
        raise send_back(task, step.message, step.seconds, why(step.reason)) from step.fault


def _give_up(number: str, pushed: Deploy, reason: str) -> dict[str, Any]:
    """Tell that a push is lost, for all services that follow it."""
    request = DeploymentMessage(by="event", event=pushed.id).request(number)
    report = Report(
        Outcome.FAILED,
        f"gave up waiting: {reason}",
        f"every service of {pushed.image}",
        image=f"{pushed.image}@{pushed.digest}",
        by="event",
        event=pushed.id,
    )
    return end(number, report, request, worker.told_ends(), notifier(), outbox())
