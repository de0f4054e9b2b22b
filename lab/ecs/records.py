"""What ECS is made of: clusters, services, deployments and tasks, as records that change in place."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
Tags = dict[str, str]

UNDER_WAY = ("PENDING", "IN_PROGRESS")
GOING_BACK = ("ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS")


@dataclass(eq=False)
class Cluster:
    """One cluster, with as many machines as a DAEMON service has tasks."""

    name: str
    arn: str
    instances: int = 2
    services: dict[str, Service] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)  # by ARN, oldest first
    tags: Tags = field(default_factory=dict)


@dataclass(eq=False)
class Revision:
    """A service revision: all that a deployment brings out, never changed but for what was resolved."""

    arn: str
    definition: str
    created: float
    settings: Json
    images: list[Json] = field(default_factory=list)


@dataclass(eq=False)
class ServiceDeployment:
    """The fate of one deployment, for 90 days."""

    arn: str
    target: Revision
    source: Revision | None
    created: float
    config: Json
    status: str = "PENDING"
    reason: str = ""
    started: float | None = None
    finished: float | None = None
    stopped: float | None = None
    updated: float = 0.0
    stage: str = ""
    rollback: Json | None = None
    failures: int = 0
    breaker: str = "DISABLED"
    alarms: str = "DISABLED"
    triggered: list[str] = field(default_factory=list)
    hooks: list[Json] = field(default_factory=list)  # as shown, the present stage's
    shift: float = 0.0  # percent of the production traffic that the target has

    @property
    def under_way(self) -> bool:
        """Return whether it may still end well."""
        return self.status in UNDER_WAY


@dataclass(eq=False)
class Deployment:
    """One entry of a service's `deployments`."""

    id: str
    revision: Revision
    fate: ServiceDeployment
    created: float
    updated: float
    status: str = "PRIMARY"
    state: str = "IN_PROGRESS"
    reason: str = ""
    failed: int = 0
    completed: bool = False  # once
    retry_at: float = 0.0
    wanted: int | None = None  # tasks, where it is not the service that says


@dataclass(eq=False)
class Service:
    """One service; `settings` are the members that it was created with, as they are now."""

    name: str
    arn: str
    cluster: Cluster
    created: float
    settings: Json
    desired: int
    tags: Tags
    status: str = "ACTIVE"
    deployments: list[Deployment] = field(default_factory=list)  # newest first
    fates: list[ServiceDeployment] = field(default_factory=list)  # newest first
    revisions: dict[str, Revision] = field(default_factory=dict)
    events: list[Json] = field(default_factory=list)  # newest first
    task_sets: list[Json] = field(default_factory=list)
    history: list[tuple[float, Json]] = field(default_factory=list)  # what it looked like, for late readers

    @property
    def daemon(self) -> bool:
        """Return whether every machine runs one task of it."""
        return bool(self.settings["schedulingStrategy"] == "DAEMON")

    @property
    def controller(self) -> str:
        """Return who deploys it."""
        return str(self.settings["deploymentController"]["type"])

    @property
    def config(self) -> Json:
        """Return its `deploymentConfiguration`."""
        config: Json = self.settings["deploymentConfiguration"]
        return config

    @property
    def primary(self) -> Deployment | None:
        """Return the deployment that it should come to."""
        return next((one for one in self.deployments if one.status == "PRIMARY"), None)

    @property
    def wanted(self) -> int:
        """Return how many tasks should run."""
        if self.status != "ACTIVE":
            return 0
        return self.cluster.instances if self.daemon else self.desired

    @property
    def tasks(self) -> list[Task]:
        """Return its tasks that have not ended."""
        return [one for one in self.cluster.tasks.values() if one.service is self and one.status != "STOPPED"]


@dataclass(eq=False)
class Task:
    """One task, and its containers as they are shown."""

    arn: str
    cluster: Cluster
    definition: str
    group: str
    created: float
    containers: list[Json]
    launch: str
    started_by: str = ""
    service: Service | None = None
    deployment: Deployment | None = None
    status: str = "PROVISIONING"
    desired: str = "RUNNING"
    health: str = "UNKNOWN"
    well: bool = False  # it runs, and no health check is still to say so
    started: float | None = None
    stopping: float | None = None
    stopped: float | None = None
    stop_code: str = ""
    reason: str = ""
    overrides: Json = field(default_factory=dict)
    tags: Tags = field(default_factory=dict)

    @property
    def live(self) -> bool:
        """Return whether it runs, or may come to."""
        return self.desired == "RUNNING" and self.status != "STOPPED"

    @property
    def up(self) -> bool:
        """Return whether it runs and is healthy."""
        return self.live and self.well
