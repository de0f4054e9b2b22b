"""Output that fits where it goes: a terminal, a pipe, a locale without UTF-8, a script that reads JSON."""

from __future__ import annotations

import codecs
import json
import sys
from dataclasses import asdict, is_dataclass
from datetime import datetime, timedelta
from typing import Any

import click

UNLIMITED = 100_000  # columns where there is no terminal: nothing is wrapped or shortened
# As wide as what they stand for, except where a reader would not understand it.
_PLAIN = {"✓": "+", "✗": "x", "→": "->", "…": "...", "“": '"', "”": '"'}


def _without_utf8(fault: UnicodeError) -> tuple[str, int]:
    assert isinstance(fault, UnicodeEncodeError)  # noqa: S101 - the handler is for output alone
    lost = fault.object[fault.start : fault.end]
    return "".join(_PLAIN.get(one, "?") for one in lost), fault.end


def speak_any_locale() -> None:
    """Let no text that this terminal has no letters for end the command."""
    codecs.register_error("deployer", _without_utf8)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="deployer")


def console(stderr: bool = False) -> Any:
    """Return rich's console: as wide as the terminal, without limit where there is none."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else UNLIMITED
    return Console(stderr=stderr, width=width, highlight=False)


def show(*things: Any, soft: bool = False) -> None:
    """Print what rich can render, without blanks at the ends of lines.

    Args:
        things: to print, one under the other.
        soft: let the terminal wrap long lines, so that they can be copied whole.
    """
    out = console()
    with out.capture() as captured:
        for thing in things:
            out.print(thing, soft_wrap=soft)
    for line in captured.get().splitlines():
        click.echo(line.rstrip(), color=True)


def width(wide: bool = False) -> int:
    """Return how many characters a line may have."""
    return UNLIMITED if wide else int(console().width)


def as_json(value: Any, indent: int | None = 2) -> None:
    """Print dataclasses as JSON: times as ISO 8601 with their zone, durations in seconds."""
    click.echo(json.dumps(value, default=_plain, indent=indent))


def _plain(thing: Any) -> Any:
    if is_dataclass(thing) and not isinstance(thing, type):
        return asdict(thing)
    if isinstance(thing, timedelta):
        return thing.total_seconds()
    return thing.isoformat() if isinstance(thing, datetime) else str(thing)
