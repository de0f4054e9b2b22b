"""Services of an ECS in memory, a registry, and deployments of the real core that are advanced by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from deployer.errors import BusyError, DeployerError, NotFoundError, StaleVersionError, TemporaryError
from deployer.model.deployment import Again, Report, Request
from deployer.model.image import Image
from deployer.model.service import Manifest
from deployer.policies.ranking import Tag
from deployer.rollouts.decision import Rules
from deployer.rollouts.deployer import Deployer
from deployer.rollouts.fleet import survey
from deployer.rollouts.ledger import Ledger
from deployer.rollouts.ledger.slots import Observer
from deployer.rollouts.ports import Credentials
from deployer.targets.ecs.cluster import Cluster
from deployer.targets.ecs.service import Options
from deployer.targets.ecs.target import Ecs
from lab.ecs.memory import ACCOUNT, REGION, FakeEcs
from lab.ecs.operators import Operator, container

HOST = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"
REPOSITORY = f"{HOST}/web"
MANAGED = {"deployer.enable": "true"}
BREAKER = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
ONLY_BREAKS = {"deploymentCircuitBreaker": {"enable": True, "rollback": False}}


def digest(n: int) -> str:
    return f"sha256:{n:064x}"


def pinned(n: int, name: str = REPOSITORY) -> str:
    return f"{name}@{digest(n)}"


class Store:
    """A ledger with counters, in memory, for all workers of a test."""

    def __init__(self) -> None:
        self.read = Ledger()
        self.counters: dict[str, int] = {}

    def ledger(self) -> Ledger:
        return self.read

    def write_ledger(self, ledger: Ledger, labels: Mapping[str, str]) -> None:
        if ledger.version != self.read.version:
            raise StaleVersionError("the ledger has changed")
        self.read = Ledger(dict(labels), "ledger", ledger.version + 1)

    def counter(self, unit_id: str) -> int:
        return self.counters.get(unit_id, 0)

    def claim(self, unit_id: str, seen: int) -> int:
        if self.counter(unit_id) != seen:
            raise BusyError("another worker writes it just now", 3.0)
        self.counters[unit_id] = seen + 1
        return seen + 1


class FakeSchedules:
    """EventBridge and its scheduler: whatever is put there, whole."""

    def __init__(self) -> None:
        self.rules: dict[str, list[dict[str, Any]]] = {}
        self.entries: dict[tuple[str, str], dict[str, Any]] = {}
        self.written: list[str] = []
        self.fault: Exception | None = None

    def targets(self, rule: str) -> list[dict[str, Any]]:
        self._check(rule in self.rules, rule)
        return self.rules[rule]

    def put_targets(self, rule: str, targets: Any) -> None:
        self._check(rule in self.rules, rule)
        self.written.append(rule)
        new = {one["Id"]: one for one in targets}
        self.rules[rule] = [new.get(one["Id"], one) for one in self.rules[rule]]

    def schedule(self, group: str, name: str) -> dict[str, Any]:
        self._check((group, name) in self.entries, name)
        return self.entries[group, name]

    def put_schedule(self, members: Any) -> None:
        assert not {"Arn", "CreationDate"} & set(members)
        self.written.append(members["Name"])
        self.entries[members["GroupName"], members["Name"]] = {**members, "Arn": "arn", "CreationDate": 1.0}

    def _check(self, known: bool, name: str) -> None:
        if self.fault:
            raise self.fault
        if not known:
            raise NotFoundError(f"{name}: ResourceNotFoundException")


class EcsWorld:
    """A cluster, and all that can happen in it."""

    def __init__(self, *, cluster: str = "prod", options: Options | None = None, **rules: Any) -> None:
        self.fake = FakeEcs()
        self.api = self.fake.api()
        self.operator = Operator(self.api, cluster)
        self.store = Store()
        self.schedules = FakeSchedules()
        self.platforms: list[dict[str, str]] = []
        self.options = options or Options()
        self.rules = Rules(**rules)
        self.clusters = [Cluster(cluster)]
        self.missing: set[str] = set()
        self.pushed: dict[str, datetime] = {}
        self.deployer = self.worker()

    def worker(self, store: Store | None = None) -> Deployer:
        """Another worker, which shares nothing with the others but ECS and the ledger."""
        target = Ecs(
            [(one, self.api) for one in self.clusters],
            store or self.store,
            self.options,
            self.manifest,
            lambda _: self.schedules,
        )
        observer = Observer(lambda: self.fake.clock.seconds)
        return Deployer(target, self, self.rules, clock=lambda: self.fake.clock.now, observer=observer)

    # -- what happens

    def push(
        self, n: int, tag: str = "latest", behaviour: str = "ok", name: str = REPOSITORY, **life: Any
    ) -> None:
        self.fake.push(f"{name}:{tag}", digest(n))
        self.pushed[f"{name}:{tag}"] = self.fake.clock.now + timedelta(milliseconds=len(self.pushed))
        self.fake.image(pinned(n, name), behaviour, **life)  # type: ignore[arg-type]

    def create(
        self, name: str = "web", n: int = 1, image: str = "", labels: Any = MANAGED, **more: Any
    ) -> None:
        """A service that runs, as its owner has made it: with a tag, which ECS has resolved."""
        self.push(n)
        containers = more.pop("containers", [container("app", image or f"{REPOSITORY}:latest", labels)])
        self.operator.create(name, *containers, **{"desired": 2, **more})
        self.wait(30)

    def wait(self, seconds: float) -> None:
        self.fake.advance(seconds)

    def deploy(
        self,
        task: str = "t",
        name: str = "web",
        limit: int = 2000,
        until: Callable[[Again], object] | None = None,
        worker: Deployer | None = None,
        **request: Any,
    ) -> Any:
        """Follow a deployment to its end, or until a condition holds after a look."""
        asked = Request(**{"deployment_id": task, "trigger": "event", **request})
        return self.go_on(name, asked, None, limit, until, worker)

    def go_on(self, name, asked, watch, limit=2000, until=None, worker=None) -> Any:
        for _ in range(limit):
            try:
                step = (worker or self.deployer).advance(name, asked, watch)
            except TemporaryError:
                self.wait(5)
                continue
            if isinstance(step, Report) or (until and until(step)):
                return step
            watch = step.watch
            asked = replace(asked, waiting=step.waiting, pre_job=step.pre_job)
            self.wait(step.seconds)
        raise AssertionError(f"the deployment does not end: {step}")

    def begin(self, task: str = "t", **request: Any) -> Again:
        """A deployment whose worker dies after its write."""
        return self.deploy(task, until=lambda step: step.watch, **request)

    def begin_first(self, task: str = "t") -> Again:
        """A deployment whose command has begun to run."""
        return self.deploy(task, until=lambda step: "runs first" in step.reason)

    def started(self) -> list[Any]:
        """The tasks that somebody else than ECS has started."""
        arns = []
        for status in ("RUNNING", "STOPPED"):
            arns += self.api.call("ListTasks", cluster="prod", desiredStatus=status)["taskArns"]
        found = self.api.call("DescribeTasks", cluster="prod", tasks=arns)["tasks"]
        return [one for one in found if not one["group"].startswith("service:")]

    def reconcile(self) -> list[Report]:
        """One periodic look, and the deployments that it enqueues."""
        late = [one for one in survey.survey(self.deployer).behind if one.now]
        return [self.deploy(f"{one.service}-{one.wanted}", one.service, trigger="reconcile") for one in late]

    def keep_no_service_deployments(self, *, refuse: bool) -> None:
        """Have ECS know none, as an emulator that answers with empty lists, or not at all."""
        answers = self.fake.region()._answers
        lists = {
            "ListServiceDeployments": "serviceDeployments",
            "DescribeServiceDeployments": "serviceDeployments",
            "DescribeServiceRevisions": "serviceRevisions",
        }
        for action, member in lists.items():
            answers[action] = lambda members, member=member: {member: []}  # type: ignore[misc]
        for action in ["StopServiceDeployment", *(lists if refuse else ())]:
            del answers[action]
        described = answers["DescribeServices"]

        def plain(members: Any) -> Any:
            answer = described(members)
            for service in answer["services"]:
                service.pop("currentServiceRevisions", None)
            return answer

        answers["DescribeServices"] = plain

    # -- how it stands

    def snapshot(self, name: str = "web"):
        return self.deployer.read(name)

    def images(self, name: str = "web") -> list[str]:
        return self.operator.images(name)

    def revision(self, name: str = "web") -> str:
        """`family:revision` of a service."""
        return str(self.operator.service(name)["taskDefinition"]).rpartition("/")[2]

    def counted(self, action: str) -> int:
        return len(self.fake.called(action))

    def forget_calls(self) -> None:
        self.fake.calls.clear()

    # -- the registry

    def manifest(self, image: Image, credentials: Credentials | None) -> Manifest:
        bare = f"{image.host}/{image.repository}:{image.tag}"
        found = image.digest or self.fake.images.digests.get(bare)
        if not found or found in self.missing:
            raise NotFoundError(f"the registry has no {image}")
        return Manifest(found, self.platforms)

    def credentials(self, image: Image, login: str | None = None) -> Credentials | None:
        return Credentials("AWS", "token", image.host)

    def tags(self, image: Image, login: str | None = None) -> list[Tag]:
        every = {name: Image.parse(name) for name in self.fake.images.digests}
        return [
            Tag(one.tag, self.pushed.get(name), self.fake.images.digests[name])
            for name, one in every.items()
            if one.same_repository(image) and one.tag
        ]

    def renew(self, image: Image) -> None:
        pass

    def forget(self, image: Image) -> bool:
        return False


__all__ = [
    "BREAKER",
    "MANAGED",
    "ONLY_BREAKS",
    "REPOSITORY",
    "DeployerError",
    "EcsWorld",
    "container",
    "digest",
    "pinned",
]
