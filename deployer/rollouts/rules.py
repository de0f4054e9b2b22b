"""What to do with one service, decided from facts alone: a value, which the caller carries out.

Every rule about order, holds, memory of failure and waiting stands here, and nowhere else, in two steps:
`choose` says which image the registry is to be asked about (or why not to ask), `decide` what to do with
the answer. Events are hints, the registry is the truth: no rule trusts the digest or the time of an event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from deployer.errors import InvalidReferenceError
from deployer.model.deployment import Outcome
from deployer.model.image import Image
from deployer.model.service import State
from deployer.policies.labels import check
from deployer.policies.patterns import glob
from deployer.policies.tag_policy import Policy
from deployer.policies.window import Window
from deployer.rollouts.decision import Case, Found, Skip, Stop, Update, Wait
from deployer.rollouts.rollback import given_up, rolled_back_from, way_back, way_back_after
from deployer.targets.swarm.progress import Phase, under_way

LOOK_SECONDS = 3.0  # between two looks at a roll-out of somebody else's
WINDOW_SECONDS = 900.0  # between two looks at a window that is shut, and SQS's longest delay
UPDATER_SECONDS = 5.0  # in which the engine takes up an update and says so


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
    if case.service.image is not None:
        return None
    return Skip(Outcome.IGNORED, "it runs no image (a plugin, a network attachment or no valid reference)")


def _not_ours(case: Case) -> Stop | None:
    wanted = case.rules.filter_label
    if case.service.carries(wanted):
        return None
    return Skip(Outcome.IGNORED, f"it does not carry the label {wanted} (DEPLOYER_FILTER_LABEL)")


def _turned_off(case: Case) -> Stop | None:
    enabled = case.service.flag("deployer.enable", default=True)
    return None if enabled else Skip(Outcome.IGNORED, "label deployer.enable=false")


def _is_job(case: Case) -> Stop | None:
    if not case.service.is_job or case.service.flag("deployer.run-job", default=False):
        return None
    return Skip(
        Outcome.IGNORED,
        "it is a job, which an update would run again (label deployer.run-job=true allows it)",
    )


def _held_by_label(case: Case) -> Stop | None:
    held = None if case.request.rollback else case.service.hold
    return Skip(Outcome.HELD, f"held: {held}") if held else None


def _not_again(case: Case) -> Stop | None:
    # What a tag means may be looked up as often as one likes; what a person asked for is done once.
    if case.request.by_itself or case.request.task not in case.service.state.former_tasks:
        return None
    return Skip(Outcome.SUPERSEDED, "this deployment has ended, and others have come after it")


def _labels_understood(case: Case) -> Stop | None:
    # Later would be too late: some of them say what becomes of an update that has been written.
    if not case.request.rollback:
        check(case.service)
    return None


def _follows_nothing(case: Case) -> Stop | None:
    if not case.request.follows or not Policy.of(case.service.labels).off:
        return None
    return Skip(Outcome.IGNORED, "label deployer.policy=none")


def _nothing_to_follow(case: Case) -> Stop | None:
    wanted = _wanted(case)
    return None if isinstance(wanted, Image) else wanted


_LEAVE_ALONE: Sequence[tuple[str, Callable[[Case], Stop | None]]] = (
    ("no hold by command", _held_by_command),
    ("it is one of ours", _not_ours),
    ("it is not turned off", _turned_off),
    ("no hold by label", _held_by_label),
)
_BEFORE: Sequence[tuple[str, Callable[[Case], Stop | None]]] = (
    *_LEAVE_ALONE,
    ("it has not been done before", _not_again),
    ("it runs an image", _runs_no_image),
    ("it may run again", _is_job),
    ("its labels can be understood", _labels_understood),
    ("its policy follows something", _follows_nothing),
    ("there is a tag or digest to go to", _nothing_to_follow),
)


def _wanted(case: Case) -> Image | Skip:
    current = case.service.image
    if current is None:
        return Skip(Outcome.IGNORED, "it runs no image")
    if case.request.rollback:
        back = way_back(case.service, case.tasks)
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
    if case.request.by == "manual" and case.progress.engine_busy:
        return Wait(LOOK_SECONDS, "this digest is being rolled out already")
    return Skip(Outcome.UNCHANGED, "the service has this digest")


def _runs(case: Case, target: Image) -> bool:
    """Whether the service has this image already."""
    if case.service.image_text == str(target):
        return True
    # The same digest under another tag: a new name alone is worth no restart, unless a person wants it.
    current = case.service.image
    same = current is not None and current.digest == target.digest and current.same_repository(target)
    return same and case.request.follows


def _goes_back_already(found: Found) -> Stop | None:
    case = found.case
    if case.request.rollback and case.progress.engine_busy and case.service.state.by == "rollback":
        return Skip(Outcome.SUPERSEDED, "a rollback is under way already")
    return None


def _failed_before(found: Found) -> Stop | None:
    state = found.case.service.state
    if _insists(found) or found.manifest.digest not in state.failures:
        return None
    return Skip(
        Outcome.HELD, f"this digest was given up before ({state.reason or 'no reason known'}); {OVERRIDE}"
    )


def _was_rolled_back(found: Found) -> Stop | None:
    service = found.case.service
    if _insists(found) or rolled_back_from(service, found.case.tasks) != found.manifest.digest:
        return None
    return Skip(Outcome.HELD, f"this digest was rolled back from ({service.update_message}); {OVERRIDE}")


def _was_moved_away_from(found: Found) -> Stop | None:
    service = found.case.service
    ours = service.state.image
    if _insists(found) or not ours or ours == service.image_text:
        return None
    if not ours.endswith(found.manifest.digest):
        return None
    return Skip(Outcome.HELD, f"somebody moved the service away from this digest; {OVERRIDE}")


def _insists(found: Found) -> bool:
    """Whether a person asked for just this."""
    return found.case.request.force or found.case.request.rollback


def _not_quiet_yet(found: Found) -> Stop | None:
    case, digest = found.case, found.manifest.digest
    if case.request.by != "event":
        return None
    settle = case.service.seconds("deployer.settle", case.rules.settle)
    if not settle:
        return None
    since = case.now
    if case.request.quiet.get("digest") == digest:
        since = datetime.fromisoformat(case.request.quiet["since"])
    left = settle - (case.now - since).total_seconds()
    if left <= 0:
        return None
    quiet = {"digest": digest, "since": since.isoformat()}
    return Wait(left, f"the tag must be quiet for {settle:g} s", quiet)


def _outside_its_window(found: Found) -> Stop | None:
    case = found.case
    text = case.service.labels.get("deployer.window", "").strip()
    if not text or not case.request.by_itself:
        return None
    window = Window.parse(text)
    if window.is_open(case.now):
        return None
    opens = window.opens_at(case.now)
    seconds = max(1.0, min((opens - case.now).total_seconds(), WINDOW_SECONDS))
    return Wait(seconds, f"outside its window, which opens at {opens:%Y-%m-%d %H:%M} UTC", patient=True)


def _comes_after_another(found: Found) -> Stop | None:
    case, after, digest = found.case, found.case.after, found.manifest.digest
    if after is None or not case.request.by_itself:
        return None
    other, image = after.service, after.service.image
    if image is not None and image.same_repository(found.wanted):
        if digest in other.state.failures:
            return Skip(Outcome.HELD, f"{other.name}, which goes first, failed with this digest")
        if image.digest != digest:
            return Wait(LOOK_SECONDS, f"{other.name} goes first")
    # What an operator, or the engine, has taken back stands as well as what was updated.
    stands = after.progress.phase is Phase.REVERTED and after.progress.ready >= after.progress.wanted
    if after.progress.phase is not Phase.CONVERGED and not stands:
        return Wait(LOOK_SECONDS, f"{other.name} goes first, and is {after.progress.phase}")
    return None


def _rolls_already(found: Found) -> Stop | None:
    case = found.case
    if case.request.rollback or case.service.flag("deployer.replace", default=False):
        return None
    timeout = case.service.seconds("deployer.timeout", case.rules.rollout_timeout)
    if not under_way(case.service, case.now, timeout) and not _just_written(case):
        return None
    count = f"{case.progress.ready}/{case.progress.wanted}"
    return Wait(LOOK_SECONDS, f"a roll-out is under way ({count}); {found.manifest.digest} is next")


def _just_written(case: Case) -> bool:
    """Whether our own write is so fresh that the engine's updater may not have taken it up yet."""
    service = case.service
    if service.update_state or service.state.image != service.image_text or not service.state.at:
        return False
    return 0 <= (case.now - datetime.fromisoformat(service.state.at)).total_seconds() < UPDATER_SECONDS


_AFTER: Sequence[tuple[str, Callable[[Found], Stop | None]]] = (
    ("it is not there already", _already_there),
    ("no rollback is under way", _goes_back_already),
    ("the digest has not failed before", _failed_before),
    ("nobody rolled back from it", _was_rolled_back),
    ("nobody moved away from it", _was_moved_away_from),
    ("the tag has been quiet for long enough", _not_quiet_yet),
    ("its window is open", _outside_its_window),
    ("the service that goes first is there", _comes_after_another),
    ("no other roll-out is under way", _rolls_already),
)


def _state(found: Found) -> State:
    case, request, target = found.case, found.case.request, found.target
    if request.rollback:
        failed = case.service.image.digest if case.service.image else None
        return given_up(
            case.service, case.tasks, request.task, target, failed, "rolled back by hand", case.now
        )
    return State(
        image=str(target),
        previous=way_back_after(case.service, target, case.progress, case.tasks),
        task=request.task,
        done=case.service.state.done_before(request.task),
        event=request.event,
        by=request.by,
        at=case.now.isoformat(timespec="milliseconds"),
        pushed_at=request.pushed_at,
    )
