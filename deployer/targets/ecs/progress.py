"""Judges where a service stands: by the fate of the deployment that it is on, never by its calm. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deployer.model.snapshot import Phase, Progress
from deployer.targets.ecs.names import last, moment, seconds
from deployer.targets.ecs.service import IN_PROGRESS, PRIMARY, Raw, Unit, primary

FAILED, COMPLETED = "FAILED", "COMPLETED"
UNDER_WAY = {"PENDING", "IN_PROGRESS", "STOP_REQUESTED"}
GOING_BACK = {"ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS"}
WENT_BACK = {*GOING_BACK, "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED"}
WAITING = {"AWAITING_ACTION", "IN_PROGRESS"}  # of a lifecycle hook
ALARM_SECONDS = 600.0  # for which ECS bakes a rolling update that alarms watch, at most


@dataclass(frozen=True)
class Fate:
    """What is known of the newest deployment of a service."""

    raw: Raw  # the newest service deployment, in full unless it has simply succeeded; empty if unknown
    left: str | None = None  # the revision that ECS, or a person, has gone back from
    stopped: Sequence[Raw] = ()  # tasks that tell why
    switched: bool = True  # a rollback shows in the service's description
    young: bool = True  # so new that the service's description may not know of it yet

    @property
    def status(self) -> str:
        """Return how the newest service deployment stands; empty where none is known."""
        return str(self.raw.get("status") or "")

    @property
    def id(self) -> str | None:
        """Return the id of the newest service deployment."""
        return last(str(self.raw.get("serviceDeploymentArn") or "")) or None

    @property
    def target(self) -> str | None:
        """Return the service revision that the newest service deployment brings."""
        full = (self.raw.get("targetServiceRevision") or {}).get("arn")
        return full or self.raw.get("targetServiceRevisionArn")

    def is_in(self, service: Raw) -> bool:
        """Return whether the description of a service knows of it: ECS's answers are not of one moment."""
        known = {one.get("arn") for one in service.get("currentServiceRevisions") or ()}
        back = (self.raw.get("rollback") or {}).get("serviceRevisionArn")
        return not known or self.target is None or not self.young or bool(known & {self.target, back})

    def went_back(self, unit: Unit) -> bool:
        """Return whether the newest word is on a rollback, under way or ended; our own way back is none."""
        if not self.switched or (unit.record.undone and unit.record.undone == self.id):
            return False
        return self.status in WENT_BACK or (not self.status and self.left is not None)


def failed_one(raw: Raw) -> Raw | None:
    """Return the failed deployment from which ECS has gone back, where nothing else tells of it.

    Failed deployments of earlier tries stay listed: only one that is newer than what runs now counts.
    """
    now = primary(raw)
    began = moment(now.get("createdAt"))
    for one in raw.get("deployments") or ():
        at = moment(one.get("createdAt"))
        other = one.get("taskDefinition") != now.get("taskDefinition")
        if one.get("rolloutState") == FAILED and other and at and began and at > began:
            found: Raw = one
            return found
    return None


def assess(unit: Unit, fate: Fate) -> Progress:
    """Judge the deployment that the service is on."""
    now, raw = unit.primary, unit.raw
    ready, wanted = int(now.get("runningCount") or 0), int(now.get("desiredCount") or 0)
    others = [one for one in raw.get("deployments") or () if one.get("status") != PRIMARY]
    phase = _phase(unit, fate)
    busy = phase is Phase.ROLLING
    return Progress(
        phase,
        ready,
        wanted,
        _reason(unit, fate, phase),
        engine_busy=busy,
        engine_done=now.get("rolloutState") == COMPLETED,
        leftovers=busy and any(int(one.get("runningCount") or 0) for one in others),
        has_failed=int(now.get("failedTasks") or 0) > 0,
        patience=_patience(raw.get("deploymentConfiguration") or {}),
        pause=_pause(fate.raw) if busy else "",
    )


def _phase(unit: Unit, fate: Fate) -> Phase:
    state, status = unit.primary.get("rolloutState"), fate.status
    if status in GOING_BACK:
        return Phase.ROLLING
    late = status == "STOPPED" and not fate.is_in(unit.raw)
    if state == FAILED or (status in {"ROLLBACK_FAILED", "STOPPED"} and not late):
        return Phase.PAUSED
    if state == IN_PROGRESS or status in UNDER_WAY or late:
        return Phase.ROLLING
    return Phase.REVERTED if fate.went_back(unit) else Phase.CONVERGED


