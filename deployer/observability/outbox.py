"""News for other systems: told by threads of their own, tried again, bounded, never in a deployment's way."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from queue import Full, Queue
from typing import Any

from deployer.errors import PermanentError, TemporaryError

log = logging.getLogger(__name__)

WAITING = 1_000  # news; more are dropped, which is said
TRIES = 6
FIRST_PAUSE = 1.0  # seconds before the second try; twice as long before each further one


@dataclass(frozen=True)
class News:
    """Something that has happened to a deployment."""

    kind: str  # begun, waiting or ended
    task: str  # the deployment's id
    service: str
    at: datetime
    data: Mapping[str, Any] = field(default_factory=dict)  # outcome, reason, image, previous, by, who, why, …


Receiver = Callable[[News], None]
"""Tells one system; raises TemporaryError to be tried again, PermanentError if that is of no use."""


class Outbox:
    """Tells every receiver all news, in their order.

    Args:
        receivers: by the name that a log line has; without any nothing is kept.
        counted: called for each news and receiver with whether it was taken.
        sleep: waits between tries.
    """

    def __init__(
        self,
        receivers: Mapping[str, Receiver],
        counted: Callable[[bool], None] = lambda _: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._counted, self._sleep = counted, sleep
        self._queues = {name: Queue[News](WAITING) for name in receivers}
        self._receivers = receivers
        self._started = False
        self._lock = threading.Lock()

    @property
    def tells(self) -> bool:
        """Return whether anybody is told."""
        return bool(self._receivers)

    def tell(self, news: News) -> None:
        """Queue news for everybody; return at once."""
        with self._lock:
            if not self._started:
                self._started = True
                for name in self._receivers:
                    threading.Thread(target=self._run, args=(name,), name=f"tell-{name}", daemon=True).start()
        for name, queue in self._queues.items():
            try:
                queue.put_nowait(news)
            except Full:
                log.warning("Too much waits for %s, news of %s is dropped", name, news.service)
                self._counted(False)

    def flush(self, seconds: float) -> None:
        """Wait until everything is told, for this many seconds at most."""
        until = time.monotonic() + seconds
        for queue in self._queues.values():
            with queue.all_tasks_done:
                while queue.unfinished_tasks and (left := until - time.monotonic()) > 0:
                    queue.all_tasks_done.wait(left)

    def _run(self, name: str) -> None:
        queue = self._queues[name]
        while True:
            news = queue.get()
            try:
                self._counted(self._told(name, news))
            finally:
                queue.task_done()

    def _told(self, name: str, news: News) -> bool:
        pause, why = FIRST_PAUSE, ""
        for number in range(TRIES):
            if number:
                self._sleep(pause)
                pause *= 2
            try:
                self._receivers[name](news)
            except TemporaryError as fault:
                why = str(fault)
            except PermanentError as fault:
                why = str(fault)
                break
            except Exception as fault:  # noqa: BLE001 - whatever a receiver does, the next news is told
                why = type(fault).__name__
                break
            else:
                return True
        log.warning("%s was not told that deployment %s has %s: %s", name, news.task, news.kind, why)
        return False
