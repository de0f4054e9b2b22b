"""Celery's events and remote control over Redis, for an app whose tasks go over another broker.

SQS has no exchange between processes, so with it Flower, `celery inspect` and `celery control` see nothing
(Celery's user guide, "Monitoring"). Here they go over Redis and the tasks stay where they are:

    app = MonitoredCelery("app", broker=…)
    app.conf.monitoring_secret_url = "redis://…"   # None: neither events nor remote control

Redis is optional at every moment. No thread that works ever waits for it: events go into a bounded buffer
that a daemon thread sends, commands come in through another. Both connect again by themselves. What Redis
could not take during an outage is sent when it is back and somebody listens, the newest 10,000 of them.

Knows nothing of this project; needs `celery[redis]`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from itertools import groupby
from typing import Any

from celery import Celery, bootsteps
from celery.app.control import Control
from celery.app.events import Events
from celery.events.dispatcher import EventDispatcher
from celery.events.event import Event, get_exchange, group_from
from celery.events.receiver import EventReceiver
from celery.utils.collections import AttributeDict
from celery.utils.time import utcoffset
from celery.worker.consumer.tasks import Tasks
from celery.worker.control import Panel
from kombu import Connection, Producer
from kombu.exceptions import OperationalError
from kombu.pidbox import Node
from kombu.utils.url import maybe_sanitize_url

from deployer.observability.outage import Outage, kind

log = logging.getLogger(__name__)

KEPT_EVENTS = 10_000  # of an outage; the oldest go first
BATCH = 100  # events in one message
TIMEOUT = 2.0  # seconds that one call of Redis may take
LONGEST_BACKOFF = 4.0  # seconds between two tries to connect
LISTENER_PATIENCE = 15.0  # seconds after an outage in which somebody who listens must come back
HANDLER_PATIENCE = 10.0  # seconds that the worker's loop may take to answer a command

OFF = {
    "add_consumer": "an unknown queue would end the worker",
    "cancel_consumer": "the worker would go on and do nothing",
    "pool_grow": "set worker_concurrency",
    "pool_shrink": "set worker_concurrency",
    "pool_restart": "restart the worker",
    "autoscale": "scale the number of workers",
    "election": "it runs a task of the caller's choice",
    "terminate": "a thread cannot be ended",
    "time_limit": "a thread cannot be ended",
    "objgraph": "it writes files",
    "memdump": "it writes files",
}
"""Remote commands that are refused, and what the caller is told."""


class MonitoredCelery(Celery):
    """A Celery app whose events and remote control go over the Redis of `conf.monitoring_secret_url`."""

    events_cls = f"{__name__}:RedisEvents"
    control_cls = f"{__name__}:RedisControl"

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.steps["consumer"].add(RemoteControl)

    def connection(self, hostname: Any = None, *args: Any, **options: Any) -> Any:
        """A connection whose purpose is not told: Flower's, to listen to events.

        Tasks are sent and received with `connection_for_write` and `connection_for_read`.
        """
        url = _url(self)
        if hostname or args or options or not url:
            return super().connection(hostname, *args, **options)
        return Monitoring(url, self.conf.broker_write_url, patient=True)


def _outage(begins: str, ends: str) -> Outage:
    # The text of an error may hold the URL with its password.
    return Outage(log, begins, ends, longest=LONGEST_BACKOFF, describe=kind)


def _url(app: Any) -> str | None:
    """The URL of Redis, None if there is none."""
    url: str | None = app.conf.get("monitoring_secret_url")
    return url


class Monitoring(Connection):
    """A connection to Redis for events and commands; nothing is connected before the first use.

    Args:
        url: of Redis.
        broker: the URL of the broker, for people and for Flower to read.
        patient: wait until Redis answers, for somebody who has nothing else to do.
    """

    def __init__(self, url: str, broker: str | None = None, patient: bool = False) -> None:
        self._arguments = url, broker, patient
        self._told = f"{broker or '-'} (events and remote control: {maybe_sanitize_url(url)})"
        options = {
            "socket_connect_timeout": TIMEOUT,
            "socket_timeout": TIMEOUT,
            "socket_keepalive": True,
            "interval_start": 0.2,
            "interval_step": 0.4,
            "interval_max": 2.0,
        }
        if not patient:
            options |= {"max_retries": 1, "connect_retries_timeout": TIMEOUT}
        super().__init__(url, transport="deployer.broker.pubsub:Transport", transport_options=options)

    def clone(self, **options: Any) -> Monitoring:
        """Another connection to the same Redis."""
        del options
        return Monitoring(*self._arguments)

    def as_uri(self, *args: Any, **options: Any) -> str:
        """What is shown to people; no password. Flower finds no broker in it whose queues it could count."""
        del args, options
        return self._told


# -- events ---------------------------------------------------------------------------------------------


class RedisEvents(Events):
    """`app.events` with `Dispatcher` and `Receiver`."""

    dispatcher_cls = f"{__name__}:Dispatcher"
    receiver_cls = f"{__name__}:Receiver"


class Receiver(EventReceiver):
    """Listens to events over Redis, whatever connection it is given (`celery events`)."""

    def __init__(self, channel: Any, *args: Any, app: Any = None, **options: Any) -> None:
        url = _url(app or self.app)
        if url and not isinstance(channel, Monitoring):
            channel = Monitoring(url, patient=True)
        super().__init__(channel, *args, app=app, **options)


class Dispatcher(EventDispatcher):
    """Takes events and returns at once; a daemon thread sends them when Redis is there."""

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
        url = self._url = _url(app or self.app)
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
        outage = _outage("Redis takes no events, they are kept: %s", "Redis takes events again")
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
        """Publish events of one group; how many of them are done with."""
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


# -- remote control -------------------------------------------------------------------------------------


class RedisControl(Control):
    """`app.control`: what `celery inspect`, `celery control` and Flower ask of the workers."""

    def __init__(self, app: Any = None) -> None:
        super().__init__(app)
        # Its pool would publish to the broker of the tasks.
        self.mailbox._producer_pool = None

    def broadcast(self, command: str, *args: Any, connection: Any = None, **options: Any) -> Any:
        """Send a command to the workers.

        Raises:
            OperationalError: Redis does not answer, or none is set.
        """
        if isinstance(connection, Monitoring):
            return super().broadcast(command, *args, connection=connection, **options)
        url = _url(self.app)
        if not url:
            raise OperationalError("events and remote control need Redis, and none is set")
        with Monitoring(url) as own:
            return super().broadcast(command, *args, connection=own, **options)


class _HubNode(Node):
    """A node of the mailbox that lets the worker's loop run the commands, where Celery runs them too."""

    def __init__(self, *args: Any, call_soon: Callable[..., Any], **options: Any) -> None:
        super().__init__(*args, **options)
        self._call_soon = call_soon

    def handle(self, method: str, arguments: dict[str, Any] | None = None) -> Any:
        """Run a command in the worker's loop and wait for what it answers."""
        if method in OFF:
            return {"error": f"{method} is off: {OFF[method]}"}
        if method not in Panel.data:
            return {"error": f"there is no command {method}"}
        answer: Future[Any] = Future()
        self._call_soon(partial(self._answer, answer, method, arguments))
        return answer.result(HANDLER_PATIENCE)

    def _answer(self, answer: Future[Any], method: str, arguments: dict[str, Any] | None) -> None:
        try:
            answer.set_result(super().handle(method, arguments))
        except Exception as fault:  # noqa: BLE001 - it is the caller's
            answer.set_exception(fault)
        except BaseException:
            answer.set_result({"ok": method})
            raise  # `shutdown` ends the loop with a SystemExit


