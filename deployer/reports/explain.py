"""The effect that a push would have on a service, rule by rule, without doing it.

It asks the very rules that decide, so it cannot tell another story than the deployment would.
"""

from __future__ import annotations

from dataclasses import dataclass

from deployer.errors import PermanentError
from deployer.model.deployment import Request
from deployer.model.image import Image
from deployer.model.label_names import POLICY, PRE_COMMAND, PREFIX
from deployer.model.service import LabelError, Service
from deployer.model.snapshot import Snapshot
from deployer.policies.labels import concerns, misplaced
from deployer.reports.why import kind_of, no_way_back, said
from deployer.rollouts import prejob
from deployer.rollouts.core import Core
from deployer.rollouts.decision import Case, Stop, Update
from deployer.rollouts.first import objection
from deployer.rollouts.rules import answers, decide, questions
from deployer.rollouts.rules.before import OF_A_PERSON


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
    follows: str  # its policy, or the tag
    outcome: str  # updated, or another outcome; `waiting`
    reason: str
    rule: str | None  # the rule that decided, None if no rule says no
    steps: tuple[Step, ...]

    @property
    def verdict(self) -> str:
        """Return the outcome in a sentence."""
        if self.outcome == "updated":
            return f"a push would be deployed: {self.reason}"
        if self.outcome == "unchanged":
            return f"nothing to do: {self.reason}"
        return f"{self.outcome}: {self.reason}"


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
    service, steps = snapshot.service, list[Step]()
    if nowhere := misplaced(service):
        steps.append(Step("its labels are where they are read", note=nowhere))
    if ours := [name for name in sorted(service.origins) if name.startswith(PREFIX)]:
        told = (f"{name}={service.labels[name]}: {service.origins[name]}" for name in ours)
        steps.append(Step("its labels are where they are read", note="; ".join(told)))
    try:
        outcome, reason = _ask(core, snapshot, pushed, steps)
    except LabelError as fault:
        outcome, reason = "ignored", str(fault)
        steps.append(Step("its labels can be understood", reason))
    except PermanentError as fault:
        outcome, reason = "failed", str(fault)
        steps.append(Step("the registry answers", reason))
    rule = next((step.rule for step in reversed(steps) if step.stop), None)
    return Explanation(
        service.name, service.image_text, _follows(service), outcome, reason, rule, tuple(steps)
    )


def _follows(service: Service) -> str:
    """Return what a service follows: its policy, or the tag that it runs."""
    if service.image is None:
        return "nothing: it runs no image"
    policy = service.labels.get(POLICY, "").strip()
    if policy and policy != "tag":
        return f"{POLICY}={policy}, tags of {service.image.name}"
    tag = service.image.followed_tag
    return f"tag {tag} of {service.image.name}" if tag else "nothing: it is pinned to a digest"


def _not_its_own(service: Service, pushed: Image) -> str:
    """Return why a push does not concern a service."""
    if service.image is None or not service.image.same_repository(pushed):
        return f"it is a push of another repository; the service follows {_follows(service)}"
    policy = service.labels.get(POLICY, "").strip()
    if policy and policy != "tag":
        return f"tag {pushed.tag} is outside of {policy} (label {POLICY})"
    return f"the service follows {_follows(service)}, not {pushed.tag}"


def _ask(core: Core, snapshot: Snapshot, pushed: Image | None, steps: list[Step]) -> tuple[str, str]:
    service = snapshot.service
    if pushed is not None:
        why = None if concerns(service, pushed) else _not_its_own(service, pushed)
        steps.append(Step("the push is of what it follows", why))
        if why:
            return "ignored", why
    request = Request("-", trigger="event", pushed_digest=pushed.digest if pushed else None)
    case = core.case(snapshot, request)
    for rule, stop in questions(case):
        if rule not in OF_A_PERSON:
            steps.append(_step(rule, stop))
        if stop:
            return _said(stop)
    wanted = core.wanted(case)
    if not isinstance(wanted, Image):
        return _said(wanted)
    manifest, _ = core.manifest(wanted, service.login)
    steps.append(Step("the registry answers", note=f"{wanted} is {manifest.digest}"))
    found = core.found(case, wanted, manifest)
    for rule, stop in answers(found):
        steps.append(_step(rule, stop))
        if stop:
            return _said(stop)
    decision = decide(found)
    if not isinstance(decision, Update):
        return _said(decision)
    return _before_it_begins(core, case, decision, steps) or ("updated", f"{decision.image}")


def _before_it_begins(core: Core, case: Case, update: Update, steps: list[Step]) -> tuple[str, str] | None:
    """Return what comes before an update, or in its way."""
    if first := _job_first(core, case.snapshot, case.request, update, steps):
        return first
    if problem := no_way_back(core, case, update):
        demanded = case.labels.require_way_back
        steps.append(Step("there is a way back", problem if demanded else None, "" if demanded else problem))
        return ("held", problem) if demanded else None
    return None


def _job_first(
    core: Core, snapshot: Snapshot, request: Request, update: Update, steps: list[Step]
) -> tuple[str, str] | None:
    """Return the objection of the pre-job to an update, or that it runs first."""
    if command := snapshot.service.labels.get(PRE_COMMAND, "").strip():
        steps.append(Step(f"its command has run first, and exited with 0: {command}"))
        return None
    name = snapshot.service.labels.get(prejob.LABEL, "").strip()
    if not name:
        return None
    job = core.other(snapshot.service, prejob.LABEL, name)
    rule = f"job {name}, which runs first, has completed"
    match prejob.judge(job, update, request, core.rules):
        case prejob.Run():
            stop = objection(core, job, update, request, note=False)
            steps.append(Step(rule, stop.reason if stop else f"it is to run {update.image}"))
            return _said(stop) if stop else ("updated", f"{update.image}, after job {name} runs first")
        case prejob.Failed(reason):
            steps.append(Step(rule, reason))
            return "failed", f"job {name}, which runs first: {reason}"
        case prejob.Running(count, _):
            steps.append(Step(rule, f"{count} complete"))
            return "waiting", f"job {name} runs first ({count} complete)"
    steps.append(Step(rule))
    return None


def _step(rule: str, stop: Stop | None) -> Step:
    return Step(rule, stop.reason if stop else None)


def _said(stop: Stop) -> tuple[str, str]:
    return kind_of(stop), said(stop)
