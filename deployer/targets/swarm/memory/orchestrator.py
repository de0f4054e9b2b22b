"""The managers' part: makes, replaces, restarts and removes tasks until they are as the specs want them.

Follows swarmkit's `manager/orchestrator` (replicated, global, jobs, taskreaper).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from deployer.targets.swarm.memory.objects import (
    ASSIGNED,
    COMPLETE,
    RANK,
    READY,
    RUNNING,
    Cluster,
    ServiceRecord,
    Task,
)
from deployer.targets.swarm.memory.restarts import Restarts
from deployer.targets.swarm.memory.updater import Updater

REACTION = 0.02  # seconds after which the engine begins to follow a change

Place = tuple[int, str]


class Orchestrator:
    """Follows what happens to services, tasks and nodes."""

    def __init__(self, cluster: Cluster, changed: Callable[[Task], None]) -> None:
        self.cluster = cluster
        self._changed = changed  # the agents' ear: a task is new, or something else is wanted of it
        self._restarts = Restarts(cluster, changed)
        self._updates: dict[str, Updater] = {}
        self._due: set[str] = set()

    # -- what it hears -----------------------------------------------------------------------------

    def touched(self, service: ServiceRecord) -> None:
        """Handle a service that was created or written."""
        if service.id not in self._due:
            self._due.add(service.id)
            self.cluster.timeline.after(REACTION, partial(self._reconcile, service.id))

    def removed(self, service: ServiceRecord) -> None:
        """Handle a service that was removed."""
        update = self._updates.pop(service.id, None)
        if update:
            update.cancelled = True
        for task in list(self.cluster.tasks[service.id].values()):
            self._want(task, "remove")
        self._restarts.forget(service.id)

    def created(self, task: Task) -> None:
        """Handle a task that was made."""
        self._changed(task)
        self._reap(task)

    def task_changed(self, task: Task) -> None:
        """Handle a node's news of a task."""
        service = self.cluster.services.get(task.service_id)
        if task.ended:
            self._restarts.stopped(task)
        if task.ended and task.desired == "remove":
            self.cluster.tasks.get(task.service_id, {}).pop(task.id, None)
        elif task.ended and service and service.mode.endswith("Job"):
            self.touched(service)
        elif task.ended and service and not task.unwanted:
            self._restart(task, service)
        update = self._updates.get(task.service_id)
        if update:
            update.task_changed(task)
        if task.ended:
            self._reap(task)

    def nodes_changed(self) -> None:
        """Handle a node that came, went, or changed its availability."""
        for task in [task for tasks in self.cluster.tasks.values() for task in tasks.values()]:
            node, service = self.cluster.nodes.get(task.node), self.cluster.services.get(task.service_id)
            if not task.node or (node and node.usable):
                continue
            if not node or not node.up:
                self._restarts.stopped(task)
            if service and service.mode == "Replicated" and not task.unwanted:
                self._restart(task, service)
        for service in self.cluster.services.values():
            if service.mode != "Replicated":
                self.touched(service)

    def update_ended(self, update: Updater) -> None:
        """Handle an updater that has nothing more to do."""
        if self._updates.get(update.service.id) is update:
            del self._updates[update.service.id]

    # -- what the updater asks ---------------------------------------------------------------------

    def is_dirty(self, service: ServiceRecord, spec: dict[str, Any], version: int, task: Task) -> bool:
        """Return whether a task was made of another template than a spec's (`IsTaskDirty`)."""
        if task.spec_version == version:
            return False
        same_auth = READY <= RANK[task.state] <= RUNNING and not task.unwanted
        node = self.cluster.nodes.get(task.node)
        wanted, made = dict(spec["TaskTemplate"]), dict(task.spec)
        if wanted.get("Placement") != made.get("Placement") and node and node.suits(wanted):
            wanted["Placement"] = made["Placement"] = None
        if not same_auth and service.auth != task.auth:
            return True
        return wanted != made or task.endpoint != spec.get("EndpointSpec")

    def shut_down(self, tasks: Iterable[Task]) -> Task | None:
        """Stop tasks that are still wanted; return one of them."""
        last = None
        for task in tasks:
            if not task.unwanted:
                last = task
                self._want(task, "shutdown")
        return last

    def delay_start(self, new: Task, old: Task | None, then: Callable[[], None] | None = None) -> None:
        """Let a new task run when the old one has stopped."""
        self._restarts.start(new, old, 0.0, then)

    # -- restarts ----------------------------------------------------------------------------------

    def _restart(self, task: Task, service: ServiceRecord) -> None:
        if task.unwanted or self.cluster.services.get(service.id) is not service:
            return
        if self._restarts.waits(task, partial(self._restart, task, service)):
            return
        node = self.cluster.nodes.get(task.node)
        if service.mode == "Global" and not (node and node.usable and node.suits(service.template)):
            self._want(task, "shutdown")
            return
        lost = bool(node and not node.up)
        waits = not (lost or task.ended)
        delay = self._restarts.delay_of(task)
        self._want(task, "shutdown")
        if not self._restarts.should(task, service):
            return
        follower = self.cluster.new_task(service, task.slot, task.node if "Global" in service.mode else "")
        follower.desired, follower.iteration = "ready", service.iteration
        self._restarts.record(follower)
        self._restarts.start(follower, task if waits else None, delay)
        self.created(follower)

    def _want(self, task: Task, desired: str) -> None:
        if RANK[task.desired] >= RANK[desired]:
            return
        task.desired = desired
        self.cluster.touch(task)
        if desired == "remove" and (task.ended or RANK[task.state] < ASSIGNED):
            self.cluster.tasks.get(task.service_id, {}).pop(task.id, None)
        self._changed(task)

    # -- services ----------------------------------------------------------------------------------

    def _reconcile(self, service_id: str) -> None:
        self._due.discard(service_id)
        service = self.cluster.services.get(service_id)
        if service:
            {"Replicated": self._replicated, "Global": self._global}.get(service.mode, self._job)(service)

    def _places(self, service: ServiceRecord) -> dict[Place, list[Task]]:
        """Return a service's tasks by slot, or by node for a global one."""
        places: dict[Place, list[Task]] = {}
        for task in self.cluster.tasks[service.id].values():
            places.setdefault((task.slot, "" if task.slot else task.node), []).append(task)
        return places

    def _updatable(self, tasks: Sequence[Task], service: ServiceRecord) -> list[Task]:
        """Return the tasks of a slot that an update is about (`UpdatableTasksInSlot`)."""
        live = [task for task in tasks if not task.unwanted]
        if live or service.state == "rollback_started":
            return live
        newest = max(tasks, key=lambda task: task.updated)
        return [] if self._restarts.should(newest, service) else [newest]

    def _replicated(self, service: ServiceRecord) -> None:
        live: dict[Place, list[Task]] = {}
        dead: dict[Place, list[Task]] = {}
        for place, tasks in self._places(service).items():
            found = self._updatable(tasks, service)
            (live if found else dead)[place] = found or tasks
        wanted = service.setting("Replicas", 1)
        slots = self._kept_first(live)
        self._update(service, slots[:wanted])
        missing = (slot for slot in range(1, wanted + len(live) + 1) if (slot, "") not in live)
        for slot, _ in zip(missing, range(wanted - len(live)), strict=False):
            dead.pop((slot, ""), None)
            self.created(self.cluster.new_task(service, slot))
        for task in [task for tasks in slots[wanted:] for task in tasks]:
            self._want(task, "remove")
        for task in [task for tasks in dead.values() for task in tasks]:
            self.cluster.tasks[service.id].pop(task.id, None)

    def _kept_first(self, live: dict[Place, list[Task]]) -> list[list[Task]]:
        """Return slots in the order in which scaling down keeps them: running ones, spread over nodes."""
        slots = sorted(live.values(), key=lambda slot: not any(task.state == "running" for task in slot))
        counts: dict[str, int] = {}
        ranked = []
        for slot in slots:
            rank = -1
            if len(slot) == 1 and slot[0].node:
                rank = counts[slot[0].node] = counts.get(slot[0].node, 0) + 1
            ranked.append((rank, slot))
        return [slot for _, slot in sorted(ranked, key=lambda one: (one[0] < 0, one[0]))]

    def _global(self, service: ServiceRecord) -> None:
        by_node = {node: tasks for (_, node), tasks in self._places(service).items()}
        updates = []
        for node in self.cluster.nodes.values():
            found = by_node.pop(node.id, [])
            tasks = self._updatable(found, service) if found else []
            if not node.usable or not node.suits(service.template):
                self.shut_down(tasks)
            elif node.availability == "pause":
                continue
            elif tasks:
                updates.append(tasks)
            else:
                self.created(self.cluster.new_task(service, 0, node.id))
        for tasks in by_node.values():
            self.shut_down(tasks)
        if updates:
            self._update(service, updates)

    def _update(self, service: ServiceRecord, slots: Sequence[Sequence[Task]]) -> None:
        before = self._updates.get(service.id)
        if before and not before.done:
            if before.spec == service.spec and before.auth == service.auth:
                return
            before.cancelled = True
        update = self._updates[service.id] = Updater(self, service)
        update.run(slots)

    def _job(self, service: ServiceRecord) -> None:
        tasks = list(self.cluster.tasks[service.id].values())
        run = [task for task in tasks if task.iteration == service.iteration]
        for task in [task for task in tasks if task.iteration != service.iteration]:
            if RANK[task.state] <= RUNNING or service.mode == "GlobalJob":
                self._want(task, "remove")
        taken = [t for t in run if t.state == "complete" or not t.unwanted]
        for task in run:
            if RANK[task.state] > COMPLETE and not task.unwanted:
                self._restart(task, service)
        if service.mode == "GlobalJob":
            taken_nodes = {task.node for task in taken}
            nodes = [n for n in self.cluster.nodes.values() if n.usable and n.suits(service.template)]
            places = [(0, n.id) for n in nodes if n.id not in taken_nodes and n.availability == "active"]
        else:
            running = sum(task.state != "complete" for task in taken)
            most = service.setting("MaxConcurrent", 1)
            total = service.setting("TotalCompletions", most)
            free = [slot for slot in range(total) if slot not in {task.slot for task in taken}]
            places = [(slot, "") for slot in free[: max(0, most - running)]]
        for slot, node in places:
            task = self.cluster.new_task(service, slot, node)
            task.iteration, task.desired = service.iteration, "complete"
            self.created(task)

    def _reap(self, task: Task) -> None:
        """Drop what is older than the history's limit from a task's slot."""
        service, tasks = self.cluster.services.get(task.service_id), self.cluster.tasks.get(task.service_id)
        most = int((service.template.get("RestartPolicy") or {}).get("MaxAttempts") or 0) if service else 0
        limit = most + 1 if most else self.cluster.history_limit
        if not service or not tasks or limit < 0 or service.mode.endswith("Job"):
            return
        number, node = task.slot, task.node
        slot = [one for one in tasks.values() if one.slot == number and (number or one.node == node)]
        over = len(slot) - limit
        for one in slot if over > 0 else ():
            if over > 0 and (one.ended or (RANK[one.state] < ASSIGNED and one.unwanted)):
                del tasks[one.id]
                over -= 1
