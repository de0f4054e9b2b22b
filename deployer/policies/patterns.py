"""Globs and regular expressions that people write into labels, without those that never end.

Python's `re` tries alternatives one by one and holds the whole process meanwhile: `(a+)+$` on forty
characters does not end. Patterns are therefore bounded in length and in how much they may repeat, so that
the time is no exponential of a tag's length (128 at most, by the distribution grammar). It still is a power
of it: `-.*-.*-.*-.*!` takes half a second on a tag of 128 dashes. Pure.
"""

from __future__ import annotations

import fnmatch
import math
import re
from dataclasses import dataclass

MAX_PATTERN = 256  # characters
MAX_REPEATS = 12  # repetitions without a fixed count, each as often as the group around it may repeat

_TOKEN = re.compile(
    r"\\."  # an escape
    r"|\[\^?\]?(?:\\.|[^\]\\])*\]"  # a set
    r"|\(\?(?:P=\w+|\#[^)]*|[aiLmsux-]+)\)"  # a back-reference by name, a comment, flags: no groups
    r"|\((?:\?(?:P<\w+>|<?[=!]|[:>]|[aiLmsux-]+:|\(\w+\)))?"  # the beginning of a group
    r"|(?P<repeat>(?:[*+?]|\{(?P<low>\d*)(?P<comma>,?)(?P<high>\d*)\})[?+]?)"
    r"|.",
    re.DOTALL,
)


def glob(text: str) -> re.Pattern[str]:
    """A glob for whole tags: `*`, `?`, `[abc]`, `[!abc]`; upper and lower case differ.

    Raises:
        ValueError: it is empty, too long, or not to be printed.
    """
    return _compile(text, r"\A" + fnmatch.translate(_bounded(text)))


def regexp(text: str) -> re.Pattern[str]:
    """A regular expression, searched anywhere in a tag unless it has `^` and `$`.

    Raises:
        ValueError: it is none, or too long, or might take too long.
    """
    compiled = _compile(text, _bounded(text))
    if compiled.flags & re.VERBOSE:
        raise ValueError("the flag x is not supported")
    if _repeats(text) > MAX_REPEATS:
        raise ValueError(
            "it might take too long: a group that holds * + ? {m,n} or | may not repeat without an upper "
            f"bound, and there may be {MAX_REPEATS} such repetitions in all"
        )
    return compiled


def any_of(text: str) -> tuple[re.Pattern[str], ...]:
    """The patterns of a list: globs with commas between them, or one `regexp:` expression.

    Raises:
        ValueError: one of them cannot be used.
    """
    expression = text.strip().removeprefix("regexp:")
    if expression != text.strip():
        return (regexp(expression),)
    return tuple(glob(part.strip()) for part in _bounded(text).split(","))


def matches(patterns: tuple[re.Pattern[str], ...], tag: str) -> bool:
    """Whether one of the patterns fits a tag."""
    return any(pattern.search(tag) for pattern in patterns)


def _bounded(text: str) -> str:
    if not text:
        raise ValueError("a pattern is empty")
    if len(text) > MAX_PATTERN:
        raise ValueError(f"a pattern is longer than {MAX_PATTERN} characters")
    if not text.isprintable():
        raise ValueError("a pattern has a character that cannot be printed")
    return text


def _compile(text: str, expression: str) -> re.Pattern[str]:
    try:
        return re.compile(expression)
    except (re.error, OverflowError, RecursionError) as fault:
        raise ValueError(f"{text[:40]!r} is no regular expression: {fault}") from fault


@dataclass
class _Group:
    repeats: float = 0
    choices: bool = False


def _repeats(expression: str) -> float:
    """How many variable repetitions may be under way at once; infinite where they are nested unbounded.

    The exponent of the time that a failing search may take; the expression is known to compile.
    """
    groups = [_Group()]
    closed = _Group()  # the group that a repetition right here would repeat
    for token in _TOKEN.finditer(expression):
        text = token[0]
        if token["repeat"]:
            low, high = _limits(token)
            groups[-1].repeats += _cost(closed, high) + (low != high)
        closed = _Group()
        if text == "|":
            groups[-1].choices = True
        elif text == ")" and len(groups) > 1:
            closed = groups.pop()
            groups[-1].repeats += closed.repeats
        elif text[0] == "(" and text[-1] != ")":
            groups.append(_Group())
        elif text.startswith("(?("):
            groups.append(_Group(choices=True))
    return groups[0].repeats


def _limits(token: re.Match[str]) -> tuple[float, float]:
    simple = {"*": (0, math.inf), "+": (1, math.inf), "?": (0, 1)}.get(token[0][0])
    if simple:
        return simple
    low = int(token["low"] or 0)
    if not token["comma"]:
        return low, low
    return low, int(token["high"]) if token["high"] else math.inf


def _cost(group: _Group, high: float) -> float:
    """What repeating a group adds to what stands in it once."""
    inner = group.repeats + group.choices
    return inner * (high - 1) if inner and high > 1 else 0
