"""What is told of a deployment before its end: who asked for it, that it has begun, and what it waits for."""

from __future__ import annotations

import json
import logging

from deployer.model.deployment import Request
from deployer.observability.outbox import Outbox
from deployer.tasks.ending import ToldEnds, news_of
from deployer.tasks.message import DeploymentMessage
from deployer.tasks.rollout import SendBack

audit = logging.getLogger("deployer.audit")


def tell_on(service: str, request: Request, step: SendBack, ends: ToldEnds, outbox: Outbox) -> None:
    """Tell other systems that a deployment has begun, or what it waits for: each once."""
    watch, same = step.message.watch, f"{request.deployment_id}-begun"
    if watch is None:
        same = f"{request.deployment_id}-waiting-{step.reason[:80]}"
    if ends.is_new(same):
        image, previous = (watch.image, watch.previous) if watch else (step.message.image, None)
        told = {"reason": step.reason, "image": image, "previous": previous}
        kind = "begun" if watch else "waiting"
        outbox.tell(news_of(kind, request.deployment_id, service, request, told))


def audited(name: str, service: str, request: Request, message: DeploymentMessage) -> None:
    """Write one line of JSON for what a person asked for; the name is as they have told it."""
    image = request.image or message.image
    asked = {"image": image, "force": request.force or None, "seen": request.seen}
    own = "release" if request.trigger == "release" else name.rpartition(".")[2]
    told = {
        "act": message.act or own,
        "service": service,
        "by": request.who,
        "reason": request.why,
        **asked,
    }
    audit.info("%s", json.dumps({key: value for key, value in told.items() if value}))
