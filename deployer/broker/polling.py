"""The threads that speak to SQS for the broker: one polls a queue, one ends messages; and what wakes the hub.

Neither decides anything, and no answer of SQS ends or stalls them.
"""

from __future__ import annotations

import logging
import re
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from queue import SimpleQueue
from typing import Any

from botocore.exceptions import ClientError
from celery.signals import worker_shutting_down

from deployer.observability.outage import LONGEST_BACKOFF, Outage

log = logging.getLogger(__name__)

SETTLE_BACKOFF = 2.0  # seconds between two tries to delete a message
SETTLE_PATIENCE = 120.0  # seconds of trying: after the visibility timeout it is no use any more
SHORTEST_EMPTY_POLL = 1.0  # seconds, so that a proxy that answers "nothing" at once makes no storm
REGION = re.compile(r"(?:^|\.)([a-z]{2,}(?:-[a-z]+)+-\d+)\.")
STALE_HANDLE = {"InvalidParameterValue", "ReceiptHandleIsInvalid"}


class Waker:
    """Lets a hub of kombu notice calls of other threads, and the worker's end, at once.

    Without any file descriptor a hub sleeps 0.1 s a turn and no call wakes it; with one, no signal
    does: SIGTERM would be noticed after up to 10 s (kombu 5.7).
    """

    def __init__(self, hub: Any) -> None:
        self._hub = hub
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        hub.add_reader(self._reader, self._reader.recv, 64)
        worker_shutting_down.connect(self._wake)

    def _wake(self, **_: Any) -> None:
        self._writer.send(b"\0")

    def close(self) -> None:
        """Leave the hub."""
        worker_shutting_down.disconnect(self._wake)
        self._hub.remove_reader(self._reader)
        self._reader.close()
        self._writer.close()


class Poller(threading.Thread):
    """Receives from one queue when asked to, and never gives up.

    Args:
        queue: the queue's name, for the log.
        receive: one long poll for at most so many messages.
        arrived: takes the messages of a poll, maybe none; called in this thread.
        give_back: makes messages visible again that came too late to be taken.
        longest_backoff: seconds between two tries, at most.
    """

    answered_at: float | None = None

    def __init__(
        self,
        queue: str,
        receive: Callable[[int], Sequence[Mapping[str, Any]]],
        arrived: Callable[[Sequence[Mapping[str, Any]]], None],
        give_back: Callable[[Sequence[Mapping[str, Any]]], None],
        longest_backoff: float = LONGEST_BACKOFF,
    ) -> None:
        super().__init__(name=f"poll-{queue}", daemon=True)
        self._receive, self._arrived, self._give_back = receive, arrived, give_back
        self._asked: SimpleQueue[int] = SimpleQueue()
        self._stopped = threading.Event()
        self._outage = Outage(
            log,
            f"Queue {queue} does not answer, trying on: %s",
            f"Queue {queue} answers again",
            longest=longest_backoff,
        )
        self.busy = False
        self.begun: float | None = None  # when the poll under way was asked for, on time.monotonic's clock

    def ask(self, count: int) -> None:
        """Poll once for at most so many messages, unless a poll is under way."""
        if not self.busy:
            self.busy = True
            self._asked.put(count)

    def stop(self) -> None:
        """Poll no more; what a poll under way still brings is given back."""
        self._stopped.set()
        self._asked.put(0)

    def run(self) -> None:
        """Poll whenever asked."""
        while count := self._asked.get():
            self.begun = time.monotonic()
            messages = self._persist(count)
            self.begun = None
            (self._give_back if self._stopped.is_set() else self._arrived)(messages)

    def _persist(self, count: int) -> Sequence[Mapping[str, Any]]:
        while not self._stopped.is_set():
            begun = time.monotonic()
            try:
                messages = self._receive(count)
            except Exception as fault:  # noqa: BLE001 - whatever it is, not to poll is worse
                self._stopped.wait(self._outage.failed(fault))
                continue
            self._outage.worked()
            Poller.answered_at = time.monotonic()
            if not messages:
                self._stopped.wait(SHORTEST_EMPTY_POLL - (Poller.answered_at - begun))
            return messages
        return ()


class Settler(threading.Thread):
    """Deletes and gives back messages, one request after another; tries again what fails."""

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


def messages_of(answer: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The messages of an answer, maybe none.

    Raises:
        ValueError: the answer is malformed.
    """
    messages: Sequence[Mapping[str, Any]] = answer.get("Messages") or ()
    if not all(message.get("ReceiptHandle") for message in messages):
        raise ValueError("an answer without receipt handles")
    return messages


def deletion(client: Any, url: str, handle: str) -> Callable[[], Any]:
    """The request that deletes a message."""
    return partial(client.delete_message, QueueUrl=url, ReceiptHandle=handle)


def return_of(client: Any, url: str, handle: str) -> Callable[[], Any]:
    """The request that makes a message visible again at once."""
    change = client.change_message_visibility
    return partial(change, QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=0)


def fault_of(request: Callable[[], Any]) -> Exception | None:
    """Make a request; None if it is done with, the error if it may be tried again."""
    try:
        request()
    except Exception as fault:  # noqa: BLE001 - whatever it is, the thread goes on
        return None if _code(fault) in STALE_HANDLE else fault
    return None


def _code(fault: Exception) -> str:
    return str(fault.response.get("Error", {}).get("Code")) if isinstance(fault, ClientError) else ""


def region_of(url: str) -> dict[str, str]:
    """The AWS region in a queue's URL as `{"region": …}`, nothing for an emulator's."""
    found = REGION.search(url.split("://", 1)[-1].split("/", 1)[0])
    return {"region": found[1]} if found else {}
