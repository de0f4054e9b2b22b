"""A Docker Swarm as the target of deployments: the core's port over the raw JSON of an engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from deployer.errors import DeployerError, TemporaryError
from deployer.model.image import Image
from deployer.model.label_names import POST_COMMAND, POST_JOB, PRE_COMMAND, PRE_JOB
from deployer.model.service import LabelError, Manifest, Service
from deployer.model.snapshot import Snapshot
from deployer.rollouts.ledger import Ledger
from deployer.rollouts.ledger.loss import WatchedStore
from deployer.rollouts.ports import Change, Credentials
from deployer.rollouts.prejob import Done, Failed, Running
from deployer.targets.swarm.config_store import Configs, ConfigStore
from deployer.targets.swarm.history import FAILED_STATES, state_of
from deployer.targets.swarm.progress import snapshot_of
from deployer.targets.swarm.service import read_service, revise

Raw = Mapping[str, Any]

READS = 5  # of a service that is written while its tasks are read
LIMIT_AGE = timedelta(minutes=10)
DEFAULT_LIMIT = 5  # tasks of each slot, swarmkit's own


class EngineApi(Configs, Protocol):
    """The part of the Engine API that a deployment needs; JSON as the engine gives it, errors of our own."""

    def info(self) -> Raw:
        """Return what the engine says of itself and of its Swarm."""

    def services(self, ids: Sequence[str] = ()) -> Iterable[Raw]:
        """Return all services, or those of the ids."""

    def service(self, name: str) -> Raw:
        """Return one service by name or id; NoSuchServiceError if there is none."""

    def tasks(self, service_ids: Sequence[str]) -> Sequence[Raw]:
        """Return the tasks of services, with those of their recent past."""

    def task_logs(self, task_id: str, number: int) -> str:
        """Return the last lines that a task has logged."""

    def update_service(
        self, service_id: str, version: int, spec: Raw, credentials: Credentials | None
    ) -> None:
        """Write a spec over a version; StaleVersionError if it is no longer the newest."""

    def distribution(self, image: str, credentials: Credentials | None) -> Raw:
        """Return the registry's answer about an image, asked through the engine."""


