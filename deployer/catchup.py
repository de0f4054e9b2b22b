"""Which services are behind their registries: for pushes whose events never came (ECR sends them at best
effort), and after an outage.

Each image is asked of its registry once, however many services run it, and only services that are behind
are looked at more closely.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

from deployer.cases import Case, Found, Outcome, Request, Skip, Stop, Update
from deployer.convergence import Phase, Progress
from deployer.core import Core
from deployer.errors import DeployerError
from deployer.images import Image
from deployer.limits import Ledger
from deployer.plan import choose, decide
from deployer.ports import Credentials, Registry, Swarm
from deployer.ranking import Tag
from deployer.services import LabelError, Manifest, Service

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
        """How many pushes nobody has acted on."""
        return len({one.wanted for one in self.behind if one.now})


def survey(core: Core) -> Survey:
    """Compare every service with its registry; nothing is written.

    Raises:
        TemporaryError: the Swarm cannot answer now.
    """
    swarm, registry = _AskedOnce(core.swarm), _ListedOnce(core.registry)
    asking = replace(core, swarm=swarm, registry=registry)
    ledger = swarm.ledger()
    behind, faults, seen = [], [], 0
    for service in swarm.services():
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
    return Survey(seen, len({image for image, _ in swarm.asked}), tuple(behind), tuple(faults))


def _compare(core: Core, service: Service, ledger: Ledger) -> Behind | None:
    request = Request("-", by="reconcile")
    # The tasks of a service are read only if it is behind.
    case = Case(service, request, core.rules, (), IDLE, core.clock(), ledger.hold(service.id))
    step: Image | Stop | Update = choose(case)
    ignored = isinstance(step, Skip) and step.outcome is Outcome.IGNORED
    if ignored or service.image is None:
        return None
    wanted = core.followed(service, service.image.without_digest())
    manifest, _ = core.manifest(wanted, service.login)
    if service.image.digest == manifest.digest:
        return None
    if isinstance(step, Image):
        step = decide(Found(core.case(core.look(service.id), request), wanted, manifest))
    target = str(wanted.with_digest(manifest.digest))
    reason = "" if isinstance(step, Update | Image) else step.reason
    return Behind(service.name, service.id, str(service.image), target, isinstance(step, Update), reason)


class _Once:
    """Remembers answers and failures: a registry that is down is asked once for each image, too."""

    def __init__(self) -> None:
        self.asked: dict[tuple[Any, ...], Any] = {}

    def ask(self, key: tuple[Any, ...], question: Callable[[], T]) -> T:
        if key not in self.asked:
            try:
                self.asked[key] = question()
            except DeployerError as fault:
                self.asked[key] = fault
        answer = self.asked[key]
        if isinstance(answer, DeployerError):
            raise answer
        return cast("T", answer)


class _AskedOnce(_Once):
    """A Swarm that asks a registry once for each image."""

    def __init__(self, swarm: Swarm) -> None:
        super().__init__()
        self._swarm = swarm

    def __getattr__(self, name: str) -> Any:
        return getattr(self._swarm, name)

    def manifest(self, image: Image, credentials: Credentials | None) -> Manifest:
        """What the registry says of an image."""
        # With other credentials it is another question: a fresh token may be good where an old one was not.
        return self.ask((str(image), credentials), lambda: self._swarm.manifest(image, credentials))


class _ListedOnce(_Once):
    """Registries that list the tags of a repository once."""

    def __init__(self, registry: Registry) -> None:
        super().__init__()
        self._registry = registry

    def __getattr__(self, name: str) -> Any:
        return getattr(self._registry, name)

    def tags(self, image: Image, login: str | None = None) -> Sequence[Tag]:
        """All tags of an image's repository."""
        return self.ask((image.name, login), lambda: self._registry.tags(image, login))
