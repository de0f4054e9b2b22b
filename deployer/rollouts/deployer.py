"""One look at one service, and at most one write: read, choose, resolve, decide, admit, apply.

`advance` is the whole deployment as a step function. It keeps nothing: what it has to remember until the
next look is in the service's labels (what was written, by which deployment), in the ledger (what failed), and
in the `RolloutMemory` that travels with the message. So any worker goes on where another one died.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from functools import lru_cache

from deployer.errors import (
    NoSuchServiceError,
    PermanentError,
    StaleVersionError,
)
from deployer.model import label_names as names
from deployer.model.deployment import Again, Outcome, Report, Request, RolloutMemory, Step
from deployer.model.image import Image
from deployer.model.service import LabelError, Service
from deployer.model.snapshot import Phase, Snapshot
from deployer.policies.labels import ServiceLabels
from deployer.rollouts import ledger
from deployer.rollouts.carry_out import carry_out, takes_its_place
from deployer.rollouts.core import Core
from deployer.rollouts.decision import Case, Skip, Stop, Update, Wait
from deployer.rollouts.facts import case_of, remember_sight
from deployer.rollouts.first import run_first
from deployer.rollouts.follow import FIRST_LOOK, follow, looked
from deployer.rollouts.ledger import approvals, slots
from deployer.rollouts.pace import Pace
from deployer.rollouts.proving.baking import bakes
from deployer.rollouts.proving.prove import check, prove
from deployer.rollouts.proving.signals import Sources
from deployer.rollouts.rollback import tried_before
from deployer.rollouts.rules import APPROVAL, SETTLE, decide
from deployer.rollouts.waiting import next_wait

log = logging.getLogger(__name__)

SLOT = "slot"  # the name of a wait for one of DEPLOYER_MAX_ROLLOUTS
CONVERGED = {Outcome.UPDATED, Outcome.ROLLED_BACK, Outcome.UNCHANGED}
STALE_READS = 5  # re-reads after "update out of sequence" before the deployment waits


@lru_cache(maxsize=10_000)
def _say_once(service: str, wrong: str) -> None:
    log.error("Service %s is not updated: %s", service, wrong)


@dataclass(frozen=True)
class Deployer(Core):
    """Everything that acts on services does it through one of these.

    `pace` is this worker's limit on updates begun, `observer` what it has seen of the slots of all, `sources`
    who is asked for alarms and queries.
    """

    pace: Pace = field(default_factory=Pace)
    observer: slots.Observer = field(default_factory=slots.Observer)
    sources: Sources = field(default_factory=Sources)

    def advance(self, name: str, request: Request, watch: RolloutMemory | None = None) -> Step:
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
            return self._advance(self.read(name), request, watch)
        except NoSuchServiceError as fault:
            gone = request.by_itself and watch is None
            outcome = Outcome.IGNORED if gone else Outcome.FAILED
            return Report(outcome, str(fault), name, by=request.trigger, event=request.event)
        except PermanentError as fault:
            return Report(Outcome.FAILED, str(fault), name, by=request.trigger, event=request.event)

    def _advance(self, snapshot: Snapshot, request: Request, watch: RolloutMemory | None) -> Step:
        for _ in range(STALE_READS):
            try:
                return self.step(snapshot, request, watch)
            except StaleVersionError:
                log.debug("service %s changed since the read, reading it again", snapshot.service.name)
            snapshot = self.read(snapshot.service.id)
        return self.step(snapshot, request, watch)

    def step(self, snapshot: Snapshot, request: Request, watch: RolloutMemory | None = None) -> Step:
        """Do what one reading of a service leads to.

        Raises:
            StaleVersionError: somebody else has written since the reading.
            TemporaryError: the engine, the registry or AWS cannot answer now.
            NoSuchServiceError: the service has gone.
        """
        step = self._step_or_report(snapshot, request, watch)
        if isinstance(step, Report):
            # Also where the target has taken back all that told of its write, so that nobody follows it.
            self._give_slot_back(snapshot, request.deployment_id)
            if step.outcome in CONVERGED:
                self.target.settled(snapshot.service)
        return step

    def _step_or_report(self, snapshot: Snapshot, request: Request, watch: RolloutMemory | None) -> Step:
        try:
            return self._step(snapshot, request, watch)
        except NoSuchServiceError:
            raise
        except LabelError as fault:
            _say_once(snapshot.service.name, str(fault))
            return self.report(snapshot, request, Outcome.IGNORED, str(fault), watch)
        except PermanentError as fault:
            return self.report(snapshot, request, Outcome.FAILED, str(fault), watch)

    def _step(self, snapshot: Snapshot, request: Request, watch: RolloutMemory | None) -> Step:
        if watch is not None or snapshot.service.state.task == request.deployment_id:
            return self._follow(snapshot, request, watch)
        if not (snapshot.ours and snapshot.progress.phase is Phase.PAUSED):
            return self._begin(snapshot, request)
        if case_of(snapshot, request, self.rules, self.target.ledger()).put_back:
            return self._begin(snapshot, request)
        # A roll-out of ours that the engine paused, and its deployment may be dead: whoever comes by ends it,
        # unless a newer push or a person's word takes its place.
        try:
            step = self._begin(snapshot, request)
        except PermanentError:
            if not request.by_itself:
                raise
            return self._follow(snapshot, request, None)
        return step if takes_its_place(step, request) else self._follow(snapshot, request, None)

    # -- to the write ------------------------------------------------------------------------------

    def _begin(self, snapshot: Snapshot, request: Request) -> Step:
        case = self.case(snapshot, request)
        if self._waits_for_a_slot(case):
            return self._stopped(case, self._no_slot())  # without a question to the registry
        wanted = self.wanted(case)
        if not isinstance(wanted, Image):
            return self._stopped(case, wanted)
        manifest, credentials = self.manifest(wanted, snapshot.service.login)
        found = self.found(case, wanted, manifest)
        decision = decide(found)
        if not isinstance(decision, Update):
            self.remember_moved(snapshot, manifest.digest)
            remember_sight(self.target, found)
            return self._stopped(case, decision, found.target)
        check(self, case)
        stop = (
            bakes(self.target, case, self.observer)
            or self._without_way_back(case, decision)
            or self._admit(snapshot, request)
        )
        if stop:
            return self._stopped(case, stop, found.target)
        try:
            first = run_first(self, case, decision, credentials)
            waits = self._stopped(case, first, found.target) if isinstance(first, Skip | Wait) else first
            if not waits:
                self.remember(case)
                if request.rollback and snapshot.service.image:  # the labels may be gone before the next look
                    left = snapshot.service.image.digest
                    self.remember_failure(snapshot, left, "rolled back by hand")
                if case.labels.proves and not request.rollback:  # also for the services that come after it
                    slots.begin_bake(self.target, snapshot.service.name, request.deployment_id, self.observer)
                self.write_noted(case, decision, credentials)
        except BaseException:
            self._give_slot_back(snapshot, request.deployment_id)
            raise
        if waits:
            self._give_slot_back(snapshot, request.deployment_id)
            return waits
        return self._begun(case, decision)

    def _begun(self, case: Case, update: Update) -> Again:
        snapshot, digest = case.snapshot, update.image.digest
        if digest and digest in case.failures:  # a person wants it all the same
            ledger.forget(self.target, snapshot.service.name, digest)
        began, before = snapshot.now.isoformat(), snapshot.service.image_text
        unwell = bool(snapshot.service.state.reason) or snapshot.progress.phase is Phase.PAUSED
        task = case.request.deployment_id
        watch = RolloutMemory(
            task, str(update.image), before, began, began, recovers=unwell, asked=FIRST_LOOK
        )
        return Again(FIRST_LOOK, "the roll-out has begun", watch)

    def _stopped(self, case: Case, stop: Stop, wanted: Image | None = None) -> Step:
        if isinstance(stop, Skip):
            if stop.outcome is not Outcome.IGNORED:
                self.remember(case)
            self.forget_unwritten(case)
            if wanted and wanted.digest and stop.reason.startswith(APPROVAL):
                approvals.void(self.target, case.snapshot.service.name, but=wanted.digest)
            return self.report(case.snapshot, case.request, stop.outcome, stop.reason, wanted=wanted)
        before = case.request.waiting.get(stop.what, 0.0)
        seconds = stop.seconds if stop.seconds is not None else next_wait(before, case.snapshot.service.name)
        # Another wait does not begin the quiet time of a tag anew.
        quiet = {what: s for what, s in case.request.waiting.items() if what.startswith(SETTLE)}
        if stop.what.startswith(SETTLE):  # of another digest it does
            digest = stop.what.rpartition(" ")[2]
            quiet = {what: s for what, s in quiet.items() if what.endswith(digest)}
        waiting = {**quiet, stop.what: before + seconds}
        return Again(
            seconds,
            stop.reason,
            waiting=waiting,
            pre_job=stop.pre_job or case.request.pre_job,
            patient=stop.patient,
        )

    def _without_way_back(self, case: Case, update: Update) -> Skip | None:
        """Say that there would be no way back; where the label demands one, the roll-out does not begin."""
        service = case.snapshot.service
        if service.is_job or update.state.by == "rollback" or update.state.restart:
            return None
        problem = self.way_back_problem(service, update.state.previous)
        if problem and case.labels.require_way_back:
            text = f"there is no way back ({problem}), which label {names.REQUIRE_WAY_BACK} demands"
            return Skip(Outcome.HELD, text)
        if problem:
            log.warning("Service %s has no way back from this update: %s", service.name, problem)
        return None

    # -- after the write ---------------------------------------------------------------------------

    def _follow(self, snapshot: Snapshot, request: Request, remembered: RolloutMemory | None) -> Step:
        watch, state = looked(remembered, snapshot), snapshot.service.state
        case = case_of(snapshot, request, self.rules, self.target.ledger())
        if case.put_back and request.force and snapshot.service.image:  # it is wanted, since this deployment
            ledger.forget(self.target, snapshot.service.name, snapshot.service.image.digest)
            case = replace(case, put_back=False)
        self.remember(case)
        if state.by == "rollback" and state.task == watch.task and not (watch.going_back or request.rollback):
            # FirstLook by a look that nobody remembers.
            tried = tried_before(state) if remembered is None else watch.image
            watch = replace(watch, image=tried, watched=0.0, going_back=state.reason or "rolled back")
        step = carry_out(self, case, watch, prove(self, self.sources, case, watch, follow(case, watch)))
        self._keep_slot(snapshot, watch.task, step)
        return step

    # -- whose turn it is --------------------------------------------------------------------------

    def _admit(self, snapshot: Snapshot, request: Request) -> Wait | None:
        """Return a wait if one more update may not begin now: the worker's pace, the slots of all."""
        wait = self.pace.take(snapshot.now)
        if wait:
            return Wait("over DEPLOYER_RATE_LIMIT", "rate limit", seconds=wait)
        if self.rules.max_rollouts and not self._take_slot(snapshot, request):
            self.pace.give_back()
            return self._no_slot()
        return None

    def _waits_for_a_slot(self, case: Case) -> bool:
        width, waits = self.rules.max_rollouts, SLOT in case.request.waiting
        name = case.snapshot.service.name
        return bool(width and waits and slots.slots_full(self.target.ledger(), width, name, self.observer))

    def _no_slot(self) -> Wait:
        return Wait(f"{self.rules.max_rollouts} services roll already (DEPLOYER_MAX_ROLLOUTS)", SLOT)

    def _keep_slot(self, snapshot: Snapshot, owner: str, step: Step) -> None:
        if isinstance(step, Report):
            self._give_slot_back(snapshot, owner)
            return
        if self.rules.max_rollouts:
            slots.keep_slot(self.target, snapshot.service.name, owner, self.observer)
        proves = ServiceLabels.parse(snapshot.service.labels).proves
        if proves and step.watch and not step.watch.going_back:
            slots.keep_slot(self.target, snapshot.service.name, owner, self.observer, slots.BAKE)

    def _give_slot_back(self, snapshot: Snapshot, owner: str) -> None:
        if self.rules.max_rollouts:
            slots.give_slot_back(self.target, snapshot.service.name, owner)
        if ServiceLabels.parse(snapshot.service.labels).proves:
            slots.give_slot_back(self.target, snapshot.service.name, owner, slots.BAKE)

    def _take_slot(self, snapshot: Snapshot, request: Request) -> bool:
        width, name = self.rules.max_rollouts, snapshot.service.name
        if slots.slots_full(self.target.ledger(), width, name, self.observer):
            return False  # without reading all services
        services = self.target.services(keep=lambda s: s.rolls(snapshot.now, self._timeout(s)))
        rolling = {service.name for service in services}
        return slots.take_slot(self.target, name, request.deployment_id, rolling, width, self.observer)

    def _timeout(self, service: Service) -> float:
        return ServiceLabels.parse(service.labels).timeout or self.rules.rollout_timeout
