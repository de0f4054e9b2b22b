"""Holds by command, of one service or of all, as they stand in the ledger's labels. Pure.

They are kept by the service's name, so that a service that is removed and created again keeps its hold.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime

FREEZE, HOLD = "deployer.freeze", "deployer.hold."


@dataclass(frozen=True)
class Hold:
    """A person's word that nothing is rolled out; times are ISO 8601 with a time zone."""

    reason: str
    by: str | None = None  # the person
    at: str | None = None  # when it was ordered
    until: str | None = None  # when it ends by itself; None: when somebody releases it

    def lasts(self, now: datetime) -> bool:
        """Tell whether the hold has not ended; an end that cannot be read never comes."""
        try:
            return self.until is None or now < datetime.fromisoformat(self.until)
        except (ValueError, TypeError):
            return True

    def __str__(self) -> str:
        until = f"until {self.until.replace('T', ' ').replace('+00:00', 'Z')}" if self.until else ""
        more = ", ".join(part for part in (f"by {self.by}" if self.by else "", until) if part)
        return f"{self.reason} ({more})" if more else self.reason


def encode(hold: Hold) -> str:
    """Return the label's value: JSON of what is known."""
    known = {name: text for name, text in asdict(hold).items() if text is not None}
    return json.dumps(known, ensure_ascii=False, separators=(",", ":"))


def decode(text: str) -> Hold | None:
    """Read a label's value; a plain text, as older versions wrote it, is the reason."""
    if not text:
        return None
    try:
        told = json.loads(text)
    except ValueError:
        return Hold(text)
    if not isinstance(told, dict) or not isinstance(told.get("reason"), str):
        return Hold(text)
    known = {name: told.get(name) for name in ("by", "at", "until")}
    return Hold(told["reason"], **{name: value for name, value in known.items() if isinstance(value, str)})


def find(labels: Mapping[str, str], keys: tuple[str, ...], now: datetime) -> Hold | None:
    """Return the first hold under one of the keys that has not ended."""
    found = (decode(labels.get(key, "")) for key in keys)
    return next((hold for hold in found if hold and hold.lasts(now)), None)
