"""Which containers of a service move together: those of its own image, and never its sidecars. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from deployer.model import label_names as names
from deployer.model.image import Image
from deployer.model.service import STATE_PREFIX
from deployer.targets.ecs import definitions

Raw = Mapping[str, Any]


def leads(raw: Raw, definition: Raw, mine: Mapping[str, str]) -> list[Raw]:
    """Return the first container of each unit: the service's own, and further ones with a policy."""
    every = list(definitions.containers(definition))
    first = _first(raw, every, mine)
    if first is None:
        return []
    leads, taken = [first], set(together(definition, first, mine))
    for container in every:
        if container.get("name") not in taken and names.POLICY in docker_labels(container):
            leads.append(container)
            taken |= set(together(definition, container, {}))
    return leads


def _first(raw: Raw, every: Sequence[Raw], mine: Mapping[str, str]) -> Raw | None:
    named = mine.get(names.CONTAINERS, "").split()
    balanced = [one.get("containerName") for one in raw.get("loadBalancers") or ()]
    rules: Sequence[Callable[[Raw], object]] = (
        lambda one: one.get("name") in named[:1],
        lambda one: any(label.startswith(names.PREFIX) for label in docker_labels(one)),
        lambda one: one.get("name") in balanced,
        lambda one: one.get("essential", True) and "firelensConfiguration" not in one,
    )
    found = (one for rule in rules for one in every if rule(one))
    return next(found, every[0] if every else None)


def together(definition: Raw, lead: Raw, mine: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of the containers that move with one: those that run the very same image."""
    named = _named(lead, mine)
    image = Image.find(lead.get("image"))
    moving = [str(lead["name"])]
    for one in definitions.containers(definition):
        other, name = Image.find(one.get("image")), str(one["name"])
        if image is None or other is None or one is lead or not other.same_repository(image):
            continue
        if name in named if named else (other.tag, other.digest) == (image.tag, image.digest):
            moving.append(name)
    return tuple(moving)


def _named(lead: Raw, mine: Mapping[str, str]) -> list[str]:
    return (mine.get(names.CONTAINERS) or docker_labels(lead).get(names.CONTAINERS) or "").split()


def docker_labels(container: Raw) -> Mapping[str, str]:
    """Return the labels that people gave a container."""
    found = container.get("dockerLabels") or {}
    return {name: text for name, text in found.items() if not name.startswith(STATE_PREFIX)}


def misnamed(definition: Raw, lead: Raw, labels: Mapping[str, str]) -> str | None:
    """Return what is wrong with the label that names the containers, or None."""
    image = Image.find(lead.get("image"))
    there = {str(one["name"]): Image.find(one.get("image")) for one in definitions.containers(definition)}
    for name in labels.get(names.CONTAINERS, "").split():
        other = there.get(name)
        if image is None or other is None or not other.same_repository(image):
            return f"label {names.CONTAINERS} names {name[:40]}, which is no container of this repository"
    return None
