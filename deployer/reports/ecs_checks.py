"""Checks of ECS: the clusters are there, and AWS lets us do with them what we do.

Nothing is changed: permissions are tried with requests that ECS refuses because of what they name, and for
lack of permission before that.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from deployer.errors import AccessDeniedError, BusyError, DeployerError, NotFoundError, TemporaryError
from deployer.model.label_names import SCHEDULES
from deployer.model.service import Service
from deployer.reports.finding import Finding, Findings
from deployer.rollouts.ledger import Ledger
from deployer.rollouts.ledger.loss import contents
from deployer.rollouts.ports import Target

NOTHING = "deployer-doctor-asks"  # a service and a family that nobody has
NO_REVISION = 2_000_000_000
MAX_NAMED = 5  # services that a row lists
_PARTITIONS = (("cn-", "aws-cn"), ("us-gov-", "aws-us-gov"))


class Scheduled(Target, Protocol):
    """A target whose services bring schedules along."""

    def schedule_problems(self, service: Service) -> Sequence[tuple[str, str]]:
        """Return each schedule of a service that cannot follow it, and why."""


class Api(Protocol):
    """ECS in one region, with the credentials of one account."""

    @property
    def region(self) -> str:
        """The AWS region."""

    @property
    def account(self) -> str | None:
        """The number of the account, None for that of our own credentials."""

    def call(self, action: str, /, **members: Any) -> dict[str, Any]:
        """Send one request and return its answer."""


@dataclass(frozen=True)
class Place:
    """A cluster with its API.

    Args:
        shown: the cluster as people know it.
        name: the cluster's.
        api: of its region and account.
        ours: the account of our own credentials.
    """

    shown: str
    name: str
    api: Api
    ours: str = "*"

    def arn(self, kind: str, rest: str) -> str:
        """Return an ARN of ECS in the cluster's region and account."""
        partition = next((name for start, name in _PARTITIONS if self.api.region.startswith(start)), "aws")
        return f"arn:{partition}:ecs:{self.api.region}:{self.api.account or self.ours}:{kind}/{rest}"


@dataclass(frozen=True)
class Trial:
    """A permission: a request that tells whether we have it, and the resource that a policy names."""

    action: str
    members: Mapping[str, Any]
    resource: str
    condition: Mapping[str, Any] | None = None


def cluster(place: Place) -> Findings:
    """Check whether a cluster can be read, and that each action of ours is allowed there."""
    row = f"ECS {place.shown}"
    try:
        first = place.api.call("ListServices", cluster=place.name, maxResults=100)["serviceArns"]
    except AccessDeniedError:
        first = []  # the trials say so
    except DeployerError as fault:
        known = "let this worker reach ECS (network, proxy)" if isinstance(fault, TemporaryError) else ""
        fix = known or "correct DEPLOYER_ECS_CLUSTERS, AWS_REGION or the role of DEPLOYER_ASSUME_ROLES"
        yield Finding(row, "fail", str(fault), fix)
        return
    yield Finding(row, "ok", f"{len(first)}{'+' if len(first) == 100 else ''} services")
    tried = list(trials(place, first))
    wrong = [finding for trial in tried if (finding := _tried(row, place.api, trial))]
    yield from wrong or [Finding(f"{row}: permissions", "ok", f"all {len(tried)} actions are allowed")]


