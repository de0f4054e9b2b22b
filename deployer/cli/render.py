"""What the `deployer` command shows: tables and bars with rich, and the same as JSON for scripts."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from deployer.cli import output
from deployer.errors import printable
from deployer.reports.doctor import Finding
from deployer.reports.explain import Explanation
from deployer.reports.history import Entry
from deployer.reports.status import Standing
from deployer.rollouts.survey import Survey

COLOURS = {
    "updated": "green",
    "converged": "green",
    "unchanged": "dim",
    "ok": "green",
    "warn": "yellow",
    "held": "yellow",
    "superseded": "dim",
    "ignored": "dim",
    "rolling": "cyan",
    "waiting": "cyan",
    "failed": "red",
    "fail": "red",
    "failure": "red",
    "paused": "red",
    "rolled-back": "red",
    "reverted": "red",
}
UUID = re.compile(r"\b([0-9a-f]{8})(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")  # its beginning is enough to find it


def status_table(standings: Sequence[Standing]) -> Group:
    """The table of `deployer status`; what is too long for a cell stands under it."""
    if not standings:
        return Group(Text("no service runs an image and carries the filter label", style="italic"))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("SERVICE", "IMAGE", "RUNNING", "REGISTRY", "STATE", "LAST", "LOGIN"):
        table.add_column(column, overflow="fold", no_wrap=column in {"RUNNING", "LOGIN"})
    for one in standings:
        _add(
            table,
            one.service,
            one.image.rpartition("/")[2],
            _short(one.digest),
            _newer(one),
            _state(one),
            Text.assemble(_coloured(_outcome(one)), f" {_ago(one.since)}" if one.since else ""),
            _age(one.credentials_age),
        )
    notes = [*_unknown(standings), *_stories(standings)]
    return Group(table, *([Text(), *notes] if notes else []))


def _outcome(one: Standing) -> str:
    return re.split(r"[: ]", one.last)[0]


def _unknown(standings: Sequence[Standing]) -> Iterator[Text]:
    """Why registries do not tell, each reason once."""
    reasons = dict.fromkeys(one.registry for one in standings if one.registry)
    for reason in reasons:
        services = ", ".join(one.service for one in standings if one.registry == reason)
        yield _plain(f"{services}: {reason}", "red")


def _stories(standings: Sequence[Standing]) -> Iterator[Text]:
    """How deployments ended that did not end well."""
    for one in standings:
        failed = f"; not tried again: {', '.join(map(_short, one.failed))}" if one.failed else ""
        if one.advice:
            yield Text(f"{one.service}: {one.advice}", style="yellow")
        if failed or _outcome(one) not in {"updated", "rolling", "-"}:
            last = UUID.sub(r"\1", one.last)
            yield _plain(f"{one.service}: {last}{failed}", "yellow")


def watch(read: Callable[[], Sequence[Standing]], seconds: float) -> None:
    """Show the table until Ctrl-C; while the Swarm does not answer the last one stays, and says so."""
    from deployer.errors import DeployerError

    with Live(console=output.console(), auto_refresh=False, screen=sys.stdout.isatty()) as live:
        shown = Group()
        while True:
            try:
                shown = status_table(read())
                caption = f"{datetime.now().astimezone():%H:%M:%S}, every {seconds:g} s; Ctrl-C ends it"
            except DeployerError as fault:
                caption = str(fault)
            live.update(Group(shown, Text(), _plain(caption, "dim italic")), refresh=True)
            try:
                time.sleep(seconds)
            except KeyboardInterrupt:
                return


def history_table(entries: Iterable[Entry]) -> Table:
    """The table of `deployer history`."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("WHEN", "SERVICE", "OUTCOME", "IMAGE", "BEFORE", "TOOK", "BY", "REASON"):
        table.add_column(column, overflow="fold", no_wrap=column in {"WHEN", "SERVICE", "OUTCOME", "TOOK"})
    for entry in entries:
        took = f"{entry.duration:.0f} s" if entry.duration else "-"
        by = f"event {entry.event[:8]}" if entry.event else entry.by or "-"
        when = f"{entry.at:%Y-%m-%d %H:%M:%S}" if entry.at else "-"
        image = tag_and_digest(entry.image)
        before = _short((entry.previous or "").partition("@")[2])
        _add(table, when, entry.service, _coloured(entry.outcome), image, before, took, by, entry.reason)
    return table


