"""ARNs of one account and region, and what callers may write in their place. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lab.ecs.refusal import client, invalid

FAMILY = re.compile(r"[A-Za-z0-9_-]{1,255}")


@dataclass(frozen=True)
class Place:
    """One account and region."""

    region: str
    account: str

    def arn(self, path: str) -> str:
        """Return the ARN of a resource of ECS."""
        return f"arn:aws:ecs:{self.region}:{self.account}:{path}"

    def cluster(self, given: str | None) -> str:
        """Return a cluster's name, given as a name, an ARN or not at all."""
        return (given or "default").rpartition("/")[2]

    def service(self, given: str | None) -> str:
        """Return a service's name, given as a name or an ARN, old or new."""
        if not given:
            raise invalid("Service can not be empty.")
        return given.rpartition("/")[2]

    def family_and_revision(self, given: str | None) -> tuple[str, int | None]:
        """Return what a task definition's name, `family:revision` or ARN names."""
        if not given:
            raise client("Task definition can not be empty.")
        text = given
        if text.startswith("arn:"):
            prefix = self.arn("task-definition/")
            if not text.startswith(prefix):
                raise client(f"Invalid task definition ARN {given}: it is of another account or region.")
            text = text[len(prefix) :]
        family, colon, revision = text.partition(":")
        if not FAMILY.fullmatch(family) or (colon and not revision.isdecimal()):
            raise client(f"Invalid task definition {given}.")
        return family, int(revision) if colon else None


def kind_of(arn: str) -> str:
    """Return the kind of resource that an ARN names: `service`, `task-definition`."""
    return arn.split(":", 5)[-1].partition("/")[0] if arn.startswith("arn:") else ""
