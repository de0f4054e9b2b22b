"""A roll-out that has converged is proved: by the smoke test of its labels, alarms, queries and the bake."""

from __future__ import annotations

import logging
from dataclasses import replace

from deployer.model import label_names as names
from deployer.model.deployment import Outcome, RolloutMemory
from deployer.model.service import LabelError
from deployer.rollouts import prejob
from deployer.rollouts.core import Core
from deployer.rollouts.decision import Case, Update
from deployer.rollouts.follow import LAST_LOOK, Decision, Ended, LookAgain, failed
from deployer.rollouts.ports import Change
from deployer.rollouts.prejob import Done, Failed, Run, Running
from deployer.rollouts.proving.signals import Sources, listen
from deployer.rollouts.rules import leave_alone

log = logging.getLogger(__name__)


def prove(core: Core, sources: Sources, case: Case, watch: RolloutMemory, decision: Decision) -> Decision:
    """Return what becomes of a roll-out that is well so far, once its labels' proofs have been asked for.

    Args:
        core: the ports and the rules.
        sources: of alarms and queries.
        case: the service as it is now.
        watch: what the deployment remembers.
        decision: what `follow` says.

    Raises:
        TemporaryError: the target, CloudWatch or Prometheus does not answer now.
        StaleVersionError: somebody else has written to the job.
    """
    labels, state = case.labels, case.snapshot.service.state
    ends = isinstance(decision, Ended) and decision.outcome is Outcome.UPDATED
    bakes = isinstance(decision, LookAgain) and decision.bakes
    if not labels.proves or state.by == "rollback" or watch.going_back or state.task != watch.task:
        return decision
    if not (ends or bakes) or case.snapshot.service.is_job or case.hold or labels.hold:
        return decision
    try:
        said = _smoke_test(core, case, watch)
    except LabelError as fault:
        return Ended(Outcome.FAILED, f"{fault}; left as it is")
    if isinstance(said, Failed):
        return failed(case, f"{_who(case)}, which runs after it: {said.reason}")
    heard = listen(labels, sources, watch)
    if heard.fires:
        return failed(case, heard.fires)
    if isinstance(said, Running):
        return LookAgain(LAST_LOOK / 3, f"{_who(case)} runs after it ({said.count} complete)", bakes=True)
    if heard.unknown and ends:
        log.warning("Service %s is not watched in full: %s", case.snapshot.service.name, heard.unknown)
        if core.rules.no_data_fails:
            return failed(case, f"no data (DEPLOYER_NO_DATA=fail): {heard.unknown}")
        return replace(decision, reason=f"{decision.reason}; no data: {heard.unknown}")
    return decision


def check(core: Core, case: Case) -> None:
    """See, before a roll-out begins, that its smoke test is one.

    Raises:
        LabelError: it is none.
        TemporaryError: the target cannot answer now.
    """
    service, name = case.snapshot.service, case.labels.post_job
    if name:
        job = core.other(service, names.POST_JOB, name).service
        if (
            not job.is_job
            or job.image is None
            or not (service.image and job.image.same_repository(service.image))
        ):
            raise LabelError(f"label {names.POST_JOB}: {name} is no job of the service's repository")


def _who(case: Case) -> str:
    return f"job {case.labels.post_job}" if case.labels.post_job else "its command"


def _smoke_test(core: Core, case: Case, watch: RolloutMemory) -> Running | Failed | Done:
    labels, service = case.labels, case.snapshot.service
    waited = watch.watched - (watch.watched if watch.baking_from is None else watch.baking_from)
    if labels.post_command:
        said = core.target.run_after(service, labels.post_command)
        over = isinstance(said, Running) and waited >= case.timeout
        return Failed(f"not complete after {case.timeout:g} s") if over else said
    return _job(core, case, labels.post_job, waited) if labels.post_job else Done()


def _job(core: Core, case: Case, name: str, waited: float) -> Running | Failed | Done:
    service, image = case.snapshot.service, case.snapshot.service.image
    assert image is not None  # noqa: S101 - it has converged on one
    job = core.other(service, names.POST_JOB, name)
    manifest, credentials = core.manifest(image, service.login)
    # The deployment that wrote, also where another one follows it.
    request = replace(case.request, deployment_id=service.state.task or case.request.deployment_id)
    update = Update(image, manifest, service.state)
    said = prejob.judge(job, update, request, core.rules, label=names.POST_JOB, waited=waited)
    if not isinstance(said, Run):
        return said
    if stop := leave_alone(core.case(job, request)):
        return Failed(stop.reason)
    core.target.apply(job.service, Change(said.state, image, manifest, request.force), credentials)
    log.info("Job %s runs %s after service %s", name, image, service.name)
    return Running(f"0/{job.progress.desired}", "post-job")
