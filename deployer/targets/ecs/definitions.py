"""Task definitions as raw JSON: revised in nothing but their images, and compared with what ECS made of them.

A revision goes round as ECS gave it. Members that this code has never heard of are in it like all others.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

Raw = Mapping[str, Any]

# Of DescribeTaskDefinition's answer: what RegisterTaskDefinition does not take, because ECS writes it.
READ_ONLY = frozenset(
    {
        "compatibilities",
        "deleteRequestedAt",
        "deregisteredAt",
        "registeredAt",
        "registeredBy",
        "requiresAttributes",
        "revision",
        "status",
        "taskDefinitionArn",
    }
)
CONTAINERS = "containerDefinitions"
# The order of these texts means something; that of all other lists does not.
_ORDERED = {"command", "entryPoint", "CMD"}


def content(raw: Raw) -> dict[str, Any]:
    """Return the members of a revision that a person wrote, as RegisterTaskDefinition takes them."""
    return {name: deepcopy(member) for name, member in raw.items() if name not in READ_ONLY}


def containers(raw: Raw) -> Sequence[Raw]:
    """Return the containers of a revision."""
    return raw.get(CONTAINERS) or ()


def revise(raw: Raw, names: Collection[str], image: str) -> dict[str, Any]:
    """Return what to register: the content of a revision with another image in the named containers.

    Args:
        raw: the revision, as ECS describes it.
        names: of the containers that get the image.
        image: as ECS is to write it.
    """
    members = content(raw)
    for container in members.get(CONTAINERS) or ():
        if container.get("name") in names:
            container["image"] = image
    return members


def lost(wanted: Any, got: Any, path: str = "") -> list[str]:
    """Return the paths of the members in which an answer is not what was sent.

    Members that only the answer has are no loss: ECS fills in its defaults, and newer ones over the years.

    Args:
        wanted: what was sent.
        got: what ECS answered.
        path: of both in the whole.
    """
    if _is_empty(wanted) and _is_empty(got):
        return []
    if isinstance(wanted, Mapping) and isinstance(got, Mapping):
        return [found for key in wanted for found in lost(wanted[key], got.get(key), _join(path, str(key)))]
    if isinstance(wanted, list) and isinstance(got, list):
        return list(_lost_of_list(wanted, got, path))
    return [] if wanted == got else [path or "everything"]


def _lost_of_list(wanted: list[Any], got: list[Any], path: str) -> Iterator[str]:
    if path.rpartition(".")[2] in _ORDERED or len(wanted) != len(got):
        if wanted != got:
            yield path
        return
    if all(isinstance(one, Mapping) and one.get("name") for one in [*wanted, *got]):
        others = {str(one["name"]): one for one in got}
        for one in wanted:
            name = str(one["name"])
            yield from lost(one, others.get(name), f"{path}[{name}]")
        return
    left = list(got)
    for one in wanted:
        place = next((n for n, other in enumerate(left) if not lost(one, other)), None)
        if place is None:
            yield path
            return
        del left[place]


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _is_empty(value: Any) -> bool:
    return value is None or value in ("", [], {})


def same_content(one: Raw, other: Raw) -> bool:
    """Return whether two revisions describe the same tasks."""
    ours, theirs = content(one), content(other)
    return not lost(ours, theirs) and not lost(theirs, ours)


def fingerprint(raw: Raw) -> str:
    """Return a short hash of a revision's content, the same however ECS leaves out empty members."""
    text = json.dumps(_without_empties(content(raw)), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _without_empties(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_empties(member) for key, member in value.items() if not _is_empty(member)}
    return [_without_empties(member) for member in value] if isinstance(value, list) else value


# -- platforms ----------------------------------------------------------------------------------------

_ARCHITECTURES = {"amd64": "X86_64", "x86_64": "X86_64", "arm64": "ARM64", "aarch64": "ARM64"}


def lacks_platform(raw: Raw, platforms: Sequence[Mapping[str, Any]], *, fargate: bool) -> str | None:
    """Return the platform of a revision that an image has not, or None where it has it or nobody knows.

    Args:
        raw: the revision.
        platforms: of the image, as its manifest names them; none if they are not known.
        fargate: whether the tasks run on Fargate, where a revision that says nothing means LINUX/X86_64.
            Of container instances only their owner knows the architecture.
    """
    wanted = raw.get("runtimePlatform") or {}
    architecture = str(wanted.get("cpuArchitecture") or ("X86_64" if fargate else ""))
    system = str(wanted.get("operatingSystemFamily") or "LINUX").partition("_")[0].lower()
    known = [(str(one.get("os", "")).lower(), _architecture(one)) for one in platforms]
    known = [one for one in known if one[0] not in {"", "unknown"}]
    if not known or any(os == system and (not architecture or cpu == architecture) for os, cpu in known):
        return None
    has = ", ".join(sorted({f"{os}/{cpu}" for os, cpu in known}))
    return f"{system}/{architecture or 'any'} (the image has {has})"


def _architecture(platform: Mapping[str, Any]) -> str:
    text = str(platform.get("architecture", "")).lower()
    return _ARCHITECTURES.get(text, text)
