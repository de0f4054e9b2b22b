"""The words of a decision: what is known of a service, what is wanted of it, what can come of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from deployer.model.deployment import Outcome, Request
from deployer.model.image import Image
from deployer.model.service import Manifest, Service, State
from deployer.targets.swarm.progress import Progress


@dataclass(frozen=True)
class Rules:
    """The settings that decisions depend on."""

    filter_label: str | None = None
    rollback: bool = True
    rollout_timeout: float = 900.0  # seconds
    settle: float = 0.0  # seconds
    max_rollouts: int = 0  # services of the whole Swarm; 0 for no limit
    allow_repositories: Sequence[str] = ()  # globs of repositories with their host


@dataclass(frozen=True)
class Update:
    """Write this image, with this state, in one update."""

    image: Image
    manifest: Manifest
    state: State
    force: bool = False


@dataclass(frozen=True)
class Skip:
    """Write nothing: this is how the deployment ends."""

    outcome: Outcome
    reason: str


@dataclass(frozen=True)
class Wait:
    """Write nothing now and look again."""

    seconds: float
    reason: str
    quiet: Mapping[str, str] = field(default_factory=dict)
    patient: bool = False  # however long it takes


Stop = Skip | Wait


@dataclass(frozen=True)
class Forerunner:
    """How another service stands that this one waits for."""

    service: Service
    progress: Progress


@dataclass(frozen=True)
class Case:
    """All facts that a decision is made of."""

    service: Service
    request: Request
    rules: Rules
    tasks: Sequence[Mapping[str, Any]]
    progress: Progress
    now: datetime
    hold: str | None = None  # why it is held by command, alone or with all others
    after: Forerunner | None = None  # of the service that the label `deployer.after` names


@dataclass(frozen=True)
class Found:
    """A case, and what the registry said of the wanted image."""

    case: Case
    wanted: Image
    manifest: Manifest

    @property
    def target(self) -> Image:
        """The wanted image with the digest that it has now."""
        return self.wanted.with_digest(self.manifest.digest)
