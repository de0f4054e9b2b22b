"""From a push to the deployments of all services that follow it, a part of them at a time."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from deployer.app import app, deployer
from deployer.broker.batching import SendBatch
from deployer.errors import TemporaryError, brief
from deployer.model.deployment import Request
from deployer.model.service import Service
from deployer.observability import metrics
from deployer.policies.labels import concerns
from deployer.rollouts.fleet import batch
from deployer.tasks.message import DeploymentMessage, PartMessage, task_id
from deployer.triggers.verdict import Deploy

log = logging.getLogger(__name__)

SHOWN = 20  # names of services in a line of the log


def begin_deployments(pushed: Deploy, message: PartMessage) -> dict[str, Any]:
    """Make the first looks at the services of one part, and hand on the rest.

    Args:
        pushed: the push.
        message: the part; without services all that follow the push.

    Raises:
        DeployerError: the engine does not answer or refuses, or SQS has not taken a task; try again later.
    """
    services = deployer().target.services(
        *message.services, keep=lambda s: any(concerns(s, image) for image in pushed.images)
    )
    if not message.services:
        log.info("Push of %s is followed by %d services: %s", pushed.image, len(services), _some(services))
        batch.remember(deployer(), services, [_request_of(pushed, service) for service in services])
    part, *others = [services] if message.services else batch.parts(services)
    count = len(services) if message.count is None else message.count
    _send_parts(pushed, others, len(part), count)
    begun = batch.begin(deployer(), part, [_request_of(pushed, service) for service in part])
    _send_begun(pushed, begun, message.place, count)
    names = {service.name: task_id(pushed.id, service.id) for service in services}
    return {"event": pushed.id, "image": str(pushed.image), "services": names}


def _some(services: Sequence[Service]) -> str:
    names = sorted(service.name for service in services)
    return ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "") or "-"


def _message_of(pushed: Deploy, service: Service) -> DeploymentMessage:
    return DeploymentMessage(
        by="event",
        event=pushed.id,
        image=str(pushed.image),
        hint=pushed.digest,
        pushed_at=pushed.pushed_at.isoformat(),
        service_id=service.id,
        notify=service.labels.get("deployer.notify"),
    )


def _request_of(pushed: Deploy, service: Service) -> Request:
    return _message_of(pushed, service).request(task_id(pushed.id, service.id))


def _send_parts(pushed: Deploy, others: Sequence[Sequence[Service]], place: int, count: int) -> None:
    """Hand all parts but the first to whichever worker is free."""
    outgoing = SendBatch()
    for number, part in enumerate(others):
        ids = tuple(service.id for service in part)
        memory = PartMessage(services=ids, place=place, count=count).encode()
        place += len(part)
        with outgoing.gather(number):
            _send("image_pushed", pushed.event, memory, task_id(pushed.id, *ids))
    _dispatch(outgoing)


def _send_begun(pushed: Deploy, looks: Sequence[batch.FirstLook], place: int, count: int) -> None:
    """Let each service's deployment go on as a task of its own."""
    outgoing = SendBatch()
    for number, look in enumerate(looks):
        message, options = _message_of(pushed, look.service), dict[str, Any]()
        if look.step and look.step.watch:
            metrics.update_begun(look.request.pushed_at, datetime.now(UTC))
            message = message.after(look.step)
            options["countdown"] = batch.next_look(place + number, count)
        with outgoing.gather(number):
            _send(
                "update_service", look.service.name, message.encode(), look.request.deployment_id, **options
            )
    _dispatch(outgoing)


def _send(name: str, subject: Mapping[str, Any] | str, memory: object, number: str, **options: Any) -> None:
    task = app.tasks[f"deployer.tasks.{name}"]
    task.apply_async((subject,), {"deployment": memory}, task_id=number, **options)


def _dispatch(outgoing: SendBatch) -> None:
    for fault in outgoing.send().values():
        raise TemporaryError(f"SQS has not taken a task: {brief(fault)}") from fault
