"""Log one line for each event worth a person's attention, as logfmt or JSON, with the ids of its subject.

Modules log with the standard library; `about` adds `event`, `task` and `service` to all that is logged
within it, so that one search for an event's id follows a push through bridge, task and update.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType

# Celery logs every look at a roll-out as a task received and succeeded.
CHATTY = (
    "apprise",
    "botocore",
    "boto3",
    "urllib3",
    "docker",
    "kombu",
    "celery.app.trace",
    "celery.worker.strategy",
)
EXTRA = ("outcome", "duration", "image", "previous")  # what a line may carry beside its ids
NEEDS_QUOTES = re.compile(r'[\s="\\\x00-\x1f\x7f]|^$')

_ids: ContextVar[Mapping[str, str]] = ContextVar("ids", default=MappingProxyType({}))


def configure(level: str | int, form: str = "logfmt") -> None:
    """Log to standard error; the libraries below us only from WARNING on.

    Args:
        level: of the standard library.
        form: `logfmt` or `json`.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LogFormatter(form == "json"))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for chatty in CHATTY:
        logging.getLogger(chatty).setLevel(logging.WARNING)


@contextmanager
def about(**ids: str | None) -> Iterator[None]:
    """Add the ids of an event, a task, a service to all that this thread logs within the context."""
    before = _ids.set({**_ids.get(), **{name: value for name, value in ids.items() if value}})
    try:
        yield
    finally:
        _ids.reset(before)


class LogFormatter(logging.Formatter):
    """Format each record as one line.

    Args:
        as_json: an object of JSON; else logfmt, in which a text is quoted and escaped where it has to be.
    """

    def __init__(self, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds")
        told: dict[str, object] = {
            "time": at.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": record.getMessage(),
            **_ids.get(),
            **{name: getattr(record, name) for name in EXTRA if getattr(record, name, None) is not None},
        }
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        if self._as_json:
            return json.dumps(told, default=repr)
        return " ".join(f"{name}={_plain(value)}" for name, value in told.items())


def _plain(value: object) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=not text.isprintable()) if NEEDS_QUOTES.search(text) else text
