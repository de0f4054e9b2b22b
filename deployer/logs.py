"""One line for an event worth a person's attention, key=value (logfmt) or JSON, with ids of what it is about.

Modules log with the standard library; `about` adds `event`, `task` and `service` to all that is logged
within it, so that one search for an event's id follows a push through bridge, task and update. structlog
does the formatting (its ProcessorFormatter takes the standard library's records).
"""

from __future__ import annotations

import logging
import sys
from contextlib import AbstractContextManager
from typing import Any

import structlog
from structlog.contextvars import bound_contextvars

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
FIRST = ["time", "level", "logger", "msg"]
EXTRA = ("outcome", "duration", "image", "previous")  # what a line may carry beside its ids


def configure(level: str | int, form: str = "logfmt") -> None:
    """Log to standard error; the libraries below us only from WARNING on.

    Args:
        level: of the standard library.
        form: `logfmt` or `json`.
    """
    json = form == "json"
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if json
        else structlog.processors.LogfmtRenderer(key_order=FIRST, drop_missing=True)
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            structlog.stdlib.ExtraAdder(allow=EXTRA),
            structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("msg", "event_id"),
        ],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for chatty in CHATTY:
        logging.getLogger(chatty).setLevel(logging.WARNING)


def about(*, event: str | None = None, **ids: str | None) -> AbstractContextManager[None]:
    """Add the ids of an event, a task, a service to all that this thread logs within the context."""
    # structlog calls the message "event" until it is renamed.
    return bound_contextvars(**{k: v for k, v in {"event_id": event, **ids}.items() if v})
