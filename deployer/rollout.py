"""One look at one service, and at most one write: read, ask the registry, decide, write or wait.

`advance` is the whole deployment as a step function. It keeps nothing: what it has to remember until the
next look is in the service's labels (what was written, by which deployment) and in the `Watch` that
travels with the message. So any worker goes on where another one died.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from deployer import prejob
from deployer.convergence import Phase, Progress, assess
from deployer.errors import AccessDeniedError, NoSuchServiceError, PermanentError, StaleVersionError
from deployer.images import Image
from deployer.limits import Pace, give_slot_back, take_slot
from deployer.plan import (
    LOOK_SECONDS,
    Case,
    Found,
    Outcome,
    Request,
    Rules,
    Skip,
    Standing,
    Stop,
    Update,
    choose,
    decide,
    leave_alone,
    where_to_go_back,
)
from deployer.policy import Policy
from deployer.ports import Credentials, Registry, Swarm
from deployer.services import LabelError, Manifest, Service, revise
from deployer.wayback import given_up

log = logging.getLogger(__name__)

STALE_READS = 5  # re-reads after "update out of sequence" before the deployment waits
ROLLING_STATES = {"updating", "rollback_started"}
UNWATCHED_SECONDS = 60.0  # a longer gap between two looks does not count against the time-out


@dataclass(frozen=True)
class Watch:
    """What a deployment that has written remembers until its next look."""

    task: str  # the deployment that wrote; another one's when it ends what that one left
    image: str
    previous: str | None
    began_at: str
    looked_at: str
    watched: float = 0.0  # seconds
    going_back: str | None = None  # the reason why the roll-out failed, once the way back has begun
    recovers: bool = False  # the service was not well, or had been rolled back, before this update


@dataclass(frozen=True)
class Report:
    """How a deployment ended."""

    outcome: Outcome
    reason: str
    service: str
    service_id: str | None = None
    image: str | None = None
    previous: str | None = None
    duration: float = 0.0  # seconds from the first write to the end
    by: str = "manual"
    event: str | None = None
    recovered: bool = False  # the deployment before had failed, or the service was not well
    notify: str | None = None  # the service's label `deployer.notify`


@dataclass(frozen=True)
class Again:
    """The deployment has not ended: look again after a delay in seconds."""

    seconds: float
    reason: str
    watch: Watch | None = None
    quiet: Mapping[str, str] = field(default_factory=dict)
    patient: bool = False  # the wait itself does not count against the deployment's patience


@dataclass(frozen=True)
class Look:
    """All facts of one look at a service."""

    service: Service
    tasks: Sequence[Mapping[str, Any]]
    progress: Progress
    now: datetime


def _utc_now() -> datetime:
    return datetime.now(UTC)


@lru_cache(maxsize=10_000)
def _say_once(service: str, wrong: str) -> None:
    log.error("Service %s is not updated: %s", service, wrong)


@dataclass(frozen=True)
class Deployer:
    """The core with its ports: everything that acts on services does it through one of these."""

    swarm: Swarm
    registry: Registry
    rules: Rules
    pace: Pace = field(default_factory=Pace)
    clock: Callable[[], datetime] = _utc_now

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
            gone = request.by == "event" and watch is None
            return Report(
                Outcome.IGNORED if gone else Outcome.FAILED,
                str(fault),
                name,
                by=request.by,
                event=request.event,
            )
        except LabelError as fault:
            _say_once(name, str(fault))
            return Report(Outcome.IGNORED, str(fault), name, by=request.by, event=request.event)
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
        service = look.service
        if watch or service.state.task == request.task or _left_alone(look):
            step = self._follow(look, request, _looked(watch, look))
            self._keep_slot(look, step)
            return step
        return self._begin(look, request)

    def look(self, name: str) -> Look:
        """Read a service and its tasks."""
        service = self.swarm.service(name)
        tasks = self.swarm.tasks(service.id)
        now = self.clock()
        return Look(service, tasks, assess(service, tasks, now), now)

    # -- before the write ------------------------------------------------------------------------

    def _begin(self, look: Look, request: Request) -> Report | Again:
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
        self._write(service, decision, credentials)
        began = look.now.isoformat()
        unwell = bool(service.state.reason) or look.progress.phase is Phase.PAUSED
        watch = Watch(request.task, str(decision.image), service.image_text, began, began, recovers=unwell)
        return Again(1, "the roll-out has begun", watch)

    def case(self, look: Look, request: Request) -> Case:
        """The facts that decide about a request."""
        hold, after = self.swarm.ledger().hold(look.service.id), None
        if name := look.service.labels.get("deployer.after", "").strip():
            other = self._other(look.service, "deployer.after", name)
            after = Standing(other.service, other.progress)
        return Case(look.service, request, self.rules, look.tasks, look.progress, look.now, hold, after)

    def wanted(self, case: Case) -> Image | Stop:
        """The image that is wanted: by the request, or of all tags the one that the service's policy chooses.

        Raises:
            LabelError, TemporaryError, PermanentError: as of `choose`, and of asking the registry.
        """
        image = choose(case)
        return (
            self.followed(case.service, image) if isinstance(image, Image) and case.request.follows else image
        )

    def followed(self, service: Service, image: Image) -> Image:
        """What a service's policy makes of the image that it runs (without digest): maybe another tag.

        Raises:
            LabelError: the policy cannot be understood.
            TemporaryError, PermanentError: the registry does not list its tags.
        """
        policy = Policy.of(service.labels)
        if policy.follows_tag or policy.off or not image.tag:
            return image
        failed = service.state.failures
        tags = self.registry.tags(image, service.login)
        choice = policy.choose(image.tag, [t for t in tags if t.digest not in failed or t.name == image.tag])
        return image.with_tag(choice.tag)

    def _other(self, service: Service, label: str, name: str) -> Look:
        """The service that a label names."""
        if name in {service.name, service.id}:
            raise LabelError(f"label {label}={name[:40]} names the service itself")
        try:
            return self.look(name)
        except NoSuchServiceError as fault:
            raise LabelError(f"label {label}: {fault}") from fault

    def _job_first(
        self, look: Look, request: Request, update: Update, credentials: Credentials | None
    ) -> Report | Again | None:
        """Have the job of the label `deployer.pre-job` run the new image before the service does."""
        name = look.service.labels.get("deployer.pre-job", "").strip()
        if not name or request.rollback:
            return None
        job = self._other(look.service, "deployer.pre-job", name)
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
                return Again(LOOK_SECONDS, f"job {name} runs first")
            case prejob.Failed(reason):
                return self._report(look, request, Outcome.FAILED, f"job {name}, which runs first: {reason}")
            case prejob.Running(count):
                return Again(LOOK_SECONDS, f"job {name} runs first ({count} complete)")
        return None

    def _stopped(self, look: Look, request: Request, stop: Stop) -> Report | Again:
        if isinstance(stop, Skip):
            return self._report(look, request, stop.outcome, stop.reason)
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
        rolling = {s.id for s in self.swarm.services() if s.update_state in ROLLING_STATES}
        return take_slot(self.swarm, look.service.id, rolling, self.rules.max_rollouts, look.now)

    def manifest(self, image: Image, login: str | None = None) -> tuple[Manifest, Credentials | None]:
        """What the registry says of an image, and the credentials that it took.

        Raises:
            TemporaryError: the registry or AWS cannot answer now.
            PermanentError: there is no such image, or no access to it.
        """
        credentials = self.registry.credentials(image, login)
        try:
            return self.swarm.manifest(image, credentials), credentials
        except AccessDeniedError:
            # A cached token may have been revoked; a fresh one tells.
            if not self.registry.forget(image):
                raise
        credentials = self.registry.credentials(image, login)
        return self.swarm.manifest(image, credentials), credentials

    def _write(self, service: Service, update: Update, credentials: Credentials | None) -> None:
        spec = revise(service, update.state, image=update.image, manifest=update.manifest, force=update.force)
        self.swarm.update(service, spec, credentials)
        log.info(
            "Updated service %s with image %s, %s",
            service.id,
            update.image.without_digest(),
            update.image.digest,
        )

    # -- after the write -------------------------------------------------------------------------

    def _follow(self, look: Look, request: Request, watch: Watch) -> Report | Again:
        service, progress = look.service, look.progress
        state = service.state
        if state.task != watch.task or state.image != service.image_text:
            return self._not_mine(look, request, watch)
        if progress.phase is Phase.CONVERGED or _ended_long_ago(look, watch):
            if state.by == "rollback":
                return self._went_back(look, request, watch)
            count = f"{progress.ready}/{progress.wanted} {'complete' if service.is_job else 'running'}"
            return self._report(look, request, Outcome.UPDATED, count, watch)
        failure = _failure(look, watch, service.seconds("deployer.timeout", self.rules.rollout_timeout))
        if failure:
            return self._fail(look, request, watch, failure)
        elapsed = (look.now - datetime.fromisoformat(watch.began_at)).total_seconds()
        return Again(min(1 + elapsed / 10, 15), f"{progress.ready}/{progress.wanted} updated", watch)

    def _not_mine(self, look: Look, request: Request, watch: Watch) -> Report | Again:
        """The service has left what this deployment wrote: to the engine's rollback or to somebody else."""
        service, progress = look.service, look.progress
        if not service.is_rolling_back:
            return self._report(look, request, Outcome.SUPERSEDED, "somebody else updated the service", watch)
        if progress.engine_busy:
            return Again(2, f"the engine rolls back: {progress.reason}", watch)
        reason = progress.reason or "the engine rolled back"
        back = service.image
        if back is None:
            return self._report(
                look, request, Outcome.SUPERSEDED, "the service runs no image any more", watch
            )
        # The engine took our labels back with the image. Written again they remember the failure, and the
        # fresh credentials with them start what the engine's stored ones could not pull.
        failed = Image.parse(watch.image).digest
        update = given_up(service, look.tasks, watch.task, back, failed, reason, look.now)
        self.swarm.update(service, revise(service, update), self.registry.credentials(back, service.login))
        return Again(1, f"the engine rolled back: {reason}", replace(watch, watched=0.0, going_back=reason))

    def _fail(self, look: Look, request: Request, watch: Watch, reason: str) -> Report | Again:
        service = look.service
        if service.state.by == "rollback":
            return self._report(
                look, request, Outcome.FAILED, f"the rollback failed as well: {reason}", watch
            )
        back = where_to_go_back(service, self.rules, look.tasks)
        if back is None:
            return self._report(look, request, Outcome.FAILED, f"{reason}; left as it is", watch)
        try:
            manifest, credentials = self.manifest(back, service.login)
        except PermanentError as fault:
            return self._report(look, request, Outcome.FAILED, f"{reason}; no way back: {fault}", watch)
        log.warning("Roll-out of service %s failed (%s), going back to %s", service.id, reason, back)
        failed = service.image.digest if service.image else None
        state = given_up(service, look.tasks, watch.task, back, failed, reason, look.now)
        self._write(service, Update(back, manifest, state), credentials)
        return Again(1, f"going back: {reason}", replace(watch, watched=0.0, going_back=reason))

    def _went_back(self, look: Look, request: Request, watch: Watch) -> Report:
        reason = watch.going_back or look.service.state.reason or "rolled back"
        return self._report(look, request, Outcome.ROLLED_BACK, reason, watch)

    def _report(
        self,
        look: Look,
        request: Request,
        outcome: Outcome,
        reason: str,
        watch: Watch | None = None,
    ) -> Report:
        duration = (look.now - datetime.fromisoformat(watch.began_at)).total_seconds() if watch else 0.0
        return Report(
            outcome,
            reason,
            look.service.name,
            look.service.id,
            image=watch.image if watch else _meant(look.service, request, outcome),
            previous=watch.previous if watch else None,
            duration=round(duration, 3),
            by=request.by,
            event=request.event,
            recovered=bool(watch and watch.recovers and outcome is Outcome.UPDATED),
            notify=look.service.labels.get("deployer.notify"),
        )


