"""The parts of a Swarm: services, tasks and nodes, and how the Engine API shows them."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from deployer.rollouts.ports import Credentials
from deployer.targets.swarm.memory.timeline import Timeline

Json = dict[str, Any]

STATES = (
    "new",
    "pending",
    "assigned",
    "preparing",
    "ready",
    "starting",
    "running",
    "complete",
    "shutdown",
    "failed",
    "rejected",
    "remove",
    "orphaned",
)
RANK = {state: rank for rank, state in enumerate(STATES)}
ASSIGNED, READY, RUNNING, COMPLETE = (RANK[name] for name in ("assigned", "ready", "running", "complete"))


def copied(value: Any) -> Any:
    """Copy JSON; several times as fast as `deepcopy`."""
    kind = type(value)
    if kind is str or kind is int:
        return value
    if kind is dict or isinstance(value, Mapping):
        return {key: copied(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [copied(inner) for inner in value]
    return value


@dataclass(eq=False, slots=True)
class Task:
    """One container of a service, now or in the past."""

    id: str
    service_id: str
    slot: int  # 0 for global services
    spec: Json  # the service's TaskTemplate, never changed in place
    spec_version: int
    endpoint: Json | None
    auth: Credentials | None
    created: datetime  # by the leader's clock, as is `updated`
    updated: datetime
    node: str = ""
    state: str = "new"
    desired: str = "running"
    message: str = "created"
    err: str = ""
    stamp: datetime | None = None  # of the state, by the clock of whoever set it
    iteration: int | None = None  # of a job
    version: int = 0
    container: bool = False  # whether it ever had one

    @property
    def ended(self) -> bool:
        """Return whether it will never run again."""
        return RANK[self.state] > RUNNING

    @property
    def unwanted(self) -> bool:
        """Return whether the engine means to stop it."""
        return RANK[self.desired] > COMPLETE

    @property
    def image(self) -> str:
        """Return the image that it was made with."""
        return str(self.spec["ContainerSpec"]["Image"])

    def shown(self) -> Json:
        """Return the task as `GET /tasks` has it."""
        status: Json = {"State": self.state, "Message": self.message}
        status["Timestamp"] = stamped(self.stamp or self.updated)
        told: Json = {
            "ID": self.id,
            "Version": {"Index": self.version},
            "CreatedAt": stamped(self.created),
            "UpdatedAt": stamped(self.updated),
            "Labels": {},
            "Spec": copied(self.spec),
            "ServiceID": self.service_id,
            "Status": status,
            "DesiredState": self.desired,
        }
        if self.err:
            status["Err"] = self.err
        if self.container or self.ended:
            status["ContainerStatus"] = {"ContainerID": f"of {self.id}" if self.container else ""}
        if self.slot:
            told["Slot"] = self.slot
        if self.node:
            told["NodeID"] = self.node
        if self.iteration is not None:
            told["JobIteration"] = _run(self.iteration)
        return told


@dataclass(eq=False, slots=True)
class ServiceRecord:
    """A service with what the engine keeps beside its spec."""

    id: str
    spec: Json  # never changed in place
    created: datetime
    updated: datetime
    version: int = 0
    spec_version: int = 0
    auth: Credentials | None = None
    previous: Json | None = None
    previous_version: int = 0
    previous_auth: Credentials | None = None
    status: Json | None = None  # UpdateStatus
    iteration: int | None = None  # of a job
    executed: datetime | None = None  # when the job's last run began

    @property
    def name(self) -> str:
        """Return the service's name."""
        return str(self.spec["Name"])

    @property
    def template(self) -> Json:
        """Return its TaskTemplate."""
        found: Json = self.spec["TaskTemplate"]
        return found

    @property
    def mode(self) -> str:
        """Return Replicated, Global, ReplicatedJob or GlobalJob."""
        return str(next(iter(self.spec.get("Mode") or {"Replicated": {}})))

    def setting(self, key: str, default: int) -> int:
        """Return a number of its mode, such as Replicas."""
        value = (self.spec.get("Mode") or {}).get(self.mode) or {}
        return int(value.get(key, default))

    @property
    def state(self) -> str | None:
        """Return the engine's word on its last update."""
        return self.status["State"] if self.status else None

    def shown(self) -> Json:
        """Return the service as `GET /services` has it."""
        told: Json = {
            "ID": self.id,
            "Version": {"Index": self.version},
            "CreatedAt": stamped(self.created),
            "UpdatedAt": stamped(self.updated),
            "Spec": copied(self.spec),
        }
        if self.previous is not None:
            told["PreviousSpec"] = copied(self.previous)
        if self.status:
            told["UpdateStatus"] = dict(self.status)
        if self.iteration is not None:
            executed = stamped(self.executed or self.created)
            told["JobStatus"] = {"JobIteration": _run(self.iteration), "LastExecution": executed}
        return told


