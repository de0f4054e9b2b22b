"""What to do with one service, decided from facts alone: a value, which the caller carries out.

Every rule about order, holds, memory of failure and waiting stands here, and nowhere else, in two steps:
`choose` says which image the registry is to be asked about (or why not to ask), `decide` what to do with
the answer. Events are hints, the registry is the truth: no rule trusts the digest or the time of an event.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from deployer.convergence import Phase, Progress, former_images, image_of, moment
from deployer.errors import InvalidReferenceError
from deployer.images import Image
from deployer.services import Manifest, Service, State

LOOK_SECONDS = 3.0  # between two looks at a roll-out of somebody else's
UPDATER_SECONDS = 5.0  # in which the engine takes up an update and says so


class Outcome(StrEnum):
    """How a deployment ended; the same words in results, logs, metrics and on the command line."""

    UPDATED = "updated"
    UNCHANGED = "unchanged"
    SUPERSEDED = "superseded"
    HELD = "held"
    IGNORED = "ignored"
    FAILED = "failed"
    ROLLED_BACK = "rolled-back"


@dataclass(frozen=True)
class Rules:
    """The settings that decisions depend on."""

    filter_label: str | None = None
    rollback: bool = True
    rollout_timeout: float = 900.0  # seconds
    settle: float = 0.0  # seconds
    max_rollouts: int = 0  # services of the whole Swarm; 0 for no limit
    allow_registries: Sequence[str] = ()


@dataclass(frozen=True)
class Request:
    """What somebody wants of one service."""

    task: str  # the deployment's id: the Celery task's
    by: str = "manual"  # event, manual, reconcile or rollback
    image: str | None = None  # another tag of the same repository; None: what the service follows
    force: bool = False  # restart on the same digest, and try a digest that failed before
    rollback: bool = False  # go back to the former image
    allow_repository_change: bool = False
    event: str | None = None  # the event's id
    hint: str | None = None  # the digest that the event spoke of
    pushed_at: str | None = None
    quiet: Mapping[str, str] = field(default_factory=dict)  # digest and since when it is the newest (settle)


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


def choose(
    service: Service, request: Request, rules: Rules, tasks: Sequence[Mapping[str, Any]]
) -> Image | Skip:
    """The image to ask the registry about, or why nothing is to be done at all.

    Raises:
        LabelError: a label of the service cannot be understood.
    """
    refusal = _refuse(service, request, rules)
    if refusal:
        return Skip(*refusal)
    current = service.image
    assert current is not None  # noqa: S101 - _refuse has answered for services without an image
    if request.rollback:
        return _way_back(service, tasks) or Skip(Outcome.FAILED, "there is no former image to go back to")
    if request.image is not None:
        return _other_image(current, request, rules)
    if current.followed_tag is None:
        return Skip(Outcome.IGNORED, "the image is pinned to a digest and has no tag to follow")
    return current.without_digest()


def _refuse(service: Service, request: Request, rules: Rules) -> tuple[Outcome, str] | None:
    if service.image is None:
        return (
            Outcome.IGNORED,
            "it runs no image (a plugin, a network attachment or no valid reference)",
        )
    if not service.carries(rules.filter_label):
        return (
            Outcome.IGNORED,
            f"it does not carry the label {rules.filter_label} (DEPLOYER_FILTER_LABEL)",
        )
    if not service.flag("deployer.enable", default=True):
        return Outcome.IGNORED, "label deployer.enable=false"
    if service.is_job and not service.flag("deployer.run-job", default=False):
        return (
            Outcome.IGNORED,
            "it is a job, which an update would run again (label deployer.run-job=true allows it)",
        )
    if service.hold and not request.rollback:
        return Outcome.HELD, f"held: {service.hold}"
    return None


def _other_image(current: Image, request: Request, rules: Rules) -> Image | Skip:
    try:
        wanted = Image.parse(request.image or "")
    except InvalidReferenceError as fault:
        return Skip(Outcome.FAILED, str(fault))
    if wanted.same_repository(current):
        return wanted
    if not request.allow_repository_change:
        return Skip(
            Outcome.FAILED,
            f"{wanted} is another repository than {current.without_digest()} (allow_repository_change)",
        )
    if wanted.host != current.host and wanted.host not in rules.allow_registries:
        return Skip(
            Outcome.FAILED,
            f"{wanted.host} is another registry than the service's (DEPLOYER_ALLOW_REGISTRIES)",
        )
    return wanted


def _way_back(service: Service, tasks: Sequence[Mapping[str, Any]]) -> Image | None:
    """The image to go back to: remembered on the service or, after a `docker stack deploy`, by the Swarm."""
    remembered = [service.state.previous] if service.state.previous else []
    current = service.image
    for text in remembered + former_images(tasks):
        candidate = Image.parse(text)
        if not current or not candidate.digest or candidate.digest in service.state.failures:
            continue
        if candidate.digest != current.digest and candidate.same_repository(current):
            return candidate
    return None


def decide(
    service: Service,
    request: Request,
    rules: Rules,
    wanted: Image,
    manifest: Manifest,
    progress: Progress,
    tasks: Sequence[Mapping[str, Any]],
    now: datetime,
) -> Update | Skip | Wait:
    """What to do about a service, now that the registry has said what the wanted image is."""
    target = wanted.with_digest(manifest.digest)
    current = service.image_text
    if current == str(target) and not request.force:
        return _already_there(request, manifest, progress)
    if request.rollback and progress.engine_busy and service.state.by == "rollback":
        return Skip(Outcome.SUPERSEDED, "a rollback is under way already")
    held_back = None if request.force or request.rollback else _held_back(service, manifest, tasks)
    if held_back:
        return Skip(Outcome.HELD, held_back)
    waiting = _unsettled(service, request, rules, manifest, now)
    waiting = waiting or _busy(service, request, rules, target, progress, now)
    if waiting:
        return waiting
    return Update(target, manifest, _state(service, request, target, progress, tasks, now), request.force)


def _already_there(request: Request, manifest: Manifest, progress: Progress) -> Skip | Wait:
    if request.hint and request.hint != manifest.digest:
        return Skip(
            Outcome.SUPERSEDED,
            "stale: the tag has moved on since this push, to what the service has",
        )
    if request.by == "manual" and progress.engine_busy:
        return Wait(LOOK_SECONDS, "this digest is being rolled out already")
    return Skip(Outcome.UNCHANGED, "the service has this digest")


def _held_back(service: Service, manifest: Manifest, tasks: Sequence[Mapping[str, Any]]) -> str | None:
    """Why this digest must not be rolled out by itself, if so."""
    state = service.state
    override = "a new push, or `deployer update --force`, goes on"
    if manifest.digest in state.failures:
        return f"this digest was given up before ({state.reason or 'no reason known'}); {override}"
    if _rolled_back_from(service, tasks) == manifest.digest:
        return f"this digest was rolled back from ({service.update_message}); {override}"
    moved_away = state.image and state.image.endswith(manifest.digest) and state.image != service.image_text
    if moved_away:
        return f"somebody moved the service away from this digest; {override}"
    return None


def _rolled_back_from(service: Service, tasks: Sequence[Mapping[str, Any]]) -> str | None:
    """The digest that the engine (or `docker service rollback`) has just left, from the Swarm's own history.

    The engine takes our labels back together with the image, but not its tasks.
    """
    if not (service.update_state or "").startswith("rollback"):
        return None
    left = [task for task in tasks if image_of(task) not in {None, service.image_text}]
    if not left:
        return None
    newest = max(left, key=lambda task: str(task.get("CreatedAt", "")))
    return str(image_of(newest)).partition("@")[2] or None


def _unsettled(
    service: Service, request: Request, rules: Rules, manifest: Manifest, now: datetime
) -> Wait | None:
    settle = service.seconds("deployer.settle", rules.settle)
    if not settle or request.by != "event":
        return None
    since = now
    if request.quiet.get("digest") == manifest.digest:
        since = datetime.fromisoformat(request.quiet["since"])
    left = settle - (now - since).total_seconds()
    if left <= 0:
        return None
    quiet = {"digest": manifest.digest, "since": since.isoformat()}
    return Wait(left, f"the tag must be quiet for {settle:g} s", quiet)


def _busy(
    service: Service, request: Request, rules: Rules, target: Image, progress: Progress, now: datetime
) -> Wait | None:
    if request.rollback or service.flag("deployer.replace", default=False):
        return None
    if not _under_way(service, rules, progress, now) and not _just_written(service, now):
        return None
    return Wait(
        LOOK_SECONDS,
        f"a roll-out is under way ({progress.ready}/{progress.wanted}); {target.digest} is next",
    )


def _under_way(service: Service, rules: Rules, progress: Progress, now: datetime) -> bool:
    """Whether the engine is at it, and for no longer than a roll-out may take."""
    if not progress.engine_busy or not service.update_started_at:
        return progress.engine_busy
    timeout = service.seconds("deployer.timeout", rules.rollout_timeout)
    return (now - moment(service.update_started_at)).total_seconds() < timeout


def _just_written(service: Service, now: datetime) -> bool:
    """Whether our own write is so fresh that the engine's updater may not have taken it up yet."""
    if service.update_state or service.state.image != service.image_text or not service.state.at:
        return False
    return 0 <= (now - moment(service.state.at)).total_seconds() < UPDATER_SECONDS


