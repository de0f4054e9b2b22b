"""The command `deployer ecs scale`, and the options for count and health that `deploy` has too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

from deployer.cli import options
from deployer.cli.ecs import here as core
from deployer.cli.faults import plainly
from deployer.cli.views import output


def health_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --desired, --min and --max."""
    percent = click.IntRange(0, 1000)
    for name, letter, kind, shown, what in (
        ("--max", "-M", percent, "PERCENT", "the maximum percent"),
        ("--min", "-m", percent, "PERCENT", "the minimum healthy percent"),
        ("--desired", "-D", click.IntRange(0), "N", "the desired count"),
    ):
        field = {"--max": "most", "--min": "least", "--desired": "desired"}[name]
        command = click.option(name, letter, field, type=kind, metavar=shown, help=f"Set {what} first.")(
            command
        )
    return command


def members_of(
    raw: Mapping[str, Any], desired: int | None = None, least: int | None = None, most: int | None = None
) -> dict[str, Any]:
    """Return the members of UpdateService for what is asked, and nothing else.

    The deployment configuration is sent whole: a part of it would take the circuit breaker away.
    """
    found: dict[str, Any] = {} if desired is None else {"desiredCount": desired}
    percents = {"minimumHealthyPercent": least, "maximumPercent": most}
    asked = {name: percent for name, percent in percents.items() if percent is not None}
    if asked:
        found["deploymentConfiguration"] = {**(raw.get("deploymentConfiguration") or {}), **asked}
    return found


@click.command()
@click.argument("service")
@click.argument("count", type=click.IntRange(0))
@core.cluster_option
@options.json_option
@plainly
def scale(service: str, count: int, cluster: str | None, as_json: bool) -> None:
    """Set the desired count of SERVICE, and nothing else."""
    connected = core.connected(cluster)
    found = connected.service(service)
    core.changed(connected, found, members_of(found.native.raw, desired=count))
    if as_json:
        output.as_json({"service": found.name, "from": found.desired, "to": count})
    else:
        click.echo(f"{found.name}: {found.desired} -> {count} tasks")
