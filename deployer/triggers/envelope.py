"""Open the body of a queue message: strict JSON, out of the SNS envelopes that it came in.

Bodies are strangers' texts. What passes here is an object of plain JSON values, shallow enough for
every encoder that it meets later; everything else is one error, whose words fit a line of a log.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from deployer.errors import PermanentError

MAX_ENVELOPES = 4  # SNS within SNS; two are seen in the field
MAX_DEPTH = 64  # levels of objects and lists; CloudTrail's records have eight


class UnreadableError(PermanentError):
    """A body is no event of any kind: `reason` says why, `detail` quotes from it."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail = reason, detail


def unwrap(body: object) -> dict[str, Any]:
    """Return the innermost object of a body, which may be text, bytes in UTF-8 or a mapping.

    It shares nothing with the body, so that it may be changed.

    Raises:
        UnreadableError: there is no such object.
    """
    for _ in range(MAX_ENVELOPES + 1):
        content = _decode(body)
        if not isinstance(content, dict):
            raise UnreadableError("not-an-object", type(content).__name__)
        if content.get("Type") != "Notification" or "Message" not in content:
            return content
        body = content["Message"]
    raise UnreadableError("too many envelopes", f"more than {MAX_ENVELOPES}")


def quote(value: object) -> str:
    """Return a stranger's value for one line of a log: plain ASCII, escaped, and short."""
    return ascii(value[:80])[:120] if isinstance(value, str) else type(value).__name__


def _decode(body: object) -> object:
    try:
        if isinstance(body, Mapping):
            body = json.dumps(dict(body))
        if isinstance(body, bytes):
            body = body.decode("utf-8")
        if not isinstance(body, str):
            return body
        text = body.removeprefix("\ufeff")
        content: object = json.loads(text, parse_constant=_finite, parse_float=_finite)
    except RecursionError:
        raise UnreadableError("too-deep") from None
    except (ValueError, TypeError) as fault:
        raise UnreadableError("not-json", quote(str(fault))) from None
    if not _within(content, MAX_DEPTH):
        raise UnreadableError("too-deep", f"more than {MAX_DEPTH} levels")
    return content


def _finite(text: str) -> float:
    """Return a number that JSON can express: Python's parser also takes NaN, Infinity and 1e999."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number out of range")
    return number


def _within(value: object, levels: int) -> bool:
    if not isinstance(value, (dict, list)):
        return True
    children = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_within(child, levels - 1) for child in children)
