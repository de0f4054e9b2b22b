"""Globs and regular expressions that people write into labels; none can keep a worker busy.

Python's `re` tries alternatives one by one and holds the whole process meanwhile: `(a+)+$` on forty
characters does not end. Expressions are RE2's, which reads a tag once whatever the expression is; it has no
look-ahead, look-behind or back-references. A glob is translated so that `re` never goes back in it.
"""

from __future__ import annotations

import fnmatch
import re
from typing import cast

import re2

MAX_PATTERN = 256  # characters

_OPTIONS = re2.Options()
_OPTIONS.log_errors = False  # to stderr, as C++ does; the error tells all


def glob(text: str) -> re.Pattern[str]:
    """Return a glob for whole tags: `*`, `?`, `[abc]`, `[!abc]`; upper and lower case differ.

    Raises:
        ValueError: it is empty, too long, or not to be printed.
    """
    try:
        return re.compile(r"\A" + fnmatch.translate(_bounded(text)))
    except (re.error, OverflowError, RecursionError) as fault:
        raise ValueError(f"{text[:40]!r} is no glob: {fault}") from fault


def regexp(text: str) -> re.Pattern[str]:
    """Return a regular expression, searched anywhere in a tag unless it has `^` and `$`.

    Raises:
        ValueError: RE2 does not take it, or it is too long.
    """
    try:
        compiled = re2.compile(_bounded(text), _OPTIONS)
    except re2.error as fault:
        raise ValueError(f"{text[:40]!r} is no regular expression: {_reason(fault)}") from fault
    return cast("re.Pattern[str]", compiled)  # it has the same methods, as far as they are used here


def any_of(text: str) -> tuple[re.Pattern[str], ...]:
    """Return the patterns of a list: globs with commas between them, or one `regexp:` expression.

    Raises:
        ValueError: one of them cannot be used.
    """
    expression = text.strip().removeprefix("regexp:")
    if expression != text.strip():
        return (regexp(expression),)
    return tuple(glob(part.strip()) for part in _bounded(text).split(","))


def matches(patterns: tuple[re.Pattern[str], ...], tag: str) -> bool:
    """Return whether one of the patterns fits a tag."""
    return any(pattern.search(tag) for pattern in patterns)


def _bounded(text: str) -> str:
    if not text:
        raise ValueError("a pattern is empty")
    if len(text) > MAX_PATTERN:
        raise ValueError(f"a pattern is longer than {MAX_PATTERN} characters")
    if not text.isprintable():
        raise ValueError("a pattern has a character that cannot be printed")
    return text


def _reason(fault: Exception) -> str:
    """Return RE2's words, which are bytes, and what it lacks where Python's expressions have more."""
    reason = fault.args[0].decode(errors="replace") if fault.args else ""
    if "(?" in reason or "escape" in reason:
        reason += " (RE2 has no look-ahead, look-behind or back-references)"
    return reason
