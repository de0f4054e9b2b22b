"""Tasks that follow ended ones: swarmkit's `manager/orchestrator/restart/restart.go`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from deployer.targets.swarm.memory.objects import RANK, RUNNING, Cluster, ServiceRecord, Task

NANO = 1e9
DELAY = 5.0  # seconds before a restart where nothing is said
OLD_TASK_TIMEOUT = 60.0  # seconds for which a new task waits until the old one has stopped


@dataclass
class _Restarts:
    """The restarts of one slot with one version of the spec."""

    version: int
    times: list[float] = field(default_factory=list)


class _Delay:
    """One task that waits for its start."""

    def __init__(self) -> None:
        self.then: list[Callable[[], None]] = []
        self.cancelled = False


class Restarts:
    """Starts new tasks late: after the restart delay, and when the old task has stopped."""

    def __init__(self, cluster: Cluster, started: Callable[[Task], None]) -> None:
        self._cluster = cluster
        self._started = started  # called when a task may run
        self._delays: dict[str, _Delay] = {}
        self._stops: dict[str, list[Callable[[], None]]] = {}
        self._history: dict[tuple[str, int, str], _Restarts] = {}

    def policy(self, task: Task) -> dict[str, Any]:
        """Return the restart policy that a task was made with."""
        return task.spec.get("RestartPolicy") or {}

    def should(self, task: Task, service: ServiceRecord) -> bool:
        """Return whether the policy wants a task after this one."""
        policy = self.policy(task)
        condition = policy.get("Condition") or "any"
        job = service.mode.endswith("Job")
        if condition == "none" or (task.state == "complete" and (job or condition == "on-failure")):
            return False
        most = int(policy.get("MaxAttempts") or 0)
        before = self._history.get(self._place(task))
        if not most or before is None or before.version != task.spec_version:
            return True
        window = float(policy.get("Window") or 0) / NANO
        now = self._cluster.timeline.seconds
        return sum(not window or now - at <= window for at in before.times) < most

    def delay_of(self, task: Task) -> float:
        """Return the delay before a restart of a task."""
        node = self._cluster.nodes.get(task.node)
        if node and node.availability == "drain":
            return 0.0
        delay = self.policy(task).get("Delay")
        return DELAY if delay is None else float(delay) / NANO

    def record(self, new: Task) -> None:
        """Count a restart, where the policy limits them."""
        if not int(self.policy(new).get("MaxAttempts") or 0):
            return
        place = self._place(new)
        known = self._history.get(place)
        if known is None or known.version != new.spec_version:
            known = self._history[place] = _Restarts(new.spec_version)
        known.times.append(self._cluster.timeline.seconds)

    def waits(self, task: Task, then: Callable[[], None]) -> bool:
        """Have something done when a task's own delay is over; False if it has none now."""
        delay = self._delays.get(task.id)
        if delay and not delay.then:
            delay.then.append(then)
        return delay is not None

    def start(
        self, new: Task, old: Task | None, delay: float, then: Callable[[], None] | None = None
    ) -> None:
        """Let a task run after a delay and, if `old` is given, when that has stopped.

        Args:
            new: a task whose desired state is ready.
            old: the task that it replaces, or None not to wait for one.
            delay: seconds.
            then: called when it was let run.
        """
        before = self._delays.pop(new.id, None)
        if before:
            before.cancelled = True
        waiting = self._delays[new.id] = _Delay()
        begun = self._cluster.timeline.seconds

        def delayed() -> None:
            if old and not old.ended and self._lives(old):
                self._stops.setdefault(old.id, []).append(go)
                rest = begun + OLD_TASK_TIMEOUT - self._cluster.timeline.seconds
                self._cluster.timeline.after(max(0.0, rest), go)
            else:
                go()

        def go() -> None:
            if waiting.cancelled:
                return
            waiting.cancelled = True
            self._delays.pop(new.id, None)
            if RANK[new.desired] < RUNNING:
                new.desired = "running" if new.iteration is None else "complete"
                self._cluster.touch(new)
                self._started(new)
            for act in [*waiting.then, then]:
                if act:
                    act()

        self._cluster.timeline.after(delay, delayed)

    def stopped(self, task: Task) -> None:
        """Hear that a task has ended, or that its node is lost."""
        for act in self._stops.pop(task.id, ()):
            act()

    def forget(self, service_id: str) -> None:
        """Hear that a service was removed."""
        self._history = {place: one for place, one in self._history.items() if place[0] != service_id}

    def _lives(self, task: Task) -> bool:
        node = self._cluster.nodes.get(task.node)
        return bool(node and node.up)

    def _place(self, task: Task) -> tuple[str, int, str]:
        return task.service_id, task.slot, "" if task.slot else task.node
