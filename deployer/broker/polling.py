"""Poll a queue for the broker in a thread, and wake the hub by a socket.

The thread decides nothing, and no answer of SQS ends or stalls it. A worker's end waits for the poll under
way: SQS may give it a message also when nobody listens any more, and such a message is seen by nobody until
its visibility timeout. So what the last poll brings is made visible again at once.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import Any

from celery.signals import worker_shutdown, worker_shutting_down

from deployer.observability.outage import LONGEST_BACKOFF, Outage

log = logging.getLogger(__name__)

Messages = Sequence[Mapping[str, Any]]
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


class LastPolls:
    """The polls that a worker's end waits for; a second signal ends the wait."""

    def __init__(self) -> None:
        self.pollers: list[Poller] = []
        self._signals = 0
        # Unlike an Event, it may be put to by a signal handler that interrupts whoever waits.
        self._changes: SimpleQueue[None] = SimpleQueue()

    def signalled(self, **_: Any) -> None:
        """Note a signal that ends the worker."""
        self._signals += 1
        self._changes.put(None)

    def add(self, poller: Poller) -> None:
        """Note a poller."""
        self.pollers = [one for one in self.pollers if not one.over] + [poller]

    def ended(self) -> None:
        """Wake who waits for a poller that is over."""
        self._changes.put(None)

    def wait(self, **_: Any) -> None:
        """Wait until all is given back that polls have brought, for no poll longer than SQS may hold it."""
        for poller in self.pollers:
            poller.stop()
        enough = 2 if self._signals else 1  # remote control ends a worker without a signal
        while self._signals < enough:
            left = max((one.until for one in self.pollers if not one.over), default=0.0) - time.monotonic()
            if left <= 0:
                return
            with suppress(Empty):
                self._changes.get(timeout=left)


LAST_POLLS = LastPolls()
worker_shutting_down.connect(LAST_POLLS.signalled)
worker_shutdown.connect(LAST_POLLS.wait)


class Poller(threading.Thread):
    """Receive from one queue when asked to, and never give up.

    Args:
        queue: the queue's name, for the log.
        receive: one long poll for at most so many messages.
        arrived: told in this thread that a poll has ended, and its messages, maybe none, can be taken.
        give_back: makes messages visible again that nobody has taken.
        longest_poll: seconds until a poll has been answered and its messages are given back.
        longest_backoff: seconds between two tries, at most.
    """

    def __init__(
        self,
        queue: str,
        receive: Callable[[int], Messages],
        arrived: Callable[[], None],
        give_back: Callable[[Messages], None],
        longest_poll: float,
        longest_backoff: float = LONGEST_BACKOFF,
    ) -> None:
        super().__init__(name=f"poll-{queue}", daemon=True)
        self._receive, self._arrived, self._give_back = receive, arrived, give_back
        self._longest_poll = longest_poll
        self._asked: SimpleQueue[int] = SimpleQueue()
        self._brought: SimpleQueue[Messages] = SimpleQueue()
        self._stopped = threading.Event()
        self._outage = Outage(
            log,
            f"Queue {queue} does not answer, trying on: %s",
            f"Queue {queue} answers again",
            longest=longest_backoff,
        )
        self.busy = self.over = False
        self.until = 0.0  # when the last poll has had all its time, on `time.monotonic`'s clock
        LAST_POLLS.add(self)

    def ask(self, count: int) -> None:
        """Poll once for at most so many messages, unless a poll is under way."""
        if not self.busy:
            self.busy = True
            self._asked.put(count)

    def take(self) -> Messages:
        """Return what the last poll has brought, once; what is not taken is given back."""
        try:
            return self._brought.get_nowait()
        except Empty:
            return ()

    def stop(self) -> None:
        """Poll no more; what a poll under way still brings, or was not taken yet, is given back."""
        self._stopped.set()
        self._asked.put(0)

    def run(self) -> None:
        """Poll whenever asked."""
        try:
            while count := self._asked.get():
                with POLLS.under_way():
                    self._brought.put(self._persist(count))
                if not self._stopped.is_set():
                    self._arrived()
            self._give_back(self.take())
        finally:
            self.over = True
            LAST_POLLS.ended()

    def _persist(self, count: int) -> Messages:
        while True:
            begun = time.monotonic()
            # Before it is asked: whoever has stopped it looks afterwards.
            self.until = begun + self._longest_poll
            if self._stopped.is_set():
                return ()
            try:
                messages = self._receive(count)
            except Exception as fault:  # noqa: BLE001 - whatever it is, not to poll is worse
                if not self._stopped.is_set():
                    self._stopped.wait(self._outage.failed(fault))
                continue
            self._outage.worked()
            POLLS.answered_at = now = time.monotonic()
            if not messages:
                self._stopped.wait(SHORTEST_EMPTY_POLL - (now - begun))
            return messages


def messages_of(answer: Mapping[str, Any]) -> Messages:
    """Return the messages of an answer, maybe none.

    Raises:
        ValueError: the answer is malformed.
    """
    messages: Messages = answer.get("Messages") or ()
    if not all(message.get("ReceiptHandle") for message in messages):
        raise ValueError("an answer without receipt handles")
    return messages
