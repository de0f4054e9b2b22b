"""How long to wait before the next look, by how long the wait has lasted."""

from __future__ import annotations

import zlib

FIRST, LONGEST = 3.0, 60.0  # seconds between two looks at something that is waited for


def next_wait(waited: float, key: str = "") -> float:
    """Return the seconds until the next look.

    Args:
        waited: seconds for which the same thing has been waited for already.
        key: something that tells waiters apart, so that they do not all look at once.
    """
    seconds = min(max(FIRST, waited / 4), LONGEST)
    return seconds * (0.9 + 0.1 * (zlib.crc32(key.encode()) % 100) / 100)
