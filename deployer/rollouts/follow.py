"""What becomes of an update that was written: followed to its true end, and taken back if it fails. Pure."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from deployer.errors import PermanentError
from deployer.model.deployment import Again, Outcome, Report, Request, Watch
from deployer.model.image import Image
from deployer.model.service import LabelError, Service, revise
from deployer.rollouts.core import Core, Look
from deployer.rollouts.decision import Rules, Update
from deployer.rollouts.rollback import given_up, way_back
from deployer.targets.swarm.progress import Phase, have_failed, job_lives

log = logging.getLogger(__name__)

UNWATCHED_SECONDS = 60.0  # a longer gap between two looks does not count against the time-out


def follow(core: Core, look: Look, request: Request, remembered: Watch | None) -> Report | Again:
    """Judge an update that was written, and begin the way back if it has failed.

    Args:
        core: the ports.
        look: the service as it is now.
        request: what was wanted.
        remembered: what the former look returned; None for a message that knows nothing of it.

    Raises:
        TemporaryError: the engine or the registry cannot answer now.
        StaleVersionError: somebody else has written since the look.
    """
    service, progress = look.service, look.progress
    state, watch = service.state, _looked(remembered, look)
    if state.task != watch.task or state.image != service.image_text:
        return _not_mine(core, look, request, watch)
    timeout = core.timeout(service)
    goes_back = state.by == "rollback"
    if goes_back and not watch.going_back and not request.rollback:  # begun by a look that nobody remembers
        watch = replace(watch, watched=0.0, going_back=state.reason or "rolled back")
    if progress.phase is Phase.CONVERGED or (remembered is None and _ended_long_ago(look, timeout)):
        if goes_back:
            return _went_back(core, look, request, watch)
        count = f"{progress.ready}/{progress.wanted} {'complete' if service.is_job else 'running'}"
        return core.report(look, request, Outcome.UPDATED, count, watch)
    failure = _failure(look, watch, timeout)
    if watch.going_back and not goes_back and (failure or not progress.engine_busy):
        # The engine took back the way back, to the image that has failed: it would do so again and again.
        return _no_way(core, look, request, watch, failure or progress.reason)
    if failure:
        return _fail(core, look, request, watch, failure)
    elapsed = (look.now - datetime.fromisoformat(watch.began_at)).total_seconds()
    return Again(min(1 + elapsed / 10, 15), f"{progress.ready}/{progress.wanted} updated", watch)


def _not_mine(core: Core, look: Look, request: Request, watch: Watch) -> Report | Again:
    """The service has left what this deployment wrote: to the engine's rollback or to somebody else."""
    service, progress = look.service, look.progress
    if not service.is_rolling_back:
        return core.report(look, request, Outcome.SUPERSEDED, "somebody else updated the service", watch)
    if progress.engine_busy:
        return Again(2, f"the engine rolls back: {progress.reason}", watch)
    reason = progress.reason or "the engine rolled back"
    if watch.going_back:
        return _no_way(core, look, request, watch, reason)
    back = service.image
    if back is None:
        return core.report(look, request, Outcome.SUPERSEDED, "the service runs no image any more", watch)
    # The engine took our labels back with the image. Written again they remember the failure, and the
    # fresh credentials with them start what the engine's stored ones could not pull.
    failed = Image.parse(watch.image).digest
    update = given_up(service, look.tasks, watch.task, back, failed, reason, look.now)
    state = replace(update, image=service.image_text)  # as it is spelled there
    core.swarm.update(service, revise(service, state), core.registry.credentials(back, service.login))
    return Again(1, f"the engine rolled back: {reason}", replace(watch, watched=0.0, going_back=reason))


def _fail(core: Core, look: Look, request: Request, watch: Watch, reason: str) -> Report | Again:
    service = look.service
    if service.state.by == "rollback":
        return _no_way(core, look, request, watch, reason)
    try:
        back = _where_to_go_back(service, core.rules, look.tasks)
    except LabelError as fault:
        return core.report(look, request, Outcome.FAILED, f"{reason}; left as it is: {fault}", watch)
    if back is None:
        return core.report(look, request, Outcome.FAILED, f"{reason}; left as it is", watch)
    try:
        manifest, credentials = core.manifest(back, service.login)
    except PermanentError as fault:
        return core.report(look, request, Outcome.FAILED, f"{reason}; no way back: {fault}", watch)
    log.warning("Roll-out of service %s failed (%s), going back to %s", service.id, reason, back)
    failed = service.image.digest if service.image else None
    state = given_up(service, look.tasks, watch.task, back, failed, reason, look.now)
    core.write(service, Update(back, manifest, state), credentials)
    return Again(1, f"going back: {reason}", replace(watch, watched=0.0, going_back=reason))


def _no_way(core: Core, look: Look, request: Request, watch: Watch, reason: str) -> Report:
    return core.report(look, request, Outcome.FAILED, f"the rollback failed as well: {reason}", watch)


def _where_to_go_back(service: Service, rules: Rules, tasks: Sequence[Mapping[str, Any]]) -> Image | None:
    """Where a failed roll-out goes back to, or None where it may not or cannot.

    Raises:
        LabelError: `deployer.rollback` or `deployer.enable` is neither true nor false.
    """
    # Turned off since the roll-out began, it is left alone.
    ours = service.flag("deployer.enable", default=True) and service.carries(rules.filter_label)
    # A job that went back would run the old image again: what it has done is done.
    if not ours or service.is_job or not service.flag("deployer.rollback", rules.rollback):
        return None
    return way_back(service, tasks)


def _went_back(core: Core, look: Look, request: Request, watch: Watch) -> Report:
    reason = watch.going_back or look.service.state.reason or "rolled back"
    if request.rollback and watch.going_back:
        return core.report(
            look, request, Outcome.FAILED, f"the engine took the rollback back: {reason}", watch
        )
    return core.report(look, request, Outcome.ROLLED_BACK, reason, watch)


def _looked(watch: Watch | None, look: Look) -> Watch:
    """The watch after this look; time in which nobody looked does not count."""
    now = look.now.isoformat()
    if watch is None:
        state = look.service.state
        return Watch(state.task or "", state.image or "", state.previous, state.at or now, now)
    gap = (look.now - datetime.fromisoformat(watch.looked_at)).total_seconds()
    return replace(watch, looked_at=now, watched=watch.watched + min(max(gap, 0.0), UNWATCHED_SECONDS))


def _ended_long_ago(look: Look, timeout: float) -> bool:
    """A repeated message of a deployment that has ended: a node lost since then is no failed roll-out.

    With failure action `continue` the engine says `completed` of tasks that crash: where they do, the
    deployment has its whole time, also if the message of its first look was lost.
    """
    service = look.service
    if service.update_state != "completed":
        return False
    began = datetime.fromisoformat(service.state.at) if service.state.at else None
    recent = began is not None and (look.now - began).total_seconds() < timeout
    return not (recent and have_failed(service, look.tasks))


def _failure(look: Look, watch: Watch, timeout: float) -> str | None:
    progress = look.progress
    if progress.phase is Phase.PAUSED:
        return progress.reason or "the engine paused the update"
    service = look.service
    if service.is_job and progress.reason and not job_lives(service, look.tasks):
        return progress.reason
    if watch.watched >= timeout:
        count = f"{progress.ready}/{progress.wanted}"
        return f"not converged after {timeout:g} s ({count}): {progress.reason}".rstrip(": ")
    return None
