"""Services of ECS as the core sees them: each of their units with its image, its labels and its state.

A unit is the containers of one repository in one service; most services have one. Labels are the
`dockerLabels` of its first container and the tags of the service; our state is in the tags of the revision.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from deployer.model import label_names as names
from deployer.model.image import Image
from deployer.model.service import STATE_PREFIX, Service
from deployer.targets.ecs import definitions, tags
from deployer.targets.ecs.cluster import Cluster
from deployer.targets.ecs.containers import docker_labels, leads, misnamed, together
from deployer.targets.ecs.names import UnitId, moment
from deployer.targets.ecs.tags import Record

Raw = Mapping[str, Any]

PRIMARY = "PRIMARY"
IN_PROGRESS = "IN_PROGRESS"
_CONTROLLERS = {
    "CODE_DEPLOY": "AWS CodeDeploy deploys it; ECS's own blue/green deployments are what can be used here",
    "EXTERNAL": "its deployments are task sets of another tool's (deployment controller EXTERNAL)",
}


@dataclass(frozen=True)
class Options:
    """The settings that say which services are ours."""

    opt_in: bool = True  # only those that carry a label or tag under `deployer.`
    policy: str | None = None  # of services that have none of their own


@dataclass(frozen=True)
class Revision:
    """A revision of a task definition, and the tags that it had when they were read."""

    arn: str
    raw: Raw = field(repr=False)
    tags: Mapping[str, str] = field(repr=False)

    @property
    def active(self) -> bool:
        """Return whether a service may be pointed to it."""
        return bool(self.raw.get("status", "ACTIVE") == "ACTIVE")


@dataclass(frozen=True)
class Unit:
    """What the target keeps with a service that the core has in hand (`Service.native`)."""

    cluster: Cluster
    raw: Raw = field(repr=False)  # the service
    id: UnitId
    revision: Revision | None = None
    containers: tuple[str, ...] = ()  # that move together
    record: Record = field(default_factory=Record)
    counter: int = 0  # of the ledger, when it was read
    newest: str | None = None  # the id of the newest service deployment, when it was looked at
    late: bool = False  # the service's description did not know of that one yet

    @property
    def primary(self) -> Raw:
        """Return the deployment that the service is on, or on its way to."""
        return primary(self.raw)

    @property
    def repository(self) -> str:
        """Return the name of its repository with the host, as the revision has it."""
        lead = _container(self.revision, self.containers[:1])
        image = Image.find(lead.get("image"))
        return image.name if image else ""

    @property
    def ours(self) -> bool:
        """Return whether the tasks should run exactly what the deployer wrote last.

        Another person's forced deployment of our revision is theirs, as is a revision made from ours.
        """
        record, revision = self.record, self.revision
        if revision is None or not record.state.task:
            return False
        if record.state.template != definitions.fingerprint(revision.raw):
            return False
        return record.deployment in {None, self.primary.get("id")}


def primary(raw: Raw) -> Raw:
    """Return the deployment of a service that is PRIMARY; empty where ECS keeps none."""
    return next((one for one in raw.get("deployments") or () if one.get("status") == PRIMARY), {})


def read_units(
    cluster: Cluster, raw: Raw, revision: Revision | None, name: str, options: Options
) -> list[Service]:
    """Return the units of a service, the first one first.

    Args:
        cluster: of the service.
        raw: the service, with its tags, as ECS describes it.
        revision: that it points to; None for one of another controller.
        name: of the service, as people call it here.
        options: the settings.
    """
    arn, mine = str(raw["serviceArn"]), tags.read(raw.get("tags"))
    if revision is None:
        bare = Unit(cluster, raw, UnitId(arn), None)
        return [_service(bare, name, mine, None, untouchable(raw) or "it has no task definition")]
    found: list[Service] = []
    for lead in leads(raw, revision.raw, mine):
        container = None if not found else str(lead["name"])
        unit = _unit(cluster, raw, revision, UnitId(arn, container), lead, mine)
        labels, origins = _labels(lead, mine, unit, options)
        wrong = untouchable(raw) or misnamed(revision.raw, lead, labels) or _foreign(labels, options)
        full = f"{name}#{container}" if container else name
        service = _service(unit, full, labels, image_of(unit, lead), wrong)
        found.append(replace(service, origins=origins))
    return found


def _unit(
    cluster: Cluster, raw: Raw, revision: Revision, unit_id: UnitId, lead: Raw, mine: Mapping[str, str]
) -> Unit:
    image = Image.find(lead.get("image"))
    record = tags.decode(revision.tags, unit_id.mark, unit_id.container, image.name if image else "")
    return Unit(cluster, raw, unit_id, revision, together(revision.raw, lead, mine), record)


def _service(
    unit: Unit, name: str, labels: Mapping[str, str], image: str | None, wrong: str | None
) -> Service:
    raw, now = unit.raw, unit.primary
    began = moment(now.get("createdAt"))
    daemon = raw.get("schedulingStrategy") == "DAEMON"
    rolling = now.get("rolloutState") == IN_PROGRESS
    return Service(
        id=str(unit.id),
        name=name,
        version=unit.counter,
        image_text=image,
        labels={**labels, **unit.record.state.labels()},
        desired=None if daemon else int(raw.get("desiredCount") or 0),
        rolling=rolling,
        rolling_since=began.isoformat() if began and rolling else None,
        written_at=began.isoformat() if began else None,
        untouchable=wrong,
        keeps_credentials=False,  # the tasks' execution role pulls
        command=_command(unit.revision),
        native=unit,
    )


def _command(revision: Revision | None) -> tuple[str, ...]:
    every = definitions.containers(revision.raw) if revision else ()
    return tuple(
        str(word) for one in every for part in ("entryPoint", "command") for word in one.get(part) or ()
    )


def _container(revision: Revision | None, wanted: Sequence[str]) -> Raw:
    every = definitions.containers(revision.raw) if revision else ()
    return next((one for one in every if one.get("name") in wanted), {})


# -- what they say ------------------------------------------------------------------------------------


def _labels(
    lead: Raw, mine: Mapping[str, str], unit: Unit, options: Options
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the labels of a unit, and where each of them comes from."""
    own = {name: text for name, text in mine.items() if not name.startswith(STATE_PREFIX)}
    docker, container = docker_labels(lead), f"dockerLabels of container {lead['name']}"
    layers: Iterator[tuple[Mapping[str, str], str]] = iter(
        [(docker, container), (own, "tag of the service")]
        if unit.id.container is None
        else [(own, "tag of the service"), (docker, container)]
    )
    labels: dict[str, str] = {}
    origins: dict[str, str] = {}
    for layer, origin in layers:
        labels |= layer
        origins |= dict.fromkeys(layer, origin)
    if options.policy and names.POLICY not in labels and is_own(labels, options):
        labels[names.POLICY], origins[names.POLICY] = options.policy, "DEPLOYER_POLICY"
    return labels, origins


