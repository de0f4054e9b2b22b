"""The commands `deployer ecs revisions`, `diff` and `prune`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from deployer.cli import options
from deployer.cli.ecs import here as core
from deployer.cli.faults import plainly
from deployer.cli.views import output
from deployer.errors import PermanentError, printable

if TYPE_CHECKING:
    from deployer.model.service import Service
    from deployer.targets.ecs.service import Revision

SHOWN = 20


@click.command(short_help="List the revisions of SERVICE's task definition.")
@click.argument("service")
@core.cluster_option
@click.option("--last", type=click.IntRange(1), default=SHOWN, metavar="N", help="How many.  [default: 20]")
@options.json_option
@plainly
def revisions(service: str, cluster: str | None, last: int, as_json: bool) -> None:
    """List the revisions of SERVICE's task definition, newest first: * runs, + is the deployer's."""
    from deployer.targets.ecs.definitions import containers
    from deployer.targets.ecs.names import last as name_of

    connected = core.connected(cluster)
    found = connected.service(service)
    current, told = _current(found), list[dict[str, Any]]()
    for revision in islice(_newest(connected, found), last):
        images = {str(one["name"]): one.get("image") for one in containers(revision.raw)}
        runs, ours = revision.arn == current.arn, _is_ours(revision, found)
        told.append({"revision": name_of(revision.arn), "runs": runs, "ours": ours, "images": images})
    if as_json:
        output.as_json(told)
        return
    for one in told:
        mark = "*" if one["runs"] else "+" if one["ours"] else " "
        shown = ", ".join(f"{name}={image}" for name, image in one["images"].items())
        click.echo(printable(f"{mark} {one['revision']}  {shown}"))


@click.command(short_help="Show how REVISION differs from what runs.")
@click.argument("service")
@click.argument("revision", required=False)
@core.cluster_option
@options.json_option
@plainly
def diff(service: str, revision: str | None, cluster: str | None, as_json: bool) -> None:
    """Show in what REVISION, family:number, differs from what SERVICE runs.  [default: the former one]"""
    from deployer.targets.ecs.definitions import content, lost
    from deployer.targets.ecs.names import last

    connected = core.connected(cluster)
    found = connected.service(service)
    current, name = _current(found), revision or found.native.record.former
    if not name:
        raise PermanentError(f"{service}: no former revision is known; name one, such as web:7")
    other = connected.place(found).revision(name)
    ours, theirs = content(current.raw), content(other.raw)
    paths = sorted({*lost(ours, theirs), *lost(theirs, ours)})
    if as_json:
        changes = [{"path": p, "from": _value(theirs, p), "to": _value(ours, p)} for p in paths]
        output.as_json({"from": last(other.arn), "to": last(current.arn), "changes": changes})
        return
    for path in paths:
        click.echo(f"{path}: {_short(theirs, path)} -> {_short(ours, path)}")
    click.echo(f"{last(other.arn)} -> {last(current.arn)}: {len(paths)} differences", err=True)


@click.command()
@click.argument("service")
@core.cluster_option
@click.option(
    "--keep", type=click.IntRange(1), required=True, metavar="N", help="How many of the newest stay."
)
@click.option("--all", "everything", is_flag=True, help="Also those that the deployer has not registered.")
@click.option("--dry-run", is_flag=True, help="Only list what would be done.")
@options.json_option
@plainly
def prune(
    service: str, cluster: str | None, keep: int, everything: bool, dry_run: bool, as_json: bool
) -> None:
    """Take old revisions of SERVICE's task definition out of use.

    Those that anything runs, or that a service would go back to, stay in any case.
    """
    connected = core.connected(cluster)
    gone = pruned(connected, connected.service(service), keep, everything=everything, dry_run=dry_run)
    if as_json:
        output.as_json({"service": service, "revisions": gone, "dry_run": dry_run})
        return
    for name in gone:
        click.echo(name)


def pruned(
    connected: core.Here, service: Service, keep: int, *, everything: bool = False, dry_run: bool = False
) -> list[str]:
    """Take old revisions out of use; return them, oldest first.

    Args:
        connected: the core.
        service: whose family it is.
        keep: how many of the newest stay.
        everything: also those that the deployer has not registered.
        dry_run: only return them.
    """
    from deployer.targets.ecs.names import last
    from deployer.targets.ecs.writes.prune import prunable
    from deployer.targets.ecs.writes.prune import prune as taken

    places = connected.target.places
    if dry_run:
        return [last(arn) for arn in prunable(places, service, keep, every=everything)]
    return taken(places, service, keep, every=everything)


def _newest(connected: core.Here, service: Service) -> Iterator[Revision]:
    from deployer.targets.ecs.names import family_of

    place = connected.place(service)
    for arn in place.family(family_of(_current(service).arn)):
        yield place.revision(arn, fresh=False)


def _current(service: Service) -> Revision:
    revision: Revision | None = service.native.revision
    if revision is None:
        raise PermanentError(f"{service.name} has no task definition ({service.untouchable})")
    return revision


def _is_ours(revision: Revision, service: Service) -> bool:
    from deployer.targets.ecs.service import record_in

    return bool(record_in(revision, service.native).state.task)


def _short(members: object, path: str) -> str:
    return printable(str(_value(members, path)))[:200]


def _value(members: object, path: str) -> Any:
    """Return the value at a path, as `definitions.lost` writes it."""
    value = members
    for step in path.replace("[", ".[").split("."):
        if step.startswith("["):
            named = value if isinstance(value, list) else []
            value = next(
                (one for one in named if isinstance(one, dict) and one.get("name") == step[1:-1]), None
            )
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return value
