"""One reading of a service: how far its roll-out is, whose write it runs, and what it ran before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from deployer.model.service import Service

# Of a digest that a person moved a service away from: not tried by itself, and yet a way back.
MOVED = "somebody moved the service away from it"


class Phase(StrEnum):
    """The stages of a roll-out."""

    ROLLING = "rolling"  # tasks are being replaced, or are not up yet
    CONVERGED = "converged"  # every wanted task runs what the service describes
    PAUSED = "paused"  # the target stopped replacing tasks after a failure
    REVERTED = "reverted"  # the target went back to the former description, by itself or told to


@dataclass(frozen=True)
class Progress:
    """The stage of a roll-out, how far it is, and what went wrong on the way."""

    phase: Phase
    ready: int
    desired: int
    reason: str = ""
    engine_busy: bool = False  # the target itself says that an update or a rollback is under way
    engine_done: bool = False  # the target itself says that it has replaced every task
    leftovers: bool = False  # tasks of a former description still run
    has_failed: bool = False  # tasks of this description have failed
    longest_up: float = 0.0  # seconds for which a task of it has run, at least; by the target's own clock
    patience: float = 0.0  # seconds that the target takes on purpose: it bakes, or shifts traffic in steps
    pause: str = ""  # what the target waits for, however long it takes: a person's approval, say

    @property
    def all_up(self) -> bool:
        """Return whether every wanted task runs the service's template, whatever the target says."""
        return self.ready >= self.desired and not self.leftovers


@dataclass(frozen=True)
class Left:
    """An image that somebody, or the target itself, has gone back from."""

    image: str
    digest: str
    by_operator: bool  # a person's word, and not the target's answer to a failure
    reason: str


@dataclass(frozen=True)
class JobRun:
    """The newest run of a job."""

    alive: bool  # a task of it may still complete
    began_at: datetime | None  # when its first task was made, by the target's clock


@dataclass(frozen=True)
class Snapshot:
    """All facts of one look at a service."""

    service: Service
    progress: Progress
    now: datetime
    ours: bool = False  # its tasks should run exactly what the deployer wrote last
    rolled_back: bool = False  # the target's last word is on a rollback, under way or ended
    left: Left | None = None  # what it was rolled back from, as far as can be known
    former_images: tuple[str, ...] = ()  # that its tasks ran, newest first, without those that only failed
    # Digests that people moved it away from since the deployer's last write, and why they are not tried.
    moved: Mapping[str, str] = field(default_factory=dict)
    forgetful: bool = False  # nothing in the target may tell of a write, once it has been taken back
    # Somebody took the deployer's labels off, and says where to start anew; so it is where nobody has looked.
    anew: bool = True
    before: str | None = None  # the image of the description before the last write
    untouched: bool = False  # the target has said nothing yet of the last write
    job: JobRun | None = None  # None for a service that is no job
    lag: float = 0.0  # seconds for which a reading may not show the last write yet

    @property
    def has_run(self) -> tuple[str, ...]:
        """Return the images that the service has run, as far as its labels and tasks tell, newest first."""
        previous = self.service.state.previous
        return (*([previous] if previous else []), *self.former_images)


def listed(service: Service, now: datetime) -> Snapshot:
    """Return what the list of services alone tells of one: nothing was asked about its tasks."""
    return Snapshot(service, Progress(Phase.CONVERGED, 0, 0), now, forgetful=service.traceless)
