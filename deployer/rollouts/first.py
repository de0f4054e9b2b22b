"""Runs what goes first on the new image: the job or the command that a service's labels name."""

from __future__ import annotations

import logging
from dataclasses import replace

from deployer.model.deployment import Outcome, Report, Request
from deployer.model.snapshot import Snapshot
from deployer.rollouts import prejob
from deployer.rollouts.core import Core
from deployer.rollouts.decision import Case, Stop, Update, Wait
from deployer.rollouts.facts import remember_sight
from deployer.rollouts.ports import Change, Credentials
from deployer.rollouts.prejob import Done, Failed, Run, Running
from deployer.rollouts.rules import at_a_gate, leave_alone

log = logging.getLogger(__name__)


def run_first(
    core: Core, case: Case, update: Update, credentials: Credentials | None
) -> Stop | Report | None:
    """Have the command or the job of a label run the new image before the service does.

    Returns:
        Why the service does not get it now; None if nothing is to run first, or has completed.

    Raises:
        LabelError: the label names something that cannot run first.
        StaleVersionError: somebody else has written since the reading.
        TemporaryError: the target cannot answer now.
    """
    request, labels = case.request, case.labels
    if request.rollback:
        return None
    if labels.pre_command:
        change = Change(update.state, update.image, update.manifest)
        ran = core.target.run_first(case.snapshot.service, change, labels.pre_command)
        return _ran(core, case, update, prejob.in_time(ran, request, case.timeout), "its command")
    return _job(core, case, update, credentials, labels.pre_job) if labels.pre_job else None


def objection(
    core: Core, job: Snapshot, update: Update, request: Request, *, note: bool = True
) -> Stop | None:
    """Return why a job may not run the image of an update: it is held, or at a gate of its own labels.

    Args:
        core: the core.
        job: the job.
        update: of the service that comes after it.
        request: what is wanted of that service.
        note: keep in the ledger what counts from the first look.
    """
    case = core.case(job, request)
    if stop := leave_alone(case):
        return stop
    found = core.found(case, update.image, update.manifest)
    if note:
        remember_sight(core.target, found)
    return at_a_gate(found)


def _job(
    core: Core, case: Case, update: Update, credentials: Credentials | None, name: str
) -> Stop | Report | None:
    service, request = case.snapshot.service, case.request
    job = core.other(service, prejob.LABEL, name)
    said = prejob.judge(job, update, request, core.rules)
    if not isinstance(said, Run):
        return _ran(core, case, update, said, f"job {name}")
    if stop := objection(core, job, update, request):
        return replace(stop, reason=f"job {name}, which runs first: {stop.reason}")
    change = Change(said.state, update.image, update.manifest, request.force)
    core.target.apply(job.service, change, credentials)
    log.info("Job %s runs %s before service %s", name, update.image, service.name)
    return Wait(f"job {name} runs first", "pre-job", pre_job=update.image.digest)


def _ran(
    core: Core, case: Case, update: Update, said: Running | Failed | Done, who: str
) -> Stop | Report | None:
    match said:
        case Failed(reason):
            text = f"{who}, which runs first: {reason}"
            core.remember_failure(case.snapshot, update.image.digest, text)
            return core.report(case.snapshot, case.request, Outcome.FAILED, text)
        case Running(count, what):
            return Wait(f"{who} runs first ({count} complete)", what)
    return None