def _state(
    service: Service,
    request: Request,
    target: Image,
    progress: Progress,
    tasks: Sequence[Mapping[str, Any]],
    now: datetime,
) -> State:
    if request.rollback:
        failed = service.image.digest if service.image else None
        return give_up(service, request.task, target, failed, "rolled back by hand", now)
    return State(
        image=str(target),
        previous=_previous(service, target, progress, tasks),
        task=request.task,
        event=request.event,
        by=request.by,
        at=now.isoformat(timespec="milliseconds"),
        pushed_at=request.pushed_at,
    )


def _previous(
    service: Service, target: Image, progress: Progress, tasks: Sequence[Mapping[str, Any]]
) -> str | None:
    """The way back after this write: what runs now, if it runs well, else what we could go back to before."""
    current = service.image
    if current and current.digest and _good(progress):
        return str(current) if current.digest != target.digest else service.state.previous
    back = _way_back(service, tasks)
    return str(back) if back and back.digest != target.digest else None


def _good(progress: Progress) -> bool:
    # A service that lost a node is short of tasks, but its image is none the worse.
    degraded = progress.phase is Phase.ROLLING and not progress.engine_busy and progress.ready > 0
    return degraded or progress.phase in {Phase.CONVERGED, Phase.REVERTED}


def give_up(
    service: Service, task: str, back: Image, failed: str | None, reason: str, now: datetime
) -> State:
    """What to remember when a service goes back: the digest that failed, why, and no further way back."""
    return replace(
        service.state.with_failure(failed),
        image=str(back),
        previous=None,
        reason=reason,
        task=task,
        by="rollback",
        at=now.isoformat(timespec="milliseconds"),
    )


def go_back(service: Service, rules: Rules, tasks: Sequence[Mapping[str, Any]]) -> Image | None:
    """Where a failed roll-out goes back to, or None where it may not or cannot.

    Raises:
        LabelError: `deployer.rollback` is neither true nor false.
    """
    if not service.flag("deployer.rollback", rules.rollback):
        return None
    return _way_back(service, tasks)
