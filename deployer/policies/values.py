"""Booleans, durations, numbers and the like, as people write them into labels, settings and options."""

from __future__ import annotations

import re
from dataclasses import dataclass

from deployer.model.suggest import did_you_mean

TRUE, FALSE = frozenset({"true", "1", "yes", "on"}), frozenset({"false", "0", "no", "off"})
DAY = 86_400.0  # seconds

MAX_TEXT = 32  # characters of a duration
_NUMBER = r"[0-9]{1,9}(?:\.[0-9]{1,6})?"
_PART = re.compile(rf"({_NUMBER})\s*([smhd])")
_DURATION = re.compile(rf"{_NUMBER}|(?:{_NUMBER}\s*[smhd]\s*)+", re.IGNORECASE)
_RATE = re.compile(r"[0-9]{1,6}(\.[0-9]{1,3})?(/[smh])?")
_ADDRESS = re.compile(r"(?:(?P<host>\S*):)?(?P<port>[0-9]{1,5})")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": DAY}


def parse_flag(text: str) -> bool:
    """Return the meaning of `true`, `1`, `yes`, `on` and their opposites, in any case.

    Raises:
        ValueError: it is none of them.
    """
    word = text.strip().lower()
    if word not in TRUE | FALSE:
        raise ValueError("it may be true or false")
    return word in TRUE


def parse_duration(text: str, least: float, most: float) -> float:
    """Return the seconds of `900`, `15m`, `1h30m` or `2d`.

    Args:
        text: as it was written.
        least: seconds that it must have at least.
        most: seconds that it may have at most.

    Raises:
        ValueError: it is no duration, or out of bounds.
    """
    text = text.strip()
    if len(text) > MAX_TEXT or not _DURATION.fullmatch(text):
        raise ValueError("it may be a number of seconds or a duration such as 900, 15m or 2h")
    parts = _PART.findall(text.lower())
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts) if parts else float(text)
    if not least <= seconds <= most:
        raise ValueError(f"it may be from {format_duration(least)} to {format_duration(most)}")
    return seconds


def format_duration(seconds: float) -> str:
    """Return a duration in the largest unit that needs no fraction: `15m`, `2h`, `90s`."""
    for unit in "dhm":
        if seconds > _SECONDS[unit] and seconds % _SECONDS[unit] == 0:
            return f"{seconds / _SECONDS[unit]:g}{unit}"
    return f"{seconds:g}s"


def parse_rate(text: str) -> str:
    """Return a rate in Celery's notation, such as `30/m`.

    Raises:
        ValueError: it is none, or zero.
    """
    if not _RATE.fullmatch(text) or float(text.partition("/")[0]) == 0:
        raise ValueError("it may be updates by second, minute or hour, such as 30/m; empty for no limit")
    return text


def parse_address(text: str) -> str:
    """Return `host:port`, or `:port` for all interfaces.

    Raises:
        ValueError: it is no address.
    """
    match = _ADDRESS.fullmatch(text)
    if not match or not 0 < int(match["port"]) < 65_536:
        raise ValueError("it may be a port, or host:port, such as 9808 or 127.0.0.1:9808")
    return f"{match['host'] or ''}:{match['port']}"


@dataclass(frozen=True)
class Duration:
    """A duration between two bounds, in seconds; called with a text it returns the number."""

    least: float
    most: float = DAY
    zero: bool = False  # means never

    def __call__(self, text: str) -> float:
        """Return the seconds; raise ValueError if it is no duration, or out of bounds."""
        seconds = parse_duration(text, 0, float("inf"))
        if not self.least <= seconds <= self.most and not (self.zero and seconds == 0):
            raise ValueError(f"it may be a {self}")
        return seconds

    def __str__(self) -> str:
        """Return the bounds in words."""
        bounds = f"duration from {format_duration(self.least)} to {format_duration(self.most)}"
        return bounds + (", or 0 for never" if self.zero else "")


@dataclass(frozen=True)
class Count:
    """A whole number between two bounds; called with a text it returns the number."""

    least: int
    most: int

    def __call__(self, text: str) -> int:
        """Return the number; raise ValueError if it is none, or out of bounds."""
        word = text.strip()
        if not re.fullmatch("[0-9]{1,9}", word) or not self.least <= int(word) <= self.most:
            raise ValueError(f"it may be a {self}")
        return int(word)

    def __str__(self) -> str:
        """Return the bounds in words."""
        return f"whole number from {self.least} to {self.most}"


@dataclass(frozen=True)
class Choice:
    """One of some words, in any case; called with a text it returns the word."""

    words: tuple[str, ...]

    def __call__(self, text: str) -> str:
        """Return the word; raise ValueError if it is none of them."""
        by_name = {word.lower(): word for word in self.words}
        word = by_name.get(text.strip().lower())
        if word is None:
            *others, last = self.words
            known = f"{', '.join(others)} or {last}" if others else last
            raise ValueError(f"it may be {known}{did_you_mean(text, self.words)}")
        return word

    def __str__(self) -> str:
        """Return the words."""
        return ", ".join(f"`{word}`" for word in self.words)
