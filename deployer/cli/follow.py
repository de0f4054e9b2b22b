"""A deployment that was sent, followed to its end through Redis."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import click

from deployer.cli.exit_codes import ExitCode, exit_code
from deployer.cli.views.output import as_json, console
from deployer.errors import DeploymentFailedError, SettingsError, TemporaryError, printable

POLL_SECONDS = 0.25
QUIET_SECONDS = 3.0  # without a word of a worker, until it is asked whether there is one
NO_WORKER = (
    "no worker answers; the task waits in the queue (start `celery -A deployer worker` on a manager node)"
)

State = Callable[[], tuple[bool, str]]


def require_redis() -> None:
    """Check, before anything is sent, that Redis can tell how the deployment ends.

    Raises:
        SettingsError: no Redis is set.
        TemporaryError: it does not answer.
    """
    from redis import Redis
    from redis.exceptions import RedisError

    from deployer.settings import load

    url = load().redis
    if url is None:
        raise SettingsError(
            "--wait asks Redis how the deployment ended: set DEPLOYER_REDIS_URL=redis://HOST:6379/0; "
            "nothing was sent"
        )
    try:
        with Redis.from_url(url, socket_timeout=5, socket_connect_timeout=2) as redis:
            redis.ping()
    except (RedisError, OSError) as fault:
        raise _redis_gone(fault, "nothing was sent") from fault


def _redis_gone(fault: Exception, so: str) -> TemporaryError:
    name = type(fault).__name__  # its text may hold the URL with the password
    return TemporaryError(f"Redis does not answer (DEPLOYER_REDIS_URL): {name}; {so}")


def finish(result: Any, service: str, seconds: float | None, json: bool, asked_back: bool = False) -> None:
    """Say what was sent, wait for its end if that is wanted, and exit with the code for it.

    Args:
        result: Celery's AsyncResult.
        service: the service's name.
        seconds: how long to wait; None to not wait.
        json: print one JSON object in place of text.
        asked_back: the deployment is a rollback that a person asked for.
    """
    sent = {"task": result.id, "service": service, "outcome": "sent", "reason": "a worker will take it"}
    if not json:
        click.echo(result.id)
    if seconds is None:
        if json:
            as_json(entry(sent))
        return
    report = _end_of(result, service, seconds)
    if json:
        as_json(entry(sent | report))
    else:
        tell(report)
    code = exit_code(str(report["outcome"]), asked_back)
    if code in {ExitCode.FAILED, ExitCode.ROLLED_BACK} and report.get("duration") != 0:  # 0: no task has run
        click.echo(printable(f"what it logged itself: docker service logs --since 10m {service}"), err=True)
    raise SystemExit(code)


def entry(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return the report in the shape of history's entries."""
    from deployer.cli.names import who

    usual = {"at": datetime.now(UTC), "by": "manual", "who": who(), "why": report.get("why")}
    names = ("image", "previous", "duration", "event", "runs", "task", "service", "outcome", "reason")
    return usual | {name: report.get(name) for name in names} | {"by": report.get("by") or "manual"}


def tell(report: Mapping[str, Any]) -> None:
    """Print how a deployment ended, in a line."""
    from deployer.cli.views.words import tag_and_digest

    took = report.get("duration")
    time_taken = f" ({took:.1f} s)" if isinstance(took, int | float) and took else ""
    outcome, reason = report["outcome"], str(report.get("reason")).removeprefix("held: ")
    # A rollback is told with the image that it has led to.
    ran = report.get("runs") if outcome == "rolled-back" else None
    runs = f", now {tag_and_digest(str(ran))}" if ran else ""
    click.echo(printable(f"{report['service']}: {outcome}, {reason}{runs}{time_taken}"))


def _end_of(result: Any, service: str, seconds: float) -> dict[str, Any]:
    """Return the report of a deployment, or leave it alone: after the time, or at Ctrl-C."""
    from redis.exceptions import RedisError

    try:
        if watch(_state_of(result), seconds):
            return _report(result, service)
        click.echo(f"not ended after {seconds:g} s; {_goes_on(service)}", err=True)
        code = ExitCode.TIMED_OUT
    except KeyboardInterrupt:
        click.echo(f"no longer watching; {_goes_on(service)}", err=True)
        code = ExitCode.INTERRUPTED
    except RedisError as fault:
        raise _redis_gone(fault, _goes_on(service)) from fault
    raise SystemExit(code)


def _report(result: Any, service: str) -> dict[str, Any]:
    """Return how a task has ended; whoever can write to Redis may have written anything there."""
    from redis.exceptions import RedisError

    failed = {"service": service, "outcome": "failed"}
    try:
        return {"service": service, "outcome": "?", **result.get()}
    except DeploymentFailedError as fault:
        told = fault.args[1] if len(fault.args) > 1 and isinstance(fault.args[1], Mapping) else {}
        return failed | {"reason": str(fault)} | dict(told)
    except RedisError:
        raise
    except Exception as fault:  # noqa: BLE001 - whatever a task may have ended with
        return failed | {"reason": f"{type(fault).__name__}: {fault}"}


def _goes_on(service: str) -> str:
    return f"the roll-out goes on (deployer status {printable(service)})"


def _state_of(result: Any) -> State:
    began, asked = time.monotonic(), False

    def state() -> tuple[bool, str]:
        nonlocal asked
        meta = result.backend.get_task_meta(result.id, cache=False)
        if meta["status"] in result.backend.READY_STATES:
            return True, ""
        if meta["status"] == "RETRY":
            return False, str(meta["result"])
        if meta["status"] == "PENDING" and not asked and time.monotonic() - began > QUIET_SECONDS:
            asked = True
            if not worker_answers():
                return False, NO_WORKER
        return False, ""

    return state


def worker_answers() -> bool:
    """Return whether any worker answers through Redis."""
    from deployer.app import app

    try:
        return bool(app.control.inspect(timeout=2.0, limit=1).ping())
    except Exception:  # noqa: BLE001 - whatever kombu and Redis raise; the wait itself goes on
        return False


def watch(state: State, seconds: float, first: str = "waiting for a worker") -> bool:
    """Show progress until a deployment has ended, and return whether it has within the time.

    Args:
        state: looks at it.
        seconds: how long to wait.
        first: what a person reads before the first look has told anything.
    """
    until = time.monotonic() + seconds
    return _show_bar(state, until, first) if sys.stderr.isatty() else _show_lines(state, until)


def _show_bar(state: State, until: float, first: str) -> bool:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console(stderr=True), transient=True) as progress:
        bar = progress.add_task(first, total=None)
        while True:
            ended, said = state()
            if count := re.match(r"(\d+)/(\d+)", said):
                progress.update(bar, completed=int(count[1]), total=int(count[2]) or None)
            if said:
                progress.update(bar, description=printable(said))
            if ended or time.monotonic() > until:
                return ended
            time.sleep(POLL_SECONDS)


def _show_lines(state: State, until: float) -> bool:
    told = ""
    while True:
        ended, said = state()
        if said and said != told and not ended:
            click.echo(printable(said), err=True)
            told = said
        if ended or time.monotonic() > until:
            return ended
        time.sleep(POLL_SECONDS)
