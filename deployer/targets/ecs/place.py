"""One cluster, asked in the words of the target: its services, revisions, deployments and tasks."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deployer.errors import AccessDeniedError, TemporaryError
from deployer.targets.ecs import tags
from deployer.targets.ecs.cluster import Cluster
from deployer.targets.ecs.names import family_of, last, seconds
from deployer.targets.ecs.schedules import Schedules
from deployer.targets.ecs.service import Raw, Revision
from deployer.targets.ecs.wire.api import Api, Refused

log = logging.getLogger(__name__)

AT_ONCE = 10  # services that one DescribeServices takes
MOST_REVISIONS = 20  # that one DescribeServiceRevisions takes
MOST_TASKS = 100  # that one DescribeTasks takes
KEPT_REVISIONS = 2000
_UNKNOWN = {"UnsupportedFeatureException", "InvalidAction"}


@dataclass
class Cache:
    """Revisions of task definitions: their content never changes, their tags do but rarely."""

    _revisions: OrderedDict[str, Revision] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, arn: str) -> Revision | None:
        """Return a revision as it was last seen."""
        return self._revisions.get(arn)

    def put(self, revision: Revision) -> Revision:
        """Keep a revision."""
        with self._lock:
            self._revisions[revision.arn] = revision
            self._revisions.move_to_end(revision.arn)
            while len(self._revisions) > KEPT_REVISIONS:
                self._revisions.popitem(last=False)
        return revision


@dataclass(frozen=True)
class Place:
    """One cluster of one account and region."""

    cluster: Cluster
    api: Api
    prefix: str = ""  # of its services' names; empty where it is the only cluster
    cache: Cache = field(default_factory=Cache)
    schedules: Schedules | None = None

    def name_of(self, raw: Raw) -> str:
        """Return the name of a service, as people call it here."""
        name = str(raw.get("serviceName") or last(str(raw["serviceArn"])))
        return f"{self.prefix}/{name}" if self.prefix else name

    # -- services

    def service_arns(self) -> list[str]:
        """Return the ARNs of all services."""
        return [str(arn) for arn in self._pages("ListServices", "serviceArns", maxResults=100)]

    def services(self, names: Sequence[str]) -> list[Raw]:
        """Return services by names or ARNs, those that there are."""
        found: list[Raw] = []
        for start in range(0, len(names), AT_ONCE):
            answer = self.api.call(
                "DescribeServices",
                cluster=self.cluster.name,
                services=list(names[start : start + AT_ONCE]),
                include=["TAGS"],
            )
            found += answer.get("services") or ()
        return found

    def service(self, name: str) -> Raw | None:
        """Return one service, None if there is none."""
        return next(iter(self.services([name])), None)

    def update(self, name: str, arn: str) -> Raw:
        """Point a service to a revision, and change nothing else of it."""
        answer = self.api.call("UpdateService", cluster=self.cluster.name, service=name, taskDefinition=arn)
        updated: Raw = answer.get("service") or {}
        return updated

    # -- revisions of task definitions

    def revision(self, arn: str, *, fresh: bool = True) -> Revision:
        """Return a revision with its tags.

        Args:
            arn: its ARN, or `family:revision`.
            fresh: whether its tags and status have to be those of now.
        """
        known = None if fresh else self.cache.get(arn)
        if known:
            return known
        answer = self.api.call("DescribeTaskDefinition", taskDefinition=arn, include=["TAGS"])
        return self._kept(answer)

    def _kept(self, answer: Mapping[str, Any]) -> Revision:
        raw = answer["taskDefinition"]
        return self.cache.put(Revision(str(raw["taskDefinitionArn"]), raw, tags.read(answer.get("tags"))))

    def family(self, family: str) -> Iterator[str]:
        """Yield the ARNs of the revisions of a family to which a service may be pointed, newest first."""
        # The prefix of a family begins other families' names, too.
        for arn in self._pages(
            "ListTaskDefinitions", "taskDefinitionArns", familyPrefix=family, status="ACTIVE", sort="DESC"
        ):
            if family_of(str(arn)) == family:
                yield str(arn)

    def newest(self, family: str) -> Revision | None:
        """Return the newest revision of a family to which a service may be pointed."""
        return next((self.revision(arn) for arn in self.family(family)), None)

    def running(self, family: str) -> set[str]:
        """Return the revisions of a family of which tasks run in the cluster, a service's or others."""
        arns = list(self._pages("ListTasks", "taskArns", cluster=self.cluster.name, family=family))
        found: set[str] = set()
        for start in range(0, len(arns), MOST_TASKS):
            some = arns[start : start + MOST_TASKS]
            answer = self.api.call("DescribeTasks", cluster=self.cluster.name, tasks=some)
            found |= {str(one["taskDefinitionArn"]) for one in answer.get("tasks") or ()}
        return found

    def register(self, members: Mapping[str, Any], tagged: Mapping[str, str]) -> Revision:
        """Register a revision and return what ECS has made of it."""
        return self._kept(self.api.call("RegisterTaskDefinition", **members, tags=tags.write(tagged)))

    def deregister(self, arn: str) -> None:
        """Take a revision out of use."""
        self.api.call("DeregisterTaskDefinition", taskDefinition=arn)

    def tag(self, revision: Revision, more: Mapping[str, str]) -> Revision:
        """Write tags over those of a revision."""
        self.api.call("TagResource", resourceArn=revision.arn, tags=tags.write(more))
        return self.cache.put(Revision(revision.arn, revision.raw, {**revision.tags, **more}))

    # -- deployments

    def fates(self, service: str) -> list[Raw]:
        """Return the service deployments of a service, the newest first, as a list has them.

        Empty where ECS, or an emulator of it, keeps none.
        """
        try:
            answer = self.api.call(
                "ListServiceDeployments", cluster=self.cluster.name, service=service, maxResults=100
            )
        except Refused as fault:
            if fault.code in _UNKNOWN:
                return []  # the list of deployments in the service's description has to do
            raise
        found = list(answer.get("serviceDeployments") or ())
        return sorted(found, key=lambda one: seconds(one.get("createdAt")), reverse=True)

    def fate(self, arn: str) -> Raw:
        """Return a service deployment in full; empty if there is none."""
        answer = self.api.call("DescribeServiceDeployments", serviceDeploymentArns=[arn])
        return next(iter(answer.get("serviceDeployments") or ()), {})

    def service_revisions(self, arns: Sequence[str]) -> list[Raw]:
        """Return service revisions, as many of the first as one request takes."""
        if not arns:
            return []
        answer = self.api.call(
            "DescribeServiceRevisions", serviceRevisionArns=list(dict.fromkeys(arns))[:MOST_REVISIONS]
        )
        return list(answer.get("serviceRevisions") or ())

    def stop(self, arn: str) -> None:
        """Have ECS roll back a service deployment; it refuses if another one has taken its place."""
        self.api.call("StopServiceDeployment", serviceDeploymentArn=arn, stopType="ROLLBACK")

    # -- tasks

    def run(self, **members: Any) -> Raw:
        """Run one task by these members of RunTask, and return it.

        Raises:
            TemporaryError: ECS finds no place for it now.
        """
        answer = self.api.call("RunTask", cluster=self.cluster.name, count=1, **members)
        for task in answer.get("tasks") or ():
            started: Raw = task
            return started
        why = next((str(one.get("reason")) for one in answer.get("failures") or ()), "no reason given")
        raise TemporaryError(f"ECS cannot start a task in cluster {self.cluster.name}: {why}")

    def started_by(self, who: str) -> list[Raw]:
        """Return the tasks that somebody has started, those of the last hour too."""
        cluster, arns = self.cluster.name, list[str]()
        for status in ("RUNNING", "STOPPED"):
            answer = self.api.call("ListTasks", cluster=cluster, startedBy=who, desiredStatus=status)
            arns += answer.get("taskArns") or []
        if not arns:
            return []
        found = self.api.call("DescribeTasks", cluster=cluster, tasks=arns[:MOST_TASKS])
        return list(found.get("tasks") or ())

    def tasks(self, service: str, status: str) -> list[Raw]:
        """Return tasks of a service, at most a hundred of them; none without permission to see them.

        They tell why a deployment failed. Whether it did is known without them.

        Args:
            service: its name or ARN.
            status: RUNNING for those that should run, STOPPED for those of the last hour.
        """
        cluster = self.cluster.name
        # ListTasks takes names alone.
        asked = {"serviceName": last(service), "desiredStatus": status, "maxResults": MOST_TASKS}
        try:
            arns = self.api.call("ListTasks", cluster=cluster, **asked).get("taskArns") or []
            found = self.api.call("DescribeTasks", cluster=cluster, tasks=arns) if arns else {}
        except AccessDeniedError as fault:
            log.warning("The tasks of service %s are not known: %s", last(service), fault)
            return []
        return list(found.get("tasks") or ())

    def _pages(self, action: str, member: str, **members: Any) -> Iterator[Any]:
        if action == "ListServices":
            members["cluster"] = self.cluster.name
        token: dict[str, Any] = {}
        while True:
            answer = self.api.call(action, **members, **token)
            yield from answer.get(member) or ()
            if not answer.get("nextToken"):
                return
            token = {"nextToken": answer["nextToken"]}
