"""Tasks: they find a place, pull their images, run, and end, each as its images' behaviours say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from lab.ecs.memory import show
from lab.ecs.memory.definitions import Definitions
from lab.ecs.memory.images import Behaviour
from lab.ecs.memory.world import World, tags_of
from lab.ecs.pages import page
from lab.ecs.records import Cluster, Deployment, Json, Service, Task
from lab.ecs.refusal import Refusal, invalid

KEPT = 3600.0  # seconds for which a stopped task is still described
EXITED = "Essential container in task exited"


class Tasks:
    """All tasks of one account and region."""

    def __init__(self, world: World, definitions: Definitions) -> None:
        self._world = world
        self._definitions = definitions
        self._runs: dict[str, tuple[Json, list[Task]]] = {}  # by cluster and client token
        self.stop_seconds = 1.0  # from the word to stop to the end
        self.changed: Callable[[Task], None] = lambda _: None  # told of a service's tasks

    # -- what is asked for -------------------------------------------------------------------------

    def start(self, service: Service, deployment: Deployment) -> Task:
        """Start one more task of a deployment."""
        definition = self._definitions.find(deployment.revision.definition) or {}
        task = self._make(service.cluster, definition, f"service:{service.name}", service.settings)
        task.service, task.deployment, task.started_by = service, deployment, deployment.id
        self._resolve(deployment, definition)
        self._live(task)
        return task

    def run(self, members: Mapping[str, Any]) -> Json:
        """Answer RunTask."""
        cluster = self._world.cluster(members.get("cluster"))
        definition = self._definitions.usable(members)
        if definition.get("networkMode") == "awsvpc" and not members.get("networkConfiguration"):
            text = "Network Configuration must be provided when networkMode 'awsvpc' is specified."
            raise invalid(text)
        token, given = members.get("clientToken"), dict(members)
        key = f"{cluster.name} {token}"
        if token and key in self._runs:
            before, tasks = self._runs[key]
            if before != given:
                raise Refusal("ConflictException", "clientToken was used with other parameters.")
        else:
            tasks = [self._run(cluster, definition, members) for _ in range(members.get("count", 1))]
            if token:
                self._runs[key] = (given, tasks)
        return {"tasks": [show.task(task) for task in tasks], "failures": []}

    def _run(self, cluster: Cluster, definition: Json, members: Mapping[str, Any]) -> Task:
        group = members.get("group") or f"family:{definition['family']}"
        task = self._make(cluster, definition, group, members)
        task.started_by, task.tags = members.get("startedBy", ""), tags_of(members)
        if members.get("propagateTags") == "TASK_DEFINITION":
            task.tags = {**self._definitions.tags[task.definition], **task.tags}
        self._live(task)
        return task

    def stop(self, task: Task, reason: str, code: str = "ServiceSchedulerInitiated") -> None:
        """Have a task stop soon."""
        if not task.live:
            return
        task.desired, task.stopping = "STOPPED", self._world.now()
        task.stop_code, task.reason = code, reason
        self._world.after(self.stop_seconds, lambda: self._end(task, code, reason))

    def list(self, members: Mapping[str, Any]) -> Json:
        """Answer ListTasks."""
        cluster, desired = (
            self._world.cluster(members.get("cluster")),
            members.get("desiredStatus", "RUNNING"),
        )
        service, started_by = members.get("serviceName"), members.get("startedBy")
        if service and started_by:
            raise invalid("Only one of serviceName and startedBy can be given.")
        if service and service not in cluster.services:  # by name alone, as it is documented
            raise Refusal("ServiceNotFoundException", "Service not found.")
        found = [
            task.arn
            for task in cluster.tasks.values()
            if task.desired == desired
            and (not service or task.group == f"service:{service}")
            and (not started_by or task.started_by == started_by)
            and members.get("family") in (None, task.definition.rpartition("/")[2].partition(":")[0])
        ]
        return page("ListTasks", members, "taskArns", found)

    def describe(self, members: Mapping[str, Any]) -> Json:
        """Answer DescribeTasks."""
        cluster, tags = self._world.cluster(members.get("cluster")), "TAGS" in (members.get("include") or [])
        found, missing = [], []
        for given in members["tasks"]:
            task = self._find(cluster, given)
            if task is None:
                missing.append(given)
            else:
                found.append({**show.task(task), **({"tags": show.tags(task.tags)} if tags else {})})
        return {"tasks": found, "failures": show.failures(missing)}

    def stop_one(self, members: Mapping[str, Any]) -> Json:
        """Answer StopTask."""
        task = self._find(self._world.cluster(members.get("cluster")), members.get("task") or "")
        if task is None:
            raise invalid("The referenced task was not found.")
        self.stop(task, members.get("reason") or "Task stopped by user", "UserInitiated")
        return {"task": show.task(task)}

    def _find(self, cluster: Cluster, given: str) -> Task | None:
        name = given.rpartition("/")[2]
        return next((one for arn, one in cluster.tasks.items() if arn.rpartition("/")[2] == name), None)

    # -- a task's life -----------------------------------------------------------------------------

    def _make(self, cluster: Cluster, definition: Json, group: str, settings: Mapping[str, Any]) -> Task:
        now, number = self._world.now(), self._world.number()
        arn = self._world.place.arn(f"task/{cluster.name}/{number:032x}")
        containers = [
            {"taskArn": arn, "name": one["name"], "image": one["image"], "lastStatus": "PENDING"}
            for one in definition["containerDefinitions"]
        ]
        launch = settings.get("launchType", "EC2")
        task = Task(arn, cluster, definition["taskDefinitionArn"], group, now, containers, launch)
        task.overrides = dict(settings.get("overrides") or {"containerOverrides": []})
        cluster.tasks[arn] = task
        return task

    def _resolve(self, deployment: Deployment, definition: Json) -> None:
        """Fix the digests of a deployment when its first task begins."""
        if not deployment.revision.images:
            for container in definition["containerDefinitions"]:
                known = {"containerName": container["name"], "image": container["image"]}
                digest = self._world.images.digest(container["image"])
                deployment.revision.images.append({**known, **({"imageDigest": digest} if digest else {})})

    def _live(self, task: Task) -> None:
        """Have everything happen that will, unless somebody stops the task before."""
        definition = self._definitions.find(task.definition) or {}
        given = {
            one.get("name"): one.get("command") or [] for one in task.overrides.get("containerOverrides", [])
        }
        lives: list[tuple[Json, Behaviour]] = []
        for shown, described in zip(task.containers, definition["containerDefinitions"], strict=True):
            command: Sequence[str] = given.get(shown["name"], [])
            lives.append((shown, self._world.images.of(self._image(task, shown), command)))
            if described.get("healthCheck"):
                shown["healthStatus"] = "UNKNOWN"
        kinds = {life.kind for _, life in lives}
        after = self._world.after
        after(0.5, lambda: self._status(task, "PENDING"))
        for shown, life in lives:
            if life.kind == "missing":
                after(1.0, partial(self._cannot_pull, task, shown))
            elif life.kind == "crash":
                after(life.start_seconds, partial(self._exit, task, shown, life))
        if kinds.isdisjoint({"missing", "never", "crash"}):
            started = max(life.start_seconds for _, life in lives)
            after(started, lambda: self._up(task, lives))

    def _image(self, task: Task, container: Json) -> str:
        """Return the image that a container runs: what its deployment has resolved the tag to."""
        images = task.deployment.revision.images if task.deployment else []
        resolved = next((one for one in images if one["containerName"] == container["name"]), {})
        digest = resolved.get("imageDigest") or self._world.images.digest(container["image"])
        if digest:
            container["imageDigest"] = digest
        return f"{container['image'].partition('@')[0]}@{digest}" if digest else str(container["image"])

    def _status(self, task: Task, status: str) -> None:
        if task.live and task.status == "PROVISIONING":
            task.status = status

    def _up(self, task: Task, lives: Sequence[tuple[Json, Behaviour]]) -> None:
        if not task.live:
            return
        task.status, task.started = "RUNNING", self._world.now()
        task.well = all(life.kind != "unhealthy" for _, life in lives)
        for shown, life in lives:
            shown["lastStatus"] = "RUNNING"
            if life.kind in {"crash_later", "job"}:
                self._world.after(life.run_seconds, partial(self._exit, task, shown, life))
            elif life.kind == "unhealthy":
                self._world.after(life.run_seconds, partial(self._unhealthy, task, shown))
            elif "healthStatus" in shown:
                shown["healthStatus"] = task.health = "HEALTHY"
        self.changed(task)

    def _unhealthy(self, task: Task, container: Json) -> None:
        if task.live:
            container["healthStatus"] = task.health = "UNHEALTHY"
            self.changed(task)
            self.stop(task, "Task failed container health checks")

    def _exit(self, task: Task, container: Json, life: Behaviour) -> None:
        if task.status != "STOPPED":
            container["exitCode"] = life.exit_code
            self._end(task, "EssentialContainerExited", EXITED)

    def _cannot_pull(self, task: Task, container: Json) -> None:
        if task.live:
            text = f"CannotPullContainerError: failed to resolve ref {container['image']}: not found"
            container["reason"] = text
            self._end(task, "TaskFailedToStart", text)

    def _end(self, task: Task, code: str, reason: str) -> None:
        if task.status == "STOPPED":
            return
        if task.desired == "RUNNING":  # nobody has asked for it
            task.stop_code, task.reason = code, reason
        now = self._world.now()
        task.status, task.desired, task.stopped = "STOPPED", "STOPPED", now
        task.stopping = task.stopping or now
        for container in task.containers:
            container["lastStatus"] = "STOPPED"
        self._world.after(KEPT, partial(_forget, task))
        self.changed(task)


def _forget(task: Task) -> None:
    task.cluster.tasks.pop(task.arn, None)
