"""Booleans and durations as people write them into labels, settings and options."""

from __future__ import annotations

import re

TRUE, FALSE = frozenset({"true", "1", "yes", "on"}), frozenset({"false", "0", "no", "off"})
DAY = 86_400.0  # seconds

MAX_TEXT = 32  # characters of a duration
_NUMBER = r"[0-9]{1,9}(?:\.[0-9]{1,6})?"
_PART = re.compile(rf"({_NUMBER})\s*([smhd])")
_DURATION = re.compile(rf"{_NUMBER}|(?:{_NUMBER}\s*[smhd]\s*)+", re.IGNORECASE)
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
