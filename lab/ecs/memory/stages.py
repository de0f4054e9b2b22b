"""Deployments in stages: blue/green, linear and canary, with their hooks, pauses and bake times."""

from __future__ import annotations

from collections.abc import Iterator

from lab.ecs.memory.scheduler import Scheduler
from lab.ecs.memory.world import World
from lab.ecs.records import Deployment, Json, Service, ServiceDeployment

STAGES = (
    "RECONCILE_SERVICE",
    "PRE_SCALE_UP",
    "SCALE_UP",
    "POST_SCALE_UP",
    "TEST_TRAFFIC_SHIFT",
    "POST_TEST_TRAFFIC_SHIFT",
    "PRODUCTION_TRAFFIC_SHIFT",
    "POST_PRODUCTION_TRAFFIC_SHIFT",
    "BAKE_TIME",
    "CLEAN_UP",
)
EVERY = 1.0  # seconds between two looks at what has to become true
HOOK_EVERY = 30.0  # seconds until a function that is not done is asked again
PAUSE_MINUTES = 1440


class Stages:
    """Walks deployments from stage to stage."""

    def __init__(self, world: World, scheduler: Scheduler) -> None:
        self._world = world
        self._scheduler = scheduler

    def begin(self, service: Service, green: Deployment) -> None:
        """Begin a deployment; the former one keeps its tasks until the end."""
        for one in service.deployments:
            if one is not green and one.state != "FAILED":
                one.wanted = service.wanted
        green.wanted = 0
        walk = self._walk(service, green)
        self._step(service, green, walk)

    def _step(self, service: Service, green: Deployment, walk: Iterator[float]) -> None:
        """Go on until the next wait."""
        if not green.fate.under_way or green is not service.primary:
            return
        seconds = next(walk, None)
        self._world.touch(service)
        if seconds is not None:
            self._world.after(seconds, lambda: self._step(service, green, walk))

    def _walk(self, service: Service, green: Deployment) -> Iterator[float]:
        """Do everything in its order; yields the seconds to wait."""
        fate = green.fate
        for stage in STAGES:
            fate.stage, fate.updated = stage, self._world.now()
            yield from self._hooks(service, fate, stage)
            if stage == "SCALE_UP":
                green.wanted = None
                self._scheduler.look(service)
                while sum(task.up for task in service.tasks if task.deployment is green) < service.wanted:
                    yield EVERY
            elif stage == "PRODUCTION_TRAFFIC_SHIFT":
                yield from self._shift(fate)
            elif stage == "BAKE_TIME":
                yield fate.config.get("bakeTimeInMinutes", 0) * 60.0
            else:
                yield EVERY
        for one in service.deployments:
            one.wanted = None if one is green else 0
        self._scheduler.look(service)
        while any(task.deployment is not green for task in service.tasks):
            yield EVERY
        self._scheduler.complete(service, green)

    def _shift(self, fate: ServiceDeployment) -> Iterator[float]:
        """Move the traffic over, at once or by steps."""
        strategy = fate.config.get("strategy")
        if strategy == "CANARY":
            canary = fate.config.get("canaryConfiguration") or {}
            fate.shift = float(canary.get("canaryPercent", 5))
            yield canary.get("canaryBakeTimeInMinutes", 10) * 60.0
        elif strategy == "LINEAR":
            linear = fate.config.get("linearConfiguration") or {}
            while fate.shift < 100:
                fate.shift = min(100.0, fate.shift + float(linear.get("stepPercent", 10)))
                yield linear.get("stepBakeTimeInMinutes", 6) * 60.0
        fate.shift = 100.0
        yield EVERY

    def _hooks(self, service: Service, fate: ServiceDeployment, stage: str) -> Iterator[float]:
        for hook in fate.config.get("lifecycleHooks") or []:
            if stage in hook.get("lifecycleStages", []):
                yield from self._hook(service, fate, hook)
        fate.hooks.clear()

    def _hook(self, service: Service, fate: ServiceDeployment, hook: Json) -> Iterator[float]:
        """Wait until a hook lets the deployment go on."""
        kind, limit = hook.get("targetType", "AWS_LAMBDA"), hook.get("timeoutConfiguration") or {}
        until = self._world.now() + limit.get("timeoutInMinutes", PAUSE_MINUTES) * 60
        shown: Json = {
            "hookId": f"hook-{self._world.number()}",
            "targetType": kind,
            "status": "AWAITING_ACTION" if kind == "PAUSE" else "IN_PROGRESS",
            "expiresAt": until,
            "timeoutAction": limit.get("action", "ROLLBACK"),
        }
        if "hookTargetArn" in hook:
            shown["targetArn"] = hook["hookTargetArn"]
        fate.hooks.append(shown)
        while shown["status"] not in {"SUCCEEDED", "FAILED"}:
            if kind != "PAUSE":
                shown["status"] = self._world.hooks.get(hook.get("hookTargetArn", ""), "SUCCEEDED")
            if shown["status"] in {"SUCCEEDED", "FAILED"}:
                break
            if self._world.now() >= until:
                shown["status"] = "SUCCEEDED" if shown["timeoutAction"] == "CONTINUE" else "FAILED"
                break
            yield min(HOOK_EVERY, until - self._world.now())
        if shown["status"] == "FAILED":
            self._scheduler.fail(service, f"Lifecycle hook failed at stage {fate.stage}.", back=True)
            yield EVERY  # `_step` sees that it is over
