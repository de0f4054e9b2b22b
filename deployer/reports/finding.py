"""A finding of a check, and the words of AWS that checks understand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from botocore.exceptions import ClientError

Level = Literal["ok", "warn", "fail"]
DENIED = ("AccessDenied", "AuthorizationError", "NotAuthorized")
ABSENT = ("NonExistentQueue", "QueueDoesNotExist")


@dataclass(frozen=True)
class Finding:
    """The result of a check; `fix` says what to do where it is not well."""

    check: str
    level: Level
    found: str
    fix: str = ""


Findings = Iterator[Finding]


def says(fault: ClientError, words: Sequence[str]) -> bool:
    """Return whether AWS refuses with one of these codes."""
    code = str(fault.response.get("Error", {}).get("Code", ""))
    return any(word in code for word in words)


def brief_of(fault: Exception) -> str:
    """Return the first line of an error."""
    return str(fault).split("\n", 1)[0][:200]
