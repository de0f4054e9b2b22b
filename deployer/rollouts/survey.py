"""Which services are behind their registries: for pushes whose events never came (ECR sends them at best
effort), and after an outage.

Each image is asked of its registry once, however many services run it, and only services that are behind
are looked at more closely.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

from deployer.errors import DeployerError
from deployer.model.deployment import Outcome, Request
from deployer.model.image import Image
from deployer.model.service import LabelError, Service
from deployer.model.snapshot import Phase, Progress, Snapshot
from deployer.rollouts.core import Core, case_of
from deployer.rollouts.decision import Found, Skip, Stop, Update
from deployer.rollouts.ledger import Ledger
from deployer.rollouts.once import AskedOnce, ListedOnce
from deployer.rollouts.rules import SETTLE, choose, decide

T = TypeVar("T")
IDLE = Progress(Phase.CONVERGED, 0, 0)


@dataclass(frozen=True)
class Behind:
    """A service that does not run what it follows."""

    service: str
    service_id: str
    running: str
    wanted: str
    now: bool  # whether it would be updated at once
    reason: str  # why not, if so


@dataclass(frozen=True)
class Survey:
    """What was found."""

    services: int
    images: int
    behind: tuple[Behind, ...]
    faults: tuple[tuple[str, str], ...]  # service, and why its registry did not tell

    @property
    def missed(self) -> int:
        """Return the number of pushes that nobody has acted on."""
        return len({one.wanted for one in self.behind if one.now})


def survey(core: Core) -> Survey:
    """Compare every service with its registry; no service is written to.

    Raises:
        TemporaryError: the Swarm cannot answer now.
    """
    target, registry = AskedOnce(core.target), ListedOnce(core.registry)
    asking = replace(core, target=target, registry=registry)
    ledger = target.ledger()
    behind, faults, seen = [], [], 0
    for service in target.services():
        if service.image is None or not service.carries(core.rules.filter_label):
            continue
        seen += 1
        try:
            found = _compare(asking, service, ledger)
        except LabelError:
            continue  # said in the log and in `status` already
        except DeployerError as fault:
            faults.append((service.name, str(fault)))
            continue
        if found:
            behind.append(found)
    return Survey(seen, len({image for image, _ in target.asked}), tuple(behind), tuple(faults))


def _compare(core: Core, service: Service, ledger: Ledger) -> Behind | None:
    request = Request("-", by="reconcile")
    # The tasks of a service are read only if it is behind.
    case = case_of(Snapshot(service, IDLE, core.clock()), request, core.rules, ledger)
    step: Image | Stop | Update = choose(case)
    ignored = isinstance(step, Skip) and step.outcome is Outcome.IGNORED
    if ignored or service.image is None:
        return None
    wanted = core.followed(service, service.image.without_digest(), case.failures)
    manifest, _ = core.manifest(wanted, service.login)
    if service.image.digest == manifest.digest:
        return None
    if isinstance(step, Image):
        # Waiting for the tag to be quiet is left to its own deployment, all other rules are asked here.
        quiet = replace(request, waiting={f"{SETTLE}{manifest.digest}": float("inf")})
        case = core.case(core.read(service.id), quiet, ledger)
        core.remember(case)  # a rollback by hand, say, of which the next write would leave no trace
        step = decide(Found(case, wanted, manifest))
    target = str(wanted.with_digest(manifest.digest))
    reason = "" if isinstance(step, Update | Image) else step.reason
    return Behind(service.name, service.id, str(service.image), target, isinstance(step, Update), reason)
