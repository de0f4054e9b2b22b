"""The base class of all tasks: their delays are the queue's own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from celery import Task
from celery.utils.time import maybe_make_aware
from kombu.exceptions import OperationalError

LONGEST_DELAY = 900  # seconds, SQS's limit for DelaySeconds
NOT_SENT = (OperationalError, BotoCoreError, ClientError)
"""Errors of `apply_async` and `send_task` when SQS has not taken the message."""


class DurableTask(Task):  # type: ignore[type-arg]
    """A task whose delays are SQS's own, so that no message waits in a worker's memory.

    Celery holds a message with a `countdown` or an `eta`, and runs it twice where that is longer
    than the visibility timeout. Here both become `delay_seconds`, also in retries, at most 15
    minutes: a task that has to wait longer looks at the clock and sends itself back again.
    """

    abstract = True

    def readable(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[str, str] | None:
        """Return positional and keyword arguments as monitors show them; None for Celery's own way."""
        del args, kwargs
        return None

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Send the task with its delay in the queue; `delay_seconds`, where given, rules."""
        countdown, eta = options.pop("countdown", None), options.pop("eta", None)
        if eta is not None:
            moment = datetime.fromisoformat(eta) if isinstance(eta, str) else eta
            moment = maybe_make_aware(moment, self.app.timezone)
            countdown = (moment - datetime.now(moment.tzinfo)).total_seconds()
        if countdown is not None and options.get("delay_seconds") is None:
            options["delay_seconds"] = min(max(math.ceil(countdown), 0), LONGEST_DELAY)
        shown = self.readable(args or (), kwargs or {})
        if shown:
            options = {"argsrepr": shown[0], "kwargsrepr": shown[1], **options}
        return super().apply_async(args, kwargs, **options)
