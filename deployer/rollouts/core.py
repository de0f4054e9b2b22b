"""The core with its ports: what it reads, what it writes, and the words in which a deployment tells. Pure."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from deployer.errors import AccessDeniedError, NoSuchServiceError
from deployer.model.deployment import Outcome, Report, Request, Watch
from deployer.model.image import Image
from deployer.model.service import LabelError, Manifest, Service, revise
from deployer.policies.tag_policy import Policy
from deployer.rollouts.decision import Case, Forerunner, Rules, Stop, Update
from deployer.rollouts.ports import Credentials, Registry, Swarm
from deployer.rollouts.rules import choose
from deployer.targets.swarm.progress import Progress, assess

log = logging.getLogger(__name__)

LONGEST_LINE = 20  # services of which each waits for the next (label deployer.after)


@dataclass(frozen=True)
class Look:
    """All facts of one look at a service."""

    service: Service
    tasks: Sequence[Mapping[str, Any]]
    progress: Progress
    now: datetime


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Core:
    """The ports and the rules, and what everything that looks at services does with them."""

    swarm: Swarm
    registry: Registry
    rules: Rules
    clock: Callable[[], datetime] = _utc_now

    def look(self, name: str) -> Look:
        """Read a service and its tasks."""
        service = self.swarm.service(name)
        tasks = self.swarm.tasks(service.id)
        now = self.clock()
        return Look(service, tasks, assess(service, tasks, now), now)

    def timeout(self, service: Service) -> float:
        """How many seconds a roll-out of a service may take, also where its label cannot be understood."""
        try:
            return service.seconds("deployer.timeout", self.rules.rollout_timeout)
        except LabelError:
            return self.rules.rollout_timeout

    def case(self, look: Look, request: Request) -> Case:
        """The facts that decide about a request."""
        hold, after = self.swarm.ledger().hold(look.service.id), None
        name = look.service.labels.get("deployer.after", "").strip()
        if name and request.by_itself:
            other = self.other(look.service, "deployer.after", name)
            self._end_of_line(look.service, other.service)
            after = Forerunner(other.service, other.progress)
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

    def other(self, service: Service, label: str, name: str) -> Look:
        """Look at the service that a label names.

        Raises:
            LabelError: it names the service itself, or none.
        """
        if name in {service.name, service.id}:
            raise LabelError(f"label {label}={name[:40]} names the service itself")
        try:
            return self.look(name)
        except NoSuchServiceError as fault:
            raise LabelError(f"label {label}: {fault}") from fault

    def _end_of_line(self, service: Service, first: Service) -> None:
        """See that those who go first do not wait for this service themselves.

        Raises:
            LabelError: they do, and would for ever.
        """
        line = [service.name]
        while name := first.labels.get("deployer.after", "").strip():
            line.append(first.name)
            if name in {service.name, service.id}:
                raise LabelError(f"label deployer.after: {' waits for '.join([*line, service.name])}")
            if name in line or len(line) > LONGEST_LINE:
                return  # somebody else's circle
            try:
                first = self.swarm.service(name)
            except NoSuchServiceError:
                return  # its own deployment says so

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

    def write(self, service: Service, update: Update, credentials: Credentials | None) -> None:
        """Write an update to the version of the service that was read.

        Raises:
            StaleVersionError: somebody else has written since.
            TemporaryError: the engine cannot answer now.
        """
        spec = revise(service, update.state, image=update.image, manifest=update.manifest, force=update.force)
        self.swarm.update(service, spec, credentials)
        log.info(
            "Updated service %s with image %s, %s",
            service.id,
            update.image.without_digest(),
            update.image.digest,
        )

    def report(
        self,
        look: Look,
        request: Request,
        outcome: Outcome,
        reason: str,
        watch: Watch | None = None,
    ) -> Report:
        """How a deployment ended; with the watch, if it has written."""
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
