"""People and their tools at ECS: they create and scale services, point them to revisions, and force."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deployer.targets.ecs.wire.api import Api
from lab.ecs.records import Json
from lab.ecs.rules import READ_ONLY

ROLE = "arn:aws:iam::123456789012:role/ecsTaskExecutionRole"


def container(name: str, image: str, labels: Mapping[str, str] | None = None, **more: Any) -> Json:
    """Return a container definition."""
    return {"name": name, "image": image, **({"dockerLabels": dict(labels)} if labels else {}), **more}


class Operator:
    """A person, or a tool of theirs, with rights on one cluster.

    Args:
        api: of the cluster's region and account.
        cluster: its name; it is created.
    """

    def __init__(self, api: Api, cluster: str = "prod") -> None:
        self._api = api
        self.cluster = cluster
        api.call("CreateCluster", clusterName=cluster)

    def register(
        self, family: str, *containers: Json, tags: Mapping[str, str] | None = None, **more: Any
    ) -> str:
        """Register a revision as Terraform does, and return `family:revision`."""
        members: Json = {"family": family, "containerDefinitions": list(containers), **more}
        if tags:
            members["tags"] = [{"key": key, "value": value} for key, value in tags.items()]
        found = self._api.call("RegisterTaskDefinition", **members)["taskDefinition"]
        return f"{found['family']}:{found['revision']}"

    def create(
        self,
        name: str,
        *containers: Json,
        family: str = "",
        desired: int | None = 1,
        tags: Mapping[str, str] | None = None,
        definition: str = "",
        **more: Any,
    ) -> Json:
        """Create a service.

        Args:
            name: its name.
            containers: of its first revision.
            family: of its task definition; its name if there is none.
            desired: how many tasks; None where the machines decide.
            tags: its tags.
            definition: a revision that there is already, in place of containers.
            more: other members of CreateService.
        """
        revision = definition or self.register(family or name, *containers)
        members: Json = {"serviceName": name, "taskDefinition": revision, "cluster": self.cluster, **more}
        if desired is not None:
            members["desiredCount"] = desired
        if tags:
            members["tags"] = [{"key": key, "value": value} for key, value in tags.items()]
        return dict(self._api.call("CreateService", **members)["service"])

    def update(self, name: str, **members: Any) -> Json:
        """Update a service with these members of UpdateService."""
        answer = self._api.call("UpdateService", cluster=self.cluster, service=name, **members)
        return dict(answer["service"])

    def scale(self, name: str, desired: int) -> Json:
        """Scale a service, as a person or its autoscaling does."""
        return self.update(name, desiredCount=desired)

    def force(self, name: str) -> Json:
        """Have a service's tasks replaced."""
        return self.update(name, forceNewDeployment=True)

    def point(self, name: str, definition: str) -> Json:
        """Point a service to another revision."""
        return self.update(name, taskDefinition=definition)

    def deploy(self, name: str, images: Mapping[str, str]) -> str:
        """Register the service's definition with these images, by container, and point the service to it.

        Tags are not taken along, as tools forget to.
        """
        read = self.definition(self.service(name)["taskDefinition"])
        kept = {key: value for key, value in read.items() if key not in READ_ONLY}
        kept["containerDefinitions"] = [
            {**one, "image": images.get(one["name"], one["image"])} for one in kept["containerDefinitions"]
        ]
        found = self._api.call("RegisterTaskDefinition", **kept)["taskDefinition"]
        self.point(name, found["taskDefinitionArn"])
        return f"{found['family']}:{found['revision']}"

    def tag(self, arn: str, tags: Mapping[str, str]) -> None:
        """Tag a resource."""
        listed = [{"key": key, "value": value} for key, value in tags.items()]
        self._api.call("TagResource", resourceArn=arn, tags=listed)

    # -- what can be seen --------------------------------------------------------------------------

    def service(self, name: str) -> Json:
        """Return a service with its tags."""
        answer = self._api.call("DescribeServices", cluster=self.cluster, services=[name], include=["TAGS"])
        return dict(answer["services"][0])

    def definition(self, name: str) -> Json:
        """Return a revision, without its tags."""
        return dict(self._api.call("DescribeTaskDefinition", taskDefinition=name)["taskDefinition"])

    def tags_of(self, name: str) -> dict[str, str]:
        """Return a revision's tags."""
        answer = self._api.call("DescribeTaskDefinition", taskDefinition=name, include=["TAGS"])
        return {tag["key"]: tag["value"] for tag in answer.get("tags", [])}

    def images(self, name: str) -> list[str]:
        """Return the images that a service's revision names, container by container."""
        containers = self.definition(self.service(name)["taskDefinition"])["containerDefinitions"]
        return [str(one["image"]) for one in containers]

    def tasks(self, name: str, desired: str = "RUNNING") -> Sequence[Json]:
        """Return a service's tasks."""
        arns = self._api.call("ListTasks", cluster=self.cluster, serviceName=name, desiredStatus=desired)
        found = arns["taskArns"]
        if not found:
            return []
        answer = self._api.call("DescribeTasks", cluster=self.cluster, tasks=found)
        return list(answer["tasks"])
