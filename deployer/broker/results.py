"""Results of tasks in Redis, without which everything else goes on.

Celery's Redis backend tries again and again and then fails the task whose result it could not store: here
history would decide over deployments. So a result that cannot be stored now is dropped, and said once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from celery.backends.redis import RedisBackend
from kombu.exceptions import OperationalError

from deployer.observability.outage import Outage, kind

log = logging.getLogger(__name__)

# After a failure Redis is left alone for this long, so that a frozen one costs a deployment one time-out.
PAUSE_SECONDS = 10.0


class OptionalRedisBackend(RedisBackend):
    """Celery's Redis backend for a Redis that may vanish at any moment."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._resume_at = 0.0
        self._outage = Outage(
            log,
            "Redis takes nothing, results are lost until it does (%s)",
            "Redis takes results again",
            describe=kind,
        )

    def ensure(self, fun: Callable[..., Any], args: Sequence[Any], **policy: Any) -> Any:
        """Call Redis once: whoever waits for it is a deployment."""
        del policy
        return fun(*args)

    def on_task_call(self, producer: Any, task_id: str) -> None:
        """Subscribe to the result of a task that is being sent, if Redis is there."""
        try:
            super().on_task_call(producer, task_id)
        except Exception as fault:  # noqa: BLE001 - the task is worth more than to hear of its end
            log.warning("Redis does not answer, the task is sent without it (%s)", type(fault).__name__)

    def claim(self, key: str, value: str, seconds: int) -> str | None:
        """Store a value under a key without one; return the value that it has already, None if none.

        Raises:
            ConnectionError: Redis was away a moment ago.
            Exception: whatever Redis, or the way to it, says.
        """
        if time.monotonic() < self._resume_at:
            raise ConnectionError("Redis was away a moment ago")
        if self.client.set(key, value, nx=True, ex=seconds):
            return None
        found = self.client.get(key)
        return found.decode() if isinstance(found, bytes) else str(found or "")

    def store_result(self, task_id: str, result: Any, state: str, *args: Any, **options: Any) -> Any:
        """Store a task's state, if Redis is there."""
        if time.monotonic() < self._resume_at:
            return result
        try:
            stored = super().store_result(task_id, result, state, *args, **options)
        # Whatever it is: one that is full, read-only or forbids it answers, and Celery, which stores that a
        # task has started, would not run it.
        except Exception as fault:  # noqa: BLE001
            if isinstance(fault, (*self.connection_errors, OperationalError, OSError)):
                self._resume_at = time.monotonic() + PAUSE_SECONDS
            self._outage.failed(fault)
            return result
        self._outage.worked()
        return stored
