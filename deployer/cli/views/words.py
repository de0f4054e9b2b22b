"""Images, digests, times and outcomes as people read them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from rich.text import Text

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
    "baking": "cyan",
    "going back": "yellow",
    "waiting": "cyan",
    "failed": "red",
    "fail": "red",
    "failure": "red",
    "paused": "red",
    "rolled-back": "red",
    "reverted": "red",
}
SHORT = 12  # digits of a digest: as many as `docker image ls` shows
DIGEST = re.compile(r"\bsha256:([0-9a-f]{64})\b")
UUID = re.compile(r"\b([0-9a-f]{8})(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")  # its beginning is enough to find it


def coloured(word: str, rest: str = "") -> Text:
    """Return a word in its colour."""
    return Text.assemble((word, COLOURS.get(word, "")), rest)


def short(digest: str | None, length: int = SHORT) -> str:
    """Return the beginning of a digest."""
    return digest.removeprefix("sha256:")[:length] if digest else "-"


def shortened(text: str) -> str:
    """Return a text with short digests and ids."""
    return UUID.sub(r"\1", DIGEST.sub(lambda found: found[1][:SHORT], text))


def tag_and_digest(image: str | None, length: int = SHORT) -> str:
    """Return an image as people tell it: `web:latest 0123456789ab`."""
    if not image:
        return "-"
    name, _, digest = image.partition("@")
    return f"{name.rpartition('/')[2]} {short(digest, length)}".strip(" -")


def age(span: timedelta | None) -> str:
    """Return a time span in its largest unit."""
    if span is None:
        return "-"
    seconds = max(0, int(span.total_seconds()))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def since(then: datetime | None) -> str:
    """Return how long ago something was."""
    return f"{age(datetime.now(UTC) - then)} ago" if then else ""


def when(then: datetime | None) -> str:
    """Return a time as ISO 8601 with its zone."""
    return then.isoformat(sep=" ", timespec="seconds").replace("+00:00", "Z") if then else "-"


def count(number: int, word: str) -> str:
    """Return a number of things: `1 service`, `2 pushes`."""
    plural = "es" if word.endswith("sh") else "s"
    return f"{number} {word}{'' if number == 1 else plural}"
