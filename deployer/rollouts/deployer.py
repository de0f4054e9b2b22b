"""One look at one service, and at most one write: read, ask the registry, decide, write or wait.

`advance` is the whole deployment as a step function. It keeps nothing: what it has to remember until the
next look is in the service's labels (what was written, by which deployment) and in the `Watch` that
travels with the message. So any worker goes on where another one died.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from functools import lru_cache

from deployer.errors import NoSuchServiceError, PermanentError, StaleVersionError
from deployer.model.deployment import Again, Outcome, Report, Request, Watch
from deployer.model.image import Image
from deployer.model.service import LabelError, revise
from deployer.rollouts import prejob
from deployer.rollouts.core import Core, Look
from deployer.rollouts.decision import Found, Skip, Stop, Update
from deployer.rollouts.follow import follow
from deployer.rollouts.ledger import Pace, give_slot_back, take_slot
from deployer.rollouts.ports import Credentials
from deployer.rollouts.rules import LOOK_SECONDS, decide, leave_alone
from deployer.targets.swarm.progress import Phase, under_way

log = logging.getLogger(__name__)

STALE_READS = 5  # re-reads after "update out of sequence" before the deployment waits


@lru_cache(maxsize=10_000)
def _say_once(service: str, wrong: str) -> None:
    log.error("Service %s is not updated: %s", service, wrong)


@dataclass(frozen=True)
class Deployer(Core):
    """Everything that acts on services does it through one of these.

    `pace` is this worker's limit on updates begun.
    """

    pace: Pace = field(default_factory=Pace)

    def advance(self, name: str, request: Request, watch: Watch | None = None) -> Report | Again:
        """Look at a service once and bring its deployment forward.

        Args:
            name: the service's name or id.
            request: what is wanted of it.
            watch: what the former look returned, if it had written.

        Raises:
            TemporaryError: the engine, the registry or AWS cannot answer now; call again later.
            PermanentError: never; it becomes a Report.
        """
        try:
            return self._look_and_act(name, request, watch)
        except NoSuchServiceError as fault:
            gone = request.by_itself and watch is None
            outcome = Outcome.IGNORED if gone else Outcome.FAILED
            return Report(outcome, str(fault), name, by=request.by, event=request.event)
        except PermanentError as fault:
            return Report(Outcome.FAILED, str(fault), name, by=request.by, event=request.event)

    def _look_and_act(self, name: str, request: Request, watch: Watch | None) -> Report | Again:
        for _ in range(STALE_READS):
            try:
                return self._once(name, request, watch)
            except StaleVersionError:
                log.debug("service %s changed between read and write, reading it again", name)
        return self._once(name, request, watch)

    def _once(self, name: str, request: Request, watch: Watch | None) -> Report | Again:
        look = self.look(name)
        try:
            return self._act(look, request, watch)
        except NoSuchServiceError:
            raise
        except LabelError as fault:
            _say_once(look.service.name, str(fault))
            return self.report(look, request, Outcome.IGNORED, str(fault), watch)
        except PermanentError as fault:
            return self.report(look, request, Outcome.FAILED, str(fault), watch)

    def _act(self, look: Look, request: Request, watch: Watch | None) -> Report | Again:
        if watch is None and look.service.state.task != request.task:
            if not _left_alone(look):
                return self._begin(look, request)
            if step := self._instead(look, request):
                return step
        step = follow(self, look, request, watch)
        self._keep_slot(look, step)
        return step

    def _instead(self, look: Look, request: Request) -> Report | Again | None:
        """What takes the place of a paused roll-out; None if nothing does, so that it has to be ended.

        A newer push and a person's word do. What waits for hours, or is not to be done, does not.
        """
        try:
            step = self._begin(look, request)
        except PermanentError:
            if request.by_itself:
                return None
            raise
        if isinstance(step, Again):
            return None if step.patient else step
        return None if request.by_itself or step.outcome is Outcome.UNCHANGED else step

    def _begin(self, look: Look, request: Request) -> Report | Again:
        step = self._try_to_begin(look, request)
        if isinstance(step, Again) and not step.quiet:  # another wait must not begin the quiet time anew
            return replace(step, quiet=request.quiet)
        return step

    def _try_to_begin(self, look: Look, request: Request) -> Report | Again:
        service = look.service
        case = self.case(look, request)
        wanted = self.wanted(case)
        if not isinstance(wanted, Image):
            return self._stopped(look, request, wanted)
        manifest, credentials = self.manifest(wanted, service.login)
        decision = decide(Found(case, wanted, manifest))
        if not isinstance(decision, Update):
            return self._stopped(look, request, decision)
        waits = self._job_first(look, request, decision, credentials) or self._admit(look)
        if waits:
            return waits
        self.write(service, decision, credentials)
        began = look.now.isoformat()
        unwell = bool(service.state.reason) or look.progress.phase is Phase.PAUSED
        watch = Watch(request.task, str(decision.image), service.image_text, began, began, recovers=unwell)
        return Again(1, "the roll-out has begun", watch)

    def _job_first(
        self, look: Look, request: Request, update: Update, credentials: Credentials | None
    ) -> Report | Again | None:
        """Have the job of the label `deployer.pre-job` run the new image before the service does."""
        name = look.service.labels.get(prejob.LABEL, "").strip()
        if not name or request.rollback:
            return None
        job = self.other(look.service, prejob.LABEL, name)
        match prejob.judge(job.service, job.tasks, job.progress, update, request, self.rules, job.now):
            case prejob.Run(state):
                if stop := leave_alone(self.case(job, request)):
                    why = f"job {name}, which runs first: {stop.reason}"
                    return self._stopped(look, request, replace(stop, reason=why))
                spec = revise(
                    job.service, state, image=update.image, manifest=update.manifest, force=request.force
                )
                self.swarm.update(job.service, spec, credentials)
                log.info("Job %s runs %s before service %s", name, update.image, look.service.name)
                ordered = {**request.quiet, prejob.ORDERED: update.image.digest or ""}
                return Again(LOOK_SECONDS, f"job {name} runs first", quiet=ordered)
            case prejob.Failed(reason):
                return self.report(look, request, Outcome.FAILED, f"job {name}, which runs first: {reason}")
            case prejob.Running(count):
                return Again(LOOK_SECONDS, f"job {name} runs first ({count} complete)")
        return None

    def _stopped(self, look: Look, request: Request, stop: Stop) -> Report | Again:
        if isinstance(stop, Skip):
            return self.report(look, request, stop.outcome, stop.reason)
        return Again(stop.seconds, stop.reason, quiet=stop.quiet, patient=stop.patient)

    def _admit(self, look: Look) -> Again | None:
        """Whether one more update may begin now: the worker's pace and the Swarm's width."""
        wait = self.pace.take(look.now)
        if wait:
            return Again(wait, "over DEPLOYER_RATE_LIMIT")
        if self.rules.max_rollouts and not self._take_slot(look):
            self.pace.give_back()
            return Again(
                LOOK_SECONDS, f"{self.rules.max_rollouts} services roll already (DEPLOYER_MAX_ROLLOUTS)"
            )
        return None

    def _keep_slot(self, look: Look, step: Report | Again) -> None:
        if not self.rules.max_rollouts:
            return
        if isinstance(step, Report):
            give_slot_back(self.swarm, look.service.id)
        else:
            take_slot(self.swarm, look.service.id, {look.service.id}, self.rules.max_rollouts, look.now)

    def _take_slot(self, look: Look) -> bool:
        rolling = {s.id for s in self.swarm.services() if under_way(s, look.now, self.timeout(s))}
        return take_slot(self.swarm, look.service.id, rolling, self.rules.max_rollouts, look.now)


def _left_alone(look: Look) -> bool:
    """A roll-out of ours that the engine paused: whoever comes by ends it (its deployment may be dead)."""
    service = look.service
    ours = bool(service.state.task) and service.state.image == service.image_text
    return ours and look.progress.phase is Phase.PAUSED
