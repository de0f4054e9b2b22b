"""How every service stands that the deployer looks after: read from the Swarm and the registries alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from deployer.errors import DeployerError
from deployer.model.image import Image
from deployer.model.service import LabelError, Service
from deployer.model.snapshot import Phase, Progress, Snapshot
from deployer.policies.labels import ServiceLabels, complaint, misplaced
from deployer.rollouts.core import Core, known_failures
from deployer.rollouts.ledger import Hold, Ledger
from deployer.rollouts.once import AskedOnce, ListedOnce

ASKED_AT_ONCE = 8  # requests to registries side by side


@dataclass(frozen=True)
class Standing:
    """One service."""

    service: str
    image: str  # repository and tag
    digest: str | None  # that runs, or is being rolled out
    since: datetime | None  # when the digest was written; None if nobody knows
    newer: str | None  # the digest that the registry has instead, None if it is the same
    registry: str | None  # why the registry does not tell, None if it does
    state: str  # converged, rolling, paused, reverted
    ready: int
    wanted: int
    held: str | None
    off: str | None  # why it is never updated
    advice: str | None  # what somebody has probably meant otherwise
    failed: tuple[str, ...]  # digests that are not tried again by themselves
    last: str  # how the last deployment ended, as far as the service knows
    credentials_age: timedelta | None  # since credentials were stored with it; ECR's live for 12 hours


def survey(core: Core, names: Sequence[str] = (), ask: bool = True) -> list[Standing]:
    """How the services stand, by name.

    Args:
        core: the core.
        names: services, by name; none for all that carry the filter label and run an image.
        ask: ask the registries what is newest, each image once.

    Raises:
        TemporaryError: the Swarm cannot answer now.
    """
    services = [s for s in core.target.services() if s.image and s.carries(core.rules.filter_label)]
    if names:
        services = [s for s in services if s.name in names or s.id in names]
    asking = replace(core, target=AskedOnce(core.target), registry=ListedOnce(core.registry))
    asked = [s for s in services if s.image and s.image.followed_tag] if ask else []
    with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
        answers = pool.map(lambda service: _ask(asking, service), asked)
        found = {service.id: answer for service, answer in zip(asked, answers, strict=True)}
    ledger, now = core.target.ledger(), core.clock()
    snapshots = core.target.read_all(sorted(services, key=lambda s: s.name), now)
    return [_standing(snapshot, found, ledger, now) for snapshot in snapshots]


def _ask(core: Core, service: Service) -> str | DeployerError | None:
    """What the service follows means at its registry now, or why that cannot be told."""
    assert service.image is not None  # noqa: S101 - survey has left out the others
    try:
        wanted = core.followed(
            service, service.image.without_digest(), dict.fromkeys(service.state.failures, "")
        )
        return core.manifest(wanted, service.login)[0].digest
    except LabelError:
        return None  # it is off, and that is said
    except DeployerError as fault:
        return fault


def _standing(
    snapshot: Snapshot,
    found: Mapping[str, str | DeployerError | None],
    ledger: Ledger,
    now: datetime,
) -> Standing:
    service, progress, image = snapshot.service, snapshot.progress, snapshot.service.image
    assert image is not None  # noqa: S101 - survey has left out the others
    answer = found.get(service.id)
    newer = answer if isinstance(answer, str) and answer != image.digest else None
    written_by_us = service.state.image == service.image_text and service.state.at
    return Standing(
        service=service.name,
        image=str(image.without_digest()),
        digest=image.digest,
        since=datetime.fromisoformat(service.state.at) if written_by_us and service.state.at else None,
        newer=newer,
        registry=str(answer) if isinstance(answer, DeployerError) else None,
        state=str(progress.phase),
        ready=progress.ready,
        wanted=progress.wanted,
        held=_held(ledger.hold(service.name, service.id, now)) or ServiceLabels.parse(service.labels).hold,
        off=_off(service, image),
        advice=misplaced(service),
        failed=tuple(known_failures(snapshot, ledger)),
        last=_last(service, progress),
        credentials_age=now - stored if (stored := service.state.credentials_since) else None,
    )


def _held(hold: Hold | None) -> str | None:
    return str(hold) if hold else None


def _off(service: Service, image: Image) -> str | None:
    if wrong := complaint(service):
        return wrong
    if not ServiceLabels.parse(service.labels).enabled:
        return "deployer.enable=false"
    if service.is_job and not ServiceLabels.parse(service.labels).run_job:
        return "a job"
    if ServiceLabels.parse(service.labels).policy.off:
        return "deployer.policy=none"
    return None if image.followed_tag else "pinned to a digest"


def _last(service: Service, progress: Progress) -> str:
    state = service.state
    if not state.at:
        return "-"
    by = f"event {state.event}" if state.event else state.by
    if state.image != service.image_text:
        return "superseded: somebody else wrote"
    if state.by == "rollback":
        return f"rolled-back: {(state.reason or 'by hand').removeprefix('rolled back ')}"
    word = {Phase.CONVERGED: "updated", Phase.PAUSED: "failed", Phase.REVERTED: "rolled-back"}
    return f"{word.get(progress.phase, 'rolling')} by {by}"
