"""The commands that act: update, rollback, reconcile; hold and release are in `holds`."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from deployer.cli import follow, options
from deployer.cli.faults import plainly
from deployer.cli.names import who
from deployer.errors import NoSuchServiceError, PermanentError, TemporaryError, printable

if TYPE_CHECKING:
    from deployer.model.service import Service
    from deployer.reports.going_back import GoingBack


@click.command()
@options.service_argument()
@click.option(
    "--image", metavar="IMAGE", help="Another tag or digest of its repository: v7, web:v7, sha256:…"
)
@click.option("--force", is_flag=True, help="Restart even on the same digest; retry a digest that failed.")
@options.reason
@options.waiting
@plainly
def update(
    service: str,
    image: str | None,
    force: bool,
    reason: str | None,
    wait: bool,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Deploy what the tag of SERVICE points to now.

    The update is a task for the workers; the id that is printed is the deployment's everywhere: in logs, in
    Flower and in the service's labels. With --wait the exit code tells how it ended (docs/commands.md).
    """
    seconds = _ready(wait, timeout)
    found = _look(lambda: _find(service))
    wanted: dict[str, Any] = {"force": True} if force else {}
    if image is not None:
        wanted["image"] = _full(image, found)
    from deployer.tasks import update_service

    result = update_service.apply_async(
        (service,), wanted | _memory(found.image.digest if found and found.image else None, reason)
    )
    follow.finish(result, service, seconds, as_json)


@click.command(short_help="Bring SERVICE back to the image that it ran before.")
@options.service_argument()
@click.option(
    "--to", metavar="WHICH", help="Another one: its number in `deployer history SERVICE`, a digest, or a tag."
)
@click.option("--yes", is_flag=True, help="Do not ask, also if a person rolled it back just before.")
@options.reason
@options.waiting
@plainly
def rollback(
    service: str,
    to: str | None,
    yes: bool,
    reason: str | None,
    wait: bool,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Bring SERVICE back to the image that it ran before, or with --to to an earlier one.

    The digest that it leaves is remembered as failed and not deployed again automatically. Says first from
    what to what it goes, and which newer push goes out right after it.
    """
    seconds = _ready(wait, timeout)
    way = _look(lambda: _way_back(service))
    wanted = {"to": _chosen(service, to)} if to is not None else {}
    if way is not None:
        if wanted:
            way = replace(way, to=wanted["to"])
        _announce(way)
        if wanted and not yes:
            _confirm(way)
        # The panic key, pressed twice; after an automatic rollback the warning is enough.
        elif way.again and way.by_hand and not yes and at_a_terminal():
            click.confirm(f"{service} was rolled back already; go back one further?", abort=True, err=True)
    from deployer.tasks import rollback_service

    digest = way.leaves.partition("@")[2] if way and way.leaves else ""
    result = rollback_service.apply_async((service,), wanted | _memory(digest, reason))
    follow.finish(result, service, seconds, as_json, asked_back=True)


def _chosen(service: str, text: str) -> str:
    """Return the image, with its digest, that a person means by a number of history, a digest or a tag."""
    from deployer import app
    from deployer.cli.look import entries_of
    from deployer.cli.names import image_of
    from deployer.reports.history import numbered

    found = _find(service)
    if text.isdecimal() and len(text) <= 3:  # a longer one is a tag: a date, or a build
        every = {one.number: one.landed for one in numbered(entries_of(found.name)) if one.number}
        if image := every.get(int(text)):
            return image
        known = f"1 to {max(every)}" if every else "none at all"
        raise PermanentError(f"history has no number {text} of {found.name}, but {known}; nothing was sent")
    meant = image_of(text, found.image)
    digest = meant.digest or app.deployer().manifest(meant, found.login)[0].digest
    return str(meant.with_digest(digest))


def _confirm(way: GoingBack) -> None:
    if not at_a_terminal():
        raise click.UsageError(f"--to asks first, and this is no terminal: add --yes to go to {way.to}")
    click.confirm(f"{way.service}: go back to it?", abort=True, err=True)


def at_a_terminal() -> bool:
    """Return whether a person can be asked."""
    return sys.stdin.isatty()


def _ready(wait: bool, timeout: float | None) -> float | None:
    """Return how long to wait, once the settings are known to be right and the end to be seen."""
    from deployer import settings

    settings.load()  # a misspelt one is told before anything that it may have led to
    seconds = options.patience(wait, timeout)
    if seconds is not None:
        follow.require_redis()
    return seconds


def _look(read: Any) -> Any:
    """Return what the Swarm says, or None, said on stderr, if it cannot be asked from here.

    The workers have a manager of their own: without one here the task is sent all the same.
    """
    try:
        return read()
    except NoSuchServiceError:
        raise
    except (TemporaryError, PermanentError) as fault:
        click.echo(printable(f"not checked before it is sent: {fault}"), err=True)
        return None


def _find(service: str) -> Service:
    from deployer.cli.names import find_service

    return find_service(service)


def _full(image: str, found: Service | None) -> str:
    from deployer.cli.names import image_of

    return str(image_of(image, found.image if found else None))


def _memory(digest: str | None, reason: str | None = None) -> dict[str, Any]:
    """Return who asks, and the digest that they saw: a task that finds another one is not meant.

    Both travel in the message, where a worker of an older version ignores what it does not know.
    """
    told = {"who": who(), "seen": digest, "why": reason}
    return {"deployment": {name: text for name, text in told.items() if text}}


def _way_back(service: str) -> GoingBack:
    from deployer import app
    from deployer.reports.going_back import going_back

    return going_back(app.deployer(), _find(service).name)


def _announce(way: GoingBack) -> None:
    from deployer.cli.views.words import tag_and_digest

    if way.to is None:
        raise PermanentError(
            f"{way.service}: no former image is known to go back to but those that failed or were left; "
            f"nothing was sent (`deployer update {way.service} --image TAG --force` goes to one on purpose)"
        )
    click.echo(f"{way.service}: from {tag_and_digest(way.leaves)} back to {tag_and_digest(way.to)}", err=True)
    if way.again:
        click.echo(printable(f"! it was rolled back already ({way.again})"), err=True)
    if way.waits:
        click.echo(
            f"! a newer push waits and goes out right after: {tag_and_digest(way.waits)}; "
            f"`deployer hold {way.service}` first keeps it back",
            err=True,
        )


@click.command(short_help="Find services behind their registry, and update them.")
@click.option("--dry-run", is_flag=True, help="Only list what would be done.")
@options.json_option
@plainly
def reconcile(dry_run: bool, as_json: bool) -> None:
    """Look for services that are behind their registry, and have the workers update them.

    Celery beat does it every DEPLOYER_RECONCILE_INTERVAL seconds, and every worker when it starts.
    """
    from deployer.cli.views import output

    if not dry_run:
        from deployer.tasks import reconcile as task

        sent = task.delay().id
        output.as_json({"task": sent}) if as_json else click.echo(sent)
        return
    from deployer import app
    from deployer.cli.views import render
    from deployer.rollouts.fleet.survey import survey

    found = survey(app.deployer())
    if as_json:
        told = {name: value for name, value in vars(found).items() if name != "scheduled"}
        output.as_json({**told, "missed": found.missed})
        return
    if found.behind:
        output.show(*render.behind_table(found, output.width()))
    click.echo(render.behind_summary(found))
    for service, fault in found.faults:
        click.echo(printable(f"{service}: {fault}"), err=True)
