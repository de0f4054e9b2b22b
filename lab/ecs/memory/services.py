"""Services: created, described, updated, deleted; each change of what runs begins a deployment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deployer.targets.swarm.memory.objects import copied
from lab.ecs.memory import fates, show
from lab.ecs.memory.definitions import Definitions
from lab.ecs.memory.scheduler import Scheduler, breaker
from lab.ecs.memory.stages import Stages
from lab.ecs.memory.world import World, required, tags_of
from lab.ecs.pages import page
from lab.ecs.records import Deployment, Json, Revision, Service, ServiceDeployment
from lab.ecs.refusal import Refusal, client, invalid

# Members of UpdateService which begin a deployment when they change.
_DEPLOYED = [
    "networkConfiguration",
    "platformVersion",
    "capacityProviderStrategy",
    "loadBalancers",
    "serviceRegistries",
    "serviceConnectConfiguration",
    "volumeConfigurations",
    "vpcLatticeConfigurations",
]
_KEPT = [
    "deploymentConfiguration",
    "healthCheckGracePeriodSeconds",
    "enableExecuteCommand",
    "propagateTags",
    "enableECSManagedTags",
    "placementConstraints",
    "placementStrategy",
    "availabilityZoneRebalancing",
]


class Services:
    """All services of one account and region."""

    def __init__(self, world: World, definitions: Definitions, scheduler: Scheduler, stages: Stages) -> None:
        self._world = world
        self._definitions = definitions
        self._scheduler = scheduler
        self._stages = stages

    def create(self, members: Mapping[str, Any]) -> Json:
        """Answer CreateService."""
        cluster, name = self._world.cluster(members.get("cluster")), required(members, "serviceName")
        if name in cluster.services and cluster.services[name].status == "ACTIVE":
            raise invalid("Creation of service was not idempotent.")
        settings = _settings(members)
        if settings["deploymentController"]["type"] != "EXTERNAL":
            settings["taskDefinition"] = self._definitions.usable(members)["taskDefinitionArn"]
        arn = self._world.place.arn(f"service/{cluster.name}/{name}")
        desired = 0 if settings["schedulingStrategy"] == "DAEMON" else members.get("desiredCount", 1)
        service = Service(name, arn, cluster, self._world.now(), settings, desired, tags_of(members))
        cluster.services[name] = service
        if service.controller == "ECS":
            self._deploy(service, settings["taskDefinition"])
        elif service.controller == "CODE_DEPLOY":
            service.task_sets = [{"id": f"ecs-svc/{self._world.number():019d}", "status": "PRIMARY"}]
        self._world.touch(service)
        return {"service": show.service(service)}

    def update(self, members: Mapping[str, Any]) -> Json:
        """Answer UpdateService."""
        service = self._world.service(members)
        self._refuse(service, members)
        wanted = service.settings.get("taskDefinition")
        if "taskDefinition" in members:
            wanted = self._definitions.usable(members)["taskDefinitionArn"]
        runs = service.primary.revision.definition if service.primary else wanted
        changed = {name: members[name] for name in _DEPLOYED if name in members}
        new = any(service.settings.get(name) != value for name, value in changed.items()) or (
            "taskDefinition" in members and wanted != runs
        )
        service.settings |= copied(changed)
        service.settings |= copied({name: members[name] for name in _KEPT if name in members})
        service.settings["deploymentConfiguration"] = _config(service.settings)
        if "desiredCount" in members and not service.daemon:
            service.desired = members["desiredCount"]
        if new or members.get("forceNewDeployment"):
            self._deploy(service, str(wanted if "taskDefinition" in members else runs))
        else:
            self._scheduler.look(service)
        return {"service": show.service(service)}

    @staticmethod
    def _refuse(service: Service, members: Mapping[str, Any]) -> None:
        kind = service.controller
        if kind != "ECS" and ("taskDefinition" in members or members.get("forceNewDeployment")):
            text = "Use AWS CodeDeploy to trigger a new deployment." if kind == "CODE_DEPLOY" else ""
            raise invalid(
                f"Unable to update task definition on services with a {kind} deployment controller. {text}"
            )
        if service.settings.get("resourceManagementType") == "ECS":
            raise invalid("The service is managed by Amazon ECS and cannot be updated.")
        if service.daemon and "desiredCount" in members:
            raise invalid("The daemon scheduling strategy does not support a desired count.")
        if members.get("desiredCount", 0) < 0:
            raise invalid("desiredCount must not be negative.")

    def _deploy(self, service: Service, definition: str) -> Deployment:
        """Begin a deployment; whatever was under way is over."""
        now, former, numbers = self._world.now(), service.primary, self._world.number
        path = f"{service.cluster.name}/{service.name}/{numbers():022d}"
        settings = {**copied(service.settings), "taskDefinition": definition}
        revision = Revision(self._world.place.arn(f"service-revision/{path}"), definition, now, settings)
        before = next((one for one in service.deployments if one.completed), None)
        fate = ServiceDeployment(
            self._world.place.arn(f"service-deployment/{path}"),
            revision,
            before.revision if before else None,
            now,
            copied(service.config),
            status="IN_PROGRESS",
            started=now,
            updated=now,
            breaker="MONITORING" if breaker(service).get("enable") else "DISABLED",
            alarms="MONITORING" if (service.config.get("alarms") or {}).get("enable") else "DISABLED",
        )
        for going in service.fates:
            if going.finished is None:
                fates.end(going, "STOPPED", now, "Superseded by a newer service deployment.")
        if former:
            former.status, former.updated = "ACTIVE", now
            if former.state == "IN_PROGRESS":
                former.state, former.reason = "IN_PROGRESS", "Superseded by a newer deployment."
        deployment = Deployment(f"ecs-svc/{numbers():019d}", revision, fate, now, now)
        deployment.reason = f"ECS deployment {deployment.id} in progress."
        service.settings["taskDefinition"] = definition
        service.revisions[revision.arn] = revision
        service.deployments.insert(0, deployment)
        service.fates.insert(0, fate)
        if service.config.get("strategy", "ROLLING") != "ROLLING" and before:
            self._stages.begin(service, deployment)
        # ECS gets to work after it has answered.
        self._world.after(0.2, lambda: self._scheduler.look(service))
        self._world.touch(service)
        return deployment

    def delete(self, members: Mapping[str, Any]) -> Json:
        """Answer DeleteService."""
        service = self._world.service(members)
        if service.desired and not members.get("force"):
            raise invalid("The service cannot be stopped while it is scaled above 0.")
        service.status, service.desired = "DRAINING", 0
        self._scheduler.look(service)
        self._world.after(60.0, lambda: setattr(service, "status", "INACTIVE"))
        return {"service": show.service(service)}

    def list(self, members: Mapping[str, Any]) -> Json:
        """Answer ListServices."""
        cluster = self._world.cluster(members.get("cluster"))
        kinds = ("launchType", "schedulingStrategy", "resourceManagementType")
        wanted = {name: members[name] for name in kinds if name in members}
        found = [
            one.arn
            for one in cluster.services.values()
            if one.status != "INACTIVE" and wanted.items() <= {k: one.settings.get(k) for k in wanted}.items()
        ]
        return page("ListServices", members, "serviceArns", found)

    def describe(self, members: Mapping[str, Any], seconds: float) -> Json:
        """Answer DescribeServices, as it was some seconds ago."""
        cluster, tags = self._world.cluster(members.get("cluster")), "TAGS" in (members.get("include") or [])
        found, missing = [], []
        for given in members["services"]:
            service = cluster.services.get(self._world.place.service(given))
            shown = self._then(service, seconds) if service else None
            if service is None or shown is None:
                arn = self._world.place.arn(f"service/{cluster.name}/{self._world.place.service(given)}")
                missing.append(arn)
            else:
                found.append({**shown, **({"tags": show.tags(service.tags)} if tags else {})})
        return {"services": found, "failures": show.failures(missing)}

    def _then(self, service: Service, seconds: float) -> Json | None:
        if seconds <= 0:
            return show.service(service)
        until = self._world.timeline.seconds - seconds
        old = [shown for at, shown in service.history if at <= until + 1e-9]
        first = service.history[0][1] if service.history else None
        known: Json | None = copied(old[-1] if old else first)
        return known


def _settings(members: Mapping[str, Any]) -> Json:
    settings: Json = {
        "launchType": "EC2",
        "schedulingStrategy": "REPLICA",
        "deploymentController": {"type": "ECS"},
        "enableECSManagedTags": False,
        "propagateTags": "NONE",
        "enableExecuteCommand": False,
        **{name: copied(value) for name, value in members.items() if name not in {"cluster", "tags"}},
    }
    if "capacityProviderStrategy" in members:
        del settings["launchType"]
    settings["deploymentConfiguration"] = _config(settings)
    if settings["schedulingStrategy"] == "DAEMON" and settings["deploymentController"]["type"] != "ECS":
        raise Refusal("UnsupportedFeatureException", "DAEMON needs the ECS deployment controller.")
    return settings


def _config(settings: Mapping[str, Any]) -> Json:
    """Return a deployment configuration with ECS's defaults for what it leaves out."""
    daemon = settings["schedulingStrategy"] == "DAEMON"
    given = settings.get("deploymentConfiguration") or {}
    if daemon and given.get("maximumPercent", 100) > 100:
        raise client("The maximumPercent of a DAEMON service must be 100.")
    return {
        "deploymentCircuitBreaker": {"enable": False, "rollback": False},
        "maximumPercent": 100 if daemon else 200,
        "minimumHealthyPercent": 0 if daemon else 100,
        "strategy": "ROLLING",
        **given,
    }
