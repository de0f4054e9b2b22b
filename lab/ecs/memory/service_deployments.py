"""Service deployments and revisions: listed, described, stopped and continued."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.ecs.memory import fates, show
from lab.ecs.memory.scheduler import Scheduler
from lab.ecs.memory.world import World, required
from lab.ecs.pages import page
from lab.ecs.records import Json, Service, ServiceDeployment
from lab.ecs.refusal import Refusal, client


class ServiceDeployments:
    """The history of all services' deployments."""

    def __init__(self, world: World, scheduler: Scheduler) -> None:
        self._world = world
        self._scheduler = scheduler

    def list(self, members: Mapping[str, Any]) -> Json:
        """Answer ListServiceDeployments, newest first."""
        service = self._world.find(members)
        if service is None:
            raise Refusal("ServiceNotFoundException", "Service not found.")
        if service.controller != "ECS":
            raise Refusal("UnsupportedFeatureException", "Only services of the ECS controller have them.")
        wanted, created = members.get("status") or [], members.get("createdAt") or {}
        found = [
            show.brief(service, one)
            for one in service.fates
            if (not wanted or one.status in wanted)
            and created.get("after", 0) <= one.created <= created.get("before", float("inf"))
        ]
        return page("ListServiceDeployments", members, "serviceDeployments", found)

    def describe(self, members: Mapping[str, Any]) -> Json:
        """Answer DescribeServiceDeployments."""
        found, missing = [], []
        for arn in members["serviceDeploymentArns"]:
            known = self._find(arn)
            if known:
                found.append(show.fate(*known))
            else:
                missing.append(arn)
        return {"serviceDeployments": found, "failures": show.failures(missing)}

    def revisions(self, members: Mapping[str, Any]) -> Json:
        """Answer DescribeServiceRevisions."""
        found, missing = [], []
        for arn in members["serviceRevisionArns"]:
            service = self._service(arn)
            if service and arn in service.revisions:
                found.append(show.revision(service, service.revisions[arn]))
            else:
                missing.append(arn)
        return {"serviceRevisions": found, "failures": show.failures(missing)}

    def stop(self, members: Mapping[str, Any]) -> Json:
        """Answer StopServiceDeployment: of this deployment and no other."""
        service, fate = self._known(required(members, "serviceDeploymentArn"))
        if not fate.under_way:
            text = f"The service deployment cannot be stopped because it is in the {fate.status} state."
            raise Refusal("ConflictException", text)
        current = service.primary
        if current is None or current.fate is not fate:
            raise Refusal("ConflictException", "A newer service deployment is in progress.")
        if members.get("stopType", "ROLLBACK") == "ABORT":
            current.state, current.reason = "FAILED", "The service deployment was aborted."
            fates.end(fate, "STOPPED", self._world.now(), "Aborted by the user.")
        else:
            former = next((one for one in service.deployments if one.completed and one is not current), None)
            if former is None:
                raise client("The service has no service revision to roll back to.")
            self._scheduler.go_back(service, current, former, "Rollback requested by the user.")
        self._world.touch(service)
        return {"serviceDeploymentArn": fate.arn}

    def go_on(self, members: Mapping[str, Any]) -> Json:
        """Answer ContinueServiceDeployment: a person's word to a pause."""
        service, fate = self._known(required(members, "serviceDeploymentArn"))
        hook = next((one for one in fate.hooks if one["hookId"] == members.get("hookId")), None)
        if hook is None or hook["status"] != "AWAITING_ACTION":
            raise client("No such hook awaits an action.")
        hook["status"] = "FAILED" if members.get("action") == "ROLLBACK" else "SUCCEEDED"
        self._world.touch(service)
        return {"serviceDeploymentArn": fate.arn}

    def _known(self, arn: str) -> tuple[Service, ServiceDeployment]:
        found = self._find(arn)
        if found is None:
            raise Refusal("ServiceDeploymentNotFoundException", "Service deployment not found.")
        return found

    def _find(self, arn: str) -> tuple[Service, ServiceDeployment] | None:
        service = self._service(arn)
        fate = next((one for one in service.fates if one.arn == arn), None) if service else None
        return (service, fate) if service and fate else None

    def _service(self, arn: str) -> Service | None:
        """Return the service that the ARN of a deployment or a revision names."""
        parts = arn.rpartition(":")[2].split("/")
        cluster = self._world.clusters.get(parts[1]) if len(parts) == 4 else None
        return cluster.services.get(parts[2]) if cluster else None