def is_own(labels: Mapping[str, str], options: Options) -> bool:
    """Return whether labels make a unit ours; what the deployer has written itself makes it so, too."""
    return not options.opt_in or any(name.startswith(names.PREFIX) for name in labels)


def _foreign(labels: Mapping[str, str], options: Options) -> str | None:
    if is_own(labels, options):
        return None
    return "it carries no label and no tag that begins with deployer. (DEPLOYER_ECS_OPT_IN)"


def untouchable(raw: Raw) -> str | None:
    """Return why a service is not to be written to whatever anybody wants, or None."""
    status = str(raw.get("status") or "ACTIVE")
    if status != "ACTIVE":
        return f"the service is {status}"
    if raw.get("resourceManagementType") == "ECS":
        return "ECS manages it itself (an Express service)"
    return _CONTROLLERS.get(str((raw.get("deploymentController") or {}).get("type")))


def image_in(revision: Revision, unit: Unit) -> str | None:
    """Return the image that a revision has for a unit, with the tag that it followed there, if known."""
    lead = _container(revision, unit.containers[:1])
    return image_of(replace(unit, record=record_in(revision, unit)), lead) if lead else None


def record_in(revision: Revision, unit: Unit) -> Record:
    """Return what the tags of a revision tell of a unit."""
    image = Image.find(_container(revision, unit.containers[:1]).get("image"))
    return tags.decode(
        revision.tags, unit.id.mark, unit.id.container, image.name if image else unit.repository
    )


def image_of(unit: Unit, lead: Raw, digest: str | None = None) -> str | None:
    """Return the image that a unit should run, with the tag that it follows and the digest, if known.

    Args:
        unit: the unit.
        lead: its first container.
        digest: that its tasks run, where the revision names none.
    """
    text = lead.get("image")
    image, followed = Image.find(text), Image.find(unit.record.state.image)
    if image is None:
        return str(text) if text else None
    if image.digest and not image.tag and followed and followed.digest == image.digest:
        same = followed.same_repository(image)
        return str(replace(image, tag=followed.tag)) if same else str(image)
    return str(image.with_digest(digest)) if digest and not image.digest else str(text)


def resolved(service: Service, digest: str | None) -> Service:
    """Return a service whose image has the digest that its tasks run, where its revision names none."""
    unit: Unit = service.native
    lead = _container(unit.revision, unit.containers[:1])
    return replace(service, image_text=image_of(unit, lead, digest)) if lead else service
