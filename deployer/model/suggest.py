"""Suggestions for names that were probably misspelt."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

CUTOFF = 0.6  # of difflib's similarity, below which a suggestion would be a guess


def nearest(name: str, known: Iterable[str], prefix: str = "") -> str | None:
    """Return the known name that is most like a given one, or None if none is near.

    Args:
        name: as it was written.
        known: the names that exist.
        prefix: what all of them begin with; it does not count as likeness.
    """
    bare = {one.lower().removeprefix(prefix.lower()): one for one in known}
    word = name[:100].lower().removeprefix(prefix.lower())
    # A service is often named without its stack: `api` for `shop_api`.
    inside = [full for short, full in bare.items() if word and short.endswith(f"_{word}")]
    if len(inside) == 1:
        return inside[0]
    found = difflib.get_close_matches(word, bare, n=1, cutoff=CUTOFF)
    return bare[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str], prefix: str = "") -> str:
    """Return `; did you mean NAME?` for an error's end, or an empty text if no name is near."""
    found = nearest(name, known, prefix)
    return f"; did you mean {found}?" if found else ""
