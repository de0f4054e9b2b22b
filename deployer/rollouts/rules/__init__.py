"""The rules of a deployment: what to do with one service, decided from facts alone, as a value.

Every rule about order, holds, memory of failure and waiting stands here, and nowhere else, in two steps:
`choose` says which image the registry is to be asked about (or why not to ask), `decide` what to do with
the answer. Events are hints, the registry is the truth: no rule trusts the digest or the time of an event.
"""

from __future__ import annotations

from collections.abc import Iterator

from deployer.model.image import Image
from deployer.model.service import State
from deployer.model.snapshot import MOVED
from deployer.rollouts.decision import Case, Found, Stop, Update
from deployer.rollouts.rollback import gone_back, way_back_after
from deployer.rollouts.rules import gates
from deployer.rollouts.rules.after import AFTER
from deployer.rollouts.rules.before import BEFORE, LEAVE_ALONE, wanted_image
from deployer.rollouts.rules.gates import APPROVAL, SETTLE, is_of_unknown_age

__all__ = [
    "APPROVAL",
    "SETTLE",
    "answers",
    "at_a_gate",
    "choose",
    "decide",
    "is_of_unknown_age",
    "leave_alone",
    "questions",
]


def choose(case: Case) -> Image | Stop:
    """Return the image to resolve at the registry, or the reason to do nothing.

    Raises:
        LabelError: a label of the service cannot be understood.
    """
    for _, stop in questions(case):
        if stop:
            return stop
    return wanted_image(case)


def decide(found: Found) -> Update | Stop:
    """Decide about a service, now that the registry has answered."""
    for _, stop in answers(found):
        if stop:
            return stop
    return Update(found.target, found.manifest, _state(found), found.case.request.force)


def leave_alone(case: Case) -> Stop | None:
    """Return the reason to leave this service untouched, or None.

    Raises:
        LabelError: a label of the service cannot be understood.
    """
    return next((stop for _, rule in LEAVE_ALONE if (stop := rule(case))), None)


def at_a_gate(found: Found) -> Stop | None:
    """Return what keeps a digest from a service, whatever else is said for or against its roll-out."""
    rules = (rule for _, rule in AFTER if rule.__module__ == gates.__name__)
    return next((stop for rule in rules if (stop := rule(found))), None)


def questions(case: Case) -> Iterator[tuple[str, Stop | None]]:
    """Yield every rule that needs no registry, with its verdict: a reason to stop, or None."""
    for name, rule in BEFORE:
        yield name, rule(case)


def answers(found: Found) -> Iterator[tuple[str, Stop | None]]:
    """Yield every rule that needs the registry's answer, with its verdict."""
    for name, rule in AFTER:
        yield name, rule(found)


def _state(found: Found) -> State:
    case, request, target = found.case, found.case.request, found.target
    service, snapshot = case.snapshot.service, case.snapshot
    if request.rollback:
        failed = service.image.digest if service.image else None
        return gone_back(snapshot, request.deployment_id, str(target), failed, "rolled back by hand")
    restarts = service.image is not None and service.image.digest == target.digest
    left = snapshot.left.digest if snapshot.left and snapshot.left.reason != MOVED else None
    kept = service.state.with_failure(left)
    return State(
        image=str(target),
        previous=way_back_after(snapshot, target, case.failures),
        failed=kept.without_failure(target.digest).failed,
        task=request.deployment_id,
        done=service.state.done_before(request.deployment_id),
        event=request.event,
        by=request.trigger,
        at=snapshot.now.isoformat(timespec="milliseconds"),
        pushed_at=request.pushed_at,
        restart="true" if restarts else None,
    )
