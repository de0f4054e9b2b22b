"""ECS's service scheduler: rolling deployments, the circuit breaker, and services as they stand still."""

from __future__ import annotations

from functools import partial

from lab.ecs.memory import fates, show
from lab.ecs.memory.tasks import Tasks
from lab.ecs.memory.world import World
from lab.ecs.records import Deployment, Service, Task

FAILURES = {"EssentialContainerExited", "TaskFailedToStart"}
BACKOFF = 60.0  # seconds between two tries at most


class Scheduler:
    """Keeps services as they are wanted; asked again whenever something has changed."""

    def __init__(self, world: World, tasks: Tasks) -> None:
        self._world = world
        self._tasks = tasks
        tasks.changed = self.task_changed

    def task_changed(self, task: Task) -> None:
        """Take note of a task that has come up or ended."""
        service, deployment = task.service, task.deployment
        if service is None or deployment is None:
            return
        if task.up:
            self._came_up(service, deployment)
        elif task.status == "STOPPED" and (task.stop_code in FAILURES or task.health == "UNHEALTHY"):
            self._failed(service, deployment, task)
        self.look(service)

    def _came_up(self, service: Service, deployment: Deployment) -> None:
        if breaker(service).get("resetOnHealthyTask", True):
            deployment.failed = deployment.fate.failures = 0

    def _failed(self, service: Service, deployment: Deployment, task: Task) -> None:
        deployment.failed += 1
        tries = deployment.failed
        deployment.retry_at = self._world.now() + min(BACKOFF, 2.0 ** (tries // 3))
        self._world.after(deployment.retry_at - self._world.now(), lambda: self.look(service))
        if deployment.state != "IN_PROGRESS" or deployment is not service.primary:
            return
        deployment.fate.failures = tries
        if task.stop_code == "TaskFailedToStart":
            self._world.tell(service, f"was unable to start a task: {task.reason}")
        rolling = service.config.get("strategy", "ROLLING") == "ROLLING"
        watched = rolling and breaker(service).get("enable") and not deployment.completed
        if watched and tries >= show.threshold(service.config, service.wanted):
            deployment.fate.breaker = "TRIGGERED"
            self.fail(service, "ECS deployment circuit breaker: tasks failed to start.")

    # -- a look at a service -----------------------------------------------------------------------

    def look(self, service: Service) -> None:
        """Do what a service needs now."""
        primary = service.primary
        if service.controller in {"ECS"} and primary:
            strategy = service.config.get("strategy", "ROLLING")
            if strategy == "ROLLING" or primary.fate.finished or not primary.fate.source:
                self._roll(service, primary)
            else:
                self._scale_both(service, primary)
        self._world.touch(service)

    def _roll(self, service: Service, primary: Deployment) -> None:
        wanted = service.wanted
        tasks = [task for task in service.tasks if task.live]
        mine = [task for task in tasks if task.deployment is primary]
        for task in mine[wanted:]:
            self._tasks.stop(task, f"Scaling activity initiated by (deployment {primary.id})")
        self._replace(service, primary, [task for task in tasks if task.deployment is not primary])
        room = self._most(service, wanted) - sum(task.live for task in service.tasks)
        self._start(service, primary, min(wanted - len(mine), room))
        if primary.state == "IN_PROGRESS" and self._complete(service, primary, wanted):
            self._complete_soon(service, primary)

    def _start(self, service: Service, deployment: Deployment, number: int) -> None:
        if deployment.state == "FAILED" or deployment.retry_at > self._world.now() + 1e-6:
            return
        for _ in range(number):
            self._tasks.start(service, deployment)
        if number > 0:
            self._world.tell(service, f"has started {number} tasks (deployment {deployment.id}).")

    def _replace(self, service: Service, primary: Deployment, old: list[Task]) -> None:
        """Stop as many tasks of former deployments as the minimum lets go."""
        if primary.state == "FAILED":
            return
        least = -(-service.wanted * service.config.get("minimumHealthyPercent", 100) // 100)
        spare = sum(task.up for task in service.tasks) - least
        for task in sorted(old, key=lambda one: one.up):
            if task.up:
                if spare <= 0:
                    return
                spare -= 1
            self._tasks.stop(task, f"Scaling activity initiated by (deployment {primary.id})")

    @staticmethod
    def _most(service: Service, wanted: int) -> int:
        return max(1, wanted * int(service.config.get("maximumPercent", 200)) // 100)

    @staticmethod
    def _complete(service: Service, primary: Deployment, wanted: int) -> bool:
        mine = [task for task in service.tasks if task.deployment is primary and task.live]
        return len(service.tasks) == len(mine) == wanted and all(task.up for task in mine)

    def _complete_soon(self, service: Service, primary: Deployment) -> None:
        """Complete a deployment, after the time for which its alarms are watched."""
        fate = primary.fate
        bake = fates.bake_seconds(service.config) if fate.source else 0.0
        if not bake or not fate.under_way:
            self.complete(service, primary)
        elif fate.stage != "BAKE_TIME":
            fate.stage = "BAKE_TIME"
            self._world.after(bake, lambda: self._baked(service, primary))

    def _baked(self, service: Service, primary: Deployment) -> None:
        if primary.fate.under_way and primary is service.primary:
            if self._complete(service, primary, service.wanted):
                self.complete(service, primary)
            else:
                primary.fate.stage = ""
                self.look(service)

    def complete(self, service: Service, primary: Deployment) -> None:
        """End a deployment, or the way back, well."""
        now = self._world.now()
        primary.state, primary.completed, primary.updated, primary.failed = "COMPLETED", True, now, 0
        primary.reason = f"ECS deployment {primary.id} completed."
        going = next((fate for fate in service.fates if fate.status == "ROLLBACK_IN_PROGRESS"), None)
        if going:
            fates.end(going, "ROLLBACK_SUCCESSFUL", now)
        elif primary.fate.under_way:
            fates.end(primary.fate, "SUCCESSFUL", now)
        for one in service.deployments:
            if one is not primary and one.state == "FAILED":
                self._world.after(self._world.failed_stays, partial(self._forget, service, one))
        service.deployments = [one for one in service.deployments if one is primary or one.state == "FAILED"]
        self._world.tell(service, f"(deployment {primary.id}) deployment completed.")
        self._world.tell(service, "has reached a steady state.")
        self._world.touch(service)

    def _forget(self, service: Service, deployment: Deployment) -> None:
        if deployment in service.deployments and deployment.status != "PRIMARY":
            service.deployments.remove(deployment)
            self._world.touch(service)

    # -- ways back ---------------------------------------------------------------------------------

    def fail(self, service: Service, reason: str, *, back: bool | None = None) -> None:
        """End the deployment under way as failed, and go back if that is configured or told.

        Args:
            service: whose primary deployment fails.
            reason: why.
            back: go back or not; as the service's circuit breaker and alarms say if it is not given.
        """
        failed, now = service.primary, self._world.now()
        if failed is None or not failed.fate.under_way:
            return
        if back is None:
            alarmed = failed.fate.alarms == "TRIGGERED"
            config = service.config.get("alarms") or {} if alarmed else breaker(service)
            back = bool(config.get("rollback"))
        failed.state, failed.reason, failed.updated = "FAILED", reason, now
        self._world.tell(service, f"(deployment {failed.id}) deployment failed: {reason}")
        former = next((one for one in service.deployments if one.completed and one is not failed), None)
        if not back or former is None:
            fates.end(failed.fate, "STOPPED", now, reason)
            self._world.touch(service)
            return
        self.go_back(service, failed, former, reason)

    def alarm(self, service: Service, name: str) -> None:
        """Fail the deployment under way if it is watched by this alarm."""
        watched = service.config.get("alarms") or {}
        primary = service.primary
        if watched.get("enable") and name in watched.get("alarmNames", []) and primary:
            if primary.fate.under_way:
                primary.fate.alarms, primary.fate.triggered = "TRIGGERED", [name]
            self.fail(service, f"Service deployment rolled back because of the alarm {name}.")

    def go_back(self, service: Service, failed: Deployment, former: Deployment, reason: str) -> None:
        """Make a former deployment, with its old id, the one that the service comes to."""
        now = self._world.now()
        failed.status, former.status = "ACTIVE", "PRIMARY"
        failed.state, failed.reason, failed.updated = "FAILED", reason, now
        former.state, former.updated, former.retry_at, former.wanted = "IN_PROGRESS", now, now, None
        former.reason = f"ECS deployment circuit breaker: rolling back to deploymentId {former.id}."
        service.deployments.remove(former)
        service.deployments.insert(0, former)
        fate = failed.fate
        fate.status, fate.updated, fate.reason, fate.shift = "ROLLBACK_IN_PROGRESS", now, reason, 0.0
        fate.rollback = {"reason": reason, "startedAt": now, "serviceRevisionArn": former.revision.arn}
        self._world.tell(service, f"rolling back to deployment {former.id}.")
        self.look(service)

    # -- blue and green ----------------------------------------------------------------------------

    def _scale_both(self, service: Service, green: Deployment) -> None:
        """Keep both sides of a deployment with stages; what moves between them is not decided here."""
        for deployment in service.deployments:
            if deployment.state == "FAILED":
                continue
            wanted = deployment.wanted if deployment.wanted is not None else service.wanted
            live = [task for task in service.tasks if task.live and task.deployment is deployment]
            for task in live[wanted:]:
                self._tasks.stop(task, f"Scaling activity initiated by (deployment {green.id})")
            self._start(service, deployment, wanted - len(live))


def breaker(service: Service) -> dict[str, object]:
    """Return the settings of a service's circuit breaker."""
    found: dict[str, object] = service.config.get("deploymentCircuitBreaker") or {}
    return found
