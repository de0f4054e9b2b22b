"""The command `deployer ecs run`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from deployer.cli import options
from deployer.cli.ecs import here as core
from deployer.cli.exit_codes import ExitCode
from deployer.cli.faults import plainly
from deployer.cli.views import output
from deployer.errors import BusyError, PermanentError, TemporaryError, printable

if TYPE_CHECKING:
    from deployer.targets.ecs.wire.api import Api

POLL_SECONDS = 3.0


@click.command(
    context_settings={"ignore_unknown_options": True}, short_help="Run one task as SERVICE's own run."
)
@click.argument("service")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@core.cluster_option
@click.option("--timeout", "-t", type=options.duration, default="15m", metavar="DURATION",
              help="How long to wait for its end; then the exit code is 124.  [default: 15m]")  # fmt: skip
@click.option("--no-wait", is_flag=True, help="End when the task has been started.")
@options.json_option
@plainly
def run(
    service: str, command: Sequence[str], cluster: str | None, timeout: float, no_wait: bool, as_json: bool
) -> None:
    """Run one task as SERVICE's own run, with another COMMAND, and wait for its end.

    It has the service's revision, network and capacity. The exit code is 0 if that of its container is 0,
    else 3: `deployer ecs run web -- ./manage.py migrate`.
    """
    from deployer.targets.ecs.names import last
    from deployer.targets.ecs.writes.jobs import as_of_service

    connected = core.connected(cluster)
    found = connected.service(service)
    unit, place = found.native, connected.place(found)
    if unit.revision is None:
        raise PermanentError(f"{service} has no task definition ({found.untouchable})")
    # The token keeps a request that is sent twice from starting two.
    task = place.run(
        **as_of_service(unit, unit.revision, command), clientToken=core.new_id(), startedBy="deployer-run"
    )
    arn = str(task["taskArn"])
    click.echo(f"task {last(arn)}", err=True)
    told: dict[str, object] = {"task": last(arn), "ended": False, "exit_code": None, "reason": None}
    code = ExitCode.OK
    if not no_wait:
        code = end_of(
            place.api, place.cluster.name, arn, unit.containers[0], timeout, told if as_json else None
        )
    if as_json:
        output.as_json(told)
    raise SystemExit(code)


def end_of(
    api: Api, cluster: str, arn: str, container: str, seconds: float, told: dict[str, object] | None = None
) -> ExitCode:
    """Wait for the end of a task, for some seconds, and tell it: the exit code of one container decides.

    Args:
        api: of the cluster's account and region.
        cluster: its name.
        arn: the task's.
        container: the name of the one that decides.
        seconds: how long to wait.
        told: gets the end, in the place of a line on standard output.
    """
    from deployer.targets.ecs.progress import words_of

    until, shown = time.monotonic() + seconds, ""
    while time.monotonic() < until:
        try:
            answer = api.call("DescribeTasks", cluster=cluster, tasks=[arn])
        except TemporaryError as fault:
            time.sleep(fault.seconds if isinstance(fault, BusyError) else POLL_SECONDS)
            continue
        for task in answer.get("tasks") or ():
            status = str(task.get("lastStatus"))
            if status == "STOPPED":
                codes = [
                    one.get("exitCode")
                    for one in task.get("containers") or ()
                    if one.get("name") == container
                ]
                good = codes == [0]
                words = printable("done" if good else words_of(task))
                if told is None:
                    click.echo(words)
                else:
                    told |= {"ended": True, "exit_code": next(iter(codes), None), "reason": words}
                return ExitCode.OK if good else ExitCode.FAILED
            if status != shown:
                click.echo(status.lower(), err=True)
                shown = status
        time.sleep(POLL_SECONDS)
    click.echo(f"not ended after {seconds:g} s; the task goes on", err=True)
    return ExitCode.TIMED_OUT
