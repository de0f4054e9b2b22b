"""Reads services and registries through the ports, and gathers the facts of a decision."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from deployer.errors import (
    AccessDeniedError,
    NoSuchServiceError,
    NotFoundError,
    PermanentError,
    StaleVersionError,
)
from deployer.model import label_names as names
from deployer.model.deployment import Outcome, Report, Request, RolloutMemory
from deployer.model.image import Image
from deployer.model.service import LabelError, Manifest, Service
from deployer.model.snapshot import Snapshot
from deployer.policies.labels import ServiceLabels
from deployer.rollouts.decision import Case, Found, Rules, Stop, Update
from deployer.rollouts.evidence import gathered
from deployer.rollouts.facts import case_of
from deployer.rollouts.ledger import Failure, Ledger, remember, trials
from deployer.rollouts.memory import known_failures, unwritten
from deployer.rollouts.ports import Change, Credentials, Registry, Target
from deployer.rollouts.rules import choose

log = logging.getLogger(__name__)

LONGEST_LINE = 20  # services of which each waits for the next (label deployer.after)


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Core:
    """The ports and the rules, and what everything that looks at services does with them."""

    target: Target
    registry: Registry
    rules: Rules
    clock: Callable[[], datetime] = _utc_now

    def read(self, name: str) -> Snapshot:
        """Read a service and everything there is to know of its roll-out."""
        return self.target.read(name, self.clock())

    def case(self, snapshot: Snapshot, request: Request, ledger: Ledger | None = None) -> Case:
        """Gather the facts that decide about a request."""
        service, after = snapshot.service, None
        ledger = ledger or self.target.ledger()
        labels = ServiceLabels.parse(service.labels, self.rules.filter_label)
        if labels.after and request.by_itself:
            after = self.other(service, names.AFTER, labels.after)
            self._end_of_line(service, after.service)
        return case_of(snapshot, request, self.rules, ledger, after, labels)

    def wanted(self, case: Case) -> Image | Stop:
        """Return the image that is wanted: the request's, or the tag that the service's policy chooses.

        Raises:
            LabelError, TemporaryError, PermanentError: as of `choose`, and of asking the registry.
        """
        image = choose(case)
        if not isinstance(image, Image) or not case.request.follows:
            return image
        return self.followed(case.snapshot.service, image, case.failures)

    def followed(self, service: Service, image: Image, failures: Mapping[str, str]) -> Image:
        """Return what a service's policy makes of the image that it runs (without digest): maybe another tag.

        Tags whose digest has failed are passed over, also where the registry lists names without digests.

        Raises:
            LabelError: the policy cannot be understood.
            TemporaryError, PermanentError: the registry does not list its tags.
        """
        policy = ServiceLabels.parse(service.labels).policy
        if policy.follows_tag or policy.off or not image.tag:
            return image
        tags = [t for t in self.registry.tags(image, service.login) if t.digest not in failures]
        for _ in range(len(failures) + 1):
            chosen = policy.choose(image.tag, tags).tag
            listed = next((t.digest for t in tags if t.name == chosen), None)
            if chosen == image.tag or listed or not failures:
                break
            if self.manifest(image.with_tag(chosen), service.login)[0].digest not in failures:
                break
            tags = [t for t in tags if t.name != chosen]
        return image.with_tag(chosen)

    def found(self, case: Case, wanted: Image, manifest: Manifest) -> Found:
        """Return a case with the registry's answer, and what its labels want to know beside that.

        Raises:
            TemporaryError, PermanentError: the registry does not list its tags, or cannot tell now.
        """
        return gathered(Found(case, wanted, manifest), self.registry)

    def write(self, snapshot: Snapshot, update: Update, credentials: Credentials | None) -> None:
        """Write an update to the version of the service that was read.

        Raises:
            StaleVersionError: somebody else has written since.
            TemporaryError: the target cannot answer now.
        """
        change = Change(update.state, update.image, update.manifest, update.force)
        self.target.apply(snapshot.service, change, credentials)
        image = update.image
        text = "Updated service %s with image %s, %s"
        log.info(text, snapshot.service.id, image.without_digest(), image.digest)

    def remember_failure(self, snapshot: Snapshot, digest: str | None, reason: str) -> None:
        """Write down in the ledger that a digest failed, if one did."""
        if digest:
            failure = Failure(digest, None, reason, snapshot.now.isoformat(timespec="seconds"))
            remember(self.target, {snapshot.service.name: {digest: failure}})

    def remember_moved(self, snapshot: Snapshot, digest: str) -> None:
        """Write down that a service was moved away from a digest, as long as its tasks tell."""
        if digest in snapshot.moved:
            self.remember_failure(snapshot, digest, snapshot.moved[digest])

    def remember(self, case: Case) -> None:
        """Write down in the ledger what the next write of anybody could wipe out."""
        failures = case.failures
        if not case.labels.policy.follows_tag:  # which may choose again what somebody left, after a failure
            failures = {**case.snapshot.moved, **failures}
        remember(self.target, unwritten(case.snapshot, failures, case.remembered))
        if case.trial and case.snapshot.anew and case.trial.deployment != case.request.deployment_id:
            trials.note(self.target, {case.snapshot.service.name: None})

    def remember_all(self, snapshots: Sequence[Snapshot]) -> None:
        """Do the same for many services, in one write."""
        ledger, new = self.target.ledger(), dict[str, Mapping[str, Failure]]()
        for snapshot in snapshots:
            kept = ledger.failures(snapshot.service.name)
            new |= unwritten(snapshot, known_failures(snapshot, ledger), kept)
        remember(self.target, new)

    def write_noted(self, case: Case, update: Update, credentials: Credentials | None) -> None:
        """Write, and note it before, where nothing else may tell of it once it is taken back.

        Raises:
            StaleVersionError, TemporaryError: as of `write`.
        """
        name = case.snapshot.service.name
        trial = trials.of_write(case.snapshot, update.image.digest, case.request.deployment_id)
        if trial != case.trial:  # else a look at many services has noted all of them
            trials.note(self.target, {name: trial})
        try:
            self.write(case.snapshot, update, credentials)
        except (StaleVersionError, PermanentError):  # it was refused
            if trial:
                trials.note(self.target, {name: None})
            raise

    def forget_unwritten(self, case: Case) -> None:
        """Forget a write that was noted and not made, so that no later write looks like its end."""
        trial, service = case.trial, case.snapshot.service
        if trial and trial.deployment == case.request.deployment_id and trial.version == service.version:
            trials.note(self.target, {service.name: None})

    def way_back_problem(self, service: Service, previous: str | None) -> str | None:
        """Return why a service could not go back to an image, None if it could.

        Raises:
            TemporaryError: the registry cannot answer now.
        """
        image = Image.find(previous)
        if image is None:
            return "no former image is known"
        try:
            self.manifest(image, service.login)
        except NotFoundError:
            return f"the registry no longer has {image}"
        return None

    def other(self, service: Service, label: str, name: str) -> Snapshot:
        """Look at the service that a label names.

        Raises:
            LabelError: it names the service itself, or none.
        """
        if name in {service.name, service.id}:
            raise LabelError(f"label {label}={name[:40]} names the service itself")
        try:
            return self.read(name)
        except NoSuchServiceError as fault:
            raise LabelError(f"label {label}: {fault}") from fault

    def _end_of_line(self, service: Service, first: Service) -> None:
        """Check that the services that go first do not wait for this one themselves.

        Raises:
            LabelError: they do, and would for ever.
        """
        line = [service.name]
        while name := ServiceLabels.parse(first.labels).after:
            line.append(first.name)
            if name in {service.name, service.id}:
                raise LabelError(f"label {names.AFTER}: {' waits for '.join([*line, service.name])}")
            if name in line or len(line) > LONGEST_LINE:
                return  # somebody else's circle
            try:
                first = self.read(name).service
            except NoSuchServiceError:
                return  # its own deployment says so

    def manifest(self, image: Image, login: str | None = None) -> tuple[Manifest, Credentials | None]:
        """Return the registry's manifest of an image, and the credentials that it took.

        Raises:
            TemporaryError: the registry or AWS cannot answer now.
            PermanentError: there is no such image, or no access to it.
        """
        credentials = self.registry.credentials(image, login)
        try:
            return self.target.manifest(image, credentials), credentials
        except AccessDeniedError:
            # A cached token may have been revoked; a fresh one tells.
            if not self.registry.forget(image):
                raise
        credentials = self.registry.credentials(image, login)
        return self.target.manifest(image, credentials), credentials

    def report(
        self,
        snapshot: Snapshot,
        request: Request,
        outcome: Outcome,
        reason: str,
        watch: RolloutMemory | None = None,
        wanted: Image | None = None,
    ) -> Report:
        """Return how a deployment ended; with the watch if it wrote, and with the image that was wanted."""
        service = snapshot.service
        return Report(
            outcome,
            reason,
            service.name,
            service.id,
            image=watch.image if watch else _meant(service, request, outcome, wanted),
            previous=watch.previous if watch else None,
            duration=_duration(snapshot, watch),
            by=request.trigger,
            event=request.event,
            recovered=bool(watch and watch.recovers and outcome is Outcome.UPDATED),
            notify=service.labels.get(names.NOTIFY),
            runs=service.image_text,
            last_words=watch.last_words if watch else (),
        )


def _duration(snapshot: Snapshot, watch: RolloutMemory | None) -> float:
    if watch is None:
        return 0.0
    elapsed = (snapshot.now - datetime.fromisoformat(watch.began_at)).total_seconds()
    return round(max(elapsed, watch.watched, 0.0), 3)  # another machine's clock may be behind


def _meant(service: Service, request: Request, outcome: Outcome, wanted: Image | None) -> str | None:
    """Return the image that a report without a write is about: where one is held back, that one.

    An event may come late, so the registry's answer counts before its digest. Where nobody asked the registry
    for a person's request, only the tag is known.
    """
    if outcome is not Outcome.HELD or not service.image:
        return service.image_text
    if wanted:
        return str(wanted)
    own = service.image.without_digest()
    return str(own.with_digest(request.pushed_digest)) if request.pushed_digest else request.image or str(own)
