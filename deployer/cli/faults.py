"""Errors and interruptions in one line: a stack trace helps nobody with a wrong setting."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from deployer.cli.context import honour_context
from deployer.cli.exit_codes import ExitCode
from deployer.errors import DeployerError, printable


def plainly(command: Callable[..., Any]) -> Callable[..., Any]:
    """Make a command say what went wrong in one line, and end with the exit code for it."""

    @functools.wraps(command)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            honour_context()
            return command(*args, **kwargs)
        except KeyboardInterrupt:
            raise SystemExit(ExitCode.INTERRUPTED) from None
        except DeployerError as fault:
            raise click.ClickException(printable(str(fault))) from fault
        except Exception as fault:
            if said := _of_a_library(fault):
                raise click.ClickException(said) from fault
            raise

    return wrapper


def _of_a_library(fault: Exception) -> str | None:
    # Imported only now: a command that goes well has no need of them.
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        InvalidRegionError,
        NoCredentialsError,
        NoRegionError,
        ProfileNotFound,
    )
    from kombu.exceptions import OperationalError

    from deployer.aws.errors import MISSING, NO_CREDENTIALS, NO_REGION, code_of

    if isinstance(fault, NoRegionError):
        return "no AWS region is set: export AWS_REGION=eu-central-1 (the region of the queues)"
    if wrong := _region_in(fault, InvalidRegionError):
        return NO_REGION.format(wrong)
    if isinstance(fault, ProfileNotFound):
        return f"{_first_line(fault)}: correct AWS_PROFILE, or add it to the AWS configuration"
    if isinstance(fault, NoCredentialsError):
        return NO_CREDENTIALS
    if code_of(fault) in MISSING or "NonExistentQueue" in str(fault):
        return (
            f"there is no such task queue ({_queue()}, {_region()}); correct its name or URL, or the region"
        )
    if isinstance(fault, OperationalError | BotoCoreError | ClientError):
        return f"cannot send to the task queue ({_queue()}): {_first_line(fault)}"
    return None


def _region_in(fault: BaseException | None, kind: type[Any]) -> str | None:
    """Return the region of the fault, or of one behind it, that says that it is none."""
    while fault is not None:
        if isinstance(fault, kind):
            return str(fault.kwargs.get("region_name"))
        fault = fault.__cause__ or fault.__context__
    return None


def _queue() -> str:
    from deployer.settings import load

    queues = ", ".join(load().task_queue)
    return f"DEPLOYER_TASK_QUEUE={queues}" if queues else "DEPLOYER_TASK_QUEUE is not set"


def _region() -> str:
    import os

    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    return f"AWS_REGION={region}" if region else "AWS_REGION is not set"


def _first_line(fault: Exception) -> str:
    return printable(str(fault).split("\n", 1)[0][:300])