def trials(place: Place, services: Sequence[str]) -> Iterator[Trial]:
    """Yield what to try: each action of the worker, with members that cannot be carried out."""
    service = services[0] if services else NOTHING
    family = _family(place.api, place.name, services) or NOTHING
    revision, deployment = (
        f"{family}:{NO_REVISION}",
        place.arn("service-deployment", f"{place.name}/{NOTHING}/x"),
    )
    here = {"cluster": place.name}
    in_cluster = {"ArnEquals": {"ecs:cluster": place.arn("cluster", place.name)}}
    mine, families = place.arn("service", f"{place.name}/*"), place.arn("task-definition", "*:*")
    deployments = place.arn("service-deployment", f"{place.name}/*")
    yield Trial("ListServices", {**here, "maxResults": 1}, "*", in_cluster)
    yield Trial("DescribeServices", {**here, "services": [service]}, mine)
    yield Trial("UpdateService", {**here, "service": NOTHING, "taskDefinition": revision}, mine)
    yield Trial("ListServiceDeployments", {**here, "service": service, "maxResults": 1}, mine)
    yield Trial("DescribeServiceDeployments", {"serviceDeploymentArns": [deployment]}, deployments)
    yield Trial("StopServiceDeployment", {"serviceDeploymentArn": deployment}, deployments)
    of_service = place.arn("service-revision", f"{place.name}/*")
    asked = {"serviceRevisionArns": [place.arn("service-revision", f"{place.name}/{NOTHING}/1")]}
    yield Trial("DescribeServiceRevisions", asked, of_service)
    yield Trial("ListTasks", {**here, "maxResults": 1}, "*", in_cluster)
    tasks = {**here, "tasks": [place.arn("task", f"{place.name}/{'0' * 32}")]}
    yield Trial("DescribeTasks", tasks, "*", in_cluster)
    yield Trial("DescribeTaskDefinition", {"taskDefinition": revision}, "*")
    yield Trial("ListTaskDefinitions", {"familyPrefix": family, "maxResults": 1}, "*")
    yield Trial("DeregisterTaskDefinition", {"taskDefinition": revision}, "*")
    yield Trial("RegisterTaskDefinition", {"family": family, "containerDefinitions": []}, families)
    tag = {"resourceArn": place.arn("task-definition", revision), "tags": [{"key": NOTHING, "value": ""}]}
    yield Trial("TagResource", tag, families)
    yield Trial("RunTask", {**here, "taskDefinition": revision}, families, in_cluster)


def _family(api: Api, name: str, services: Sequence[str]) -> str | None:
    """Return the family of a service's task definition: policies may be for some families only."""
    try:
        found = api.call("DescribeServices", cluster=name, services=list(services[:1])) if services else {}
    except DeployerError:
        return None
    arn = next((str(one.get("taskDefinition", "")) for one in found.get("services") or ()), "")
    return arn.rpartition("/")[2].partition(":")[0] or None


def _tried(row: str, api: Api, trial: Trial) -> Finding | None:
    check = f"{row}: ecs:{trial.action}"
    try:
        api.call(trial.action, **trial.members)
    except AccessDeniedError as fault:
        return Finding(check, "fail", str(fault), f"add to the role's policy: {statement(trial)}")
    except TemporaryError as fault:
        return Finding(check, "warn", f"not tried: {fault}", "run `deployer doctor` again")
    except DeployerError:
        pass  # it was not for lack of permission
    return None


def statement(trial: Trial) -> str:
    """Return the statement of a policy that allows an action."""
    found: dict[str, Any] = {
        "Effect": "Allow",
        "Action": f"ecs:{trial.action}",
        "Resource": trial.resource,
    }
    if trial.condition:
        found["Condition"] = trial.condition
    return json.dumps(found)


def services(target: Target) -> Findings:
    """Tell which services are ours and cannot be deployed to."""
    try:
        found = target.services()
    except DeployerError as fault:
        yield Finding("ECS: services", "fail", str(fault), "see the rows above")
        return
    if not found:
        fix = "give one a docker label or tag `deployer.enable=true`, or set DEPLOYER_ECS_OPT_IN=false"
        yield Finding("ECS: services", "warn", "none is ours", fix)
    wrong = [f"{one.name} ({one.untouchable})" for one in found if one.untouchable]
    if wrong:
        shown = "; ".join(wrong[:MAX_NAMED]) + (
            f" and {len(wrong) - MAX_NAMED} more" if wrong[MAX_NAMED:] else ""
        )
        fix = "they are left alone: change them, or take the deployer's labels and tags from them"
        yield Finding("ECS: services", "warn", shown, fix)


