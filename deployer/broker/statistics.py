"""Figures of this worker for metrics and for its health."""

from __future__ import annotations

import time

from celery.worker import state as worker_state

from deployer.broker.polling import POLLS


def last_poll_at() -> float | None:
    """Return when SQS last answered a poll, on `time.monotonic`'s clock; None: not yet.

    A worker whose threads are all busy does not poll.
    """
    return POLLS.answered_at


def silent_seconds() -> float:
    """Return for how long a poll has had no answer, its retries included; 0 without one."""
    return POLLS.silent_seconds()


def in_flight() -> int:
    """Return how many messages this worker has taken and not finished."""
    return len(worker_state.reserved_requests)


def longest_running() -> float:
    """Return for how many seconds the oldest task that runs in this worker has been running."""
    begun = [request.time_start for request in tuple(worker_state.active_requests) if request.time_start]
    return time.monotonic() - min(begun) if begun else 0.0
