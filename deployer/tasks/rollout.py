"""One look of a deployment: it ends with a report, or is sent back with a delay. Knows nothing of Celery."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from deployer.errors import BusyError, DeployerError, TemporaryError
from deployer.model.deployment import Again, Outcome, Report, Request
from deployer.observability.outage import backoff
from deployer.rollouts.deployer import Deployer
from deployer.tasks.message import DeploymentMessage

# A deployment that waits no longer than this ends as failed; the periodic look finds what it left.
PATIENCE = timedelta(hours=24)


@dataclass(frozen=True)
class Ended:
    """The deployment has ended."""

    report: Report


@dataclass(frozen=True)
class SendBack:
    """The deployment goes on: send this message after a delay in seconds."""

    message: DeploymentMessage
    seconds: float
    reason: str
    fault: TemporaryError | None = None  # the look did not work
    begun: bool = False  # the look has written the update


def look(
    deployer: Deployer,
    service: str,
    request: Request,
    message: DeploymentMessage,
    reconcile_interval: timedelta = PATIENCE,
) -> Ended | SendBack:
    """Look at a service once and bring its deployment forward.

    Args:
        deployer: the core, with its clock.
        service: the service's name or id.
        request: what is wanted of it, as the message tells.
        message: what the former look remembered.
        reconcile_interval: the time between two looks at all services.
    """
    # What waits for its turn must not pile up: each look at all services enqueues it anew.
    spare = request.trigger == "reconcile" and message.watch is None
    patience = min(reconcile_interval, PATIENCE) if spare else PATIENCE
    out_of_patience = message.waited >= patience.total_seconds()
    try:
        step = deployer.advance(service, request, message.watch)
    except TemporaryError as fault:
        if out_of_patience:
            return _give_up(deployer, service, request, message, str(fault))
        if isinstance(fault, BusyError):  # nothing is wrong, and this is its turn
            return SendBack(message.with_wait(fault.seconds), fault.seconds, str(fault))
        message = message.with_fault()
        seconds = backoff(message.faults)  # short: another worker, whose manager is well, may take it
        return SendBack(message.with_wait(seconds), seconds, str(fault), fault=fault)
    if isinstance(step, Report):
        return Ended(replace(step, refused=_is_refused(step, request, message)))
    if out_of_patience and step.watch is None and not step.patient:
        return _give_up(deployer, service, request, message, step.reason)
    return _go_on(message, step)


def _is_refused(report: Report, request: Request, message: DeploymentMessage) -> bool:
    """Return whether a person has asked for what cannot be done, a typo say: nothing has failed."""
    at_once = message.watch is None and not message.waited and not report.duration
    return at_once and report.outcome is Outcome.FAILED and not request.by_itself


def _go_on(message: DeploymentMessage, step: Again) -> SendBack:
    begun = step.watch is not None and message.watch is None
    after = message.after(step)
    if step.watch is None and not step.patient:
        after = after.with_wait(step.seconds)
    return SendBack(after, step.seconds, step.reason, begun=begun)


def _give_up(
    deployer: Deployer, service: str, request: Request, message: DeploymentMessage, reason: str
) -> Ended:
    watch = message.watch
    if request.trigger == "reconcile" and watch is None:
        outcome, reason = Outcome.SUPERSEDED, f"left to the next look: {reason}"
    else:
        outcome, reason = Outcome.FAILED, f"gave up waiting: {reason}"
    try:
        return Ended(deployer.report(deployer.read(service), request, outcome, reason, watch))
    except DeployerError:  # the engine may be the reason, so the message has to tell
        image, previous = (watch.image, watch.previous) if watch else (message.image, None)
        return Ended(
            Report(
                outcome,
                reason,
                service,
                message.service_id,
                image=image,
                previous=previous,
                by=request.trigger,
                event=request.event,
                notify=message.notify,
            )
        )