@dataclass(eq=False, slots=True)
class Node:
    """A machine of the Swarm."""

    id: str
    availability: str = "active"  # or pause, drain
    up: bool = True
    skew: float = 0.0  # seconds by which its clock is ahead
    labels: dict[str, str] = field(default_factory=dict)
    images: set[str] = field(default_factory=set)  # that it has pulled

    @property
    def usable(self) -> bool:
        """Return whether tasks that run there may stay."""
        return self.up and self.availability != "drain"

    def suits(self, template: Json) -> bool:
        """Return whether the placement constraints of a service allow it."""
        constraints = (template.get("Placement") or {}).get("Constraints") or []
        return all(self._matches(str(one)) for one in constraints)

    def _matches(self, constraint: str) -> bool:
        sign = "!=" if "!=" in constraint else "=="
        key, _, value = (part.strip() for part in constraint.partition(sign))
        facts = {"node.id": self.id, "node.hostname": self.id, "node.role": "manager"}
        facts |= {f"node.labels.{name}": text for name, text in self.labels.items()}
        return (facts.get(key, "") == value) == (sign == "==")


class Cluster:
    """All that the managers store, with the leader's clock and the index that every write moves."""

    def __init__(self, timeline: Timeline) -> None:
        self.timeline = timeline
        self.services: dict[str, ServiceRecord] = {}
        self.tasks: dict[str, dict[str, Task]] = {}  # by service, by id, oldest first
        self.made: Counter[str] = Counter()  # tasks by service, those that are forgotten too
        self.nodes: dict[str, Node] = {}
        self.leader_skew = 0.0
        self.history_limit = 5
        self._index = itertools.count(10)
        self._names = itertools.count(1)

    def now(self) -> datetime:
        """Return the time by the leader's clock."""
        now = self.timeline.now
        return now + timedelta(seconds=self.leader_skew) if self.leader_skew else now

    def index(self) -> int:
        """Return the next version index."""
        return next(self._index)

    def touch(self, thing: ServiceRecord | Task) -> None:
        """Note that an object was written."""
        thing.version, thing.updated = self.index(), self.now()

    def new_task(self, service: ServiceRecord, slot: int, node: str = "") -> Task:
        """Make a task of a service's present spec."""
        name = f"{service.name}.{slot or node}.{next(self._names)}"
        version, auth, now = service.spec_version, service.auth, self.now()
        endpoint = service.spec.get("EndpointSpec")
        task = Task(name, service.id, slot, service.template, version, endpoint, auth, now, now, node)
        self.touch(task)
        self.made[service.id] += 1
        self.tasks[service.id][task.id] = task
        return task


def stamped(moment: datetime) -> str:
    """Return a time as the Engine API writes it."""
    return moment.isoformat().replace("+00:00", "Z")


def _run(iteration: int) -> Json:
    """Return a job's run as the API writes it, which leaves out a zero."""
    return {"Index": iteration} if iteration else {}
