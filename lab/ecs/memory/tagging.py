"""Tags of everything that has an ARN."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.ecs.memory import show
from lab.ecs.memory.definitions import Definitions
from lab.ecs.memory.world import World, required, tags_of
from lab.ecs.names import kind_of
from lab.ecs.records import Json, Tags
from lab.ecs.refusal import Refusal, invalid
from lab.ecs.rules import MAX_TAGS


class Tagging:
    """Reads and writes tags."""

    def __init__(self, world: World, definitions: Definitions) -> None:
        self._world = world
        self._definitions = definitions

    def tag(self, members: Mapping[str, Any]) -> Json:
        """Answer TagResource."""
        found = self._of(members)
        merged = {**found, **tags_of(members)}
        if len(merged) > MAX_TAGS:
            raise invalid(f"The number of tags must not exceed {MAX_TAGS}.")
        found.update(merged)
        return {}

    def untag(self, members: Mapping[str, Any]) -> Json:
        """Answer UntagResource."""
        found = self._of(members)
        for key in members.get("tagKeys") or []:
            found.pop(key, None)
        return {}

    def list(self, members: Mapping[str, Any]) -> Json:
        """Answer ListTagsForResource."""
        return {"tags": show.tags(self._of(members))}

    def _of(self, members: Mapping[str, Any]) -> Tags:
        arn: str = required(members, "resourceArn")
        parts = arn.rpartition(":")[2].split("/") if kind_of(arn) != "task-definition" else [""]
        cluster = self._world.clusters.get(parts[1]) if len(parts) > 1 else None
        found: Tags | None = None
        if kind_of(arn) == "task-definition":
            found = self._definitions.tags.get(arn)
        elif kind_of(arn) == "cluster" and cluster:
            found = cluster.tags
        elif kind_of(arn) == "service" and cluster and len(parts) == 3 and parts[2] in cluster.services:
            found = cluster.services[parts[2]].tags
        elif kind_of(arn) == "task" and cluster and arn in cluster.tasks:
            found = cluster.tasks[arn].tags
        if found is None:
            raise Refusal("ResourceNotFoundException", "The specified resource was not found.")
        return found
