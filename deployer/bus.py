"""SQS as a Celery broker that outlives SQS.

Kombu's own transport ends the worker when a poll is refused or answered with an error, has no time-outs on
polls, and looks at a full prefetch window again only on the hub's next turn (kombu 5.7). Here one daemon
thread for each queue does nothing but poll, with boto3's time-outs, and every decision stays in the hub's
thread: it asks for as many messages as it may hold, and asks again when they are acknowledged.
"""

from __future__ import annotations

import logging
import random
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from queue import SimpleQueue
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from celery import Task
from celery.worker import state as worker_state
from kombu.transport import SQS, TRANSPORT_ALIASES, virtual

log = logging.getLogger(__name__)

SCHEME = "deployersqs"
BROKER_URL = f"{SCHEME}://"
LONGEST_DELAY = 900  # seconds, SQS's limit for DelaySeconds
LONGEST_BACKOFF = 30.0  # seconds between two polls of an SQS that does not answer
ACK_TRIES = 5
POLL_MARGIN = 10  # seconds that the answer to a long poll may be late
# Sends and acknowledgements hold up a task or the hub: short time-outs, and botocore's own retries.
QUICK = Config(connect_timeout=3, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3})
STALE_HANDLE = {"InvalidParameterValue", "ReceiptHandleIsInvalid"}
SQS_ERRORS = (ClientError, BotoCoreError, OSError)


def register() -> None:
    """Make `BROKER_URL` known to kombu."""
    TRANSPORT_ALIASES[SCHEME] = f"{__name__}:Transport"


class Poller(threading.Thread):
    """Receives from one queue when asked to, and never gives up.

    Args:
        name: the queue's name, for the log.
        receive: one long poll for at most so many messages.
        arrived: takes the messages of a poll, maybe none; called in this thread.
        release: makes messages visible again that came too late to be taken.
    """

    def __init__(
        self,
        name: str,
        receive: Callable[[int], Sequence[Any]],
        arrived: Callable[[Sequence[Any]], None],
        release: Callable[[Sequence[Any]], None],
    ) -> None:
        super().__init__(name=f"poll-{name}", daemon=True)
        self.queue_name = name
        self._receive = receive
        self._arrived = arrived
        self._release = release
        self._asked: SimpleQueue[int] = SimpleQueue()
        self._stopped = threading.Event()
        self.busy = False

    def ask(self, count: int) -> None:
        """Poll once for at most so many messages, unless a poll is under way."""
        if not self.busy:
            self.busy = True
            self._asked.put(count)

    def stop(self) -> None:
        """Poll no more; what a poll under way still brings is made visible again."""
        self._stopped.set()
        self._asked.put(0)

    def run(self) -> None:
        """Poll whenever asked."""
        while not self._stopped.is_set():
            count = self._asked.get()
            messages = self._persist(count) if count else ()
            if self._stopped.is_set():
                self._release(messages)
                return
            self._arrived(messages)

    def _persist(self, count: int) -> Sequence[Any]:
        faults = 0
        while not self._stopped.is_set():
            try:
                messages = self._receive(count)
            except Exception as fault:  # noqa: BLE001 - whatever it is, a worker that does not poll is dead
                if not faults:
                    log.warning("Queue %s does not answer, trying on: %s", self.queue_name, _brief(fault))
                self._stopped.wait(random.uniform(0.5, 1) * min(LONGEST_BACKOFF, 2.0**faults))  # noqa: S311
                faults += 1
                continue
            if faults:
                log.info("Queue %s answers again", self.queue_name)
            return messages
        return ()


