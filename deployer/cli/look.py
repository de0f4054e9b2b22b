"""The commands that only look: status, history, explain, doctor; imports wait until one runs."""

from __future__ import annotations

from typing import Any

import click

from deployer.cli import options, output
from deployer.cli.faults import plainly
from deployer.errors import printable


@click.command()
@options.service_argument(required=False, many=True)
@click.option("--watch", "live", is_flag=True, help="Keep the table live.")
@click.option(
    "--interval", type=click.FloatRange(min=0.5), default=5.0, show_default=True, help="Of --watch."
)
@click.option("--offline", is_flag=True, help="Do not ask the registries what is newer.")
@options.json_option
@plainly
def status(services: tuple[str, ...], live: bool, interval: float, offline: bool, as_json: bool) -> None:
    """Show how all SERVICES stand that are looked after, or the named ones.

    Reads the Swarm manager that DOCKER_HOST names, and the registries. LOGIN is the age of the registry
    credentials that the Swarm keeps with the service; those of ECR live for 12 hours.
    """
    from deployer import app
    from deployer.cli import render
    from deployer.errors import NoSuchServiceError
    from deployer.reports.status import survey

    def read() -> Any:
        found = survey(app.deployer(), services, ask=not offline)
        if missing := set(services) - {one.service for one in found}:
            raise NoSuchServiceError(f"no service {sorted(missing)[0]!r} that is looked after in this Swarm")
        return found

    if as_json:
        output.as_json(read())
    elif live:
        read()
        render.watch(read, interval)
    else:
        output.show(render.status_table(read()))


@click.command()
@options.service_argument(required=False)
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many.")
@options.json_option
@plainly
def history(service: str | None, limit: int, as_json: bool) -> None:
    """List the last deployments of SERVICE, or of all services.

    From the results in Redis, where they are kept for 30 days. Without Redis: what the labels of the service
    and the Swarm's task history know.
    """
    from deployer import app
    from deployer.cli import render
    from deployer.reports.history import remembered

    entries, why = _recorded(service)
    if not entries:
        click.echo(f"{why}; this is what the services themselves know:", err=True)
        names = [service] if service else [s.name for s in app.swarm().services() if s.state.at]
        entries = [entry for name in names for entry in remembered(app.deployer().read(name))]
    if as_json:
        output.as_json(entries[:limit])
    else:
        output.show(render.history_table(entries[:limit]))


@click.command()
@options.service_argument()
@click.argument("image", required=False)
@click.option(
    "--events", type=click.IntRange(min=0), default=3, show_default=True, help="How many past ones."
)
@options.json_option
@plainly
def explain(service: str, image: str | None, events: int, as_json: bool) -> None:
    """Say what a push of IMAGE would do to SERVICE now, rule by rule, and do nothing.

    Without IMAGE: the push of the tag that the service follows. Then how the last events ended for it, if
    Redis knows them.
    """
    from deployer import app
    from deployer.cli import render
    from deployer.cli.names import find_service, image_of
    from deployer.reports.explain import explain as explained

    known = find_service(service)
    found = explained(app.deployer(), known.name, image_of(image, known.image) if image else None)
    past = [] if image else [entry for entry in _recorded(found.service)[0] if entry.event][:events]
    if as_json:
        output.as_json({"now": found, "past": past})
        return
    render.explanation(found)
    for entry in past:
        click.echo(printable(f"  event {entry.event}: {entry.outcome}, {entry.reason}"))


def _recorded(service: str | None) -> tuple[list[Any], str]:
    """The deployments that Redis knows, newest first, and why there are no others."""
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


@click.command()
@options.json_option
@plainly
def doctor(as_json: bool) -> None:
    """Check all that the deployer needs, and name the fix for what is wrong.

    AWS identity and permissions, both queues, the engine, registries, Redis, workers, clocks, labels. Changes
    nothing and takes no message. Run it where a worker runs, with the worker's settings; the exit code is 1
    if anything fails.
    """
    from deployer import app
    from deployer.cli import render
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
