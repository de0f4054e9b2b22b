"""The answers to "what does this message ask for": a deployment, nothing, or a person's attention. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from deployer.model.image import Image


@dataclass(frozen=True)
class Deploy:
    """An image was pushed under a tag: services that follow it may have to be updated.

    `event` is the bare event, ready for a queue message: parsed again, it gives this same value, if
    the opt-in kinds are accepted.
    """

    image: Image  # with a tag, without a digest
    digest: str | None  # a hint: only the registry knows what the tag means now
    id: str  # the same in every delivery of one event
    pushed_at: datetime  # UTC, never later than the message was sent
    kind: str  # push, cloudtrail, cloudevents, webhook, replication, pull-through-cache or scan
    event: dict[str, Any]
    others: tuple[Image, ...] = ()  # the same image under its further tags

    @property
    def images(self) -> tuple[Image, ...]:
        """Return the image under each of its tags."""
        return (self.image, *self.others)


@dataclass(frozen=True)
class _NoPush:
    """A message that deploys nothing, and why."""

    reason: str
    detail: str = ""

    def __str__(self) -> str:
        """Return both in one line."""
        return f"{self.reason}: {self.detail}" if self.detail else self.reason


class Ignore(_NoPush):
    """A well-formed message that is not for us."""


class Reject(_NoPush):
    """A message that cannot be understood: for the dead-letter queue and a person."""


class NoPushError(Exception):
    """There is nothing to deploy; `verdict` says why."""

    def __init__(self, verdict: Ignore | Reject) -> None:
        self.verdict = verdict
