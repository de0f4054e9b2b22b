"""An emulator of ECS made strict: what it does not check, keep or answer is added on the way to it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from deployer.targets.swarm.memory.objects import copied
from lab.ecs import rules
from lab.ecs.faults import Faults
from lab.ecs.front import watched
from lab.ecs.front.lossless import Lossless, Send
from lab.ecs.front.watched import Watch
from lab.ecs.memory import show
from lab.ecs.pages import page
from lab.ecs.quotas import Buckets
from lab.ecs.records import Json
from lab.ecs.refusal import Refusal, client, invalid

STOP_SECONDS = 20.0  # until a task of a deployment that is to be stopped has failed
_BREAKER = {"enable": True, "rollback": True, "thresholdConfiguration": {"type": "COUNT", "value": 1}}
_TRIPS = {"deploymentCircuitBreaker": _BREAKER}
# Lists that the emulator gives out whole, or by pages with other tokens.
_LISTS = {"ListServices": "serviceArns", "ListTasks": "taskArns", "ListClusters": "clusterArns"}


class Strict:
    """Everything between clients and the emulator.

    Args:
        send: sends a request to the emulator.
        clock: tells the time in seconds since 1970.
    """

    def __init__(self, send: Send, clock: Callable[[], float] = time.time) -> None:
        self._send = send
        self._clock = clock
        self.watch = Watch()
        self.faults = Faults()
        self.quotas = False
        self._buckets = Buckets()
        self._runs: dict[str, tuple[Json, Json]] = {}  # by client token: request and answer
        self._seen: dict[str, list[tuple[float, Json]]] = {}  # services by ARN, for late readers
        self._lock = threading.RLock()
        definitions = Lossless(send)
        self._answers: dict[str, Callable[[Json], Json]] = {
            "RegisterTaskDefinition": definitions.register,
            "DescribeTaskDefinition": definitions.describe,
            "DeregisterTaskDefinition": definitions.deregister,
            "CreateService": self._create,
            "UpdateService": self._update,
            "DescribeServices": self._describe_services,
            "RunTask": self._run,
            "TagResource": self._tag,
            "ListServiceDeployments": self._list_fates,
            "DescribeServiceDeployments": self._describe_fates,
            "DescribeServiceRevisions": self._describe_revisions,
            "StopServiceDeployment": self._stop,
        }

    def request(self, action: str, members: Json) -> Json:
        """Carry out one request.

        Raises:
            Refusal: ECS would not.
            TemporaryError: the request or its answer was to be lost.
        """
        # One at a time: of two updates at the same moment the emulator has made two PRIMARY deployments.
        with self._lock:
            if self.quotas:
                self._buckets.take(action, self._clock())
            self.faults.judge(
                action, str(members.get("service") or members.get("family") or "*"), "", members
            )
            self.faults.meet(action, members)
            rules.check(action, members)
            answer = self._answer(action, members)
            self.faults.meet(action, members, done=True)
        return answer

    def _answer(self, action: str, members: Json) -> Json:
        if action in _LISTS:
            name = _LISTS[action]
            kept = {key: value for key, value in members.items() if key not in {"maxResults", "nextToken"}}
            return page(action, members, name, self._whole(action, name, kept))
        known = self._answers.get(action)
        return known(members) if known else self._send(action, members)

    def _whole(self, action: str, name: str, members: Json) -> list[Any]:
        found: list[Any] = []
        token: Json = {}
        while True:
            answer = self._send(action, {**members, **token})
            found += answer.get(name, [])
            if not answer.get("nextToken"):
                return found
            token = {"nextToken": answer["nextToken"]}

    # -- services ----------------------------------------------------------------------------------

    def _create(self, members: Json) -> Json:
        answer = self._send("CreateService", members)
        self._began(answer["service"])
        return answer

    def _update(self, members: Json) -> Json:
        before = self._service(members)
        kind = (before.get("deploymentController") or {}).get("type", "ECS")
        if before.get("status") != "ACTIVE":
            raise Refusal("ServiceNotActiveException", "Service was not ACTIVE.")
        if "taskDefinition" in members:
            if kind != "ECS":
                raise invalid(
                    f"Unable to update task definition on services with a {kind} deployment controller."
                )
            found = self._send("DescribeTaskDefinition", {"taskDefinition": members["taskDefinition"]})
            if found["taskDefinition"].get("status") != "ACTIVE":
                raise client("TaskDefinition is inactive")
        self._note(before)
        answer = self._send("UpdateService", members)
        self._began(answer["service"])
        self._note(answer["service"])
        return {**answer, "service": self._completed(answer["service"])}

    def _service(self, members: Mapping[str, Any]) -> Json:
        name = str(members.get("service", "")).rpartition("/")[2]
        given = {"cluster": members.get("cluster", "default"), "services": [name]}
        found = self._send("DescribeServices", given).get("services", [])
        if not found:
            raise Refusal("ServiceNotFoundException", "Service not found.")
        return dict(found[0])

    def _describe_services(self, members: Json) -> Json:
        answer = self._send("DescribeServices", members)
        shown = []
        for service in answer.get("services", []):
            self._nudge(service)
            self._note(service)
            then = self._then(service)
            if "TAGS" in members.get("include", []):
                then["tags"] = service.get("tags", [])
            shown.append(then)
        return {**answer, "services": shown}

    def _nudge(self, service: Json) -> None:
        """Have the emulator look after a deployment that it forgets.

        It does when a task of the former one, which took up the room for a new one, ends.
        """
        primary = watched.primary_of(service) or {}
        busy = int(primary.get("runningCount", 0)) + int(primary.get("pendingCount", 0))
        if primary.get("rolloutState") == "IN_PROGRESS" and busy < service["desiredCount"]:
            again = {"cluster": service["clusterArn"], "service": service["serviceArn"]}
            self._send("UpdateService", {**again, "desiredCount": service["desiredCount"]})

    def _began(self, service: Json) -> None:
        primary = watched.primary_of(service)
        if primary:
            read = self._send("DescribeTaskDefinition", {"taskDefinition": primary["taskDefinition"]})
            containers = [
                {"name": one["name"], "image": one["image"]}
                for one in read["taskDefinition"]["containerDefinitions"]
            ]
            self.watch.began(service, containers, self._clock())

    def _note(self, service: Json) -> None:
        """Look at a service that passes, and keep it for those who are to see it late."""
        now = self._clock()
        self.watch.see(service, now)
        seen = self._seen.setdefault(service["serviceArn"], [])
        seen.append((now, self._completed(service)))
        del seen[:-200]

    def _then(self, service: Json) -> Json:
        """Return a service as it was as long ago as answers are late."""
        seen, until = self._seen[service["serviceArn"]], self._clock() - self.faults.stale_seconds
        old = [shown for at, shown in seen if at <= until]
        then = (old or [seen[0][1]])[-1] if self.faults.stale_seconds else seen[-1][1]
        return dict(copied(then))

    def _completed(self, service: Json) -> Json:
        """Return a service with what the emulator does not tell."""
        shown: Json = {name: copied(value) for name, value in service.items() if name != "tags"}
        fates = self.watch.of(service["serviceArn"])
        if fates and fates[0].finished is None:
            shown["currentServiceDeployment"] = fates[0].arn
        listed = {one["id"] for one in service.get("deployments", [])}
        current = [one for one in fates if one.deployment in listed]
        shown["currentServiceRevisions"] = [{"arn": one.revision} for one in current]
        return shown

    # -- tasks, tags -------------------------------------------------------------------------------

    def _run(self, members: Json) -> Json:
        token = members.get("clientToken")
        if token in self._runs:
            before, answer = self._runs[token]
            if before != members:
                raise Refusal("ConflictException", "clientToken was used with other parameters.")
            return answer
        answer = self._send("RunTask", members)
        if token:
            self._runs[token] = (copied(members), answer)
        return answer

    def _tag(self, members: Json) -> Json:
        known = self._send("ListTagsForResource", {"resourceArn": members.get("resourceArn")}).get("tags", [])
        names = {tag["key"] for tag in [*known, *members.get("tags", [])]}
        if len(names) > rules.MAX_TAGS:
            raise invalid(f"The number of tags must not exceed {rules.MAX_TAGS}.")
        return self._send("TagResource", members)

    # -- service deployments -----------------------------------------------------------------------

    def _list_fates(self, members: Json) -> Json:
        service = self._service(members)
        self._began(service)  # one that was there before we were
        self._note(service)
        wanted = members.get("status")
        found = [
            watched.brief(one)
            for one in self.watch.of(service["serviceArn"])
            if not wanted or one.status in wanted
        ]
        return page("ListServiceDeployments", members, "serviceDeployments", found)

    def _describe_fates(self, members: Json) -> Json:
        known = {arn: self.watch.find(arn) for arn in members["serviceDeploymentArns"]}
        for one in known.values():
            if one:
                cluster, name = one.service.split("/")[-2:]
                self._note(self._service({"cluster": cluster, "service": name}))
        found = [watched.full(one) for one in known.values() if one]
        missing = [arn for arn, one in known.items() if one is None]
        return {"serviceDeployments": found, "failures": show.failures(missing)}

    def _describe_revisions(self, members: Json) -> Json:
        known = {arn: self.watch.find(arn) for arn in members["serviceRevisionArns"]}
        found = [watched.revision(one, self._digests(one)) for one in known.values() if one]
        missing = [arn for arn, one in known.items() if one is None]
        return {"serviceRevisions": found, "failures": show.failures(missing)}

    def _digests(self, one: watched.Watched) -> dict[str, str]:
        """Return the digests that tasks of a service deployment run, by container."""
        cluster, name = one.service.split("/")[-2:]
        found: dict[str, str] = {}
        for status in ("RUNNING", "STOPPED"):
            given = {"cluster": cluster, "serviceName": name, "desiredStatus": status}
            arns = self._send("ListTasks", given).get("taskArns", [])[:100]
            tasks = self._send("DescribeTasks", {"cluster": cluster, "tasks": arns}) if arns else {}
            for task in tasks.get("tasks", []):
                if task.get("taskDefinitionArn") == one.definition:
                    found |= {c["name"]: c["imageDigest"] for c in task["containers"] if c.get("imageDigest")}
        return found

    def _stop(self, members: Json) -> Json:
        arn = str(members.get("serviceDeploymentArn"))
        known = self.watch.find(arn)
        if known:
            cluster, name = known.service.split("/")[-2:]
            self._note(self._service({"cluster": cluster, "service": name}))
        one = self.watch.stoppable(arn)
        # Only the emulator's circuit breaker goes back to a deployment as it was, digests and all: it is
        # switched on until it has tripped over the next task that fails.
        here: Json = {"cluster": cluster, "service": name}
        config = self._service(here).get("deploymentConfiguration") or {}
        self._send("UpdateService", {**here, "deploymentConfiguration": {**config, **_TRIPS}})
        until = self._clock() + STOP_SECONDS
        while (watched.primary_of(self._service(here)) or {}).get("id") == one.deployment:
            if self._clock() > until:
                raise Refusal("ServerException", "The emulator goes back from failing tasks alone.", 500)
            time.sleep(0.05)
        self._send("UpdateService", {**here, "deploymentConfiguration": config})
        one.status, one.reason = "ROLLBACK_IN_PROGRESS", "Rollback requested by the user."
        return {"serviceDeploymentArn": one.arn}
