"""Task definitions: families of revisions that never change, kept as they were given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deployer.targets.swarm.memory.objects import copied
from lab.ecs.memory import show
from lab.ecs.memory.world import World, required, tags_of
from lab.ecs.pages import page
from lab.ecs.records import Json, Tags
from lab.ecs.refusal import client

# What ECS adds to a container that leaves it out.
_CONTAINER: Mapping[str, Any] = {
    "cpu": 0,
    "portMappings": [],
    "essential": True,
    "environment": [],
    "mountPoints": [],
    "volumesFrom": [],
    "systemControls": [],
}


class Definitions:
    """All families of one account and region."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._families: dict[str, list[Json]] = {}
        self.tags: dict[str, Tags] = {}  # by ARN
        self.dropped: set[str] = set()  # members that are not kept, as if ECS did not know them

    def register(self, members: Mapping[str, Any]) -> Json:
        """Answer RegisterTaskDefinition."""
        family = self._families.setdefault(members["family"], [])
        revision = len(family) + 1
        arn = self._world.place.arn(f"task-definition/{members['family']}:{revision}")
        kept = {name: value for name, value in members.items() if name not in {"tags", *self.dropped}}
        definition: Json = {"volumes": [], "placementConstraints": [], **copied(kept)}
        definition["containerDefinitions"] = [
            self._container(one) for one in definition["containerDefinitions"]
        ]
        fargate = ["FARGATE"] if "FARGATE" in (members.get("requiresCompatibilities") or []) else []
        definition |= {
            "taskDefinitionArn": arn,
            "revision": revision,
            "status": "ACTIVE",
            "requiresAttributes": [{"name": "com.amazonaws.ecs.capability.docker-remote-api.1.18"}],
            "compatibilities": ["EC2", *fargate],
            "registeredAt": self._world.now(),
            "registeredBy": f"arn:aws:iam::{self._world.place.account}:root",
        }
        family.append(definition)
        self.tags[arn] = tags_of(members)
        return self._shown(definition, bool(members.get("tags")))

    def _container(self, given: Json) -> Json:
        kept = {name: value for name, value in given.items() if name not in self.dropped}
        ports = [{"protocol": "tcp", **one} for one in given.get("portMappings") or []]
        return {**copied(_CONTAINER), **kept, "portMappings": ports}

    def describe(self, members: Mapping[str, Any]) -> Json:
        """Answer DescribeTaskDefinition."""
        found = self.find(members.get("taskDefinition"))
        if found is None:
            raise client("Unable to describe task definition.")
        return self._shown(found, "TAGS" in (members.get("include") or []))

    def deregister(self, members: Mapping[str, Any]) -> Json:
        """Answer DeregisterTaskDefinition."""
        _, revision = self._world.place.family_and_revision(members.get("taskDefinition"))
        found = self.find(members.get("taskDefinition")) if revision else None
        if found is None:
            raise client("The specified task definition does not exist.")
        found["status"], found["deregisteredAt"] = "INACTIVE", self._world.now()
        return self._shown(found, tags=False)

    def list(self, members: Mapping[str, Any]) -> Json:
        """Answer ListTaskDefinitions: of every family that begins with the prefix."""
        prefix, status = members.get("familyPrefix") or "", members.get("status", "ACTIVE")
        found = [
            one["taskDefinitionArn"]
            for family, revisions in sorted(self._families.items())
            for one in revisions
            if family.startswith(prefix) and one["status"] == status
        ]
        ordered = found[::-1] if members.get("sort") == "DESC" else found
        return page("ListTaskDefinitions", members, "taskDefinitionArns", ordered)

    def families(self, members: Mapping[str, Any]) -> Json:
        """Answer ListTaskDefinitionFamilies."""
        prefix, status = members.get("familyPrefix") or "", members.get("status", "ALL")
        found = []
        for family, revisions in sorted(self._families.items()):
            state = "ACTIVE" if any(one["status"] == "ACTIVE" for one in revisions) else "INACTIVE"
            if family.startswith(prefix) and status in {"ALL", state}:
                found.append(family)
        return page("ListTaskDefinitionFamilies", members, "families", found)

    def usable(self, members: Mapping[str, Any]) -> Json:
        """Return the revision that a service or a task is to run.

        Raises:
            Refusal: there is none, or it is INACTIVE.
        """
        found = self.find(required(members, "taskDefinition"))
        if found is None:
            raise client("TaskDefinition not found.")
        if found["status"] != "ACTIVE":
            raise client("TaskDefinition is inactive")
        return found

    def find(self, given: str | None) -> Json | None:
        """Return a revision, the latest ACTIVE one where only a family is given, or None."""
        family, revision = self._world.place.family_and_revision(given)
        known = self._families.get(family, [])
        if revision is None:
            return next((one for one in reversed(known) if one["status"] == "ACTIVE"), None)
        return known[revision - 1] if 1 <= revision <= len(known) else None

    def _shown(self, definition: Json, tags: bool) -> Json:
        answer: Json = {"taskDefinition": copied(definition)}
        if tags:
            answer["tags"] = show.tags(self.tags[definition["taskDefinitionArn"]])
        return answer
