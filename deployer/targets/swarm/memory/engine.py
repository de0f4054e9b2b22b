"""The Engine API of a Swarm in memory: raw JSON in and out, as a manager's engine has it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from deployer.errors import NoSuchServiceError, NotFoundError, PermanentError, StaleVersionError
from deployer.rollouts.ports import Credentials
from deployer.targets.swarm.memory.agents import Agents, Images
from deployer.targets.swarm.memory.objects import (
    Cluster,
    Json,
    Node,
    ServiceRecord,
    copied,
    stamped,
)
from deployer.targets.swarm.memory.orchestrator import Orchestrator
from deployer.targets.swarm.memory.timeline import Timeline

STALE = "update out of sequence"


class MemoryEngine:
    """A Docker engine's Swarm in memory, on a virtual clock.

    Nothing happens between two calls until `timeline` is moved. Behaves as swarmkit does: what a write
    leaves in PreviousSpec and UpdateStatus, which tasks it replaces, in which order and how fast.
    """

    def __init__(self, timeline: Timeline | None = None) -> None:
        self.timeline = timeline or Timeline()
        self.cluster = Cluster(self.timeline)
        self.images = Images()
        self.agents = Agents(self.cluster, self.images)
        self.orchestrator = Orchestrator(self.cluster, self.agents.task_changed)
        self.agents.tell = self.orchestrator.task_changed
        self.digests: dict[str, str] = {}  # "repository:tag" to digest, as the registry has them now
        self.written: list[tuple[str, str]] = []  # (service, image) of every write to a service
        self.said: list[str] = []  # what every task has logged
        self.disturbed_at = 0.0  # when somebody last wrote, or a node changed, on the timeline
        self._configs: dict[str, Json] = {}
        self._created: dict[str, int] = {}  # how often a service of a name was created
        self.add_node("node-1")

    # -- services ----------------------------------------------------------------------------------

    def services(self, ids: Sequence[str] = ()) -> Iterable[Json]:
        """Answer `GET /services`: all, or those of the ids."""
        found = self.cluster.services
        return [record.shown() for record in found.values() if not ids or record.id in ids]

    def service(self, name: str) -> Json:
        """Answer `GET /services/{name or id}`.

        Raises:
            NoSuchServiceError: there is no such service.
        """
        return self.record(name).shown()

    def tasks(self, service_ids: Sequence[str]) -> Sequence[Json]:
        """Answer `GET /tasks` of services, with those of their past that the engine still has."""
        known = (self.cluster.tasks.get(one, {}) for one in service_ids)
        return [task.shown() for tasks in known for task in tasks.values()]

    def task_logs(self, task_id: str, number: int) -> str:
        """Answer `GET /tasks/{id}/logs` with what `said` has for all tasks."""
        del task_id
        return "".join(f"{line}\n" for line in self.said[-number:])

    def create_service(
        self, spec: Mapping[str, Any], credentials: Credentials | None = None, *, running: bool = False
    ) -> str:
        """Answer `POST /services/create`; return its id.

        Args:
            spec: its spec.
            credentials: for the image's registry.
            running: begin with tasks that run already.
        """
        name = spec["Name"]
        if any(record.name == name for record in self.cluster.services.values()):
            raise PermanentError(f"name conflicts with an existing object: service {name} already exists")
        often = self._created[name] = self._created.get(name, 0) + 1
        now = self.cluster.now()
        service_id = f"id-{name}" if often == 1 else f"id-{name}-{often}"
        record = ServiceRecord(service_id, copied(spec), now, now, auth=credentials)
        if record.mode.endswith("Job"):
            record.iteration, record.executed = 0, now
        self.cluster.touch(record)
        self.cluster.services[record.id], self.cluster.tasks[record.id] = record, {}
        if running:
            self._run(record)
        self._touched(record)
        return record.id

    def update_service(
        self, service_id: str, version: int, spec: Mapping[str, Any], credentials: Credentials | None
    ) -> None:
        """Answer `POST /services/{id}/update`.

        Raises:
            NoSuchServiceError: there is no such service.
            StaleVersionError: it was written since.
            PermanentError: the engine refuses such a change.
        """
        record = self._expected(service_id, version)
        if record.name != spec["Name"]:
            raise PermanentError("renaming services is not supported")
        if record.mode != next(iter(spec.get("Mode") or {"Replicated": {}})):
            raise PermanentError("service mode change is not allowed")
        self._remember(record)
        record.spec, record.spec_version, record.status = copied(spec), version, None
        record.auth = credentials or record.auth
        self._write(record)

    def roll_back_service(self, service_id: str, version: int) -> None:
        """Answer `POST /services/{id}/update?rollback=previous`, which `docker service rollback` sends.

        Raises:
            NoSuchServiceError, StaleVersionError: as `update_service`.
            PermanentError: there is no former spec.
        """
        record = self._expected(service_id, version)
        if record.previous is None:
            raise PermanentError(f"service {record.id} does not have a previous spec")
        spec, spec_version, auth = record.previous, record.previous_version, record.previous_auth
        self._remember(record)
        record.spec, record.spec_version, record.auth = spec, spec_version, auth
        begun = stamped(self.cluster.now())
        told = {"State": "rollback_started", "Message": "manually requested rollback", "StartedAt": begun}
        record.status = told
        self._write(record)

    def remove_service(self, name: str) -> None:
        """Answer `DELETE /services/{name or id}`."""
        record = self.record(name)
        del self.cluster.services[record.id]
        self.disturbed_at = self.timeline.seconds
        self.orchestrator.removed(record)

    # -- configs, registry, engine -----------------------------------------------------------------

    def config(self, name: str) -> Json | None:
        """Answer `GET /configs/{name}`; None if there is none."""
        found = self._configs.get(name)
        return copied(found) if found else None

    def create_config(self, spec: Mapping[str, Any]) -> None:
        """Answer `POST /configs/create`.

        Raises:
            StaleVersionError: there is one of this name already.
        """
        if spec["Name"] in self._configs:
            raise StaleVersionError(f"config {spec['Name']} already exists")
        now, index = stamped(self.cluster.now()), self.cluster.index()
        self._configs[spec["Name"]] = {
            "ID": f"config-{index}",
            "Version": {"Index": index},
            "CreatedAt": now,
            "UpdatedAt": now,
            "Spec": copied(spec),
        }

    def update_config(self, config_id: str, version: int, spec: Mapping[str, Any]) -> None:
        """Answer `POST /configs/{id}/update`, which may change labels only.

        Raises:
            NotFoundError: there is no such config.
            StaleVersionError: it was written since.
        """
        found = next((one for one in self._configs.values() if one["ID"] == config_id), None)
        if found is None:
            raise NotFoundError(f"config {config_id} not found")
        if found["Version"]["Index"] != version:
            raise StaleVersionError(STALE)
        if {**found["Spec"], "Labels": {}} != {**spec, "Labels": {}}:
            raise PermanentError("only updates to Labels are allowed")
        found["Spec"], found["UpdatedAt"] = copied(spec), stamped(self.cluster.now())
        found["Version"] = {"Index": self.cluster.index()}

    def remove_config(self, name: str) -> None:
        """Answer `DELETE /configs/{name}`."""
        self._configs.pop(name, None)

    def distribution(self, image: str, credentials: Credentials | None) -> Json:
        """Answer `GET /distribution/{image}/json`: the manifest at the registry.

        Raises:
            NotFoundError: it has no such tag or digest.
        """
        del credentials
        name, _, digest = image.partition("@")
        digest = digest or self.digests.get(name, "")
        if not digest or digest in self.images.lost:
            raise NotFoundError(f"the registry has no {image}")
        return {"Descriptor": {"digest": digest}, "Platforms": []}

    def info(self) -> Json:
        """Answer `GET /info`."""
        nodes, limit = self.cluster.nodes, {"TaskHistoryRetentionLimit": self.cluster.history_limit}
        swarm = {"LocalNodeState": "active", "ControlAvailable": True, "Nodes": len(nodes), "Managers": 1}
        swarm["Cluster"] = {"Spec": {"Orchestration": limit}}
        return {"ServerVersion": "28.5.2", "Swarm": {**swarm, "NodeID": next(iter(nodes), "")}}

    # -- nodes -------------------------------------------------------------------------------------

    def add_node(self, name: str, **facts: Any) -> None:
        """Return a machine joins."""
        self.cluster.nodes[name] = Node(name, **facts)
        self._nodes_changed()

    def set_node(self, name: str, *, up: bool | None = None, availability: str | None = None) -> None:
        """Return a machine is lost or comes back, or an operator pauses, drains or activates it."""
        node = self.cluster.nodes[name]
        node.up = node.up if up is None else up
        node.availability = availability or node.availability
        self._nodes_changed()

    def _nodes_changed(self) -> None:
        self.disturbed_at = self.timeline.seconds
        self.orchestrator.nodes_changed()
        self.agents.nodes_changed()

    # -- the inside --------------------------------------------------------------------------------

    def record(self, name: str) -> ServiceRecord:
        """Return a service by its name or id.

        Raises:
            NoSuchServiceError: there is no such service.
        """
        for record in self.cluster.services.values():
            if name in {record.id, record.name}:
                return record
        raise NoSuchServiceError(f"no service {name!r} in this Swarm")

    def _expected(self, service_id: str, version: int) -> ServiceRecord:
        record = self.record(service_id)
        if record.version != version:
            raise StaleVersionError(STALE)
        return record

    def _remember(self, record: ServiceRecord) -> None:
        record.previous, record.previous_version = record.spec, record.spec_version
        record.previous_auth = record.auth

    def _write(self, record: ServiceRecord) -> None:
        if record.iteration is not None:
            record.iteration, record.executed = record.iteration + 1, self.cluster.now()
        self.cluster.touch(record)
        self.written.append((record.name, str(record.template["ContainerSpec"]["Image"])))
        self._touched(record)

    def _touched(self, record: ServiceRecord) -> None:
        self.disturbed_at = self.timeline.seconds
        self.orchestrator.touched(record)

    def _run(self, record: ServiceRecord) -> None:
        """Give a new service tasks that run, without waiting for the engine to start them."""
        nodes = [node for node in self.cluster.nodes.values() if node.suits(record.template)]
        places = [(0, node) for node in nodes]
        if record.mode == "Replicated":
            wanted = record.setting("Replicas", 1)
            places = [(slot, nodes[slot % len(nodes)]) for slot in range(1, wanted + 1)]
        for slot, node in places:
            task = self.cluster.new_task(record, slot, node.id)
            task.state, task.message, task.iteration = "running", "started", record.iteration
            task.container = True
            if record.iteration is not None:
                task.state, task.desired = "complete", "complete"
            node.images.add(task.image)
