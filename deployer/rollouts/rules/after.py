"""The rules that are asked when the registry has answered: memory of failure, order, and waiting."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from deployer.model.deployment import Outcome
from deployer.model.image import Image
from deployer.model.service import Service
from deployer.model.snapshot import Phase, Snapshot
from deployer.policies.labels import ServiceLabels
from deployer.rollouts.decision import Case, Found, Skip, Stop, Wait
from deployer.rollouts.rules.gates import SETTLE, not_approved, not_scanned, not_signed, too_young

WINDOW_SECONDS = 900.0  # between two looks at a window that is shut, and SQS's longest delay
OVERRIDE = "a new push, or `deployer update --force`, goes on"


def _already_there(found: Found) -> Stop | None:
    case, digest = found.case, found.manifest.digest
    if case.request.force or not _runs(case, found.target):
        return None
    if case.request.pushed_digest and case.request.pushed_digest != digest:
        return Skip(
            Outcome.SUPERSEDED, "stale: the tag has moved on since this push, to what the service has"
        )
    if case.request.trigger == "manual" and case.snapshot.progress.engine_busy:
        return Wait("this digest is being rolled out already", "roll-out")
    return Skip(Outcome.UNCHANGED, "the service has this digest")


def _runs(case: Case, target: Image) -> bool:
    """Return whether the service has this image already."""
    service = case.snapshot.service
    if service.image_text == str(target):
        return True
    # The same digest under another tag: a new name alone is worth no restart, unless a person wants it.
    current = service.image
    same = current is not None and current.digest == target.digest and current.same_repository(target)
    return same and case.request.follows


def _goes_back_already(found: Found) -> Stop | None:
    case = found.case
    if not case.request.rollback or not case.snapshot.progress.engine_busy:
        return None
    if case.snapshot.rolled_back or case.snapshot.service.state.by == "rollback":
        return Skip(Outcome.SUPERSEDED, "a rollback is under way already")
    return None


def _failed_before(found: Found) -> Stop | None:
    digest = found.manifest.digest
    why = found.case.failures.get(digest, found.case.snapshot.moved.get(digest))
    if why is None or _insists(found):
        return None
    return Skip(Outcome.HELD, f"this digest failed before ({why or 'no reason known'}); {OVERRIDE}")


def _insists(found: Found) -> bool:
    """Return whether a person asked for just this."""
    return found.case.request.force or found.case.request.rollback


def _not_quiet_yet(found: Found) -> Stop | None:
    case, digest = found.case, found.manifest.digest
    if not case.request.by_itself:
        return None
    settle = case.rules.settle if case.labels.settle is None else case.labels.settle
    what = f"{SETTLE}{digest}"
    left = settle - case.request.waiting.get(what, 0.0)
    return Wait(f"the tag must be quiet for {settle:g} s", what, seconds=left) if left > 0 else None


def _outside_its_window(found: Found) -> Stop | None:
    case, window = found.case, found.case.labels.window
    if window is None or not case.request.by_itself or window.is_open(case.snapshot.now):
        return None
    opens = window.opens_at(case.snapshot.now)
    seconds = max(1.0, min((opens - case.snapshot.now).total_seconds(), WINDOW_SECONDS))
    text = f"outside its window, which opens at {opens:%Y-%m-%d %H:%M} UTC"
    return Wait(text, "window", seconds=seconds, patient=True)


def _comes_after_another(found: Found) -> Stop | None:
    case, after, digest = found.case, found.case.after, found.manifest.digest
    if after is None or not case.request.by_itself:
        return None
    other, image = after.service, after.service.image
    # Of a service that follows another tag it is enough that it stands.
    if image is not None and _follows_too(other, image, found.wanted):
        if digest in case.after_failures:
            return Skip(Outcome.HELD, f"{other.name}, which goes first, failed with this digest")
        if image.digest != digest:
            return Wait(f"{other.name} goes first", "after")
    if not _stands(after):
        return Wait(f"{other.name} goes first, and is {after.progress.phase}", "after")
    if case.after_bakes:
        return Wait(f"{other.name} goes first, and bakes", "after", patient=True)
    return None


def _follows_too(other: Service, image: Image, wanted: Image) -> bool:
    if not image.same_repository(wanted):
        return False
    policy = ServiceLabels.parse(other.labels).policy
    return image.same_tag(wanted) or bool(
        image.tag and wanted.tag and policy.may_follow(image.tag, wanted.tag)
    )


def _stands(after: Snapshot) -> bool:
    # What an operator, or the engine, has taken back stands as well as what was updated.
    progress = after.progress
    return progress.phase is Phase.CONVERGED or (progress.phase is Phase.REVERTED and progress.all_up)


def _rolls_already(found: Found) -> Stop | None:
    case, service = found.case, found.case.snapshot.service
    if case.request.rollback or case.labels.replace:
        return None
    if service.rolling and (pause := case.snapshot.progress.pause):
        return Wait(f"a roll-out is under way, and {pause}", "pause", patient=True)
    if not (service.rolls(case.snapshot.now, case.timeout) or _just_written(case.snapshot)):
        return None
    # The target says so for good where tasks find no node: waited out, it is no reason any more.
    what = f"roll-out since {service.rolling_since}"
    if case.request.waiting.get(what, 0.0) >= case.timeout:
        return None
    count = f"{case.snapshot.progress.ready}/{case.snapshot.progress.desired}"
    return Wait(f"a roll-out is under way ({count}); {found.manifest.digest} is next", what)


def _just_written(snapshot: Snapshot) -> bool:
    """Return whether our own write is so fresh that the target has not taken it up yet."""
    return snapshot.ours and snapshot.untouched and snapshot.progress.leftovers


AFTER: Sequence[tuple[str, Callable[[Found], Stop | None]]] = (
    ("the service lacks this digest", _already_there),
    ("no rollback is under way", _goes_back_already),
    ("the digest is not known to fail", _failed_before),
    ("its signature is proved", not_signed),
    ("its scan has found no more than allowed", not_scanned),
    ("the digest is approved", not_approved),
    ("the digest is old enough", too_young),
    ("the tag has been quiet for long enough", _not_quiet_yet),
    ("its window is open", _outside_its_window),
    ("the service that goes first is up to date", _comes_after_another),
    ("no other roll-out is under way", _rolls_already),
)
