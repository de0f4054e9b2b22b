"""Amazon ECS as the target of deployments: the core's port over the services of some clusters."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from deployer.errors import NoSuchServiceError
from deployer.model.image import Image
from deployer.model.service import Manifest, Service
from deployer.model.snapshot import Snapshot
from deployer.rollouts.ledger import Ledger
from deployer.rollouts.ports import Change, Credentials
from deployer.rollouts.prejob import Done, Failed, Running
from deployer.targets.ecs.cluster import Cluster, short_names
from deployer.targets.ecs.last_words import Reader, last_words
from deployer.targets.ecs.look import look
from deployer.targets.ecs.names import UnitId, account_of, cluster_of, region_of
from deployer.targets.ecs.place import Cache, Place
from deployer.targets.ecs.schedules import Schedules, follow, problems
from deployer.targets.ecs.service import Options, Raw, Unit, is_own, read_units
from deployer.targets.ecs.wire.api import Api
from deployer.targets.ecs.wire.ledger import UnitStore
from deployer.targets.ecs.writes.apply import apply
from deployer.targets.ecs.writes.jobs import run_after, run_first
from deployer.targets.ecs.writes.writing import Writer

Ask = Callable[[Image, Credentials | None], Manifest]


class Ecs:
    """Some clusters of ECS.

    Args:
        clusters: each with the API of its region and account.
        store: the ledger and its counters.
        options: which services are ours.
        manifest: asks a registry what an image is.
        schedules: gives those of an API's account and region; None where there are none.
        logs: gives what reads the logs of an API's account; None where nobody reads them.
    """

    def __init__(
        self,
        clusters: Sequence[tuple[Cluster, Api]],
        store: UnitStore,
        options: Options,
        manifest: Ask,
        schedules: Callable[[Api], Schedules] | None = None,
        logs: Callable[[Api], Reader] | None = None,
    ) -> None:
        names = short_names([cluster for cluster, _ in clusters])
        alone, cache = len(clusters) == 1, Cache()
        self.places = [
            Place(cluster, api, "" if alone else names[cluster], cache, schedules and schedules(api))
            for cluster, api in clusters
        ]
        self.options = options
        self.store = store
        self._ask = manifest
        self._logs = logs
        self._arns: dict[tuple[Cluster, str], str] = {}  # of services that were asked for by name

    # -- reading

    def services(self, *ids: str, keep: Callable[[Service], bool] | None = None) -> list[Service]:
        """Return all services that are ours, or those of the ids, as far as `keep` wants them."""
        found = self._named(ids) if ids else self._all()
        mine = (one for one in found if is_own(one.labels, self.options))
        return [service for service in mine if keep is None or keep(service)]

    def read(self, name: str, now: datetime) -> Snapshot:
        """Return everything there is to know of one unit.

        Raises:
            NoSuchServiceError: there is no such service, or no such unit in it.
        """
        place, unit_id = self._find(name)
        return self._look(place, unit_id, now)

    def read_all(self, services: Sequence[Service], now: datetime) -> list[Snapshot]:
        """Return what there is to know of listed services, described ten at a time."""
        counters = {one: self.store.counter(one) for one in {_unit(s).id.service for s in services}}
        fresh = {one.id: one for one in self._named([service.id for service in services], fresh=True)}
        found = []
        for service in services:
            if service.id not in fresh:
                gone = replace(service, untouchable="the service has gone")
                found.append(look(self._place(service), gone, now))
                continue
            counter = counters[_unit(service).id.service]
            found.append(look(self._place(service), _counted(fresh[service.id], counter), now))
        return found

    def _look(self, place: Place, unit_id: UnitId, now: datetime) -> Snapshot:
        arn = self._arns.get((place.cluster, unit_id.service), unit_id.service)
        # The counter is read before the service: what it allows is then never newer than what is decided on.
        counter = self.store.counter(arn)
        raw = place.service(arn)
        if raw is None or raw.get("status") == "INACTIVE":
            raise NoSuchServiceError(f"cluster {place.cluster.name} has no service {unit_id.service}")
        if raw["serviceArn"] != arn:
            self._arns[place.cluster, unit_id.service] = str(raw["serviceArn"])
            return self._look(place, unit_id, now)
        for service in self._units(place, raw, fresh=True):
            if _unit(service).id.container == unit_id.container:
                return look(place, _counted(service, counter), now)
        raise NoSuchServiceError(f"service {unit_id.service} has no container {unit_id.container} of its own")

    def _all(self) -> Iterator[Service]:
        for place in self.places:
            for raw in place.services(place.service_arns()):
                yield from self._units(place, raw, fresh=False)

    def _named(self, ids: Iterable[str], *, fresh: bool = False) -> Iterator[Service]:
        wanted: dict[int, dict[str, None]] = defaultdict(dict)
        units = set()
        for text in ids:
            place, unit_id = self._find(text)
            wanted[self.places.index(place)][unit_id.service] = None
            units.add((unit_id.service.rpartition("/")[2], unit_id.container))
        for number, names in wanted.items():
            for raw in self.places[number].services(list(names)):
                for service in self._units(self.places[number], raw, fresh=fresh):
                    if (str(raw["serviceName"]), _unit(service).id.container) in units:
                        yield service

    def _units(self, place: Place, raw: Raw, *, fresh: bool) -> list[Service]:
        arn = raw.get("taskDefinition")
        revision = place.revision(str(arn), fresh=fresh) if arn else None
        return read_units(place.cluster, raw, revision, place.name_of(raw), self.options)

    # -- whose is it

    def _find(self, name: str) -> tuple[Place, UnitId]:
        """Return the cluster and the unit that a name or an id means.

        Raises:
            NoSuchServiceError: it names a cluster that is not served here, or may mean several.
        """
        unit_id = UnitId.parse(name)
        fitting = [place for place in self.places if _may_be(place, unit_id.service)]
        if len(fitting) > 1:
            fitting = [place for place in fitting if place.service(unit_id.service)] or fitting
        if len(fitting) != 1:
            known = ", ".join(str(place.cluster) for place in self.places)
            several = "may be in several clusters" if fitting else "is in none of the clusters"
            raise NoSuchServiceError(f"service {name} {several} that are served here ({known})")
        [place] = fitting
        bare = unit_id.service
        if place.prefix and not bare.startswith("arn:"):
            bare = bare.removeprefix(f"{place.prefix}/")
        return place, replace(unit_id, service=bare)

    def _place(self, service: Service) -> Place:
        cluster = _unit(service).cluster
        return next(place for place in self.places if place.cluster == cluster)

    def roles(self) -> list[str]:
        """Return the task and execution roles of our services, which a new revision is given too.

        Raises:
            TemporaryError, PermanentError: ECS cannot be asked.
        """
        revisions = [_unit(service).revision for service in self.services()]
        found = {
            one.raw.get(kind) for one in revisions if one for kind in ("taskRoleArn", "executionRoleArn")
        }
        return sorted(role for role in found if role)

    # -- writing, registries and ledger

    def apply(self, service: Service, change: Change, credentials: Credentials | None) -> None:  # noqa: ARG002 - the execution role pulls
        """Write a change to the service that was read.

        Raises:
            StaleVersionError: the service is not what was read, or somebody else writes just now.
        """
        apply(Writer(self._place(service), self.store), service, change)

    def run_first(self, service: Service, change: Change, command: str) -> Running | Failed | Done:
        """Run a command in a task of the new revision, once for each deployment, before the service gets it.

        Raises:
            LabelError: the command cannot be understood.
            TemporaryError: ECS finds no place for the task now, or the service is not what was read.
        """
        return run_first(Writer(self._place(service), self.store), service, change, command)

    def run_after(self, service: Service, command: str) -> Running | Failed | Done:
        """Run a command in a task of the revision that a service has, once for each deployment.

        Raises:
            LabelError: the command cannot be understood.
            TemporaryError: ECS finds no place for the task now.
        """
        return run_after(self._place(service), service, command)

    def last_words(self, service: Service, number: int) -> Sequence[str]:
        """Return the last lines of the newest task that has failed, from CloudWatch Logs.

        Raises:
            TemporaryError, PermanentError: ECS or CloudWatch Logs does not tell.
        """
        place = self._place(service)
        return (
            last_words(place, self._logs(place.api), _unit(service).id.service, number) if self._logs else ()
        )

    def settled(self, service: Service) -> None:
        """Point the schedules that its label names to the revision that it runs."""
        if schedules := self._place(service).schedules:
            follow(schedules, service)

    def schedule_problems(self, service: Service) -> Sequence[tuple[str, str]]:
        """Return each schedule that its label names and that cannot follow it, and why."""
        schedules = self._place(service).schedules
        return list(problems(schedules, service)) if schedules else []

    def manifest(self, image: Image, credentials: Credentials | None) -> Manifest:
        """Ask the image's registry for its digest and platforms.

        Raises:
            NotFoundError: no such tag, digest or repository.
            AccessDeniedError: the registry refuses these credentials.
            TemporaryError: the registry cannot be reached or cannot answer now.
        """
        return self._ask(image, credentials)

    def ledger(self) -> Ledger:
        """Return what belongs to all clusters."""
        return self.store.ledger()

    def write_ledger(self, ledger: Ledger, labels: Mapping[str, str]) -> None:
        """Replace it.

        Raises:
            StaleVersionError: somebody else wrote since the read.
        """
        self.store.write_ledger(ledger, labels)


def _unit(service: Service) -> Unit:
    unit: Unit = service.native
    return unit


def _counted(service: Service, counter: int) -> Service:
    return replace(service, version=counter, native=replace(_unit(service), counter=counter))


def _may_be(place: Place, name: str) -> bool:
    if name.startswith("arn:"):
        cluster, account = cluster_of(name), place.api.account
        return (
            region_of(name) == place.api.region
            and cluster in {None, place.cluster.name}
            and account in {None, account_of(name)}
        )
    if "/" not in name:
        return True
    return bool(place.prefix and name.startswith(f"{place.prefix}/"))
