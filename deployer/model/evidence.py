"""Evidence about images and roll-outs: a signature that is proved, findings of a scan, alarms that fire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
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


class Signals(Enum):
    """What an alarm or a query says."""

    QUIET = "quiet"
    FIRES = "fires"
    UNKNOWN = "unknown"  # no data, or nobody to ask


@dataclass(frozen=True)
class Signal:
    """The state of an alarm or a query."""

    name: str
    state: Signals
    reason: str = ""
    since: datetime | None = None  # where it is told
