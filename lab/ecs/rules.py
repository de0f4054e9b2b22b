"""ECS's rules about requests that need no state: limits of names, the grammar of tags. Pure.

The emulator checks none of them. `FakeEcs` and the front before the emulator both ask here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from lab.ecs.names import FAMILY
from lab.ecs.pages import SIZES, size_of
from lab.ecs.refusal import client, invalid

MAX_TAGS = 50
_TAG = re.compile(r"[\w\s+\-=.:/@]*")  # letters and numbers of any language, and what AWS's API_Tag lists
# Members of an answer to DescribeTaskDefinition that a request must not have.
READ_ONLY = frozenset(
    [
        "compatibilities",
        "deleteRequestedAt",
        "deregisteredAt",
        "registeredAt",
        "registeredBy",
        "requiresAttributes",
        "revision",
        "status",
        "taskDefinitionArn",
    ]
)
# How many names a request may have.
_NAMES = {
    "DescribeClusters": ("clusters", 100),
    "DescribeServices": ("services", 10),
    "DescribeTasks": ("tasks", 100),
    "DescribeServiceDeployments": ("serviceDeploymentArns", 20),
    "DescribeServiceRevisions": ("serviceRevisionArns", 20),
}


def check(action: str, members: Mapping[str, Any]) -> None:
    """Refuse a request that ECS would refuse whatever there is.

    Raises:
        Refusal: with the code and the kind of message that ECS has.
    """
    if action in _NAMES:
        _check_names(*_NAMES[action], members)
    if action in SIZES:
        size_of(action, members)
    if "tags" in members:
        check_tags(members["tags"])
    if action in _CHECKS:
        _CHECKS[action](members)


def check_tags(tags: Any) -> None:
    """Refuse tags that AWS refuses: too many, too long, or with a character that it does not allow."""
    if len(tags) > MAX_TAGS:
        raise invalid(f"The number of tags must not exceed {MAX_TAGS}.")
    keys = [tag.get("key", "") for tag in tags]
    if len({*keys}) != len(keys):
        raise invalid("Duplicate tag keys found.")
    for tag in tags:
        key, value = tag.get("key", ""), tag.get("value", "")
        if not 1 <= len(key) <= 128 or not _TAG.fullmatch(key):
            raise invalid(f"Tag keys have 1 to 128 letters, numbers, spaces or + - = . _ : / @: {key!r}.")
        if key.lower().startswith("aws:"):
            raise invalid(f"Tag keys must not start with aws: {key!r}.")
        if len(value) > 256 or not _TAG.fullmatch(value):
            text = "Tag values have up to 256 letters, numbers, spaces or + - = . _ : / @"
            raise invalid(f"{text}: {value!r}.")


def _check_names(member: str, most: int, members: Mapping[str, Any]) -> None:
    names = members.get(member) or []
    if len(names) > most:
        raise invalid(f"{member} can have at most {most} items.")
    if not names and member != "clusters":
        raise invalid(f"{member} can not be empty.")


def _check_register(members: Mapping[str, Any]) -> None:
    known = READ_ONLY.intersection(members)
    if known:
        raise client(f"Unexpected members in the request: {', '.join(sorted(known))}.")
    if not FAMILY.fullmatch(str(members.get("family") or "")):
        raise client("Family must be 1 to 255 letters, numbers, hyphens or underscores.")
    containers = members.get("containerDefinitions") or []
    if not containers:
        raise client("Container list cannot be empty.")
    for container in containers:
        for member in ("name", "image"):
            if not container.get(member):
                raise client(f"Container.{member} should not be null or empty.")
    if "FARGATE" in (members.get("requiresCompatibilities") or []):
        if not (members.get("cpu") and members.get("memory")):
            raise client("No Fargate configuration exists for given values: cpu and memory are needed.")
        if members.get("networkMode") != "awsvpc":
            raise client("Fargate only supports network mode 'awsvpc'.")


def _check_run(members: Mapping[str, Any]) -> None:
    if not 1 <= members.get("count", 1) <= 10:
        raise invalid("count must be between 1 and 10.")
    if not re.fullmatch(r"[\w/-]{0,128}", members.get("startedBy", "")):
        raise invalid("startedBy has up to 128 letters, numbers, hyphens, slashes and underscores.")
    if not re.fullmatch(r"[!-~]{0,64}", members.get("clientToken", "")):
        raise invalid("clientToken has up to 64 characters.")
    if "launchType" in members and "capacityProviderStrategy" in members:
        raise invalid("Specifying both a launch type and capacity provider strategy is not supported.")


def _check_stop(members: Mapping[str, Any]) -> None:
    if members.get("stopType", "ROLLBACK") not in {"ROLLBACK", "ABORT"}:
        raise invalid("stopType must be ROLLBACK or ABORT.")


def _check_update(members: Mapping[str, Any]) -> None:
    if not members.get("service"):
        raise invalid("Service can not be empty.")


_CHECKS: Mapping[str, Callable[[Mapping[str, Any]], None]] = {
    "RegisterTaskDefinition": _check_register,
    "RunTask": _check_run,
    "StopServiceDeployment": _check_stop,
    "UpdateService": _check_update,
}
