"""End messages in a thread of its own: delete them, or give them back."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from queue import SimpleQueue
from typing import Any

from deployer.aws.errors import code_of
from deployer.observability.outage import Outage

log = logging.getLogger(__name__)

SETTLE_BACKOFF = 2.0  # seconds between two tries to delete a message
SETTLE_PATIENCE = 120.0  # seconds of trying: after the visibility timeout it is no use any more
LONGEST_REQUEUE = 300  # seconds
STALE_HANDLE = {"InvalidParameterValue", "ReceiptHandleIsInvalid"}


class Settler(threading.Thread):
    """Delete and give back messages, one request after another; try again what fails."""

    def __init__(self) -> None:
        super().__init__(name="settle", daemon=True)
        self._requests: SimpleQueue[tuple[float, Callable[[], Any]] | None] = SimpleQueue()
        self._closing = threading.Event()
        self._outage = Outage(
            log,
            "Messages cannot be deleted or given back, their tasks will run again: %s",
            "Messages are deleted and given back again",
            longest=SETTLE_BACKOFF,
        )

    def put(self, request: Callable[[], Any]) -> None:
        """Make a request soon."""
        self._requests.put((time.monotonic() + SETTLE_PATIENCE, request))

    def finish(self, seconds: float) -> None:
        """Make what is left to be made, without a second try, and wait so long for it."""
        self._closing.set()
        self._requests.put(None)
        self.join(seconds)

    def run(self) -> None:
        """Make the requests."""
        while item := self._requests.get():
            until, request = item
            fault = fault_of(request)
            if fault is None:
                self._outage.worked()
            elif self._closing.is_set() or time.monotonic() > until:
                self._outage.failed(fault)
            else:
                self._requests.put(item)
                self._closing.wait(self._outage.failed(fault))


def deletion(client: Any, url: str, handle: str) -> Callable[[], Any]:
    """Return the request that deletes a message."""
    return partial(client.delete_message, QueueUrl=url, ReceiptHandle=handle)


def return_of(client: Any, url: str, handle: str, seconds: int = 0) -> Callable[[], Any]:
    """Return the request that makes a message visible again, at once or after some seconds."""
    change = client.change_message_visibility
    return partial(change, QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=seconds)


def receptions(message: Mapping[str, Any]) -> int:
    """Return how often a message has been received, this time included; 1 if SQS does not say."""
    count = str((message.get("Attributes") or {}).get("ApproximateReceiveCount", ""))
    return max(1, int(count)) if count.isdecimal() else 1


def requeue_delay(message: Mapping[str, Any]) -> int:
    """Return the seconds after which a message that a task gave back comes again: 1, 2, 4, …"""
    return min(LONGEST_REQUEUE, 1 << min(receptions(message) - 1, 10))


def fault_of(request: Callable[[], Any]) -> Exception | None:
    """Make a request; return the error if it may be tried again."""
    try:
        request()
    except Exception as fault:  # noqa: BLE001 - whatever it is, the thread goes on
        return None if code_of(fault) in STALE_HANDLE else fault
    return None
