"""The typed body of the tasks' keyword `deployment`: all that a task remembers between two tries.

During an upgrade workers of two versions read one queue. So a field that is missing has a default, a field of
a newer version is ignored, and one that cannot be read counts as missing: the service's labels tell the rest.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from deployer.model.deployment import Again, Request, RolloutMemory
from deployer.triggers import events
from deployer.triggers.forms import EVERY_KIND
from deployer.triggers.verdict import Deploy

log = logging.getLogger(__name__)

NAMESPACE = uuid.UUID("5f0d3b5a-6f0e-5c55-9d0c-0a6e8f5d9a11")
# Workers of the first version take no other field in `watch`; what came later travels beside it.
FIRST_WATCH = frozenset(
    {"task", "image", "previous", "began_at", "looked_at", "watched", "going_back", "recovers"}
)


def task_id(*parts: str) -> str:
    """Return a task id that the same event (and the same service) leads to every time."""
    return str(uuid.uuid5(NAMESPACE, "/".join(parts)))


class Message(BaseModel):
    """The memory of every task: its faults, and for how long it has been sent back."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    faults: int = 0  # in a row
    waited: float = 0.0  # seconds, counted by the delays that were asked for
    turn: str | None = None  # of `reconcile`: the last one that had been made when it was asked for

    @classmethod
    def decode(cls, body: object) -> Self:
        """Read a body of any version; whatever cannot be read is left out."""
        given = dict(body) if isinstance(body, Mapping) else {}
        try:
            return cls.model_validate(given)
        except ValidationError as fault:
            wrong = {str(error["loc"][0]) for error in fault.errors()}
        log.warning("A task message has fields that cannot be read, left out: %s", ", ".join(sorted(wrong)))
        return cls.model_validate({name: value for name, value in given.items() if name not in wrong})

    def encode(self) -> dict[str, Any]:
        """Return the body, without what is the default anyway."""
        return self.model_dump(mode="json", exclude_defaults=True)

    def with_fault(self) -> Self:
        """Count one more fault."""
        return self.model_copy(update={"faults": self.faults + 1})

    def with_wait(self, seconds: float) -> Self:
        """Count one more delay."""
        return self.model_copy(update={"waited": self.waited + seconds})


class PartMessage(Message):
    """The memory of `image_pushed` when it looks at a part of the services that follow a push."""

    services: tuple[str, ...] = ()  # their ids; none for the whole
    place: int = 0  # of the first of them among all
    count: int | None = None  # of all


class DeploymentMessage(Message):
    """The memory of one service's deployment."""

    by: str = "manual"  # event, manual, release or reconcile
    event: str | None = None
    image: str | None = None  # that was pushed or found, for people; never what is decided by
    hint: str | None = None
    pushed_at: str | None = None
    seen: str | None = None  # the digest that the service ran when a person asked
    who: str | None = None  # the person, as the command line knows them
    why: str | None = None  # their reason
    act: str | None = None  # what they did, if it was more than to ask for this; for the audit log
    service_id: str | None = None
    notify: str | None = None  # the service's label `deployer.notify`, for an end without the engine
    watch: RolloutMemory | None = None
    waiting: dict[str, float] = {}  # seconds, for each thing that was waited for
    pre_job: str | None = None  # the digest that the deployment had the job run that goes first

    @classmethod
    def decode(cls, body: object) -> Self:
        """Read a body of any version; whatever cannot be read is left out."""
        given = dict(body) if isinstance(body, Mapping) else {}
        watch, later = given.get("watch"), given.get("watch_later")
        if isinstance(watch, Mapping) and isinstance(later, Mapping):
            given["watch"] = {**later, **watch}
        quiet = given.get("quiet")  # of the first version
        if isinstance(quiet, Mapping) and quiet.get("job"):
            given.setdefault("pre_job", quiet["job"])
        return super().decode(given)

    def encode(self) -> dict[str, Any]:
        """Return the body, without what is the default anyway."""
        body = super().encode()
        if self.pre_job:
            body["quiet"] = {"job": self.pre_job}  # as the first version has it
        if self.watch:
            every = {field.name: getattr(self.watch, field.name) for field in fields(self.watch)}
            body["watch"] = {name: every[name] for name in FIRST_WATCH if name in every}
            body["watch_later"] = {name: value for name, value in every.items() if name not in FIRST_WATCH}
        return body

    def request(self, deployment_id: str, **asked: Any) -> Request:
        """Return the request of a deployment.

        Args:
            deployment_id: the id of the task.
            asked: further fields of the request, from the task's own arguments.
        """
        mine: dict[str, Any] = {
            "trigger": self.by,
            "event": self.event,
            "pushed_digest": self.hint,
            "pushed_at": self.pushed_at,
        }
        mine |= {"who": self.who, "why": self.why}
        mine |= {"waiting": self.waiting, "pre_job": self.pre_job}
        return Request(deployment_id, **{**mine, **asked})

    @property
    def is_first(self) -> bool:
        """Return whether nobody has looked at the deployment yet."""
        return not (self.waited or self.faults or self.watch or self.waiting)

    def told(self, who: str | None, why: str | None) -> Self:
        """Return a message that says who asks and why, where a caller in Python has told it."""
        new = {"who": who or self.who, "why": why or self.why}
        return self if new == {"who": self.who, "why": self.why} else self.model_copy(update=new)

    def after(self, step: Again) -> Self:
        """Return what to remember after a look that worked.

        A roll-out that has begun, and a wait that may last, take nothing from the patience for what follows.
        """
        waited = 0.0 if step.watch or step.patient else self.waited
        update = {"watch": step.watch, "waiting": dict(step.waiting), "pre_job": step.pre_job}
        return self.model_copy(update={**update, "faults": 0, "waited": waited})


def describe(args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[str, str]:
    """Return the subject of a task and its origin, for people who read monitors."""
    subject = args[0] if args else kwargs.get("service") or kwargs.get("event") or ""
    if isinstance(subject, Mapping):
        pushed = events.parse(subject, accept=EVERY_KIND)
        if isinstance(pushed, Deploy):
            return f"push of {pushed.image}@{pushed.digest}", f"event {pushed.id}"
        return "no push", ""
    message = DeploymentMessage.decode(kwargs.get("deployment"))
    image = message.watch.image if message.watch else kwargs.get("image") or message.image
    if image and message.hint and "@" not in image:
        image = f"{image}@{message.hint}"
    force = ", forced" if kwargs.get("force") else ""
    by = f"event {message.event}" if message.event else message.by
    return f"{subject} to {image}" if image else str(subject), f"by {by}{force}"
