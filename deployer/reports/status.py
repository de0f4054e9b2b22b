"""The state of every managed service, read from the Swarm and the registries alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from deployer.errors import DeployerError
from deployer.model.image import Image
from deployer.model.service import LabelError, Manifest, Service
from deployer.model.snapshot import Phase, Snapshot
from deployer.reports.why import KINDS, Why, reasons
from deployer.rollouts.core import Core
from deployer.rollouts.fleet.survey import asked_once, newest, side_by_side
from deployer.rollouts.ledger import Ledger
from deployer.rollouts.ledger.slots import owner_of_bake
from deployer.rollouts.memory import known_failures

NO_WORKER = Why("no-worker", "no worker answers, so nobody updates it (`celery -A deployer worker`)")


@dataclass(frozen=True)
class Last:
    """The last deployment, as far as the service itself knows."""

    outcome: str  # a documented outcome, or `rolling`, `going-back`
    reason: str
    by: str | None
    event: str | None
    at: datetime | None


@dataclass(frozen=True)
class ServiceStatus:
    """One service."""

    service: str
    image: str  # repository and tag
    digest: str | None  # that runs, or is being rolled out
    since: datetime | None  # when the digest was written; None if nobody knows
    newer: str | None  # the digest that the registry has instead; None if it is the same, or is not known
    registry: str  # up-to-date, newer, unknown (it does not tell), not-followed, not-asked
    state: str  # converged, baking, rolling, going-back, paused, reverted
    ready: int
    wanted: int
    why: tuple[Why, ...]  # why nothing happens, worst first
    failed: tuple[str, ...]  # digests that are not tried again by themselves
    last: Last | None
    credentials_age: timedelta | None  # since credentials were stored with it; ECR's live for 12 hours


Answer = tuple[Image, Manifest] | DeployerError | None


def survey(
    core: Core,
    names: Sequence[str] = (),
    ask: bool = True,
    worker_answers: Callable[[], bool] = lambda: True,
) -> list[ServiceStatus]:
    """Return the state of services, by name.

    Args:
        core: the core.
        names: services, by name; none for all that carry the filter label and run an image.
        ask: ask the registries what is newest, each image once.
        worker_answers: asked at most once, and only if a service waits for a worker alone.

    Raises:
        TemporaryError: the Swarm cannot answer now.
    """
    services = [s for s in core.target.services() if s.image and s.carries(core.rules.filter_label)]
    if names:
        services = [s for s in services if s.name in names or s.id in names]
    asking, ledger = asked_once(core), core.target.ledger()
    snapshots = core.target.read_all(sorted(services, key=lambda s: s.name), core.clock())
    asked = [s for s in snapshots if s.service.image and s.service.image.followed_tag] if ask else []
    answers = side_by_side(
        lambda look: newest(asking, look, ledger), asked, kind=lambda look: look.service.image_text
    )
    # A label that is not understood turns the service off, and that is said.
    told = [None if isinstance(answer, LabelError) else answer for answer in answers]
    found = {one.service.id: answer for one, answer in zip(asked, told, strict=True)}
    standings = [_standing(asking, one, found, ledger) for one in snapshots]
    idle = [one for one in standings if _waits_for_a_worker(one)]
    if not idle or worker_answers():
        return standings
    return [replace(one, why=(NO_WORKER, *one.why)) if one in idle else one for one in standings]


def _waits_for_a_worker(one: ServiceStatus) -> bool:
    blocked = any(why.kind != "no-way-back" for why in one.why)
    return one.newer is not None and not blocked and one.state in {"converged", "reverted"}


def _standing(core: Core, look: Snapshot, found: Mapping[str, Answer], ledger: Ledger) -> ServiceStatus:
    service, image, state = look.service, look.service.image, look.service.state
    assert image is not None  # noqa: S101 - survey has left out the others
    answer = found.get(service.id)
    newer = answer if isinstance(answer, tuple) and answer[1].digest != image.digest else None
    why = [*reasons(core, look, ledger, newer)]
    if isinstance(answer, DeployerError):
        why.append(Why("registry", str(answer)))
    if _bakes(look, ledger):
        why.append(
            Why(
                "waiting",
                "it has converged and is being proved (bake, smoke test, alarms, query)",
            )
        )
    if look.progress.phase is Phase.PAUSED:
        why.append(Why("failed", f"the roll-out is paused: {look.progress.reason}"))
    stored = state.credentials_since if service.keeps_credentials else None
    written_by_us = state.at if state.image == service.image_text else None
    return ServiceStatus(
        service=service.name,
        image=str(image.without_digest()),
        digest=image.digest,
        since=datetime.fromisoformat(written_by_us) if written_by_us else None,
        newer=newer[1].digest if newer else None,
        registry=_registry(service, answer, newer is not None, service.id in found),
        state="going-back"
        if _goes_back(look)
        else "baking"
        if _bakes(look, ledger)
        else str(look.progress.phase),
        ready=look.progress.ready,
        wanted=look.progress.desired,
        why=tuple(sorted(why, key=lambda one: KINDS.index(one.kind) if one.kind in KINDS else 0)),
        failed=tuple(known_failures(look, ledger)),
        last=_last(look),
        credentials_age=look.now - stored if stored else None,
    )


def _registry(service: Service, answer: Answer, newer: bool, asked: bool) -> str:
    if isinstance(answer, DeployerError):
        return "unknown"
    if newer:
        return "newer"
    if asked and answer:
        return "up-to-date"
    return "not-asked" if service.image and service.image.followed_tag and not asked else "not-followed"


def _goes_back(look: Snapshot) -> bool:
    state = look.service.state
    ours = state.by == "rollback" and state.image == look.service.image_text
    return look.progress.phase is Phase.ROLLING and (ours or look.rolled_back)


def _bakes(look: Snapshot, ledger: Ledger) -> bool:
    converged, state = look.progress.phase is Phase.CONVERGED, look.service.state
    return converged and bool(state.task) and owner_of_bake(ledger, look.service.name) == state.task


def _last(look: Snapshot) -> Last | None:
    service, state = look.service, look.service.state
    if not state.at:
        return None
    at = datetime.fromisoformat(state.at)
    if state.image != service.image_text:
        return Last("superseded", "somebody else wrote", state.by, state.event, at)
    reason = state.reason or ""
    if state.by == "rollback":
        outcome = "going-back" if _goes_back(look) else "rolled-back"
        return Last(outcome, reason or "by hand", state.by, state.event, at)
    word = {Phase.CONVERGED: "updated", Phase.PAUSED: "failed", Phase.REVERTED: "rolled-back"}
    outcome = word.get(look.progress.phase, "rolling")
    return Last(outcome, look.progress.reason if outcome != "updated" else "", state.by, state.event, at)
