"""The command `deployer ecs deploy`."""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import click

from deployer.cli import follow, options
from deployer.cli.ecs import here as core
from deployer.cli.ecs.scale import health_options, members_of
from deployer.cli.exit_codes import ExitCode, exit_code
from deployer.cli.faults import plainly
from deployer.errors import DeployerError, printable

if TYPE_CHECKING:
    from deployer.model.deployment import Report


@click.command()
@click.argument("service")
@core.cluster_option
@click.option(
    "--image",
    "-i",
    metavar="IMAGE",
    help="v7, web:v7, sha256:… or a full reference.  [default: what the tag that it follows means now]",
)
@click.option(
    "--tag-from", "-e", metavar="VARIABLE", help="Deploy the tag that this environment variable has."
)
@click.option("--force", is_flag=True, help="Restart even on the same digest; retry a digest that failed.")
@click.option(
    "--timeout",
    "-t",
    type=options.duration,
    metavar="DURATION",
    help="Until a roll-out that has not converged counts as failed.  [default: 15m]",
)
@click.option("--no-rollback", is_flag=True, help="Leave a failed roll-out as it is.")
@click.option("--no-wait", is_flag=True, help="End when the roll-out has begun.")
@health_options
@click.option(
    "--keep",
    type=click.IntRange(1),
    metavar="N",
    help="After success take the deployer's own revisions out of use, but the newest N.",
)
@options.json_option
@plainly
def deploy(
    service: str,
    cluster: str | None,
    image: str | None,
    tag_from: str | None,
    force: bool,
    timeout: float | None,
    no_rollback: bool,
    no_wait: bool,
    keep: int | None,
    as_json: bool,
    **counts: int | None,
) -> None:
    """Deploy to SERVICE from here, and follow it to its end.

    The exit code is 0 only if the very deployment that was begun has converged: a circuit breaker's rollback
    is 4.
    """
    wanted = tag_of(tag_from) if tag_from else image
    report = deployed(
        service, cluster, wanted, force, timeout, False if no_rollback else None, not no_wait, counts, keep
    )
    finish(report, service, as_json)


def tag_of(variable: str) -> str:
    """Return the tag in an environment variable.

    Raises:
        click.BadParameter: it is not set.
    """
    if not os.environ.get(variable):
        raise click.BadParameter(f"the environment variable {variable} is not set", param_hint="--tag-from")
    return os.environ[variable]


def deployed(
    service: str,
    cluster: str | None,
    image: str | None,
    force: bool,
    timeout: float | None,
    rollback: bool | None,
    wait: bool,
    counts: dict[str, int | None],
    keep: int | None = None,
) -> Report | None:
    """Deploy, and return how it ended; None if it goes on."""
    from deployer.cli.ecs.revisions import pruned
    from deployer.cli.names import image_of
    from deployer.model.deployment import Outcome, Request
    from deployer.model.image import Image

    connected = core.connected(cluster, timeout=timeout, rollback=rollback)
    found = connected.service(service)
    text = str(image_of(image, found.image)) if image else None
    if text:  # a full reference is somebody's word, also for another repository
        to = Image.parse(text)
        named = (f"{to.host}/{to.repository}",)
        connected = core.connected(cluster, timeout=timeout, rollback=rollback, repositories=named)
    counted = core.CountFirst(connected, found, members_of(found.native.raw, **counts))
    request = Request(core.new_id(), image=text, force=force, allow_repository_change=bool(text))
    steps = core.Steps(replace(connected.deployer, target=counted), service, request, wait=wait)
    try:
        follow.watch(steps, float("inf"), f"looking at {service}")
    except KeyboardInterrupt:
        click.echo("no longer watching; what was begun goes on, and nobody takes it back", err=True)
        raise SystemExit(ExitCode.INTERRUPTED) from None
    if steps.report and steps.report.outcome is Outcome.UNCHANGED:
        counted.change()
    if keep and steps.report and steps.report.outcome in {Outcome.UPDATED, Outcome.UNCHANGED}:
        try:
            gone = pruned(connected, connected.service(service), keep)
        except DeployerError as fault:  # the deployment has ended well all the same
            gone = []
            click.echo(printable(f"old revisions stay: {fault}"), err=True)
        for name in gone:
            click.echo(f"out of use: {name}", err=True)
    return steps.report


def finish(report: Report | None, service: str, as_json: bool) -> None:
    """Print how a deployment ended, and exit with the code for it."""
    from deployer.cli.views import output

    told: dict[str, Any] = {
        "service": service,
        "outcome": "begun",
        "reason": "it goes on without being watched",
    }
    if report is not None:
        told = asdict(report)
    if as_json:
        output.as_json(follow.entry(told))
    elif report is None:
        click.echo(printable(f"{service}: begun"))
    else:
        follow.tell(told)
    raise SystemExit(exit_code(report.outcome) if report else ExitCode.OK)
