"""What would happen to a service for a push, rule by rule, without doing it.

It asks the very rules that decide, so it cannot tell another story than the deployment would.
"""

from __future__ import annotations

from dataclasses import dataclass

from deployer.errors import PermanentError
from deployer.model.deployment import Request
from deployer.model.image import Image
from deployer.model.service import LabelError
from deployer.model.snapshot import Snapshot
from deployer.policies.labels import complaint, concerns, misplaced
from deployer.rollouts import prejob
from deployer.rollouts.core import Core
from deployer.rollouts.decision import Found, Skip, Stop, Update
from deployer.rollouts.rules import answers, decide, leave_alone, questions


@dataclass(frozen=True)
class Step:
    """A rule and what it says: a reason to stop, or nothing."""

    rule: str
    stop: str | None = None
    note: str = ""


@dataclass(frozen=True)
class Explanation:
    """The rules that were asked, in their order, and what would come of it."""

    service: str
    image: str | None
    steps: tuple[Step, ...]
    verdict: str


def explain(core: Core, name: str, pushed: Image | None = None) -> Explanation:
    """Say what a push would lead to.

    Args:
        core: the core; nothing is written.
        name: the service's name or id.
        pushed: the pushed image; None for the one that the service follows.

    Raises:
        NoSuchServiceError: there is no such service.
        TemporaryError: Swarm, registry or AWS cannot answer now.
    """
    snapshot = core.read(name)
    wrong = complaint(snapshot.service)
    steps = [Step("its labels can be understood", wrong)] if wrong else []
    if nowhere := misplaced(snapshot.service):
        steps.append(Step("its labels are where they are read", note=nowhere))
    try:
        verdict = _ask(core, snapshot, pushed, steps)
    except LabelError as fault:
        verdict = f"ignored: {fault}"
    except PermanentError as fault:
        steps.append(Step("the registry answers", str(fault)))
        verdict = f"failed: {fault}"
    return Explanation(snapshot.service.name, snapshot.service.image_text, tuple(steps), verdict)


def _ask(core: Core, snapshot: Snapshot, pushed: Image | None, steps: list[Step]) -> str:
    service = snapshot.service
    if pushed is not None:
        theirs = concerns(service, pushed)
        followed = service.image.without_digest() if service.image else "no image"
        steps.append(Step("the push is of its image", None if theirs else f"it follows {followed}"))
        if not theirs:
            return "nothing: the push is not for this service"
    request = Request("-", by="event", hint=pushed.digest if pushed else None)
    case = core.case(snapshot, request)
    for rule, stop in questions(case):
        steps.append(_step(rule, stop))
        if stop:
            return _said(stop)
    wanted = core.wanted(case)
    if not isinstance(wanted, Image):
        return _said(wanted)
    manifest, _ = core.manifest(wanted, service.login)
    steps.append(Step("the registry answers", note=f"{wanted} is {manifest.digest}"))
    found = Found(case, wanted, manifest)
    for rule, stop in answers(found):
        steps.append(_step(rule, stop))
        if stop:
            return _said(stop)
    decision = decide(found)
    if not isinstance(decision, Update):
        return _said(decision)
    return _job_first(core, snapshot, request, decision, steps) or f"updated to {decision.image}"


def _job_first(
    core: Core, snapshot: Snapshot, request: Request, update: Update, steps: list[Step]
) -> str | None:
    """What the job of the label `deployer.pre-job` has against an update, or that it runs before it."""
    name = snapshot.service.labels.get(prejob.LABEL, "").strip()
    if not name:
        return None
    job = core.other(snapshot.service, prejob.LABEL, name)
    rule = f"job {name}, which runs first, has completed"
    match prejob.judge(job, update, request, core.rules):
        case prejob.Run():
            stop = leave_alone(core.case(job, request))
            steps.append(Step(rule, stop.reason if stop else f"it is to run {update.image}"))
            return _said(stop) if stop else f"job {name} runs first, then updated to {update.image}"
        case prejob.Failed(reason):
            steps.append(Step(rule, reason))
            return f"failed: job {name}, which runs first: {reason}"
        case prejob.Running(count, _):
            steps.append(Step(rule, f"{count} complete"))
            return f"it waits: job {name} runs first ({count} complete)"
    steps.append(Step(rule))
    return None


def _step(rule: str, stop: Stop | None) -> Step:
    return Step(rule, stop.reason if stop else None)


def _said(stop: Stop) -> str:
    if not isinstance(stop, Skip):
        return f"it waits: {stop.reason}"
    return f"{stop.outcome}: {stop.reason.removeprefix(f'{stop.outcome}: ')}"
