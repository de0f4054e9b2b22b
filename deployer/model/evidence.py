"""What is known of an image beside its digest: whether its signature is proved, and what a scan has found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


@dataclass(frozen=True)
class Unproved:
    """The reason why a signature is not proved."""

    reason: str
    for_good: bool = False  # nothing but a person mends it: a key that is not there, a right that is missing


class Scanned(Enum):
    """How far a scan is."""

    DONE = "done"
    RUNNING = "running"  # or it has not begun yet
    IMPOSSIBLE = "impossible"


@dataclass(frozen=True)
class Scan:
    """The result of the scan of an image, all of its platforms together."""

    state: Scanned
    counts: Mapping[str, int] = field(default_factory=dict)  # findings by severity, in lower case
    reason: str = ""  # where it is not done
