"""The nodes' part: tasks find a node, pull their image, start, end, and stop when they are told to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from deployer.rollouts.ports import Credentials
from deployer.targets.swarm.memory.objects import ASSIGNED, RANK, RUNNING, Cluster, Node, Task

CRASH = "CRASH="  # in a task's environment: the seconds after which it fails


@dataclass
class Images:
    """The images that there are, and how their containers behave."""

    crashing: set[str] = field(default_factory=set)  # digests whose tasks fail at once
    crash_after: dict[str, float] = field(default_factory=dict)  # or after seconds
    exit_after: dict[str, float] = field(default_factory=dict)  # or end well after seconds
    lost: set[str] = field(default_factory=set)  # digests that the registry has no more
    # Whether the registry takes a node's credentials.
    admits: Callable[[Credentials | None], bool] = field(default=lambda _: True)

    def fault(self, task: Task) -> str:
        """Return the reason why a task's image cannot be pulled, or nothing."""
        if self._digest(task) in self.lost or not self.admits(task.auth):
            return f"No such image: {task.image}"
        return ""

    def crash(self, task: Task) -> float | None:
        """Return the seconds after which a task fails; None if it does not."""
        told = (task.spec["ContainerSpec"].get("Env") or []) if task.spec.get("ContainerSpec") else []
        after = [float(one.removeprefix(CRASH)) for one in told if one.startswith(CRASH)]
        if after:
            return after[0]
        digest = self._digest(task)
        return 0.0 if digest in self.crashing else self.crash_after.get(digest)

    def exit(self, task: Task) -> float | None:
        """Return the seconds after which a task ends well; None if it runs on."""
        return self.exit_after.get(self._digest(task), 1.0 if task.iteration is not None else None)

    def _digest(self, task: Task) -> str:
        return task.image.partition("@")[2] or task.image


class Agents:
    """Scheduler and nodes."""

    def __init__(self, cluster: Cluster, images: Images) -> None:
        self._cluster = cluster
        self.images = images
        self.tell: Callable[[Task], None] = lambda _: None
        # Seconds that it takes to pull an image, to start a container and to stop it: one slot's
        # replacement is done in the second in which an update begins.
        self.pull, self.start, self.stop = 0.2, 0.48, 0.5

    def task_changed(self, task: Task) -> None:
        """Hear that the managers made a task or want something else of it."""
        self._cluster.timeline.after(0.0, partial(self._follow, task))

    def nodes_changed(self) -> None:
        """Look for a node for what waits, and let nodes that came back do what they are told."""
        for task in [task for tasks in self._cluster.tasks.values() for task in tasks.values()]:
            self.task_changed(task)

    def _follow(self, task: Task) -> None:
        if task.ended:
            return
        if RANK[task.state] < ASSIGNED:
            if not task.unwanted:
                self._schedule(task)
        elif task.unwanted:
            self._later(self.stop, task, self._stopped)
        elif task.state == "ready" and RANK[task.desired] >= RUNNING:
            self._say(task, "starting")
            self._later(self.start, task, self._started)

    def _schedule(self, task: Task) -> None:
        nodes = [n for n in self._cluster.nodes.values() if not task.node or n.id == task.node]
        fit = [n for n in nodes if n.up and n.availability == "active" and n.suits(task.spec)]
        if not fit:
            reason = f"no suitable node ({self._unfit(nodes)})"
            if task.err != reason:
                self._say(task, "pending", reason)
            return
        node = min(fit, key=lambda n: self._load(n, task))
        task.node = node.id
        self._say(task, "preparing")
        known = task.image in node.images
        self._later(0.05 if known else self.pull, task, self._pulled)

    def _unfit(self, nodes: list[Node]) -> str:
        away = sum(not (n.up and n.availability == "active") for n in nodes)
        kind, count = ("not available for new tasks", away) if away else (None, len(nodes))
        noun = f"{count} node{'s' if count != 1 else ''}"
        return f"{noun} {kind}" if kind else f"scheduling constraints not satisfied on {noun}"

    def _load(self, node: Node, task: Task) -> int:
        tasks = self._cluster.tasks[task.service_id].values()
        return sum(one.node == node.id and not one.unwanted for one in tasks)

    def _pulled(self, task: Task, node: Node) -> None:
        fault = "" if task.image in node.images else self.images.fault(task)
        if fault:
            self._say(task, "rejected", fault)
            return
        node.images.add(task.image)
        task.container = True
        self._say(task, "ready")
        self._follow(task)

    def _started(self, task: Task, node: Node) -> None:
        del node
        crash, exits = self.images.crash(task), self.images.exit(task)
        if crash == 0:
            self._failed(task)
            return
        self._say(task, "running")
        if crash is not None:
            self._later(crash, task, lambda task, _: self._failed(task))
        elif exits is not None:
            self._later(exits, task, lambda task, _: self._say(task, "complete"))

    def _failed(self, task: Task) -> None:
        self._say(task, "failed", "task: non-zero exit (1)")

    def _stopped(self, task: Task, node: Node) -> None:
        del node
        self._say(task, "shutdown")

    def _later(self, seconds: float, task: Task, act: Callable[[Task, Node], None]) -> None:
        """Do something to a task on its node, unless it has ended, or the node is lost, by then."""

        def due() -> None:
            node = self._cluster.nodes.get(task.node)
            stopping = task.unwanted and act != self._stopped
            if node and node.up and not task.ended and not stopping:
                act(task, node)

        self._cluster.timeline.after(seconds, due)

    def _say(self, task: Task, state: str, err: str = "") -> None:
        node = self._cluster.nodes.get(task.node)
        task.state, task.err, task.message = state, err, "started" if state == "running" else state
        task.stamp = self._cluster.timeline.now + timedelta(seconds=node.skew if node else 0.0)
        self._cluster.touch(task)
        self.tell(task)