def _meant(service: Service, request: Request, outcome: Outcome) -> str | None:
    """The image that a report without a write is about: for a push that is held back the pushed one."""
    if outcome is not Outcome.HELD or not service.image or not request.hint:
        return service.image_text
    return str(service.image.without_digest().with_digest(request.hint))


def _left_alone(look: Look) -> bool:
    """A roll-out of ours that the engine paused: whoever comes by ends it (its deployment may be dead)."""
    service = look.service
    ours = bool(service.state.task) and service.state.image == service.image_text
    return ours and look.progress.phase is Phase.PAUSED


def _looked(watch: Watch | None, look: Look) -> Watch:
    """The watch after this look; time in which nobody looked does not count."""
    now = look.now.isoformat()
    if watch is None:
        state = look.service.state
        return Watch(state.task or "", state.image or "", state.previous, state.at or now, now)
    gap = (look.now - datetime.fromisoformat(watch.looked_at)).total_seconds()
    return replace(watch, looked_at=now, watched=watch.watched + min(max(gap, 0.0), UNWATCHED_SECONDS))


def _ended_long_ago(look: Look, watch: Watch) -> bool:
    """A repeated message of a deployment that has ended: a node lost since then is no failed roll-out."""
    first_look = watch.looked_at == look.now.isoformat() and watch.watched == 0.0
    return first_look and look.service.update_state == "completed"


def _failure(look: Look, watch: Watch, timeout: float) -> str | None:
    progress = look.progress
    if progress.phase is Phase.PAUSED:
        return progress.reason or "the engine paused the update"
    if watch.watched >= timeout:
        count = f"{progress.ready}/{progress.wanted}"
        return f"not converged after {timeout:g} s ({count}): {progress.reason}".rstrip(": ")
    return None
