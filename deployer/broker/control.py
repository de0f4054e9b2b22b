"""Celery's remote control over Redis: `celery inspect`, `celery control` and Flower's buttons."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any

from celery import bootsteps
from celery.app.control import Control
from celery.utils.collections import AttributeDict
from celery.worker.consumer.tasks import Tasks
from celery.worker.control import Panel
from kombu import Connection
from kombu.exceptions import OperationalError
from kombu.pidbox import Node

from deployer.broker.redis import NEEDS_REDIS, Monitoring, redis_outage, url_of
from deployer.observability.outage import Outage

log = logging.getLogger(__name__)

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
        url = url_of(self.app)
        if not url:
            raise OperationalError(NEEDS_REDIS)
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
    """Answer commands, in a thread of its own, as long as the worker lives."""

    requires = (Tasks,)

    def __init__(self, consumer: Any, **options: Any) -> None:
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()
        super().__init__(consumer, **options)

    def include_if(self, consumer: Any) -> bool:
        """Return true if there is a Redis for it."""
        return bool(url_of(consumer.app) and consumer.app.conf.worker_enable_remote_control)

    def start(self, consumer: Any) -> None:
        """Start to listen."""
        self._stopped = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(consumer, self._stopped), name="control", daemon=True
        )
        self._thread.start()

    def stop(self, consumer: Any) -> None:
        """Stop listening."""
        del consumer
        self._stopped.set()

    shutdown = stop

    def _run(self, consumer: Any, stopped: threading.Event) -> None:
        outage = redis_outage(log, "Redis does not answer, no remote control: %s", "Remote control is back")
        while not stopped.is_set():
            try:
                self._listen(consumer, stopped, outage)
            except Exception as fault:  # noqa: BLE001 - a thread that ends would answer nothing any more
                stopped.wait(outage.failed(fault))

    def _listen(self, consumer: Any, stopped: threading.Event, outage: Outage) -> None:
        with Monitoring(url_of(consumer.app) or "") as connection:
            node = self._node(consumer, connection)
            node.channel = connection.channel()
            listening = node.listen(callback=partial(_on_message, consumer.app, node))
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


def _on_message(app: Any, node: Node, body: Any, message: Any) -> None:
    # As Celery's own Pidbox: without events nothing else moves a worker's logical clock.
    app.clock.forward()
    try:
        node.handle_message(body, message)
    except OSError:
        raise
    except Exception as fault:  # noqa: BLE001 - whatever was sent, the next command is answered
        log.warning("A remote command is not understood: %s", type(fault).__name__)
