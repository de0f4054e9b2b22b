"""Service deployments: how they begin and end, and how long they are watched. Pure."""

from __future__ import annotations

from lab.ecs.records import Json, ServiceDeployment

DEFAULT_ALARM_BAKE = 300.0  # seconds; ECS computes it from the alarms


def end(fate: ServiceDeployment, status: str, now: float, reason: str = "") -> None:
    """End a service deployment."""
    fate.status, fate.updated, fate.reason = status, now, reason or fate.reason
    if status == "STOPPED":
        fate.stopped = now
    fate.finished = now
    fate.hooks.clear()


def bake_seconds(config: Json) -> float:
    """Return for how long a rolling deployment is watched when all of its tasks run."""
    alarms = config.get("alarms") or {}
    minutes = config.get("bakeTimeInMinutes")
    if minutes:
        return float(minutes) * 60
    return DEFAULT_ALARM_BAKE if alarms.get("enable") and alarms.get("alarmNames") else 0.0
