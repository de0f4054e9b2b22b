"""Task definitions of an emulator that drops some members and makes up others, as they were given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from deployer.targets.swarm.memory.objects import copied
from lab.ecs.records import Json

Send = Callable[[str, Mapping[str, Any]], Json]  # raises Refusal

# Members that the emulator fills in where nobody has given them.
_EMPTY = ("executionRoleArn", "taskRoleArn", "pidMode", "ipcMode", "proxyConfiguration", "runtimePlatform",
          "ephemeralStorage")  # fmt: skip


class Lossless:
    """Revisions that keep all of their members.

    Args:
        send: sends a request to the emulator.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._given: dict[str, Json] = {}  # as they were registered, by ARN

    def register(self, members: Json) -> Json:
        """Answer RegisterTaskDefinition."""
        answer = self._send("RegisterTaskDefinition", members)
        self._given[answer["taskDefinition"]["taskDefinitionArn"]] = copied(members)
        return self._lossless(answer, tags=bool(members.get("tags")))

    def describe(self, members: Json) -> Json:
        """Answer DescribeTaskDefinition, with tags only where they are asked for."""
        answer = self._send("DescribeTaskDefinition", members)
        return self._lossless(answer, tags="TAGS" in members.get("include", []))

    def deregister(self, members: Json) -> Json:
        """Answer DeregisterTaskDefinition."""
        return self._lossless(self._send("DeregisterTaskDefinition", members), tags=False)

    def _lossless(self, answer: Json, *, tags: bool) -> Json:
        """Put back what the emulator has dropped, and take away what it has made up."""
        shown = answer["taskDefinition"]
        given = self._given.get(shown["taskDefinitionArn"], {})
        kept = {name: value for name, value in shown.items() if name not in _EMPTY or value}
        more = {name: copied(value) for name, value in given.items() if name not in {*shown, "tags"}}
        answer = {**answer, "taskDefinition": {**kept, **more}}
        if not tags:
            answer.pop("tags", None)
        return answer
