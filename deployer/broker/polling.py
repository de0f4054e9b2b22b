"""Poll a queue for the broker in a thread, and wake the hub by a socket.

The thread decides nothing, and no answer of SQS ends or stalls it.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

from celery.signals import worker_shutting_down

from deployer.observability.outage import LONGEST_BACKOFF, Outage

log = logging.getLogger(__name__)

SHORTEST_EMPTY_POLL = 1.0  # seconds, so that a proxy that answers "nothing" at once makes no storm


class Waker:
    """Let a hub of kombu notice calls of other threads, and the worker's end, at once.

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


class Polls:
    """The polls of this process that are under way, each with its retries, on `time.monotonic`'s clock."""

    def __init__(self) -> None:
        self.answered_at: float | None = None
        self._begun: dict[int, float] = {}  # by thread

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Note this thread's poll."""
        self._begun[threading.get_ident()] = time.monotonic()
        try:
            yield
        finally:
            del self._begun[threading.get_ident()]

    def silent_seconds(self) -> float:
        """Return for how long a poll has had no answer; 0 without one."""
        begun = list(self._begun.values())
        return time.monotonic() - min(begun) if begun else 0.0


POLLS = Polls()


class Poller(threading.Thread):
    """Receive from one queue when asked to, and never give up.

    Args:
        queue: the queue's name, for the log.
        receive: one long poll for at most so many messages.
        arrived: takes the messages of a poll, maybe none; called in this thread.
        give_back: makes messages visible again that came too late to be taken.
        longest_backoff: seconds between two tries, at most.
    """

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
            with POLLS.under_way():
                messages = self._persist(count)
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
            POLLS.answered_at = now = time.monotonic()
            if not messages:
                self._stopped.wait(SHORTEST_EMPTY_POLL - (now - begun))
            return messages
        return ()


def messages_of(answer: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the messages of an answer, maybe none.

    Raises:
        ValueError: the answer is malformed.
    """
    messages: Sequence[Mapping[str, Any]] = answer.get("Messages") or ()
    if not all(message.get("ReceiptHandle") for message in messages):
        raise ValueError("an answer without receipt handles")
    return messages
