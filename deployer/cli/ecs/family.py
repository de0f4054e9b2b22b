"""A task definition without a service: a new revision with another image, and one task of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from deployer.cli.ecs import here as core
from deployer.errors import PermanentError, printable

if TYPE_CHECKING:
    from deployer.model.image import Image
    from deployer.targets.ecs.place import Place
    from deployer.targets.ecs.service import Revision


def registered(
    here: core.Here, family: str, text: str, base: Mapping[str, Any] | None = None
) -> tuple[Revision, str]:
    """Register a revision of a family in which the containers of an image's repository run that image.

    Everything else is as in the revision that it is made from, its tags too. Where that runs the very digest
    already, it is returned as it is. The second value is the name of the first of those containers.

    Args:
        here: the core over one cluster.
        family: a family, whose newest revision is meant, or `family:revision`, or its ARN.
        text: the image, or a bare tag of the image of the first container.
        base: a task definition from a file, in the place of the family's.

    Raises:
        PermanentError: no container runs the repository, ECS has lost something, or the image cannot run.
    """
    from deployer.cli.names import image_of
    from deployer.model.image import Image
    from deployer.targets.ecs import definitions

    place = here.target.places[0]
    known = _revision(place, family, base)
    content = definitions.content(base or (known.raw if known else {}))
    every = definitions.containers(content)
    first = Image.find(every[0].get("image")) if every else None
    wanted = image_of(text, first)
    manifest, _ = here.deployer.manifest(wanted)
    pinned = str(_pinned(wanted, manifest.digest))
    mine = [str(one["name"]) for one in every if _is_of(one, wanted)]
    if not mine:
        has = ", ".join(f"{one.get('name')} runs {one.get('image')}" for one in every) or "it has none"
        raise PermanentError(f"no container of {family} runs {wanted.repository}: {has}")
    fargate = "FARGATE" in (content.get("requiresCompatibilities") or ())
    if lacking := definitions.lacks_platform(content, manifest.platforms, fargate=fargate):
        raise PermanentError(f"{wanted} does not run on what {family} asks for: {lacking}")
    new = definitions.revise(content, mine, pinned)
    if known and definitions.same_content(known.raw, new):
        return known, mine[0]
    revision = place.register(new, _tags_of_people(known))
    if missing := definitions.lost(new, definitions.content(revision.raw)):
        place.deregister(revision.arn)
        raise PermanentError(f"ECS did not keep {', '.join(missing[:5])}: the revision is out of use")
    return revision, mine[0]


def _revision(place: Place, family: str, base: Mapping[str, Any] | None) -> Revision | None:
    """Return the revision to start from; None where a file describes a family that there is not yet."""
    from deployer.targets.ecs.names import family_of, last

    name = family_of(family) if "task-definition/" in family else family
    if ":" in last(family):
        return place.revision(family)
    found = place.newest(name)
    if found is None and base is None:
        raise PermanentError(f"there is no active task definition of the family {name} (-d)")
    return found


def _pinned(image: Image, digest: str) -> Image:
    from dataclasses import replace

    return replace(image, tag=None, digest=digest)


def _is_of(container: Mapping[str, Any], image: Image) -> bool:
    from deployer.model.image import Image

    own = Image.find(container.get("image"))
    return own is not None and own.same_repository(image)


def _tags_of_people(revision: Revision | None) -> dict[str, str]:
    """Return the tags to take over: not our own state, which belongs to a service."""
    from deployer.model.service import STATE_PREFIX

    tags = revision.tags if revision else {}
    return {key: value for key, value in tags.items() if not key.startswith(STATE_PREFIX)}


def started(place: Place, revision: Revision, **how: Any) -> str:
    """Start one task of a revision, and return its ARN.

    Args:
        place: the cluster.
        revision: the revision.
        how: further members of RunTask; those that are None are left out.
    """
    from deployer.targets.ecs.names import last

    members = {name: member for name, member in how.items() if member}
    task = place.run(
        taskDefinition=revision.arn, clientToken=core.new_id(), startedBy="deployer-run", **members
    )
    arn = str(task["taskArn"])
    click.echo(printable(f"task {last(arn)}"), err=True)
    return arn
