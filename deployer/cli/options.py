"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import click

MONTH = 30 * 86_400.0  # seconds
WAIT_SECONDS = 1800.0  # two of the usual DEPLOYER_ROLLOUT_TIMEOUT: one forward, one back

Command = Callable[..., Any]


def duration(text: str) -> float:
    """Return the seconds of a duration such as 90, 15m or 2h.

    Raises:
        click.BadParameter: it is none.
    """
    from deployer.policies.values import parse_duration

    try:
        return parse_duration(text, 0.0, MONTH)
    except ValueError as fault:
        raise click.BadParameter(f"{text!r}: {fault}") from fault


def outcome(text: str) -> str:
    """Return an outcome, or what `history` shows of a deployment without one.

    Raises:
        click.BadParameter: it is neither; the message suggests what is meant.
    """
    from deployer.model.deployment import Outcome
    from deployer.model.suggest import did_you_mean

    known = [*map(str, Outcome), "sent", "waiting", "former"]
    if text not in known:
        raise click.BadParameter(f"{text!r} is none{did_you_mean(text, known)} (known: {', '.join(known)})")
    return text


def moment(text: str) -> datetime:
    """Return the time of `2h` (ago) or of an ISO time; one without a zone is of this host's.

    Raises:
        click.BadParameter: it is neither.
    """
    with suppress(ValueError):
        return datetime.fromisoformat(text).astimezone()
    try:
        return datetime.now(UTC) - timedelta(seconds=duration(text.removesuffix("ago").strip()))
    except (click.BadParameter, OverflowError) as fault:
        said = "it may be a duration such as 2h or 3d, or an ISO time such as 2026-01-31T08:00Z"
        raise click.BadParameter(f"{text!r}: {said}") from fault


def json_option(command: Command) -> Command:
    """Add --json."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON (docs/commands.md).")(command)


def reason(command: Command) -> Command:
    """Add --reason."""
    text = "Why; history and the worker's audit log keep it."
    return click.option("--reason", metavar="TEXT", help=text)(command)


def waiting(command: Command) -> Command:
    """Add --wait, --timeout and --json."""
    wait = click.option("--wait", is_flag=True, help="Follow the deployment to its end (needs Redis).")
    timeout = click.option(
        "--timeout",
        type=duration,
        metavar="DURATION",
        help="How long to wait, such as 90s or 15m; then the exit code is 124.  [default: 30m]",
    )
    return wait(timeout(json_option(command)))


def patience(wait: bool, timeout: float | None) -> float | None:
    """Return how many seconds to wait, or None to not wait at all.

    Raises:
        click.UsageError: there is a time-out but nothing to wait for.
    """
    if timeout is not None and not wait:
        raise click.UsageError("--timeout is of no use without --wait")
    return (WAIT_SECONDS if timeout is None else timeout) if wait else None


def service_argument(required: bool = True, many: bool = False) -> Callable[[Command], Command]:
    """Add the argument SERVICE, whose names the shell completes."""

    def add(command: Command) -> Command:
        name, count = ("services", -1) if many else ("service", 1)
        return click.argument(name, required=required, nargs=count, shell_complete=_names)(command)

    return add


def _names(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    from deployer.cli.names import complete

    return complete(incomplete)