def schedules(target: Scheduled) -> Findings:
    """Tell which schedules cannot follow their services."""
    try:
        found = [one for one in target.services() if SCHEDULES in one.labels]
        wrong = [(one.name, *problem) for one in found for problem in target.schedule_problems(one)]
    except DeployerError:
        return  # `services` has said it
    for service, name, why in wrong:
        fix = f"correct its label {SCHEDULES}, or allow the role to read it (docs/ecs.md)"
        yield Finding(f"schedule {name} of {service}", "fail", why, fix)
    if found and not wrong:
        yield Finding("ECS: schedules", "ok", f"those of {len(found)} services can follow them")


class Counted(Protocol):
    """A ledger of ECS."""

    def ledger(self) -> Ledger:
        """Read it."""

    def claim(self, unit_id: str, seen: int) -> int:
        """Take the next number of a unit."""


def ledger(store: Counted, table: str | None) -> Findings:
    """Check whether the ledger can be read and written; nothing is written."""
    if table is None:
        found = "none is set: no holds, no DEPLOYER_MAX_ROLLOUTS, and two workers may write one service"
        yield Finding(
            "ECS ledger", "warn", found, "set DEPLOYER_ECS_LEDGER to a DynamoDB table (docs/ecs.md)"
        )
        return
    for action, ask in _of_ledger(store):
        try:
            told = ask()
        except (AccessDeniedError, NotFoundError) as fault:
            allow = {"Effect": "Allow", "Action": action, "Resource": f"arn:aws:dynamodb:*:*:table/{table}"}
            fix = f"add to the role's policy: {json.dumps(allow)}"
            yield Finding(f"ECS ledger: {action}", "fail", str(fault), fix)
        except DeployerError as fault:
            yield Finding("ECS ledger", "fail", str(fault), "correct DEPLOYER_ECS_LEDGER")
            return
        else:
            yield Finding(f"ECS ledger: {action}", "ok", told)


def _of_ledger(store: Counted) -> Iterator[tuple[str, Callable[[], str]]]:
    def put() -> str:
        with suppress(BusyError):
            store.claim(NOTHING, NO_REVISION)  # nobody has written the one before
        return "allowed"

    yield "dynamodb:GetItem", lambda: contents(store.ledger()) or "readable; nothing is held"
    yield "dynamodb:PutItem", put


def pass_role(iam: Any, role: str, passed: Sequence[str]) -> Finding:
    """Check whether a role may pass the roles of our tasks to ECS.

    Args:
        iam: a boto3 client.
        role: the ARN of the worker's user or role, also as STS tells it.
        passed: the ARNs of the task and execution roles.
    """
    row = "iam:PassRole"
    role = re.sub(r":sts:(.*):assumed-role/([^/]+)/.*", r":iam:\1:role/\2", role)
    context = {
        "ContextKeyName": "iam:PassedToService",
        "ContextKeyType": "string",
        "ContextKeyValues": ["ecs-tasks.amazonaws.com"],
    }
    try:
        answer = iam.simulate_principal_policy(
            PolicySourceArn=role, ActionNames=[row], ResourceArns=list(passed), ContextEntries=[context]
        )
    except Exception as fault:  # noqa: BLE001 - it is a bonus, whatever botocore raises
        found = f"not tried ({type(fault).__name__}); a roll-out that lacks it names the role"
        return Finding(row, "ok", found)
    results = answer["EvaluationResults"]
    denied = sorted(one["EvalResourceName"] for one in results if one["EvalDecision"] != "allowed")
    if not denied:
        return Finding(row, "ok", f"allowed for {len(passed)} roles")
    wanted = {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}
    allow = {"Effect": "Allow", "Action": row, "Resource": denied, "Condition": wanted}
    return Finding(
        row, "fail", f"denied for {', '.join(denied)}", f"add to the role's policy: {json.dumps(allow)}"
    )
