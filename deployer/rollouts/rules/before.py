"""The rules that are asked before the registry is: what may not be touched, and what is wanted at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from deployer.errors import InvalidReferenceError
from deployer.model import label_names as names
from deployer.model.deployment import Outcome
from deployer.model.image import Image, is_digest
from deployer.model.service import LabelError
from deployer.policies.patterns import glob
from deployer.rollouts.decision import Case, Skip, Stop
from deployer.rollouts.rollback import way_back


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
    if case.request.by_itself or case.request.deployment_id not in case.snapshot.service.state.former_tasks:
        return None
    return Skip(Outcome.SUPERSEDED, "this deployment has ended, and others have come after it")


def _saw_something_else(case: Case) -> Stop | None:
    seen, image = case.request.seen, case.snapshot.service.image
    if not seen or image is None or image.digest == seen:
        return None
    return Skip(
        Outcome.SUPERSEDED, f"the service ran {seen} when this was asked for, and runs {image.digest} now"
    )


def _untouchable(case: Case) -> Stop | None:
    why = case.snapshot.service.untouchable
    return Skip(Outcome.IGNORED, why) if why else None


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
    wanted = wanted_image(case)
    return None if isinstance(wanted, Image) else wanted


NEW, SEEN = "the request is new", "it runs what it ran when this was asked for"
OF_A_PERSON = frozenset({NEW, SEEN})  # rules that never stop a push
LEAVE_ALONE: Sequence[tuple[str, Callable[[Case], Stop | None]]] = (
    ("no command holds it", _held_by_command),
    ("it carries the filter label", _not_ours),
    ("its updates are turned on", _turned_off),
    ("its target lets it be updated", _untouchable),
    ("no label holds it", _held_by_label),
)
BEFORE: Sequence[tuple[str, Callable[[Case], Stop | None]]] = (
    *LEAVE_ALONE,
    (NEW, _not_again),
    (SEEN, _saw_something_else),
    ("it runs an image", _runs_no_image),
    ("it is no job, or may run again", _is_job),
    ("its labels can be understood", _labels_understood),
    ("its policy follows tags", _follows_nothing),
    ("there is a tag or digest to deploy", _nothing_to_follow),
)


def wanted_image(case: Case) -> Image | Skip:
    """Return the image to ask the registry about, or why there is none."""
    current = case.snapshot.service.image
    if current is None:
        return Skip(Outcome.IGNORED, "it runs no image")
    if case.request.rollback:
        if case.request.image is not None:
            return _further_back(current, case.request.image)
        back = way_back(case.snapshot, case.failures)
        return back or Skip(Outcome.FAILED, "there is no former image to go back to")
    if case.request.image is not None:
        return _other_image(current, case.request.image, case)
    if current.followed_tag is None:
        return Skip(Outcome.IGNORED, "the image is pinned to a digest and has no tag to follow")
    return current.without_digest()


def _further_back(current: Image, text: str) -> Image | Skip:
    """Return the image that a person has chosen to go back to, of the service's own repository."""
    try:
        wanted = current.without_digest().with_digest(text) if is_digest(text) else Image.parse(text)
    except InvalidReferenceError as fault:
        return Skip(Outcome.FAILED, str(fault))
    if not wanted.same_repository(current):
        return Skip(Outcome.FAILED, f"{wanted} is of another repository than {current.without_digest()}")
    if wanted.digest == current.digest:
        return Skip(Outcome.UNCHANGED, "the service has this digest")
    return wanted


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
