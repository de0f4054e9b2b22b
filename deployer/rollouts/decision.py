"""Value types of one decision: its inputs (rules, case, found) and its results (update, skip, wait)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from deployer.model.deployment import Outcome, Request
from deployer.model.evidence import Scan, Unproved
from deployer.model.image import Image
from deployer.model.service import Manifest, State
from deployer.model.snapshot import Snapshot
from deployer.policies.labels import ServiceLabels
from deployer.policies.proofs import Verify
from deployer.rollouts.ledger.approvals import Approvals
from deployer.rollouts.ledger.trials import Trial


@dataclass(frozen=True)
class Rules:
    """The settings that decisions depend on."""

    filter_label: str | None = None
    rollback: bool = True
    rollout_timeout: float = 900.0  # seconds
    settle: float = 0.0  # seconds
    max_rollouts: int = 0  # services of the whole Swarm; 0 for no limit
    allow_repositories: Sequence[str] = ()  # globs of repositories with their host
    verify: Verify | None = None  # who has to have signed every image
    task_logs: int = 0  # lines of a failing task that its report has
    no_data_fails: bool = False  # alarms and queries that say nothing count as a failure


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
    """Write nothing now and look again.

    `what` names the thing that is waited for: the same name in a row is one wait. Without `seconds` its
    looks come less and less often.
    """

    reason: str
    what: str
    seconds: float | None = None
    patient: bool = False  # however long it takes
    pre_job: str | None = None  # the digest that a job has been given that runs first


Stop = Skip | Wait


@dataclass(frozen=True)
class Case:
    """All facts that a decision is made of."""

    snapshot: Snapshot
    request: Request
    rules: Rules
    labels: ServiceLabels
    hold: str | None = None  # why it is held by command, alone or with all others
    after: Snapshot | None = None  # of the service that the label `deployer.after` names
    after_bakes: bool = False  # its own roll-out is not over yet (label `deployer.bake`)
    after_failures: Collection[str] = ()  # digests that failed with that service
    failures: Mapping[str, str] = field(default_factory=dict)  # digests not to be tried again, and why
    remembered: Collection[str] = ()  # those of them that the ledger knows already
    trial: Trial | None = None  # the last write to it that the ledger has noted
    approvals: Approvals = field(default_factory=Approvals)  # of one digest
    seen: Mapping[str, datetime] = field(default_factory=dict)  # digests of unknown age, and since when
    put_back: bool = False  # somebody has put back an image, with its labels, that failed and was given up

    @property
    def timeout(self) -> float:
        """Return seconds that a roll-out of the service may take."""
        return (self.labels.timeout or self.rules.rollout_timeout) + self.snapshot.progress.patience


@dataclass(frozen=True)
class Found:
    """A case, and the registry's answer about the wanted image."""

    case: Case
    wanted: Image
    manifest: Manifest
    pushed_at: datetime | None = None  # as the registry says, where a label asks for it
    unproved: Unproved | None = None  # why its signature is not proved, where one is demanded
    scan: Scan | None = None  # where a label asks for it

    @property
    def target(self) -> Image:
        """Return the wanted image with the digest that it has now."""
        return self.wanted.with_digest(self.manifest.digest)

    @property
    def has_run(self) -> bool:
        """Return whether it leads to what the service has run: its way back, or a restart of its digest.

        What a person goes back to by name counts where the service's own labels or tasks tell of it.
        """
        image, request, digest = self.case.snapshot.service.image, self.case.request, self.manifest.digest
        if request.rollback and request.image is None:
            return True
        former = (Image.find(text) for text in self.case.snapshot.has_run) if request.rollback else ()
        return any(one is not None and one.digest == digest for one in (image, *former))
