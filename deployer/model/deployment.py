"""Value types of a deployment: the request, what it remembers between two looks, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    """The end of a deployment; the same words in results, logs, metrics and on the command line."""

    UPDATED = "updated"
    UNCHANGED = "unchanged"
    SUPERSEDED = "superseded"
    HELD = "held"
    IGNORED = "ignored"
    FAILED = "failed"
    ROLLED_BACK = "rolled-back"


@dataclass(frozen=True)
class Request:
    """A wish about one service."""

    deployment_id: str  # the deployment's id: the Celery task's
    trigger: str = "manual"  # event, manual, reconcile or rollback
    image: str | None = None  # another tag of the same repository; None: what the service follows
    force: bool = False  # restart on the same digest, and try a digest that failed before
    rollback: bool = False  # go back to the former image
    allow_repository_change: bool = False
    event: str | None = None  # the event's id
    pushed_digest: str | None = None  # the digest that the event spoke of
    pushed_at: str | None = None
    seen: str | None = None  # the digest that a person saw the service run when they asked
    who: str | None = None  # the person who asked, as they have told it
    why: str | None = None  # their reason
    # For how many seconds it has waited for each thing, counted by the delays that it asked for: SQS delivers
    # later than it was asked to, never earlier, and no clock is compared with another machine's.
    waiting: Mapping[str, float] = field(default_factory=dict)
    pre_job: str | None = None  # the digest that this deployment had the job run that goes first

    @property
    def follows(self) -> bool:
        """Return whether the service's own policy chooses the image, and not this request."""
        return self.image is None and not self.rollback

    @property
    def by_itself(self) -> bool:
        """Return whether no person asked for it now."""
        return self.trigger in {"event", "reconcile", "release"}


@dataclass(frozen=True)
class RolloutMemory:
    """The memory of a deployment that has written, until its next look."""

    task: str  # the deployment that wrote; another one's when it ends what that one left
    image: str
    previous: str | None
    began_at: str
    looked_at: str
    watched: float = 0.0  # seconds, counted by the delays that were asked for
    going_back: str | None = None  # the reason why the roll-out failed, once the way back has begun
    recovers: bool = False  # the service was not well, or had been rolled back, before this update
    asked: float = 0.0  # seconds until the next look
    stuck: float = 0.0  # seconds for which the way back could not be written
    baking_from: float | None = None  # the seconds of `watched` at which it had converged; it bakes since
    was_flaky: bool = False  # tasks of it had failed before that
    last_words: tuple[str, ...] = ()  # of the task that failed, masked


@dataclass(frozen=True)
class Again:
    """The deployment has not ended: look again after a delay in seconds."""

    seconds: float
    reason: str
    watch: RolloutMemory | None = None
    waiting: Mapping[str, float] = field(default_factory=dict)
    pre_job: str | None = None
    patient: bool = False  # the wait itself does not count against the deployment's patience


@dataclass(frozen=True)
class Report:
    """The end of a deployment, and all there is to tell of it."""

    outcome: Outcome
    reason: str
    service: str
    service_id: str | None = None
    image: str | None = None
    previous: str | None = None
    duration: float = 0.0  # seconds from the first write to the end
    refused: bool = False  # a person asked for what cannot be done: nothing was tried
    by: str = "manual"
    event: str | None = None
    recovered: bool = False  # the deployment before had failed, or the service was not well
    notify: str | None = None  # the service's label `deployer.notify`
    runs: str | None = None  # the image that the service is described with at the end
    last_words: tuple[str, ...] = ()  # the last lines that the failing task has logged, masked


Step = Report | Again  # what one look at a service leads to
