"""Service deployments as they can be told from what passes between clients and an emulator without any."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lab.ecs.records import GOING_BACK, UNDER_WAY, Json
from lab.ecs.refusal import Refusal, client


@dataclass
class Watched:
    """One service deployment."""

    number: int
    service: str  # its ARN, as all ids here
    deployment: str
    definition: str
    source: Watched | None
    created: float
    containers: list[Json]  # names and images, by which a revision's digests are found
    status: str = "IN_PROGRESS"
    reason: str = ""
    finished: float | None = None

    def _arn(self, kind: str) -> str:
        prefix, _, path = self.service.partition(":service/")
        return f"{prefix}:{kind}/{path}/{self.number:022d}"

    @property
    def arn(self) -> str:
        """Return its ARN."""
        return self._arn("service-deployment")

    @property
    def revision(self) -> str:
        """Return the ARN of its service revision."""
        return self._arn("service-revision")

    @property
    def under_way(self) -> bool:
        """Return whether it may still end well."""
        return self.status in UNDER_WAY

    def end(self, status: str, now: float, reason: str = "") -> None:
        """End it."""
        self.status, self.finished, self.reason = status, now, reason or self.reason


class Watch:
    """The service deployments of all services that have been seen."""

    def __init__(self) -> None:
        self._all: dict[str, list[Watched]] = {}  # by service's ARN, newest first
        self._numbers = 0

    def of(self, service: str) -> list[Watched]:
        """Return a service's deployments, newest first."""
        return self._all.setdefault(service, [])

    def find(self, arn: str) -> Watched | None:
        """Return the one with this ARN, or with this service revision's."""
        known = (one for found in self._all.values() for one in found)
        return next((one for one in known if arn in {one.arn, one.revision}), None)

    def began(self, service: Mapping[str, Any], containers: list[Json], now: float) -> Watched | None:
        """Note the newest deployment of a service; None if it is known already."""
        primary = primary_of(service)
        known = self.of(service["serviceArn"])
        if not primary or any(primary["id"] == one.deployment for one in known):
            return None
        source = next((one for one in known if one.status == "SUCCESSFUL"), None)
        for one in known:
            if one.under_way or one.status in GOING_BACK:
                one.end("STOPPED", now, "Superseded by a newer service deployment.")
        self._numbers += 1
        arn, definition = service["serviceArn"], primary["taskDefinition"]
        found = Watched(self._numbers, arn, primary["id"], definition, source, now, containers)
        known.insert(0, found)
        return found

    def see(self, service: Mapping[str, Any], now: float) -> None:
        """Judge the newest deployment of a service by what is seen of it."""
        newest = next(iter(self.of(service["serviceArn"])), None)
        primary = primary_of(service)
        if newest is None or primary is None or newest.finished:
            return
        state, mine = primary.get("rolloutState"), primary["id"] == newest.deployment
        reason = next(
            (
                str(one.get("rolloutStateReason"))
                for one in service.get("deployments", [])
                if one["id"] == newest.deployment and one.get("rolloutState") == "FAILED"
            ),
            "",
        )
        if mine and state == "COMPLETED":
            newest.end("SUCCESSFUL", now)
        elif mine and state == "FAILED":
            newest.end("STOPPED", now, reason)
        elif not mine and state == "COMPLETED":
            newest.end("ROLLBACK_SUCCESSFUL", now, newest.reason or reason)
        elif not mine:
            newest.status, newest.reason = "ROLLBACK_IN_PROGRESS", newest.reason or reason

    def stoppable(self, arn: str) -> Watched:
        """Return a deployment that may be rolled back.

        Raises:
            Refusal: there is none, it is over, or there is nowhere to go back to.
        """
        found = self.find(arn)
        if found is None:
            raise Refusal("ServiceDeploymentNotFoundException", "Service deployment not found.")
        if not found.under_way:
            text = f"The service deployment cannot be stopped because it is in the {found.status} state."
            raise Refusal("ConflictException", text)
        if found.source is None:
            raise client("The service has no service revision to roll back to.")
        return found


def primary_of(service: Mapping[str, Any]) -> Json | None:
    """Return a service's PRIMARY deployment."""
    return next((one for one in service.get("deployments", []) if one["status"] == "PRIMARY"), None)


def brief(one: Watched) -> Json:
    """Return a service deployment as a list has it."""
    cluster = one.service.rpartition("/")[0].replace(":service/", ":cluster/")
    shown: Json = {
        "serviceDeploymentArn": one.arn,
        "serviceArn": one.service,
        "clusterArn": cluster,
        "createdAt": one.created,
        "startedAt": one.created,
        "targetServiceRevisionArn": one.revision,
        "status": one.status,
    }
    if one.reason:
        shown["statusReason"] = one.reason
    if one.finished:
        shown["finishedAt"] = one.finished
    return shown


def full(one: Watched) -> Json:
    """Return a service deployment in full."""
    shown = brief(one)
    shown["targetServiceRevision"] = {"arn": shown.pop("targetServiceRevisionArn")}
    shown["sourceServiceRevisions"] = [{"arn": one.source.revision}] if one.source else []
    if one.status.startswith("ROLLBACK") and one.source:
        shown["rollback"] = {"reason": one.reason, "serviceRevisionArn": one.source.revision}
    return shown


def revision(one: Watched, digests: Mapping[str, str]) -> Json:
    """Return a service revision, with the digests that its containers run, by their names."""
    images = []
    for container in one.containers:
        name, image = container["name"], container["image"]
        digest = image.partition("@")[2] or digests.get(name)
        images.append({"containerName": name, "image": image, **({"imageDigest": digest} if digest else {})})
    return {
        "serviceRevisionArn": one.revision,
        "serviceArn": one.service,
        "taskDefinition": one.definition,
        "createdAt": one.created,
        "containerImages": images,
    }