def behind_table(survey: Survey) -> Table:
    """The table of `deployer reconcile --dry-run`."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("SERVICE", "RUNS", "REGISTRY HAS", "WOULD BE"):
        table.add_column(column, overflow="fold")
    for one in survey.behind:
        verdict = Text("updated", style="green") if one.now else Text(one.reason, style="yellow")
        _add(table, one.service, tag_and_digest(one.running), tag_and_digest(one.wanted), verdict)
    return table


def behind_summary(survey: Survey) -> str:
    """Return what `deployer reconcile --dry-run` looked at, in one line."""
    counts = (_count(survey.services, "service"), _count(survey.images, "image"))
    late = f"{len(survey.behind)} behind" if survey.behind else "none is behind"
    return (
        f"{' and '.join(counts)} compared with the registry; {late}, {_count(survey.missed, 'push')} missed"
    )


def _count(number: int, word: str) -> str:
    plural = "es" if word.endswith("sh") else "s"
    return f"{number} {word}{'' if number == 1 else plural}"


def explanation(explained: Explanation) -> None:
    """Print an explanation, a rule a line."""
    console = output.console()
    console.print(_plain(f"{explained.service} runs {explained.image or 'no image'}", "bold"))
    for step in explained.steps:
        mark, style = ("✗", "red") if step.stop else ("✓", "green")
        said = step.stop or step.note
        rest = _plain(f": {said}" if said else "", "dim")
        console.print(Text.assemble((f"  {mark} ", style), step.rule, rest))
    console.print(_plain(f"  → {explained.verdict}", "bold"))


def finding(console: Console, found: Finding) -> None:
    """Print what a check found."""
    marks = {"ok": "✓", "warn": "!", "fail": "✗"}
    line = Text.assemble(
        (f"{marks[found.level]} ", COLOURS[found.level]), (found.check, "bold"), _plain(f": {found.found}")
    )
    console.print(line)
    if found.fix and found.level != "ok":
        console.print(_plain(f"    → {found.fix}", COLOURS[found.level]))


def _add(table: Table, *cells: str | Text) -> None:
    table.add_row(*map(_plain, cells))


def _plain(cell: str | Text, style: str = "") -> Text:
    """A cell without what rich or a terminal would take for more than text."""
    text = Text(cell, style) if isinstance(cell, str) else cell
    text.plain = printable(text.plain)
    return text


def _coloured(word: str) -> Text:
    return Text(word, style=COLOURS.get(word, ""))


def _short(digest: str | None) -> str:
    return digest.removeprefix("sha256:")[:12] if digest else "-"


def tag_and_digest(image: str | None) -> str:
    """Return an image as people tell it: `web:latest 0123456789ab`."""
    if not image:
        return "-"
    name, _, digest = image.partition("@")
    return f"{name.rpartition('/')[2]} {_short(digest)}".strip(" -")


def _newer(one: Standing) -> Text:
    if one.registry:
        return Text("unknown", style="red")
    if one.off:
        return Text(one.off, style="dim")
    return Text(f"newer: {_short(one.newer)}", style="yellow") if one.newer else Text("the same", style="dim")


def _state(one: Standing) -> Text:
    count = f" {one.ready}/{one.wanted}" + (" updated" if one.state == "rolling" else "")
    text = Text.assemble(_coloured(one.state), count)
    return text.append(f", held: {one.held.removeprefix('held: ')}", style="yellow") if one.held else text


def _ago(since: datetime | None) -> str:
    return _age(datetime.now(UTC) - since) + " ago" if since else "-"


def _age(age: timedelta | None) -> str:
    if age is None:
        return "-"
    seconds = max(0, int(age.total_seconds()))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
