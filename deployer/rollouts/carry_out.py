"""Carries out what the look at a roll-out has decided: it ends, goes on, or the service goes back."""

from __future__ import annotations

import logging
from dataclasses import replace

from deployer.errors import DeployerError, NotFoundError, PermanentError
from deployer.model.deployment import Again, Outcome, Request, RolloutMemory, Step
from deployer.model.image import Image
from deployer.model.service import Manifest
from deployer.rollouts.core import Core
from deployer.rollouts.decision import Case, Update
from deployer.rollouts.follow import FIRST_LOOK, Decision, Ended, GoBack, LookAgain, TakeOver
from deployer.rollouts.ports import Change, Credentials
from deployer.rollouts.proving.last_words import last_words
from deployer.rollouts.rollback import gone_back

log = logging.getLogger(__name__)

STUCK_LOOK = 10.0  # seconds between two tries of a way back that the registry refuses
STUCK_SECONDS = 900.0  # in all


def carry_out(core: Core, case: Case, watch: RolloutMemory, decision: Decision) -> Step:
    """Do what was decided about an update that was written.

    Raises:
        StaleVersionError: somebody else has written since the reading.
        TemporaryError: the target or the registry cannot answer now.
    """
    snapshot = case.snapshot
    if _has_failed(decision) and not watch.last_words:
        watch = replace(watch, last_words=last_words(core, case))
    match decision:
        case Ended(outcome, reason, failed):
            core.remember_failure(snapshot, failed, reason)
            return core.report(snapshot, case.request, outcome, reason, watch)
        case LookAgain(seconds, reason, patient, bakes):
            if bakes and watch.baking_from is None:
                flaky = snapshot.progress.has_failed
                watch = replace(watch, baking_from=watch.watched, was_flaky=flaky)
            return Again(seconds, reason, replace(watch, asked=0.0 if patient else seconds), patient=patient)
        case GoBack():
            return _go_back(core, case, watch, decision)
        case TakeOver(image, failed, reason):
            core.remember_failure(snapshot, failed, reason)
            state = gone_back(snapshot, watch.task, image, failed, reason)
            credentials = core.registry.credentials(Image.parse(image), snapshot.service.login)
            core.target.apply(snapshot.service, Change(state), credentials)
            return Again(FIRST_LOOK, f"the engine rolled back: {reason}", _turned(watch, reason))


def _has_failed(decision: Decision) -> bool:
    return isinstance(decision, GoBack | TakeOver) or (
        isinstance(decision, Ended) and decision.outcome is Outcome.FAILED
    )


def _go_back(core: Core, case: Case, watch: RolloutMemory, back: GoBack) -> Step:
    snapshot, service = case.snapshot, case.snapshot.service
    core.remember_failure(snapshot, back.failed, back.reason)
    try:
        manifest, credentials = core.manifest(back.to, service.login)
    except NotFoundError:
        # The registry has it no more, but nodes that ran it have: the engine starts it from there.
        manifest, credentials = Manifest(back.to.digest or ""), _credentials(core, back.to, service.login)
    except PermanentError as fault:
        if watch.stuck >= STUCK_SECONDS:
            reason = f"{back.reason}; no way back: {fault}"
            return core.report(snapshot, case.request, Outcome.FAILED, reason, watch)
        log.warning("Service %s cannot go back yet: %s", service.name, fault)
        stuck = replace(watch, stuck=watch.stuck + STUCK_LOOK, asked=STUCK_LOOK)
        return Again(STUCK_LOOK, f"{back.reason}; going back is not possible yet: {fault}", stuck)
    log.warning("Roll-out of service %s failed (%s), going back to %s", service.id, back.reason, back.to)
    state = gone_back(snapshot, watch.task, str(back.to), back.failed, back.reason)
    core.write(snapshot, Update(back.to, manifest, state), credentials)
    return Again(FIRST_LOOK, f"going back: {back.reason}", _turned(watch, back.reason))


def _credentials(core: Core, image: Image, login: str | None) -> Credentials | None:
    try:
        return core.registry.credentials(image, login)
    except DeployerError:
        return None


def _turned(watch: RolloutMemory, reason: str) -> RolloutMemory:
    return replace(watch, watched=0.0, baking_from=None, going_back=reason, asked=FIRST_LOOK, stuck=0.0)


def takes_its_place(step: Step, request: Request) -> bool:
    """Return whether a paused roll-out may be left as it is.

    A hold stands, a newer push and a person's word come first. What waits for hours does not.
    """
    if isinstance(step, Again):
        return not step.patient
    if step.outcome is Outcome.HELD and step.reason.startswith("held: "):
        return True
    return not request.by_itself and step.outcome is not Outcome.UNCHANGED
