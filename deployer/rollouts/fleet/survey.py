"""Find services that are behind their registries: for pushes whose events never came (ECR sends them at best
effort), and after an outage.

Each image is asked of its registry once, however many services run it, and only services that are behind
are looked at more closely.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

from deployer.errors import DeployerError
from deployer.model.deployment import Outcome, Request
from deployer.model.image import Image
from deployer.model.label_names import SCHEDULES
from deployer.model.service import LabelError, Manifest, Service
from deployer.model.snapshot import Snapshot, listed
from deployer.rollouts.core import Core
from deployer.rollouts.decision import Skip, Stop, Update
from deployer.rollouts.facts import case_of, remember_sight
from deployer.rollouts.fleet.once import AskedOnce, ListedOnce
from deployer.rollouts.ledger import Ledger
from deployer.rollouts.memory import known_failures
from deployer.rollouts.rules import SETTLE, choose, decide

S = TypeVar("S")
T = TypeVar("T")
ASKED_AT_ONCE = 8  # services whose registries are asked side by side


@dataclass(frozen=True)
class Outdated:
    """A service that does not run what it follows."""

    service: str
    service_id: str
    running: str
    wanted: str
    now: bool  # whether it would be updated at once
    reason: str  # why not, if so


@dataclass(frozen=True)
class Survey:
    """The result of comparing all services with their registries."""

    services: int
    images: int
    behind: tuple[Outdated, ...]
    faults: tuple[tuple[str, str], ...]  # service, and why its registry did not tell
    scheduled: tuple[Service, ...] = ()  # that bring something along (label deployer.schedules)

    @property
    def missed(self) -> int:
        """Return the number of pushes that nobody has acted on."""
        return len({one.wanted for one in self.behind if one.now})


def survey(core: Core, at_once: int = ASKED_AT_ONCE) -> Survey:
    """Compare every service with its registry; no service is written to.

    Args:
        core: the ports and the rules.
        at_once: services whose registries are asked side by side.

    Raises:
        TemporaryError: the Swarm cannot answer now.
    """
    ledger, target = core.target.ledger(), AskedOnce(core.target)
    asking = replace(asked_once(core), target=target)
    services = [s for s in core.target.services() if s.image and s.carries(core.rules.filter_label)]
    answers = side_by_side(
        lambda s: _compare(asking, s, ledger), services, kind=lambda s: s.image_text, at_once=at_once
    )
    pairs = list(zip(services, answers, strict=True))
    return Survey(
        len(services),
        len({image for image, _ in target.asked}),
        tuple(found for found in answers if isinstance(found, Outdated)),
        # A label that is not understood is said in the log and in `status` already.
        tuple((s.name, str(f)) for s, f in pairs if isinstance(f, DeployerError) and not _is_label(f)),
        tuple(service for service in services if SCHEDULES in service.labels),
    )


def asked_once(core: Core) -> Core:
    """Return a core that asks registries once for each image, and once for the tags of each repository."""
    return replace(core, target=AskedOnce(core.target), registry=ListedOnce(core.registry))


def side_by_side(
    question: Callable[[S], T],
    items: Sequence[S],
    kind: Callable[[S], object] = id,
    at_once: int = ASKED_AT_ONCE,
) -> list[T | DeployerError]:
    """Ask a question about several things at a time; a fault is the answer about the one that has it.

    Of each kind one is asked first, so that many services of one registry that is slow keep none waiting.
    """

    def answer(item: S) -> T | DeployerError:
        try:
            return question(item)
        except DeployerError as fault:
            return fault

    if min(len(items), at_once) <= 1:
        return [answer(item) for item in items]
    count = Counter[object]()
    places = []
    for number, item in enumerate(items):
        count[kind(item)] += 1
        places.append((count[kind(item)], number))
    order = [number for _, number in sorted(places)]
    with ThreadPoolExecutor(at_once) as pool:
        answers = dict(zip(order, pool.map(lambda number: answer(items[number]), order), strict=True))
    return [answers[number] for number in range(len(items))]


def newest(core: Core, snapshot: Snapshot, ledger: Ledger) -> tuple[Image, Manifest]:
    """Return the image that a service follows (without digest), and what it is at its registry now.

    Raises:
        LabelError: a label of the service cannot be understood.
        TemporaryError, PermanentError: the registry does not tell.
    """
    service = snapshot.service
    assert service.image is not None  # noqa: S101 - callers leave out the others
    wanted = core.followed(service, service.image.without_digest(), known_failures(snapshot, ledger))
    return wanted, core.manifest(wanted, service.login)[0]


def _is_label(fault: DeployerError) -> bool:
    return isinstance(fault, LabelError)


def _compare(core: Core, service: Service, ledger: Ledger) -> Outdated | None:
    request = Request("-", trigger="reconcile")
    # The tasks of a service are read only if it is behind.
    seen = listed(service, core.clock())
    step: Image | Stop | Update = choose(case_of(seen, request, core.rules, ledger))
    ignored = isinstance(step, Skip) and step.outcome is Outcome.IGNORED
    if ignored or service.image is None:
        return None
    wanted, manifest = newest(core, seen, ledger)
    behind = service.image.digest != manifest.digest
    if not behind and not service.rolled_back:
        return None
    look = core.read(service.id)
    same = look.service.image and look.service.image.digest == manifest.digest
    if behind and same:
        return None  # what no list tells: a description without a digest, and tasks that run this one
    # A rollback by hand, say, of which the next write would leave no trace.
    core.remember(case_of(look, request, core.rules, ledger))
    if same:
        return None
    core.remember_moved(look, manifest.digest)
    if isinstance(step, Image):
        # Waiting for the tag to be quiet is left to its own deployment, all other rules are asked here.
        quiet = replace(request, waiting={f"{SETTLE}{manifest.digest}": float("inf")})
        found = core.found(core.case(look, quiet, ledger), wanted, manifest)
        remember_sight(core.target, found)
        step = decide(found)
    target = str(wanted.with_digest(manifest.digest))
    reason = "" if isinstance(step, Update | Image) else step.reason
    return Outdated(service.name, service.id, str(service.image), target, isinstance(step, Update), reason)