class Channel(SQS.Channel):
    """Kombu's SQS channel with polls, acknowledgements and returns that no fault of SQS can break."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._pollers: dict[str, Poller] = {}
        self._open_eyes: tuple[socket.socket, socket.socket] | None = None
        super().__init__(*args, **options)

    # -- polling -----------------------------------------------------------------------------------

    def _schedule_queue(self, queue: str) -> None:
        """Ask for messages if any may be held; called in the hub's thread."""
        if queue not in self._active_queues or not self.qos.can_consume():
            return
        poller = self._pollers.get(queue)
        if poller is None:
            self._keep_hub_awake()
            poller = self._pollers[queue] = self._new_poller(queue)
            poller.start()
        poller.ask(self._get_message_estimate())

    def _keep_hub_awake(self) -> None:
        # A hub without any file descriptor sleeps 0.1 s a turn instead of waiting for a call (kombu 5.7).
        if self._open_eyes is None:
            self._open_eyes = socket.socketpair()
            self.hub.add_reader(self._open_eyes[0], lambda: None)

    def _new_poller(self, queue: str) -> Poller:
        url = str(self._new_queue(queue))
        client = self._new_client(_poll_config(self.wait_time_seconds))
        hub = self.hub

        def receive(count: int) -> Sequence[Any]:
            answer = client.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=count,
                WaitTimeSeconds=self.wait_time_seconds,
                MessageSystemAttributeNames=["ApproximateReceiveCount"],
            )
            messages: Sequence[Any] = answer.get("Messages") or ()
            return messages

        def arrived(messages: Sequence[Any]) -> None:
            hub.call_soon(self._arrived, queue, url, messages)

        return Poller(queue, receive, arrived, lambda messages: _make_visible(client, url, messages))

    def _arrived(self, queue: str, url: str, messages: Sequence[Any]) -> None:
        """Deliver what a poll has brought and poll again; called in the hub's thread."""
        poller = self._pollers.get(queue)
        callback = (self.connection._callbacks or {}).get(queue) if self.connection else None
        if poller is None or callback is None:
            _make_visible(self._quick, url, messages)
            return
        for message in messages:
            try:
                callback(self._message_to_python(message, queue, url))
            except Exception:
                # It comes back until the redrive policy takes it to the dead-letter queue.
                log.exception("Message %s of queue %s is not readable, left", message["MessageId"], queue)
        poller.busy = False
        self._schedule_queue(queue)

    def _resume(self) -> None:
        for queue in list(self._pollers):
            self._schedule_queue(queue)

    def basic_cancel(self, consumer_tag: str) -> Any:
        """Stop consuming: polls that are under way bring nothing any more."""
        cancelled = super().basic_cancel(consumer_tag)
        for queue in set(self._pollers) - set(self._active_queues):
            self._pollers.pop(queue).stop()
        return cancelled

    # -- the end of a message ----------------------------------------------------------------------

    def basic_ack(self, delivery_tag: str, multiple: bool = False) -> None:
        """Delete a message. The prefetch slot comes free at once, whatever SQS says."""
        del multiple
        place = self._place(delivery_tag)
        virtual.Channel.basic_ack(self, delivery_tag)
        if place:
            self._delete_message_soon(*place, tries=ACK_TRIES)
        self._resume()

    def basic_reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Give a message back at once (requeue), or leave it to the queue's redrive policy."""
        place = self._place(delivery_tag)
        virtual.Channel.basic_ack(self, delivery_tag)
        if place and requeue:
            _make_visible(self._quick, place[0], [{"ReceiptHandle": place[1]}])
        self._resume()

    def _place(self, delivery_tag: str) -> tuple[str, str] | None:
        """The queue's URL and the receipt handle of a delivered message."""
        try:
            info = self.qos.get(delivery_tag).delivery_info
            return info["sqs_queue"], info["sqs_message"]["ReceiptHandle"]
        except KeyError:
            return None

    def _delete_message_soon(self, url: str, handle: str, tries: int) -> None:
        try:
            self._quick.delete_message(QueueUrl=url, ReceiptHandle=handle)
        except SQS_ERRORS as fault:
            if _code(fault) in STALE_HANDLE:
                return
            if self.hub is None or tries <= 1:
                log.warning("A finished task's message is not deleted and will come again: %s", _brief(fault))
            else:
                delay = 2.0 ** (ACK_TRIES - tries)
                self.hub.call_later(delay, self._delete_message_soon, url, handle, tries - 1)

    def _restore(self, message: Any, *args: Any) -> None:
        """Give a prefetched message back at once at shutdown, unless its task is running to its end."""
        del args
        info = message.delivery_info
        running = {request.id for request in worker_state.active_requests}
        if "sqs_message" in info and (message.headers or {}).get("id") not in running:
            _make_visible(self._quick, info["sqs_queue"], [info["sqs_message"]])

    def close(self) -> None:
        """Stop polling and give back what was not begun."""
        for poller in self._pollers.values():
            poller.stop()
        self._pollers = {}
        if self._open_eyes is not None:
            self.hub.remove_reader(self._open_eyes[0])
            for end in self._open_eyes:
                end.close()
            self._open_eyes = None
        super().close()

    # -- clients -----------------------------------------------------------------------------------

    @cached_property
    def _quick(self) -> Any:
        """The client for everything but polls: a task or the hub waits for it."""
        return self._new_client(QUICK)

    def _new_client(self, config: Config) -> Any:
        info = self.conninfo
        return self._new_boto_client("sqs", self.region, info.userid, info.password, config=config)

    def new_sqs_client(self, *args: Any, **options: Any) -> Any:
        """The client that kombu sends with."""
        del args, options
        return self._quick


class Transport(SQS.Transport):
    """Kombu's SQS transport with `Channel`, and with every answer of SQS as an error that is tried again."""

    Channel = Channel
    connection_errors = (*SQS.Transport.connection_errors, ClientError)
    polling_interval = 0


class DurableTask(Task):  # type: ignore[type-arg]
    """A task whose delays are SQS's own: Celery would hold them in the worker's memory, and run a message
    twice whose delay is longer than the visibility timeout.

    `countdown` and `eta`, of retries too, become `delay_seconds`, at most 15 minutes: a task that has to
    wait longer looks at the clock and sends itself back again.
    """

    abstract = True

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Send the task, with its delay in the queue."""
        countdown, eta = options.pop("countdown", None), options.pop("eta", None)
        if eta is not None:
            moment = datetime.fromisoformat(eta) if isinstance(eta, str) else eta
            countdown = (moment - datetime.now(moment.tzinfo or UTC)).total_seconds()
        if countdown is not None:
            options["delay_seconds"] = min(max(round(countdown), 0), LONGEST_DELAY)
        return super().apply_async(args, kwargs, **options)


def _poll_config(wait_seconds: float) -> Config:
    return Config(
        connect_timeout=5, read_timeout=wait_seconds + POLL_MARGIN, retries={"total_max_attempts": 1}
    )


def _make_visible(client: Any, url: str, messages: Sequence[Mapping[str, Any]]) -> None:
    for message in messages:
        try:
            client.change_message_visibility(
                QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
            )
        except SQS_ERRORS as fault:
            log.debug("A message is not given back and comes after its visibility timeout: %s", _brief(fault))
            return


def _code(fault: Exception) -> str:
    return str(fault.response.get("Error", {}).get("Code", "")) if isinstance(fault, ClientError) else ""


def _brief(fault: Exception) -> str:
    return f"{type(fault).__name__}: {fault}".split("\n", 1)[0][:300]
