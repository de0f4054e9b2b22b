"""Records as ECS's answers show them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deployer.targets.swarm.memory.objects import copied
from lab.ecs.records import Cluster, Deployment, Json, Revision, Service, ServiceDeployment, Tags, Task

# Settings of a service that its description shows as they are.
_SHOWN = [
    "loadBalancers",
    "serviceRegistries",
    "launchType",
    "capacityProviderStrategy",
    "platformVersion",
    "deploymentConfiguration",
    "placementConstraints",
    "placementStrategy",
    "networkConfiguration",
    "healthCheckGracePeriodSeconds",
    "schedulingStrategy",
    "deploymentController",
    "enableECSManagedTags",
    "propagateTags",
    "enableExecuteCommand",
    "availabilityZoneRebalancing",
    "resourceManagementType",
]
_OF_DEPLOYMENT = ("launchType", "capacityProviderStrategy", "platformVersion", "networkConfiguration")


def tags(found: Tags) -> list[Json]:
    """Return tags as a list."""
    return [{"key": key, "value": value} for key, value in found.items()]


def cluster(found: Cluster) -> Json:
    """Return a cluster."""
    running = sum(task.status == "RUNNING" for task in found.tasks.values())
    return {
        "clusterArn": found.arn,
        "clusterName": found.name,
        "status": "ACTIVE",
        "registeredContainerInstancesCount": found.instances,
        "runningTasksCount": running,
        "activeServicesCount": sum(one.status == "ACTIVE" for one in found.services.values()),
    }


def service(found: Service) -> Json:
    """Return a service, without its tags."""
    primary, tasks = found.primary, [one for one in found.tasks if one.live]
    running = sum(one.status == "RUNNING" for one in tasks)
    answer: Json = {
        "serviceArn": found.arn,
        "serviceName": found.name,
        "clusterArn": found.cluster.arn,
        "status": found.status,
        "desiredCount": found.wanted,
        "runningCount": running,
        "pendingCount": len(tasks) - running,
        "deployments": [deployment(found, one) for one in found.deployments],
        "events": copied(found.events),
        "createdAt": found.created,
        "createdBy": "arn:aws:iam::123456789012:root",
        **{name: copied(found.settings[name]) for name in _SHOWN if name in found.settings},
    }
    if found.controller == "EXTERNAL":
        return {**answer, "taskSets": copied(found.task_sets)}
    answer["taskDefinition"] = primary.revision.definition if primary else found.settings["taskDefinition"]
    going = next((fate for fate in found.fates if fate.finished is None and fate.stopped is None), None)
    if going:
        answer["currentServiceDeployment"] = going.arn
    if primary:
        answer["currentServiceRevisions"] = [_summary(found, one) for one in _revisions(found)]
    return answer


def _revisions(found: Service) -> list[Revision]:
    return list(dict.fromkeys(one.revision for one in found.deployments))


def deployment(of: Service, found: Deployment) -> Json:
    """Return one entry of a service's `deployments`."""
    tasks = [one for one in of.tasks if one.deployment is found and one.live]
    running = sum(one.status == "RUNNING" for one in tasks)
    wanted = of.wanted if found.status == "PRIMARY" and found.wanted is None else found.wanted or 0
    settings = found.revision.settings
    return {
        "id": found.id,
        "status": found.status,
        "taskDefinition": found.revision.definition,
        "desiredCount": wanted,
        "pendingCount": len(tasks) - running,
        "runningCount": running,
        "failedTasks": found.failed,
        "createdAt": found.created,
        "updatedAt": found.updated,
        "rolloutState": found.state,
        "rolloutStateReason": found.reason,
        **{name: copied(settings[name]) for name in _OF_DEPLOYMENT if name in settings},
    }


def _summary(of: Service, found: Revision, fate: ServiceDeployment | None = None) -> Json:
    tasks = [one for one in of.tasks if one.live and one.deployment and one.deployment.revision is found]
    running = sum(one.status == "RUNNING" for one in tasks)
    counts = {"requestedTaskCount": len(tasks), "runningTaskCount": running}
    answer: Json = {"arn": found.arn, **counts, "pendingTaskCount": len(tasks) - running}
    if fate and fate.config.get("strategy", "ROLLING") != "ROLLING":
        share = fate.shift if found is fate.target else 100.0 - fate.shift
        answer["requestedProductionTrafficWeight"] = share
    return answer


def brief(of: Service, found: ServiceDeployment) -> Json:
    """Return a service deployment as a list has it."""
    return _without_none(
        serviceDeploymentArn=found.arn,
        serviceArn=of.arn,
        clusterArn=of.cluster.arn,
        createdAt=found.created,
        startedAt=found.started,
        finishedAt=found.finished,
        targetServiceRevisionArn=found.target.arn,
        status=found.status,
        statusReason=found.reason or None,
    )


def fate(of: Service, found: ServiceDeployment) -> Json:
    """Return a service deployment in full."""
    answer = {
        **brief(of, found),
        "targetServiceRevision": _summary(of, found.target, found),
        "sourceServiceRevisions": [_summary(of, found.source, found)] if found.source else [],
        "updatedAt": found.updated,
        "deploymentConfiguration": copied(found.config),
        "deploymentCircuitBreaker": {
            "status": found.breaker,
            "failureCount": found.failures,
            "threshold": threshold(found.config, of.wanted),
        },
        "alarms": {
            "status": found.alarms,
            "alarmNames": (found.config.get("alarms") or {}).get("alarmNames", []),
            "triggeredAlarmNames": list(found.triggered),
        },
        **_without_none(
            stoppedAt=found.stopped,
            lifecycleStage=found.stage or None,
            rollback=copied(found.rollback),
            lifecycleHookDetails=copied(found.hooks) or None,
        ),
    }
    answer.pop("targetServiceRevisionArn")
    return answer


def threshold(config: Json, wanted: int) -> int:
    """Return the number of failed tasks at which the circuit breaker trips."""
    given = (config.get("deploymentCircuitBreaker") or {}).get("thresholdConfiguration") or {}
    kind, value = given.get("type", "BOUNDED_PERCENT"), given.get("value", 50)
    share = -(-value * wanted // 100)
    return int({"COUNT": value, "UNBOUNDED_PERCENT": share}.get(kind, max(3, min(200, share))))


def revision(of: Service, found: Revision) -> Json:
    """Return a service revision."""
    return {
        "serviceRevisionArn": found.arn,
        "serviceArn": of.arn,
        "clusterArn": of.cluster.arn,
        "taskDefinition": found.definition,
        "createdAt": found.created,
        "containerImages": copied(found.images),
        **{name: copied(found.settings[name]) for name in _OF_DEPLOYMENT if name in found.settings},
    }


def task(found: Task) -> Json:
    """Return a task, without its tags."""
    return _without_none(
        taskArn=found.arn,
        clusterArn=found.cluster.arn,
        taskDefinitionArn=found.definition,
        group=found.group,
        launchType=found.launch,
        lastStatus=found.status,
        desiredStatus=found.desired,
        healthStatus=found.health,
        startedBy=found.started_by or None,
        createdAt=found.created,
        startedAt=found.started,
        stoppingAt=found.stopping,
        stoppedAt=found.stopped,
        stopCode=found.stop_code or None,
        stoppedReason=found.reason or None,
        containers=copied(found.containers),
        overrides=copied(found.overrides),
    )


def failures(arns: Sequence[str], reason: str = "MISSING") -> list[Json]:
    """Return the failures of a description."""
    return [{"arn": arn, "reason": reason} for arn in arns]


def _without_none(**members: Any) -> Json:
    return {name: value for name, value in members.items() if value is not None}