class RemoteControl(bootsteps.StartStopStep):
    """Answers commands, in a thread of its own, as long as the worker lives."""

    requires = (Tasks,)

    def __init__(self, consumer: Any, **options: Any) -> None:
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()
        super().__init__(consumer, **options)

    def include_if(self, consumer: Any) -> bool:
        """Whether there is a Redis for it."""
        return bool(_url(consumer.app) and consumer.app.conf.worker_enable_remote_control)

    def start(self, consumer: Any) -> None:
        """Start to listen."""
        self._stopped = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(consumer, self._stopped), name="control", daemon=True
        )
        self._thread.start()

    def stop(self, consumer: Any) -> None:
        """Listen no more."""
        del consumer
        self._stopped.set()

    shutdown = stop

    def _run(self, consumer: Any, stopped: threading.Event) -> None:
        outage = _outage("Redis does not answer, no remote control: %s", "Remote control is back")
        while not stopped.is_set():
            try:
                self._listen(consumer, stopped, outage)
            except Exception as fault:  # noqa: BLE001 - a thread that ends would answer nothing any more
                stopped.wait(outage.failed(fault))

    def _listen(self, consumer: Any, stopped: threading.Event, outage: Outage) -> None:
        with Monitoring(_url(consumer.app) or "") as connection:
            node = self._node(consumer, connection)
            node.channel = connection.channel()
            listening = node.listen(callback=partial(_on_message, node))
            outage.worked()
            while not stopped.is_set():
                with suppress(TimeoutError):
                    connection.drain_events(timeout=1.0)
            with suppress(Exception):
                listening.cancel()

    def _node(self, consumer: Any, connection: Connection) -> _HubNode:
        state = AttributeDict(
            app=consumer.app, hostname=consumer.hostname, consumer=consumer, tset=lambda tasks: tasks
        )
        mailbox = consumer.app.control.mailbox(connection)
        call_soon = consumer.hub.call_soon if consumer.hub else lambda call: call()
        return _HubNode(consumer.hostname, state, handlers=Panel.data, mailbox=mailbox, call_soon=call_soon)


def _on_message(node: Node, body: Any, message: Any) -> None:
    try:
        node.handle_message(body, message)
    except OSError:
        raise
    except Exception as fault:  # noqa: BLE001 - whatever was sent, the next command is answered
        log.warning("A remote command is not understood: %s", type(fault).__name__)