class SwarmTarget:
    """A Swarm, through one of its managers' engines.

    Args:
        engine: the engine.
        on_ledger_lost: is called when the config object of the ledger has vanished.
        policy: of services that have none of their own.
    """

    def __init__(
        self,
        engine: EngineApi,
        on_ledger_lost: Callable[[], None] = lambda: None,
        policy: str | None = None,
    ) -> None:
        self.engine = engine
        self._policy = policy
        self._store = WatchedStore(ConfigStore(engine), on_ledger_lost)
        self._limit = datetime.min.replace(tzinfo=UTC), DEFAULT_LIMIT  # when it was asked, and of the history

    def services(self, *ids: str, keep: Callable[[Service], bool] | None = None) -> list[Service]:
        """Return all services of the Swarm, or those of the ids, as far as `keep` wants them.

        The others are not kept in memory: of a large Swarm that would be tens of megabytes for each push.
        """
        found = (read_service(raw, self._policy) for raw in self.engine.services(ids))
        return [service for service in found if keep is None or keep(service)]

    def service(self, name: str) -> Service:
        """Return one service by its name or id, without its tasks."""
        return read_service(self.engine.service(name), self._policy)

    def read(self, name: str, now: datetime) -> Snapshot:
        """Return everything there is to know of one service.

        Raises:
            NoSuchServiceError: there is no such service.
            TemporaryError: others keep writing it while it is read.
        """
        for _ in range(READS):
            service = self.service(name)
            snapshot = self._snapshot(service, self.engine.tasks([service.id]), now)
            if not _may_be_newer(snapshot) or self.service(service.id).version == service.version:
                return snapshot
        raise TemporaryError(f"service {name} was written by others at each of {READS} readings")

    def read_all(self, services: Sequence[Service], now: datetime) -> list[Snapshot]:
        """Return what there is to know of listed services, with one request for all their tasks."""
        tasks: dict[str, list[Raw]] = {service.id: [] for service in services}
        for task in self.engine.tasks(list(tasks)) if services else ():
            tasks.get(str(task.get("ServiceID")), []).append(task)
        found = [self._snapshot(service, tasks[service.id], now) for service in services]
        doubtful = [snapshot.service.id for snapshot in found if _may_be_newer(snapshot)]
        versions = {service.id: service.version for service in self.services(*doubtful)} if doubtful else {}
        return [
            self.read(one.service.id, now)
            if versions.get(one.service.id, one.service.version) != one.service.version
            else one
            for one in found
        ]

    def _snapshot(self, service: Service, tasks: Sequence[Raw], now: datetime) -> Snapshot:
        short = self._history_limit(now) <= 1
        return replace(snapshot_of(service, tasks, now), forgetful=short or service.traceless)

    def _history_limit(self, now: datetime) -> int:
        """Return how many tasks of each slot the engine keeps; asked once in a while."""
        if now - self._limit[0] > LIMIT_AGE:
            cluster: Raw = {}
            with suppress(DeployerError):
                cluster = (self.engine.info().get("Swarm") or {}).get("Cluster") or {}
            told = ((cluster.get("Spec") or {}).get("Orchestration") or {}).get("TaskHistoryRetentionLimit")
            self._limit = now, DEFAULT_LIMIT if told is None else int(told)
        return self._limit[1]

    def manifest(self, image: Image, credentials: Credentials | None) -> Manifest:
        """Ask the image's registry, through the engine, for the digest and the platforms of an image.

        It proves token and manifest good before anything is changed.

        Raises:
            NotFoundError: no such tag, digest or repository.
            AccessDeniedError: the registry refuses these credentials.
            TemporaryError: the registry cannot be reached or cannot answer now.
        """
        answer = self.engine.distribution(str(image), credentials)
        return Manifest(str(answer["Descriptor"]["digest"]), answer.get("Platforms") or ())

    def apply(self, service: Service, change: Change, credentials: Credentials | None) -> None:
        """Write a change over the version of the service that was read.

        Raises:
            StaleVersionError: the service has changed since it was read.
        """
        spec = revise(service.native, change)
        self.engine.update_service(service.id, service.version, spec, credentials)

    def run_first(self, service: Service, change: Change, command: str) -> Running | Failed | Done:
        """Refuse it: a Swarm has job services, which know the networks and secrets that a command needs.

        Raises:
            LabelError: always.
        """
        del change, command
        text = f"service {service.name} is of a Swarm, which runs a job first (label {PRE_JOB})"
        raise LabelError(f"label {PRE_COMMAND}: {text}")

    def run_after(self, service: Service, command: str) -> Running | Failed | Done:
        """Refuse it, as `run_first` does.

        Raises:
            LabelError: always.
        """
        del command
        text = f"service {service.name} is of a Swarm, which runs a job after it (label {POST_JOB})"
        raise LabelError(f"label {POST_COMMAND}: {text}")

    def last_words(self, service: Service, number: int) -> Sequence[str]:
        """Return the last lines of the newest task that has failed.

        Raises:
            TemporaryError, PermanentError: the engine does not tell, or a socket proxy does not let it.
        """
        failed = [task for task in self.engine.tasks([service.id]) if state_of(task) in FAILED_STATES]
        newest = max(failed, key=lambda task: str(task.get("CreatedAt", "")), default=None)
        return self.engine.task_logs(str(newest["ID"]), number).splitlines() if newest else ()

    def settled(self, service: Service) -> None:
        """Do nothing: whatever runs an image on a Swarm is a service of its own."""

    def ledger(self) -> Ledger:
        """Return the labels of the deployer's config object; an empty ledger if there is none yet."""
        return self._store.ledger()

    def write_ledger(self, read: Ledger, labels: Mapping[str, str]) -> None:
        """Replace those labels.

        Raises:
            StaleVersionError: somebody else wrote since the read.
        """
        self._store.write_ledger(read, labels)


def _may_be_newer(snapshot: Snapshot) -> bool:
    """Return whether tasks tell of an image that somebody left, or else of a write since the reading."""
    return bool(snapshot.left or snapshot.moved)
