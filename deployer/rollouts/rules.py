"""The rules of a deployment: what to do with one service, decided from facts alone, as a value.

Every rule about order, holds, memory of failure and waiting stands here, and nowhere else, in two steps:
`choose` says which image the registry is to be asked about (or why not to ask), `decide` what to do with
the answer. Events are hints, the registry is the truth: no rule trusts the digest or the time of an event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from deployer.errors import InvalidReferenceError
from deployer.model import label_names as names
from deployer.model.deployment import Outcome
from deployer.model.image import Image
from deployer.model.service import LabelError, Service, State
from deployer.model.snapshot import Phase, Snapshot
from deployer.policies.labels import ServiceLabels
from deployer.policies.patterns import glob
from deployer.rollouts.decision import Case, Found, Skip, Stop, Update, Wait
from deployer.rollouts.rollback import gone_back, way_back, way_back_after

SETTLE = "settle "  # begins the name of a wait for a tag to be quiet
WINDOW_SECONDS = 900.0  # between two looks at a window that is shut, and SQS's longest delay


def choose(case: Case) -> Image | Stop:
    """The image to ask the registry about, or why nothing is to be done at all.

    Raises:
        LabelError: a label of the service cannot be understood.
    """
    for _, stop in questions(case):
        if stop:
            return stop
    return _wanted(case)


def decide(found: Found) -> Update | Stop:
    """What to do about a service, now that the registry has said what the wanted image is."""
    for _, stop in answers(found):
        if stop:
            return stop
    return Update(found.target, found.manifest, _state(found), found.case.request.force)


def leave_alone(case: Case) -> Stop | None:
    """Why nobody may write to a service at all, whatever is wanted of it; None if it may be written to.

    Raises:
        LabelError: a label of the service cannot be understood.
    """
    return next((stop for _, rule in _LEAVE_ALONE if (stop := rule(case))), None)


def questions(case: Case) -> Iterator[tuple[str, Stop | None]]:
    """Every rule that is asked before the registry, with what it says: a reason to stop, or None."""
    for name, rule in _BEFORE:
        yield name, rule(case)


def answers(found: Found) -> Iterator[tuple[str, Stop | None]]:
    """Every rule that is asked when the registry has answered, with what it says."""
    for name, rule in _AFTER:
        yield name, rule(found)


# -- before the registry is asked ---------------------------------------------------------------------


def _held_by_command(case: Case) -> Stop | None:
    return Skip(Outcome.HELD, f"held: {case.hold}") if case.hold and not case.request.rollback else None


def _runs_no_image(case: Case) -> Stop | None:
    if case.snapshot.service.image is not None:
        return None
    return Skip(Outcome.IGNORED, "it runs no image (a plugin, a network attachment or no valid reference)")


def _not_ours(case: Case) -> Stop | None:
    wanted = case.rules.filter_label
    if case.snapshot.service.carries(wanted):
        return None
    return Skip(Outcome.IGNORED, f"it does not carry the label {wanted} (DEPLOYER_FILTER_LABEL)")


def _turned_off(case: Case) -> Stop | None:
    if case.labels.enabled:
        return None
    return Skip(Outcome.IGNORED, case.labels.problem or f"label {names.ENABLE}=false")


def _is_job(case: Case) -> Stop | None:
    if not case.snapshot.service.is_job or case.labels.run_job:
        return None
    return Skip(
        Outcome.IGNORED,
        "it is a job, which an update would run again (label deployer.run-job=true allows it)",
    )


def _held_by_label(case: Case) -> Stop | None:
    held = None if case.request.rollback else case.labels.hold
    return Skip(Outcome.HELD, f"held: {held}") if held else None


def _not_again(case: Case) -> Stop | None:
    # What a tag means may be looked up as often as one likes; what a person asked for is done once.
    if case.request.by_itself or case.request.task not in case.snapshot.service.state.former_tasks:
        return None
    return Skip(Outcome.SUPERSEDED, "this deployment has ended, and others have come after it")


def _saw_something_else(case: Case) -> Stop | None:
    seen, image = case.request.seen, case.snapshot.service.image
    if not seen or image is None or image.digest == seen:
        return None
    return Skip(
        Outcome.SUPERSEDED, f"the service ran {seen} when this was asked for, and runs {image.digest} now"
    )


def _labels_understood(case: Case) -> Stop | None:
    # Later would be too late: some of them say what becomes of an update that has been written.
    if case.labels.problem and not case.request.rollback:
        raise LabelError(case.labels.problem)
    return None


def _follows_nothing(case: Case) -> Stop | None:
    if not case.request.follows or not case.labels.policy.off:
        return None
    return Skip(Outcome.IGNORED, "label deployer.policy=none")


def _nothing_to_follow(case: Case) -> Stop | None:
    wanted = _wanted(case)
    return None if isinstance(wanted, Image) else wanted


_LEAVE_ALONE: Sequence[tuple[str, Callable[[Case], Stop | None]]] = (
    ("no command holds it", _held_by_command),
    ("it carries the filter label", _not_ours),
    ("its updates are turned on", _turned_off),
    ("no label holds it", _held_by_label),
)
_BEFORE: Sequence[tuple[str, Callable[[Case], Stop | None]]] = (
    *_LEAVE_ALONE,
    ("the request is new", _not_again),
    ("it runs what it ran when this was asked for", _saw_something_else),
    ("it runs an image", _runs_no_image),
    ("it is no job, or may run again", _is_job),
    ("its labels can be understood", _labels_understood),
    ("its policy follows tags", _follows_nothing),
    ("there is a tag or digest to deploy", _nothing_to_follow),
)


def _wanted(case: Case) -> Image | Skip:
    current = case.snapshot.service.image
    if current is None:
        return Skip(Outcome.IGNORED, "it runs no image")
    if case.request.rollback:
        back = way_back(case.snapshot, case.failures)
        return back or Skip(Outcome.FAILED, "there is no former image to go back to")
    if case.request.image is not None:
        return _other_image(current, case.request.image, case)
    if current.followed_tag is None:
        return Skip(Outcome.IGNORED, "the image is pinned to a digest and has no tag to follow")
    return current.without_digest()


def _other_image(current: Image, text: str, case: Case) -> Image | Skip:
    try:
        wanted = Image.parse(text)
    except InvalidReferenceError as fault:
        return Skip(Outcome.FAILED, str(fault))
    if wanted.same_repository(current):
        return wanted
    if not case.request.allow_repository_change:
        return Skip(
            Outcome.FAILED,
            f"{wanted} is another repository than {current.without_digest()} (allow_repository_change)",
        )
    # A message is a hint: where a service may go is said by who set up the worker.
    full = f"{wanted.host}/{wanted.repository}"
    if not any(glob(pattern).match(full) for pattern in case.rules.allow_repositories):
        return Skip(
            Outcome.FAILED,
            f"{full} is another repository, which DEPLOYER_ALLOW_REPOSITORIES does not name",
        )
    return wanted


# -- when the registry has answered -------------------------------------------------------------------

OVERRIDE = "a new push, or `deployer update --force`, goes on"


def _already_there(found: Found) -> Stop | None:
    case, digest = found.case, found.manifest.digest
    if case.request.force or not _runs(case, found.target):
        return None
    if case.request.hint and case.request.hint != digest:
        return Skip(
            Outcome.SUPERSEDED, "stale: the tag has moved on since this push, to what the service has"
        )
    if case.request.by == "manual" and case.snapshot.progress.engine_busy:
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
    why = found.case.failures.get(found.manifest.digest)
    if why is None or _insists(found):
        return None
    return Skip(Outcome.HELD, f"this digest was given up before ({why or 'no reason known'}); {OVERRIDE}")


def _insists(found: Found) -> bool:
    """Whether a person asked for just this."""
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
        if digest in other.state.failures:
            return Skip(Outcome.HELD, f"{other.name}, which goes first, failed with this digest")
        if image.digest != digest:
            return Wait(f"{other.name} goes first", "after")
    if not _stands(after):
        return Wait(f"{other.name} goes first, and is {after.progress.phase}", "after")
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
    if not (service.rolls(case.snapshot.now, case.timeout) or _just_written(case.snapshot)):
        return None
    # The target says so for good where tasks find no node: waited out, it is no reason any more.
    what = f"roll-out since {service.rolling_since}"
    if case.request.waiting.get(what, 0.0) >= case.timeout:
        return None
    count = f"{case.snapshot.progress.ready}/{case.snapshot.progress.wanted}"
    return Wait(f"a roll-out is under way ({count}); {found.manifest.digest} is next", what)


def _just_written(snapshot: Snapshot) -> bool:
    """Return whether our own write is so fresh that the target has not taken it up yet."""
    return snapshot.ours and snapshot.untouched and snapshot.progress.leftovers


_AFTER: Sequence[tuple[str, Callable[[Found], Stop | None]]] = (
    ("the service lacks this digest", _already_there),
    ("no rollback is under way", _goes_back_already),
    ("the digest is not known to fail", _failed_before),
    ("the tag has been quiet for long enough", _not_quiet_yet),
    ("its window is open", _outside_its_window),
    ("the service that goes first is up to date", _comes_after_another),
    ("no other roll-out is under way", _rolls_already),
)


def _state(found: Found) -> State:
    case, request, target = found.case, found.case.request, found.target
    service, snapshot = case.snapshot.service, case.snapshot
    if request.rollback:
        failed = service.image.digest if service.image else None
        return gone_back(snapshot, request.task, str(target), failed, "rolled back by hand")
    restarts = service.image is not None and service.image.digest == target.digest
    kept = service.state.with_failure(snapshot.left.digest if snapshot.left else None)
    return State(
        image=str(target),
        previous=way_back_after(snapshot, target, case.failures),
        failed=kept.without_failure(target.digest).failed,
        task=request.task,
        done=service.state.done_before(request.task),
        event=request.event,
        by=request.by,
        at=snapshot.now.isoformat(timespec="milliseconds"),
        pushed_at=request.pushed_at,
        restart="true" if restarts else None,
    )
