"""The output of `deployer status` for people: one line a service, and under them why nothing happens."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from rich.console import Group
from rich.text import Text

from deployer.cli.views import output
from deployer.cli.views.table import Column, fit, plain
from deployer.cli.views.words import age, coloured, short, shortened, since
from deployer.errors import DeployerError
from deployer.reports.status import Last, ServiceStatus
from deployer.reports.why import KINDS

FEW = 7  # digits of a digest where there is little room
STYLES = {"label": "red", "registry": "red", "failed": "red", "no-worker": "red"} | dict.fromkeys(
    ("superseded", "ignored"), "dim"
)


def status_lines(standings: Sequence[ServiceStatus], width: int) -> list[Text]:
    """Return the table and the notes under it.

    Args:
        standings: the services.
        width: of the terminal, in characters.
    """
    if not standings:
        return [Text("no service runs an image and carries the filter label", style="italic")]
    table = fit(_columns(standings), width)
    notes = list(_notes(standings))
    lines = [*table.lines, *([Text(), *notes] if notes else [])]
    if table.dropped:
        lines += [Text(), Text(f"--wide also shows {', '.join(sorted(table.dropped))}", style="dim")]
    return lines


def _columns(standings: Sequence[ServiceStatus]) -> list[Column]:
    return [
        Column("SERVICE", [one.service for one in standings], cut=True),
        Column("IMAGE", [one.image.rpartition("/")[2] for one in standings], cut=True),
        Column("RUNNING", [short(one.digest) for one in standings], drop=2),
        Column("REGISTRY", [_registry(s) for s in standings], [_registry(s, FEW) for s in standings]),
        Column("STATE", [_state(one) for one in standings]),
        Column("LAST", [_last(one) for one in standings], [_last(one, "") for one in standings]),
        Column("LOGIN", [age(one.credentials_age) for one in standings], drop=3),
    ]


def _registry(one: ServiceStatus, digits: int = 12) -> Text:
    if one.registry == "newer":
        return Text(f"newer: {short(one.newer, digits)}", style="yellow")
    style = "red" if one.registry == "unknown" else "dim"
    return Text(one.registry.replace("-", " "), style=style)


def _state(one: ServiceStatus) -> Text:
    updated = " updated" if one.state == "rolling" else ""
    text = coloured(one.state.replace("-", " "), f" {one.ready}/{one.wanted}{updated}")
    for kind in ("held", "waiting"):
        if any(why.kind == kind for why in one.why):
            text.append(f", {'held' if kind == 'held' else 'waits'}", style="yellow")
            break
    return text


def _last(one: ServiceStatus, suffix: str = " ago") -> Text:
    if one.last is None:
        return Text("-")
    told = since(one.last.at).removesuffix(" ago")
    return coloured(one.last.outcome.replace("going-back", "going back"), f" {told}{suffix}" if told else "")


def _notes(standings: Sequence[ServiceStatus]) -> Iterator[Text]:
    """Yield why nothing happens, worst first; services with the same reason share a line."""
    told: dict[tuple[int, str, str], list[str]] = {}
    for one in standings:
        for kind, reason in _reasons(one):
            told.setdefault((KINDS.index(kind), kind, reason), []).append(one.service)
    for (_, kind, reason), services in sorted(told.items(), key=lambda item: item[0][0]):
        word = f"{kind}: " if kind in {"held", "ignored"} else ""
        yield plain(f"{', '.join(services)}: {word}{shortened(reason)}", STYLES.get(kind, "yellow"))


def _reasons(one: ServiceStatus) -> Iterator[tuple[str, str]]:
    for why in one.why:
        yield why.kind, why.reason
    ended = one.last if one.last and one.last.outcome in {"failed", "rolled-back", "superseded"} else None
    if ended and ended.reason and not any(ended.reason in why.reason for why in one.why):
        yield _ending(ended)
    if one.failed:
        yield "failed", f"not tried again: {', '.join(map(short, one.failed))}"


def _ending(last: Last) -> tuple[str, str]:
    return ("superseded" if last.outcome == "superseded" else "failed"), f"{last.outcome}: {last.reason}"


def watch(read: Callable[[], Sequence[ServiceStatus]], seconds: float, wide: bool, json: bool) -> None:
    """Show the services again and again until Ctrl-C."""
    if sys.stdout.isatty() and not json:
        _live(read, seconds, wide)
    while not sys.stdout.isatty() or json:
        if json:
            output.as_json(read(), indent=None)
        else:
            output.show(
                Text(f"{datetime.now().astimezone():%H:%M:%S}"), *status_lines(read(), output.width(wide))
            )
        sys.stdout.flush()
        time.sleep(seconds)


def _live(read: Callable[[], Sequence[ServiceStatus]], seconds: float, wide: bool) -> None:
    """Keep the terminal's screen; while the Swarm does not answer the last table stays, and says so."""
    from rich.live import Live

    shown: list[Text] = []
    with Live(console=output.console(), auto_refresh=False, screen=True) as live:
        while True:
            rows = shutil.get_terminal_size().lines
            caption = f"{datetime.now().astimezone():%H:%M:%S}, every {seconds:g} s; Ctrl-C ends it"
            try:
                shown = fitting(read(), output.width(wide), rows - 2)
            except DeployerError as fault:
                caption = str(fault)
            live.update(Group(*shown, Text(), plain(caption, "dim italic")), refresh=True)
            try:
                time.sleep(seconds)
            except KeyboardInterrupt:
                return


def fitting(standings: Sequence[ServiceStatus], width: int, rows: int) -> list[Text]:
    """Return as many services as a screen has room for, those with a reason first, and say what is cut.

    Args:
        standings: all services.
        width: of the terminal, in characters.
        rows: of the terminal.
    """
    lines = status_lines(standings, width)
    if _height(lines, width) <= rows:
        return lines
    ranked = sorted(standings, key=lambda one: min([KINDS.index(why.kind) for why in one.why], default=99))
    kept = len(ranked)
    while kept > 1 and _height(lines, width) >= rows:
        kept -= 1
        lines = status_lines(sorted(ranked[:kept], key=lambda one: one.service), width)
    while len(lines) > 1 and _height(lines, width) >= rows:
        lines.pop()
    left = f"{len(ranked) - kept} more services" if kept < len(ranked) else "more"
    return [*lines, Text(f"… {left}: needs a taller terminal, or `deployer status`", style="dim")]


def _height(lines: Sequence[Text], width: int) -> int:
    return sum(max(1, -(-len(line) // width)) for line in lines)
