"""The commands that only look: status, history, explain, doctor, policy; imports wait until one runs."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from deployer.errors import DeployerError, printable


def plainly(command: Callable[..., Any]) -> Callable[..., Any]:
    """Say what went wrong in one line: a stack trace helps nobody with a wrong setting."""

    @functools.wraps(command)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        from kombu.exceptions import OperationalError

        try:
            return command(*args, **kwargs)
        except DeployerError as fault:
            raise click.ClickException(printable(str(fault))) from fault
        except OperationalError as fault:
            raise click.ClickException(f"the task queue does not take the task: {fault}") from fault

    return wrapper


JSON = click.option("--json", "as_json", is_flag=True, help="For scripts.")


@click.command()
@click.argument("services", nargs=-1)
@click.option("--watch", "live", is_flag=True, help="Keep the table live.")
@click.option(
    "--interval", type=click.FloatRange(min=0.5), default=5.0, show_default=True, help="Of --watch."
)
@click.option("--offline", is_flag=True, help="Do not ask the registries what is newer.")
@JSON
@plainly
def status(services: tuple[str, ...], live: bool, interval: float, offline: bool, as_json: bool) -> None:
    """Show how all SERVICES stand that are looked after, or the named ones.

    Reads the Swarm manager that DOCKER_HOST names, and the registries. LOGIN is the age of the registry
    credentials that the Swarm keeps with the service; those of ECR live for 12 hours.
    """
    from rich.console import Console

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
        render.as_json(read())
    elif live:
        read()
        render.watch(read, interval)
    else:
        Console().print(render.status_table(read()))


@click.command()
@click.argument("service", required=False)
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many.")
@JSON
@plainly
def history(service: str | None, limit: int, as_json: bool) -> None:
    """List the last deployments of SERVICE, or of all services.

    From the results in Redis, where they are kept for 30 days. Without Redis: what the labels of the service
    and the Swarm's task history know.
    """
    from rich.console import Console

    from deployer import app
    from deployer.cli import render
    from deployer.reports.history import remembered

    entries, why = _recorded(service)
    if not entries:
        click.echo(f"{why}; this is what the services themselves know:", err=True)
        names = [service] if service else [s.name for s in app.swarm().services() if s.state.at]
        entries = [entry for name in names for entry in remembered(app.deployer().look(name))]
    if as_json:
        render.as_json(entries[:limit])
    else:
        Console().print(render.history_table(entries[:limit]))


@click.command()
@click.argument("service")
@click.argument("image", required=False)
@click.option(
    "--events", type=click.IntRange(min=0), default=3, show_default=True, help="How many past ones."
)
@JSON
@plainly
def explain(service: str, image: str | None, events: int, as_json: bool) -> None:
    """Say what a push of IMAGE would do to SERVICE now, rule by rule, and do nothing.

    Without IMAGE: the push of the tag that the service follows. Then how the last events ended for it, if
    Redis knows them.
    """
    from deployer import app
    from deployer.cli import render
    from deployer.model.image import Image
    from deployer.reports.explain import explain as explained

    found = explained(app.deployer(), service, Image.parse(image) if image else None)
    past = [] if image else [entry for entry in _recorded(found.service)[0] if entry.event][:events]
    if as_json:
        render.as_json({"now": found, "past": past})
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
@JSON
@plainly
def doctor(as_json: bool) -> None:
    """Check all that the deployer needs, and name the fix for what is wrong.

    AWS identity and permissions, both queues, the engine, registries, Redis, workers, clocks, labels. Changes
    nothing and takes no message. Run it where a worker runs, with the worker's settings; the exit code is 1
    if anything fails.
    """
    from rich.console import Console

    from deployer import app
    from deployer.cli import render
    from deployer.reports import doctor

    console, findings = Console(), []
    for found in app.checks():
        findings.append(found)
        if not as_json:
            render.finding(console, found)
    if as_json:
        render.as_json(findings)
    if doctor.worst(findings) == "fail":
        raise SystemExit(1)


@click.group()
def policy() -> None:
    """Try tag policies (label deployer.policy)."""


@policy.command("test")
@click.argument("policy")
@click.argument("tags", nargs=-1, required=True, metavar="TAG...")
@click.option("--current", help="The tag that runs; the first TAG if not given.")
@click.option("--order", help="Label deployer.order.")
@click.option("--allow-tags", help="Label deployer.allow-tags.")
@click.option("--ignore-tags", help="Label deployer.ignore-tags.")
@click.option("--prerelease", help="Label deployer.prerelease.")
@plainly
def policy_test(policy: str, tags: tuple[str, ...], current: str | None, **labels: str | None) -> None:
    """Show which of the tags POLICY would follow, and why; they count as pushed in the order given.

    For instance: deployer policy test "semver:^1.2" 1.2.0 1.10.0 2.0.0
    """
    from deployer.policies.tag_policy import Policy, explain

    given = {f"deployer.{name.replace('_', '-')}": value for name, value in labels.items() if value}
    for line in explain(Policy.of({"deployer.policy": policy} | given), current or tags[0], tags):
        click.echo(line)
