"""The exit codes of the `deployer` command; docs/commands.md has the same table."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deployer.model.deployment import Outcome


class ExitCode(IntEnum):
    """The end of a command, for scripts: `deployer update web --wait && smoke-test`."""

    OK = 0  # done; with --wait: updated, unchanged, or rolled back because a person asked for it
    ERROR = 1  # the command could not do it (a setting, the engine, Redis, the queue), or found a fault
    USAGE = 2  # a wrong option or argument
    FAILED = 3  # the deployment failed
    ROLLED_BACK = 4  # the deployment failed and was rolled back
    HELD = 5  # nothing was done: the service or the digest is held back
    IGNORED = 6  # nothing was done: the service is not managed, or its labels turn updates off
    SUPERSEDED = 7  # something newer took its place
    TIMED_OUT = 124  # --timeout has passed; the deployment goes on (the code of `timeout`)
    INTERRUPTED = 130  # Ctrl-C; the deployment goes on


def exit_code(outcome: Outcome | str, asked_back: bool = False) -> ExitCode:
    """Return the exit code of a deployment that has ended.

    Args:
        outcome: the outcome.
        asked_back: a person asked for the rollback, so that `rolled-back` is a success.
    """
    if outcome == "rolled-back" and asked_back:
        return ExitCode.OK
    return _CODES.get(str(outcome), ExitCode.FAILED)


_CODES = {
    "updated": ExitCode.OK,
    "unchanged": ExitCode.OK,
    "rolled-back": ExitCode.ROLLED_BACK,
    "held": ExitCode.HELD,
    "ignored": ExitCode.IGNORED,
    "superseded": ExitCode.SUPERSEDED,
}
