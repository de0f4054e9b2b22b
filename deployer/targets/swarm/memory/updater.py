"""One rolling update or rollback, as swarmkit's `manager/orchestrator/update/updater.go` does it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from deployer.targets.swarm.memory.objects import RANK, RUNNING, Json, ServiceRecord, Task, stamped

if TYPE_CHECKING:
    from deployer.targets.swarm.memory.orchestrator import Orchestrator

NANO = 1e9
MONITOR = 5.0  # seconds that the engine watches where nothing is said
ENDED = {"paused", "rollback_paused"}


class Updater:
    """Replaces the outdated tasks of one service, slot after slot, and says how that ended.

    Works on the service as it was when the update began, as the engine's does: it waits for a new
    task without a time-out, and one whose service was written meanwhile says nothing any more.
    """

    def __init__(self, orchestrator: Orchestrator, service: ServiceRecord) -> None:
        self._orchestrator = orchestrator
        self._cluster = orchestrator.cluster
        self.service = service
        self.spec, self._spec_version, self.auth = service.spec, service.spec_version, service.auth
        self._rolling_back = service.state == "rollback_started"
        self._config: Json = service.spec.get("RollbackConfig" if self._rolling_back else "UpdateConfig") or {
            "Parallelism": 1
        }
        self._queue: deque[Sequence[Task]] = deque()
        self._seen: dict[str, str] = {}  # task to what was wanted of it when the update began
        self._dirty = 0
        self._working = 0
        self._updated: dict[str, float | None] = {}  # task to the second when it came up
        self._awaited: dict[str, Sequence[Task]] = {}  # task that should come up to what it replaces
        self._failed: set[str] = set()
        self.cancelled = self.stopped = self.done = False

    def run(self, slots: Sequence[Sequence[Task]]) -> None:
        """Begin."""
        if self.service.state in ENDED:
            self._finish()
            return
        dirty = [slot for slot in slots if len(slot) > 1 or self._is_dirty(slot[0])]
        if not dirty:
            if self.service.state in {"updating", "rollback_started"}:
                self._complete()
            self._finish()
            return
        if self.service.status is None:
            started = stamped(self._cluster.now())
            self._say({"State": "updating", "Message": "update in progress", "StartedAt": started})
        self._queue.extend(dirty)
        self._seen = {task.id: task.desired for slot in dirty for task in slot}
        self._dirty = len(dirty)
        self._working = int(self._config.get("Parallelism") or 0) or len(dirty)
        for _ in range(self._working):
            self._next()

    def task_changed(self, task: Task) -> None:
        """Hear of a task of the service that has come up or has ended."""
        if self.done or self.cancelled:
            return
        if task.id in self._awaited and (task.state == "running" or task.ended):
            self._updated[task.id] = self._cluster.timeline.seconds
            old = self._awaited.pop(task.id)
            if task.state == "running":
                self._orchestrator.shut_down(old)
            self._pause()
        if task.ended:
            self._fail(task)

    # -- slots -------------------------------------------------------------------------------------

    def _is_dirty(self, task: Task) -> bool:
        return self._orchestrator.is_dirty(self.service, self.spec, self._spec_version, task)

    def _next(self) -> None:
        """Take the next slot, or end."""
        if self.cancelled or self.done:
            return
        if self.stopped or not self._queue:
            self._working -= 1
            if not self._working:
                self._watch()
            return
        slot = self._queue.popleft()
        clean = [task for task in slot if not self._is_dirty(task)]
        running = next((task for task in clean if self._seen[task.id] == "running"), None)
        existing = running or next((task for task in clean if self._seen[task.id] == "ready"), None)
        if existing:
            self._keep(existing, [task for task in slot if task is not existing])
        else:
            self._replace(slot)

    def _keep(self, existing: Task, others: Sequence[Task]) -> None:
        overtaken = self._overtaken(others)
        old = self._orchestrator.shut_down(others)
        if overtaken or self._seen[existing.id] == "running":
            self._pause()
        else:
            self._orchestrator.delay_start(existing, old, then=self._pause)

    def _replace(self, slot: Sequence[Task]) -> None:
        orchestrator, first = self._orchestrator, slot[0]
        start_first = self._config.get("Order") == "start-first"
        gone = self._cluster.services.get(self.service.id) is not self.service
        if gone or (not start_first and self._overtaken(slot)):
            self._pause()
            return
        updated = self._cluster.new_task(
            self.service, first.slot, first.node if self.service.mode == "Global" else ""
        )
        updated.spec, updated.spec_version = self.spec["TaskTemplate"], self._spec_version
        updated.endpoint, updated.auth = self.spec.get("EndpointSpec"), self.auth
        updated.desired = "ready"
        self._updated[updated.id] = None
        if start_first:
            self._awaited[updated.id] = slot
            orchestrator.created(updated)
            orchestrator.delay_start(updated, None)
        else:
            self._awaited[updated.id] = ()
            old = orchestrator.shut_down(slot)
            orchestrator.created(updated)
            orchestrator.delay_start(updated, old)

    def _overtaken(self, slot: Sequence[Task]) -> bool:
        """Return whether others have stopped all tasks of a slot since the update began; it is left then."""
        wanted = [task for task in slot if RANK[self._seen[task.id]] <= RUNNING]
        return bool(wanted) and all(task.unwanted for task in wanted)

    def _pause(self) -> None:
        """Wait as long as there should be between two slots."""
        delay = float(self._config.get("Delay") or 0) / NANO
        self._cluster.timeline.after(delay, self._next)

    # -- ends --------------------------------------------------------------------------------------

    def _fail(self, task: Task) -> None:
        """Judge a task that has ended; tasks that lasted longer than the monitor do not count."""
        action = self._config.get("FailureAction") or "pause"
        if action == "continue" or task.id in self._failed or task.id not in self._updated or self.stopped:
            return
        since = self._updated[task.id]
        if since is not None and self._cluster.timeline.seconds - since > self._monitor():
            return
        self._failed.add(task.id)
        if len(self._failed) / self._dirty <= float(self._config.get("MaxFailureRatio") or 0):
            return
        self.stopped = True
        why = f"due to failure or early termination of task {task.id}"
        if action == "pause" or self._rolling_back:
            self._stop("rollback_paused" if self._rolling_back else "paused", why)
        else:
            self._roll_back(why)
        if not self._working:
            self._finish()

    def _stop(self, state: str, why: str) -> None:
        noun = "rollback" if self._rolling_back else "update"
        if self.service.status is not None:
            self._say({**self.service.status, "State": state, "Message": f"{noun} paused {why}"})

    def _roll_back(self, why: str) -> None:
        service = self.service
        if service.status is None or service.previous is None:
            return
        service.spec, service.spec_version = service.previous, service.previous_version
        service.auth, service.previous, service.previous_auth = service.previous_auth, None, None
        self._say({**service.status, "State": "rollback_started", "Message": f"update rolled back {why}"})

    def _monitor(self) -> float:
        return float(self._config.get("Monitor") or MONITOR * NANO) / NANO

    def _watch(self) -> None:
        """Watch the new tasks a while longer, then call the update complete."""
        if self.stopped:
            self._finish()
            return
        delay, monitor = float(self._config.get("Delay") or 0) / NANO, self._monitor()
        self._cluster.timeline.after(
            delay + 1 if delay >= monitor else monitor, partial(self._end, self.service.id)
        )

    def _end(self, service_id: str) -> None:
        if self.done or self.cancelled or self.stopped or service_id not in self._cluster.services:
            return
        self._complete()
        self._finish()

    def _complete(self) -> None:
        status = self.service.status
        if status is None:
            return  # the service was written since this update began
        back = status["State"] == "rollback_started"
        self._say(
            {
                **status,
                "State": "rollback_completed" if back else "completed",
                "Message": "rollback completed" if back else "update completed",
                "CompletedAt": stamped(self._cluster.now()),
            }
        )

    def _say(self, status: dict[str, Any]) -> None:
        self.service.status = status
        self._cluster.touch(self.service)
        self._orchestrator.touched(self.service)

    def _finish(self) -> None:
        self.done = True
        self._orchestrator.update_ended(self)
