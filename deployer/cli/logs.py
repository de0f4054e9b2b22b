"""The command logs."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deployer.cli import options
from deployer.cli.faults import plainly
from deployer.cli.views import output
from deployer.errors import PermanentError, printable

if TYPE_CHECKING:
    from deployer.reports.service_logs import Line

DAY = 86_400.0  # seconds


@click.command(short_help="Show what the deployer logged about SERVICE.")
@options.service_argument()
@click.option("--since", type=options.duration, default="1d", show_default=True, help="How far back.")
@click.option(
    "--file",
    "files",
    multiple=True,
    metavar="PATH",
    help="A log of a worker or a bridge that is no service of this Swarm; - for standard input.",
)
@options.json_option
@plainly
def logs(service: str, since: float, files: tuple[str, ...], as_json: bool) -> None:
    """Show what the deployer has logged about SERVICE, event by event.

    Reads the logs of the services that run the deployer (`celery -A deployer worker`, `deployer bridge`)
    from the Swarm manager that DOCKER_HOST names. The deployer's socket proxy does not let it: run this where
    you run `docker service logs`. SERVICE's own lines are shown by the command that stands at the end.
    """
    from deployer.reports.service_logs import lines_of

    found = lines_of(service, _from_files(files) if files else _from_swarm(since))
    if as_json:
        output.as_json(found)
        return
    before: object = object()
    for line in found:
        if (line.event or line.task) != before:
            before = line.event or line.task
            click.echo(printable(_headline(line)))
        click.echo(printable(f"  {line.source}: {line.line}"))
    if not found:
        click.echo(f"no line about {printable(service)} in the last {since:g} s", err=True)
    click.echo(f"its own lines: docker service logs --since {since:.0f}s {printable(service)}", err=True)


def _headline(line: Line) -> str:
    if line.event:
        return f"event {line.event}"
    return f"deployment {line.task}" if line.task else "of no event"


def _from_swarm(since: float) -> Iterator[tuple[str, str]]:
    from deployer import app
    from deployer.reports.service_logs import own_services

    engine = app.swarm()
    found = list(own_services(engine.services()))
    if not found:
        raise PermanentError(
            "no service of this Swarm runs the deployer; name the logs of its processes: "
            "--file worker.log --file bridge.log"
        )
    for service in found:
        yield service.name, engine.logs(service.id, since)


def _from_files(files: Sequence[str]) -> Iterator[tuple[str, str]]:
    for name in files:
        try:
            yield name, sys.stdin.read() if name == "-" else Path(name).read_text(errors="replace")
        except OSError as fault:
            raise PermanentError(f"{name} cannot be read: {fault.strerror}") from fault
