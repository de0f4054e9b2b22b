"""Amazon ECS in memory, at the level of its JSON protocol, on a clock that a test moves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from deployer.targets.ecs.wire.api import error_of
from deployer.targets.swarm.memory.objects import copied
from deployer.targets.swarm.memory.timeline import Timeline
from lab.ecs import rules
from lab.ecs.faults import Faults
from lab.ecs.memory import show
from lab.ecs.memory.definitions import Definitions
from lab.ecs.memory.images import Behaviour, Images, Kind
from lab.ecs.memory.scheduler import Scheduler
from lab.ecs.memory.service_deployments import ServiceDeployments
from lab.ecs.memory.services import Services
from lab.ecs.memory.stages import Stages
from lab.ecs.memory.tagging import Tagging
from lab.ecs.memory.tasks import Tasks
from lab.ecs.memory.world import World, tags_of
from lab.ecs.names import Place
from lab.ecs.pages import page
from lab.ecs.quotas import Buckets
from lab.ecs.records import Cluster, Json
from lab.ecs.refusal import Refusal

ACCOUNT = "123456789012"
REGION = "eu-north-1"

Answer = Callable[[Mapping[str, Any]], Json]


class Region:
    """ECS of one account in one region."""

    def __init__(self, world: World, faults: Faults) -> None:
        self.world = world
        self.buckets = Buckets()
        self.definitions = Definitions(world)
        self.tasks = Tasks(world, self.definitions)
        self.scheduler = Scheduler(world, self.tasks)
        services = Services(world, self.definitions, self.scheduler, Stages(world, self.scheduler))
        deployments, tagging = ServiceDeployments(world, self.scheduler), Tagging(world, self.definitions)
        self._answers: dict[str, Answer] = {
            "CreateCluster": self._create_cluster,
            "DescribeClusters": self._describe_clusters,
            "ListClusters": self._list_clusters,
            "RegisterTaskDefinition": self.definitions.register,
            "DescribeTaskDefinition": self.definitions.describe,
            "DeregisterTaskDefinition": self.definitions.deregister,
            "ListTaskDefinitions": self.definitions.list,
            "ListTaskDefinitionFamilies": self.definitions.families,
            "CreateService": services.create,
            "UpdateService": services.update,
            "DeleteService": services.delete,
            "ListServices": services.list,
            "DescribeServices": lambda members: services.describe(members, faults.stale_seconds),
            "ListServiceDeployments": deployments.list,
            "DescribeServiceDeployments": deployments.describe,
            "DescribeServiceRevisions": deployments.revisions,
            "StopServiceDeployment": deployments.stop,
            "ContinueServiceDeployment": deployments.go_on,
            "RunTask": self.tasks.run,
            "StopTask": self.tasks.stop_one,
            "ListTasks": self.tasks.list,
            "DescribeTasks": self.tasks.describe,
            "TagResource": tagging.tag,
            "UntagResource": tagging.untag,
            "ListTagsForResource": tagging.list,
        }

    def answer(self, action: str, members: Mapping[str, Any]) -> Json:
        """Carry out one request.

        Raises:
            Refusal: ECS would not.
        """
        if action not in self._answers:
            raise Refusal("InvalidAction", f"The action {action} is not valid for this web service.")
        rules.check(action, members)
        return self._answers[action](members)

    def _create_cluster(self, members: Mapping[str, Any]) -> Json:
        name = members.get("clusterName", "default")
        arn = self.world.place.arn(f"cluster/{name}")
        found = self.world.clusters.setdefault(name, Cluster(name, arn, tags=tags_of(members)))
        return {"cluster": show.cluster(found)}

    def _describe_clusters(self, members: Mapping[str, Any]) -> Json:
        given = members.get("clusters") or ["default"]
        names = [self.world.place.cluster(one) for one in given]
        known = [self.world.clusters[name] for name in names if name in self.world.clusters]
        missing = [
            self.world.place.arn(f"cluster/{name}") for name in names if name not in self.world.clusters
        ]
        return {"clusters": [show.cluster(one) for one in known], "failures": show.failures(missing)}

    def _list_clusters(self, members: Mapping[str, Any]) -> Json:
        arns = [one.arn for one in self.world.clusters.values()]
        return page("ListClusters", members, "clusterArns", arns)


class FakeEcs:
    """ECS of any accounts and regions, in memory.

    Nothing happens between two calls until the clock is moved. Behaves as AWS documents it; where only a
    trial on AWS could tell, as is hardest for a client.

    Args:
        clock: the clock; others may share it.
        quotas: refuse what exceeds the published limits on requests.
    """

    def __init__(self, clock: Timeline | None = None, *, quotas: bool = False) -> None:
        self.clock = clock or Timeline()
        self.images = Images()
        self.faults = Faults()
        self.quotas = quotas
        self.calls: list[tuple[str, Json]] = []  # every request: the action and its members
        self._regions: dict[tuple[str, str], Region] = {}

    def api(self, region: str = REGION, account: str | None = None) -> FakeApi:
        """Return the API of one region, as one account sees it."""
        return FakeApi(self, region, account)

    def region(self, region: str = REGION, account: str | None = None) -> Region:
        """Return the inside of one region."""
        key = (account or ACCOUNT, region)
        if key not in self._regions:
            world = World(Place(region, key[0]), self.clock, self.images)
            world.keep_history = self.faults.stale_seconds > 0
            self._regions[key] = Region(world, self.faults)
        return self._regions[key]

    def advance(self, seconds: float) -> None:
        """Move the clock, and do what becomes due on the way."""
        self.clock.advance(seconds)

    def image(
        self,
        image: str,
        behaviour: Kind = "ok",
        *,
        start_seconds: float = 2.0,
        run_seconds: float = 5.0,
        exit_code: int | None = None,
    ) -> None:
        """Say what the containers of an image do; see `Behaviour`."""
        code = exit_code if exit_code is not None else 0 if behaviour == "job" else 7
        self.images.set(image, Behaviour(behaviour, start_seconds, run_seconds, code))

    def command(self, command: Sequence[str], exit_code: int = 0, run_seconds: float = 5.0) -> None:
        """Say what a command does that tasks run in place of their image's own."""
        self.images.set_command(command, Behaviour("job", 2.0, run_seconds, exit_code))

    def push(self, image: str, digest: str) -> None:
        """Have a tag, `host/repository:tag`, mean another digest from now on."""
        self.images.digests[image] = digest

    def alarm(self, name: str) -> None:
        """Have an alarm ring: deployments under way that are watched by it fail."""
        for region in self._regions.values():
            for cluster in region.world.clusters.values():
                for service in cluster.services.values():
                    region.scheduler.alarm(service, name)

    def answer_late(self, seconds: float) -> None:
        """Have descriptions of services be so many seconds old from now on."""
        self.faults.stale_seconds = seconds
        for region in self._regions.values():
            region.world.keep_history = seconds > 0
            for cluster in region.world.clusters.values():
                for service in cluster.services.values():
                    service.history.clear()
                    region.world.touch(service)

    def called(self, action: str) -> list[Json]:
        """Return the members of every request of an action, oldest first."""
        return [members for name, members in self.calls if name == action]

    def request(self, region: Region, action: str, members: Json) -> Json:
        """Carry out one request, with whatever is planned to go wrong.

        Raises:
            Refusal: ECS would not.
            TemporaryError: the request or its answer was lost.
        """
        self.calls.append((action, copied(members)))
        if self.quotas:
            region.buckets.take(action, self.clock.seconds)
        place = region.world.place
        self.faults.judge(action, _resource(place, members), place.account, members)
        self.faults.meet(action, members)
        answer = region.answer(action, members)
        self.faults.meet(action, members, done=True)
        return answer


class FakeApi:
    """ECS in one region, as `deployer.targets.ecs.wire.api.Api` has it."""

    def __init__(self, ecs: FakeEcs, region: str, account: str | None) -> None:
        self._ecs = ecs
        self._inside = ecs.region(region, account)
        self.region = region
        self.account = account

    def call(self, action: str, /, **members: Any) -> dict[str, Any]:
        """Send one request; errors as of `Api`."""
        try:
            answer: Json = copied(self._ecs.request(self._inside, action, copied(members)))
        except Refusal as refusal:
            raise error_of(action, refusal.status, refusal.code, refusal.message) from refusal
        return answer


def _resource(place: Place, members: Mapping[str, Any]) -> str:
    """Return the ARN that IAM judges a request by."""
    if members.get("serviceDeploymentArn"):
        return str(members["serviceDeploymentArn"])
    if members.get("service"):
        return place.arn(
            f"service/{place.cluster(members.get('cluster'))}/{place.service(members['service'])}"
        )
    if members.get("family"):
        return place.arn(f"task-definition/{members['family']}:*")
    return str(members.get("resourceArn") or "*")
