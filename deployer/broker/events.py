"""Celery's events over Redis: a dispatcher that never waits for it, and a receiver."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from celery.app.events import Events
from celery.events.dispatcher import EventDispatcher
from celery.events.event import Event, get_exchange, group_from
from celery.events.receiver import EventReceiver
from celery.utils.time import utcoffset
from kombu import Connection, Producer
from kombu.exceptions import OperationalError

from deployer.broker.redis import NEEDS_REDIS, TIMEOUT, Monitoring, redis_outage, url_of
from deployer.observability.outage import Outage

log = logging.getLogger(__name__)

KEPT_EVENTS = 10_000  # of an outage; the oldest go first
BATCH = 100  # events in one message
LISTENER_PATIENCE = 15.0  # seconds after an outage in which somebody who listens must come back


class RedisEvents(Events):
    """`app.events` with `Dispatcher` and `Receiver`."""

    dispatcher_cls = f"{__name__}:Dispatcher"
    receiver_cls = f"{__name__}:Receiver"


class Receiver(EventReceiver):
    """Listen to events over Redis, whatever connection it is given (`celery events`)."""

    def __init__(self, channel: Any, *args: Any, app: Any = None, **options: Any) -> None:
        url = url_of(app or self.app)
        if not url:
            raise OperationalError(NEEDS_REDIS)
        if not isinstance(channel, Monitoring):
            channel = Monitoring(url, patient=True)
        super().__init__(channel, *args, app=app, **options)


class Dispatcher(EventDispatcher):
    """Take events and return at once; a daemon thread sends them when Redis is there."""

    def __init__(
        self,
        connection: Any = None,
        hostname: str | None = None,
        enabled: bool = True,
        channel: Any = None,
        buffer_while_offline: bool = True,
        app: Any = None,
        serializer: str | None = None,
        groups: Sequence[str] | None = None,
        **unused: Any,
    ) -> None:
        del channel, buffer_while_offline, unused  # they belong to the broker of the tasks
        url = self._url = url_of(app or self.app)
        self._waiting: deque[tuple[str, Any]] = deque(maxlen=KEPT_EVENTS)
        self._there_is_more = threading.Event()
        self._ending = False
        self._thread: threading.Thread | None = None
        super().__init__(
            connection,  # for the worker, which looks for heartbeats there
            hostname,
            enabled=enabled and bool(url),
            app=app,
            serializer=serializer,
            groups=list(groups or ()),
        )

    def send(self, type: str, blind: bool = False, **fields: Any) -> None:  # noqa: A002 - Celery's name
        """Take an event of a task or a worker."""
        for unused in ("utcoffset", "retry", "retry_policy", "Event"):
            fields.pop(unused, None)
        group = group_from(type)
        # Sent late, a retry's `task-sent` would turn the state back to PENDING.
        if not self.enabled or (self.groups and group not in self.groups) or type == "task-sent":
            return
        if type == "task-retried":
            # A task that sends itself back has not failed: why it did is enough.
            fields["traceback"] = None
        elif type == "task-succeeded":
            # What a former try raised would stand beside the result for good.
            fields |= {"exception": None, "traceback": None}
        clock = None if blind else self.clock.forward()
        event = Event(
            type, hostname=self.hostname, utcoffset=utcoffset(), pid=self.pid, clock=clock, **fields
        )
        self._waiting.append((type, event))
        if self._thread is None:
            with self.mutex:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="events", daemon=True)
                    self._thread.start()
        self._there_is_more.set()

    def flush(self, errors: bool = True, groups: bool = True) -> None:
        """Do nothing: the thread sends without being asked."""

    def extend_buffer(self, other: Any) -> None:
        """Take over what a former dispatcher has not sent."""
        for type_, event in list(getattr(other, "_waiting", ())):
            self._waiting.append((type_, event))

    def close(self) -> None:
        """Send what is left if Redis takes it within a moment, and end the thread."""
        self._ending = True
        self._there_is_more.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(TIMEOUT / 2)
        super().close()

    def enable(self) -> None:
        """Send events."""
        self._ending, self._thread = False, None
        super().enable()

    def _run(self) -> None:
        outage = redis_outage(log, "Redis takes no events, they are kept: %s", "Redis takes events again")
        while True:
            self._there_is_more.wait()
            self._there_is_more.clear()
            try:
                with Monitoring(self._url or "") as connection:
                    self._send_all(connection, outage)
            except Exception as fault:  # noqa: BLE001 - a thread that ends would send nothing any more
                pause = outage.failed(fault)
                if self._ending:
                    return
                time.sleep(pause)
                self._there_is_more.set()
                continue
            if self._ending:
                return

    def _send_all(self, connection: Connection, outage: Outage) -> None:
        """Send what waits, until nothing has come for a while or the dispatcher is closed."""
        channel: Any = connection.default_channel
        exchange: Any = get_exchange(connection, name=self.exchange.name)
        producer = Producer(channel, exchange=exchange, serializer=self.serializer, auto_declare=False)
        until = time.monotonic() + (LISTENER_PATIENCE if outage.since else 0.0)
        while True:
            batch = list(self._waiting)[:BATCH]
            for group, taken in groupby(batch, key=lambda item: group_from(item[0])):
                heard = self._publish_group(producer, channel, group, [event for _, event in taken], until)
                for _ in range(heard):
                    self._waiting.popleft()
            outage.worked()
            if self._ending and not self._waiting:
                return
            if self._waiting:
                continue
            self._there_is_more.wait()
            self._there_is_more.clear()

    def _publish_group(
        self, producer: Producer, channel: Any, group: str, events: Sequence[Any], until: float
    ) -> int:
        """Publish events of one group; return how many of them are done with."""
        body: Any = events if group == "task" else events[0]
        key = "task.multi" if group == "task" else events[0]["type"].replace("-", ".")
        while True:
            producer.publish(
                body,
                routing_key=key,
                declare=[producer.exchange] if producer.exchange else [],
                headers=self.headers,
                delivery_mode=self.delivery_mode,
            )
            # Pub/sub has no memory: after an outage whoever listened must have come back first.
            if channel.listeners or self._ending or time.monotonic() > until:
                return len(events) if group == "task" else 1
            time.sleep(0.2)
