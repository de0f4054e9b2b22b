"""The commands that only look: status, history, explain, doctor; imports wait until one runs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from deployer.cli import options
from deployer.cli.faults import plainly
from deployer.cli.views import output
from deployer.errors import printable


@click.command(short_help="Show the status of all services, or of those named.")
@options.service_argument(required=False, many=True)
@click.option("--watch", "live", is_flag=True, help="Keep the table live.")
@click.option(
    "--interval",
    type=click.FloatRange(min=0.5),
    default=5.0,
    show_default=True,
    help="Seconds between refreshes (with --watch).",
)
@click.option("--offline", is_flag=True, help="Do not ask the registries what is newer.")
@click.option("--wide", is_flag=True, help="All columns in full, however narrow the terminal is.")
@options.json_option
@plainly
def status(
    services: tuple[str, ...], live: bool, interval: float, offline: bool, wide: bool, as_json: bool
) -> None:
    """Show the status of all managed services, or of those named, and why they are not updated.

    Reads the Swarm manager that DOCKER_HOST names, or the ECS clusters of DEPLOYER_ECS_CLUSTERS, and the
    registries. LOGIN is the age of the registry credentials that a Swarm keeps with the service; those of ECR
    live for 12 hours.
    """
    from deployer import app
    from deployer.cli.follow import worker_answers
    from deployer.cli.views.status import status_lines, watch
    from deployer.errors import NoSuchServiceError
    from deployer.model.suggest import did_you_mean
    from deployer.reports.status import survey
    from deployer.settings import load

    def read() -> Any:
        # Without Redis nobody can be asked.
        asked = worker_answers if load().redis else lambda: True
        found = survey(app.deployer(), services, not offline, asked)
        if missing := set(services) - {one.service for one in found}:
            name = min(missing)
            known = [service.name for service in app.deployer().target.services()]
            raise NoSuchServiceError(f"no managed service {name!r}{did_you_mean(name, known)}")
        return found

    if live:
        read()
        watch(read, interval, wide, as_json)
    elif as_json:
        output.as_json(read())
    else:
        output.show(*status_lines(read(), output.width(wide)))


@click.command()
@options.service_argument(required=False)
@click.option("--service", "named", metavar="SERVICE", help="The same as the argument.")
@click.option(
    "--outcome",
    "outcomes",
    multiple=True,
    type=options.outcome,
    metavar="OUTCOME",
    help="Only of this; may be repeated.",
)
@click.option("--failed", is_flag=True, help="The same as --outcome failed --outcome rolled-back.")
@click.option(
    "--since",
    type=options.moment,
    metavar="TIME",
    help="Since 2h ago, 3d ago, or an ISO time such as 2026-01-31T08:00Z.",
)
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many.")
@click.option(
    "--all", "everything", is_flag=True, help="Also what deployed nothing: unchanged, held, ignored, …"
)
@click.option("--wide", is_flag=True, help="All columns in full, however narrow the terminal is.")
@options.json_option
@plainly
def history(
    service: str | None,
    named: str | None,
    outcomes: tuple[str, ...],
    failed: bool,
    since: datetime | None,
    limit: int,
    everything: bool,
    wide: bool,
    as_json: bool,
) -> None:
    """List the last deployments of SERVICE, or of all services.

    From the results in Redis, where they are kept for 30 days. Without Redis: what the labels of the service
    and the Swarm's task history know. The numbers of one service's deployments are for
    `deployer rollback --to`.
    """
    from deployer.cli.views.history import hidden_line, history_lines
    from deployer.reports.history import Wanted, numbered

    service = service or named
    chosen = frozenset(outcomes) | (frozenset({"failed", "rolled-back"}) if failed else frozenset())
    wanted = Wanted(chosen, everything, since)
    known = entries_of(service)
    found = [entry for entry in (numbered(known) if service else known) if wanted.covers(entry)]
    shown = [entry for entry in found if wanted.shows(entry)][:limit]
    if as_json:
        output.as_json(shown)
        return
    output.show(*history_lines(shown, output.width(wide)))
    hidden = [entry for entry in found if not wanted.shows(entry)]
    if line := hidden_line(hidden):
        click.echo(line.plain, err=True)


def entries_of(service: str | None) -> list[Any]:
    """Return the deployments of a service, or of all, newest first."""
    from deployer import app
    from deployer.cli.names import find_service
    from deployer.reports.history import remembered

    entries, why = _recorded(service)
    if entries:
        return entries
    names = (
        [find_service(service).name]
        if service
        else [s.name for s in app.deployer().target.services() if s.state.at]
    )
    click.echo(f"{why}; this is what the services themselves know:", err=True)
    return [entry for name in names for entry in remembered(app.deployer().read(name))]


@click.command(short_help="Say what a push would do to SERVICE, and why.")
@options.service_argument()
@click.argument("image", required=False)
@click.option(
    "--events", type=click.IntRange(min=0), default=3, show_default=True, help="How many past ones."
)
@options.json_option
@plainly
def explain(service: str, image: str | None, events: int, as_json: bool) -> None:
    """Say what a push of IMAGE would do to SERVICE now, and which rule decides; nothing is done.

    Without IMAGE: the push of the tag that the service follows. Then how the last events ended for it, if
    Redis knows them.
    """
    from deployer import app
    from deployer.cli.names import find_service, image_of
    from deployer.cli.views import render
    from deployer.cli.views.words import shortened
    from deployer.reports.explain import explain as explained

    known = find_service(service)
    found = explained(app.deployer(), known.name, image_of(image, known.image) if image else None)
    past = [] if image else [entry for entry in _recorded(found.service)[0] if entry.event][:events]
    if as_json:
        output.as_json({"now": found, "past": past})
        return
    output.show(*render.explanation(found), soft=True)
    for entry in past:
        reason = shortened(entry.reason).removeprefix("held: ")
        click.echo(printable(f"  event {entry.event}: {entry.outcome}, {reason}"))


def _recorded(service: str | None) -> tuple[list[Any], str]:
    """Return the deployments that Redis knows, newest first, and why there are no others."""
    from redis import Redis
    from redis.exceptions import RedisError

    from deployer.reports.history import recorded
    from deployer.settings import load

    url = load().redis
    if not url:
        return [], "DEPLOYER_REDIS_URL is not set"
    try:
        with Redis.from_url(url, socket_timeout=5, socket_connect_timeout=2) as redis:
            return recorded(redis, service), "Redis has none of it"
    except (RedisError, OSError, ValueError) as fault:
        return [], f"Redis does not answer ({type(fault).__name__})"


@click.command(short_help="Check all that the deployer needs, and name fixes.")
@options.json_option
@plainly
def doctor(as_json: bool) -> None:
    """Check all that the deployer needs, and name the fix for what is wrong.

    AWS identity and permissions, both queues, the engine, registries, Redis, workers, clocks, labels. Changes
    nothing and takes no message. Run it where a worker runs, with the worker's settings; the exit code is 1
    if anything fails.
    """
    from deployer import app
    from deployer.cli.views import render
    from deployer.reports import doctor

    console, findings = output.console(), []
    for found in app.checks():
        findings.append(found)
        if not as_json:
            render.finding(console, found)
    if as_json:
        output.as_json(findings)
    if doctor.worst(findings) == "fail":
        raise SystemExit(1)