def _patience(settings: Raw) -> float:
    """Return the seconds that a deployment takes on purpose."""
    strategy = str(settings.get("strategy") or "ROLLING")
    minutes = float(settings.get("bakeTimeInMinutes") or 0)
    if strategy == "CANARY":
        minutes += float((settings.get("canaryConfiguration") or {}).get("canaryBakeTimeInMinutes") or 0)
    if strategy == "LINEAR":
        linear = settings.get("linearConfiguration") or {}
        steps = -(-100 // max(1.0, float(linear.get("stepPercent") or 100)))
        minutes += steps * float(linear.get("stepBakeTimeInMinutes") or 0)
    alarms = (settings.get("alarms") or {}).get("enable")
    return minutes * 60 + (ALARM_SECONDS if alarms and strategy == "ROLLING" else 0.0)


def _pause(fate: Raw) -> str:
    """Return the lifecycle hook that a deployment waits for; ECS itself bounds the time of each."""
    for hook in fate.get("lifecycleHookDetails") or ():
        if hook.get("status") in WAITING:
            stage = str(fate.get("lifecycleStage") or "its stage")
            if hook.get("targetType") == "PAUSE":
                return f"ECS pauses at {stage} until somebody lets it go on"
            return f"ECS waits for a lifecycle hook at {stage}"
    return ""


# -- why it failed ------------------------------------------------------------------------------------


def _reason(unit: Unit, fate: Fate, phase: Phase) -> str:
    definition = fate.left or (unit.revision.arn if unit.revision else "")
    said = (fate.raw.get("rollback") or {}).get("reason") or fate.raw.get("statusReason")
    failed = failed_one(unit.raw) or unit.primary
    told = failure_of(fate.stopped, definition)
    if told:
        return told
    if fate.went_back(unit) or phase is Phase.PAUSED:
        return str(said or failed.get("rolloutStateReason") or "")
    return _unplaced(unit) if phase is Phase.ROLLING else ""


def failure_of(tasks: Sequence[Raw], definition: str) -> str:
    """Return the words of the newest task of a revision that stopped by itself; may be empty."""
    mine = [one for one in tasks if one.get("taskDefinitionArn") == definition and _by_itself(one)]
    newest = max(mine, key=lambda one: seconds(one.get("stoppedAt") or one.get("createdAt")), default=None)
    return words_of(newest) if newest else ""


def words_of(task: Raw) -> str:
    """Return why a task has stopped, with the exit codes of its containers."""
    said = [str(task.get("stoppedReason") or task.get("stopCode") or "the task stopped")]
    for container in task.get("containers") or ():
        if container.get("exitCode"):
            said.append(f"container {container.get('name')} exited with code {container['exitCode']}")
        elif container.get("reason") and container["reason"] not in said:
            said.append(str(container["reason"]))
    return ": ".join(said)


def _by_itself(task: Mapping[str, Any]) -> bool:
    return task.get("stopCode") not in {
        "ServiceSchedulerInitiated",
        "UserInitiated",
        "SpotInterruption",
    } or any("health check" in str(task.get(member) or "").lower() for member in ("stoppedReason",))


def _unplaced(unit: Unit) -> str:
    """Return the newest event of a deployment under way that says what hinders it."""
    began = moment(unit.primary.get("createdAt"))
    for event in unit.raw.get("events") or ():
        at, text = moment(event.get("createdAt")), str(event.get("message") or "")
        if began and at and at >= began and "unable" in text:
            return text
    return ""


def digest_in(revision: Raw, container: str) -> str | None:
    """Return the digest that a service revision has resolved a container's image to."""
    for image in revision.get("containerImages") or ():
        if image.get("containerName") == container:
            return str(image.get("imageDigest") or "") or None
    return None


def digest_run(tasks: Sequence[Raw], definition: str, container: str) -> str | None:
    """Return the digest that all tasks of a revision run, None if they differ or nobody knows."""
    found = {
        str(one.get("imageDigest") or "")
        for task in tasks
        if last(str(task.get("taskDefinitionArn"))) == last(definition)
        for one in task.get("containers") or ()
        if one.get("name") == container
    }
    return found.pop() or None if len(found) == 1 else None
