"""SQS as a Celery broker that outlives SQS.

Kombu's own transport ends the worker when a poll is refused or answered with an error, has no
time-outs on polls, waits for acknowledgements in the hub, and looks at a full prefetch window again
only on the hub's next turn (kombu 5.7). Here the hub waits for no request: one daemon thread for
each queue polls when the hub asks it to, one deletes and gives back messages, and every decision
stays in the hub's thread. Only predefined queues; permissions needed are `sqs:ReceiveMessage`,
`SendMessage`, `DeleteMessage` and `ChangeMessageVisibility`.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import Any

import boto3
from amqp.protocol import queue_declare_ok_t
from botocore.config import Config
from botocore.exceptions import ClientError
from celery.worker import state as worker_state
from kombu.transport import SQS, TRANSPORT_ALIASES

from deployer.aws.client_config import bounded
from deployer.aws.sqs import region_of
from deployer.broker import batching, settling
from deployer.broker.polling import Messages, Poller, Waker, messages_of
from deployer.broker.settling import Settler
from deployer.broker.validation import check_body, check_headers
from deployer.errors import brief
from deployer.observability.outage import LONGEST_BACKOFF

log = logging.getLogger(__name__)

SCHEME = "deployersqs"
BROKER_URL = f"{SCHEME}://"
FLUSH_SECONDS = 3.0  # the time that a worker's end waits for messages to be deleted and given back
POLL_MARGIN = 10.0  # seconds that the answer to a long poll may be late
QUICK = bounded(read_timeout=5, connect_timeout=3, connections=50)

_clients: dict[tuple[object, ...], Any] = {}
_sessions: dict[tuple[object, ...], boto3.Session] = {}
_building = threading.Lock()


def register() -> None:
    """Make `BROKER_URL` known to kombu."""
    TRANSPORT_ALIASES[SCHEME] = f"{__name__}:Transport"


class Channel(SQS.Channel):
    """Kombu's SQS channel with requests that no fault of SQS, and no message, can break.

    Transport options beside kombu's: `retry_backoff_max`, `poll_margin`, both in seconds.
    """

    retry_backoff_max = LONGEST_BACKOFF
    poll_margin = POLL_MARGIN
    from_transport_options = (*SQS.Channel.from_transport_options, "retry_backoff_max", "poll_margin")

    def __init__(self, *args: Any, **options: Any) -> None:
        self._pollers: dict[str, Poller] = {}
        self._settler: Settler | None = None
        self._waker: Waker | None = None
        super().__init__(*args, **options)

    # -- polling -------------------------------------------------------------------------------

    def _schedule_queue(self, queue: str) -> None:
        """Ask for messages if any may be held; called in the hub's thread."""
        if self.closed or queue not in self._active_queues or not self.qos.can_consume():
            return
        if queue not in self._pollers:
            self._waker = self._waker or Waker(self.hub)
            self._pollers[queue] = self._new_poller(queue)
            self._pollers[queue].start()
        self._pollers[queue].ask(self._get_message_estimate())

    def _new_poller(self, queue: str) -> Poller:
        url = str(self._new_queue(queue))
        returns: Any = None

        def receive(count: int) -> Messages:
            nonlocal returns
            returns = self.sqs(queue)  # a channel that is closed when the poll is answered builds no client
            return messages_of(self._receive_message(queue, count))

        def arrived() -> None:
            self.hub.call_soon(self._arrived, poller, queue)

        def give_back(messages: Messages) -> None:
            for message in messages:
                settling.fault_of(settling.return_of(returns, url, message["ReceiptHandle"]))

        longest = self.wait_time_seconds + FLUSH_SECONDS
        poller = Poller(queue, receive, arrived, give_back, longest, self.retry_backoff_max)
        return poller

    def _receive_message(
        self, queue: str, max_number_of_messages: int = 1, wait_time_seconds: int | None = None
    ) -> Mapping[str, Any]:
        wait = wait_time_seconds or self.wait_time_seconds
        config = bounded(wait + self.poll_margin, connect_timeout=3, attempts=1, connections=50)
        attributes = {key: names for key, names in self.get_message_attributes.items() if names}
        answer: Mapping[str, Any] = self._client(queue, config).receive_message(
            QueueUrl=self._new_queue(queue),
            MaxNumberOfMessages=max_number_of_messages,
            WaitTimeSeconds=wait,
            **attributes,
        )
        return answer

    def _arrived(self, poller: Poller, queue: str) -> None:
        """Deliver what a poll has brought and poll again; called in the hub's thread."""
        if self._pollers.get(queue) is not poller:
            return  # it was stopped, and gives back what it has
        callbacks: Any = self.connection._callbacks
        for message in poller.take():
            self._hand_over(queue, message, callbacks[queue])
        poller.busy = False
        self._schedule_queue(queue)

    def _hand_over(self, queue: str, message: Mapping[str, Any], callback: Callable[[Any], Any]) -> None:
        try:
            payload = self._message_to_python(message, queue, self._new_queue(queue))
            self._check(payload)
            payload["properties"]["delivery_info"]["redelivered"] = settling.receptions(message) > 1
            callback(payload)
        except Exception as fault:  # noqa: BLE001 - an exception would end the worker
            # Celery would delete some of these. Left alone, they reach the dead-letter queue.
            name = message.get("MessageId")
            log.error("Message %s of queue %s is no task, left: %s", name, queue, brief(fault))
            if message["ReceiptHandle"] in self._held:
                self.qos.ack(message["ReceiptHandle"])

    def _check(self, payload: dict[str, Any]) -> None:
        """Refuse what is no task: some of it would keep a place in the pool for good (Celery 5.7)."""
        check_headers(payload.get("headers"))
        if payload.get("content-type") != "application/json":
            raise ValueError("not JSON")
        message = self.Message(payload, channel=self)
        if message.errors:
            raise ValueError("not readable")
        check_body(message.decode())

    def basic_cancel(self, consumer_tag: str) -> Any:
        """Stop consuming: what a poll under way still brings is given back."""
        cancelled = super().basic_cancel(consumer_tag)
        for queue in set(self._pollers) - set(self._active_queues):
            self._pollers.pop(queue).stop()
        return cancelled

    def basic_qos(self, *args: Any, **options: Any) -> None:
        """Set how many messages may be held."""
        super().basic_qos(*args, **options)
        self._resume()

    def _resume(self) -> None:
        for queue in list(self._pollers):
            self._schedule_queue(queue)

    # -- the end of a message ------------------------------------------------------------------

    def basic_ack(self, delivery_tag: str, multiple: bool = False) -> None:
        """Delete a message soon. Its place comes free at once, whatever SQS says."""
        del multiple
        self._release(delivery_tag, settling.deletion)

    def basic_reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Give a message back, a little later each time, or leave it to the queue's redrive policy."""
        message = self._held.get(delivery_tag)
        if message is None or not requeue:
            self._release(delivery_tag, None)
            return
        # At once, a task that always gives itself back would spin.
        delay = settling.requeue_delay(message.delivery_info["sqs_message"])
        self._release(delivery_tag, partial(settling.return_of, seconds=delay))

    def _release(self, delivery_tag: str, then: Callable[..., Callable[[], Any]] | None) -> None:
        message = self._held.get(delivery_tag)
        if message is None:
            return
        self.qos.ack(delivery_tag)
        if then is not None:
            self._settle(self._request(message, then))
        self._resume()

    def _restore(self, message: Any, *args: Any) -> None:
        """Give a message back at the worker's end, unless its task runs to its end."""
        del args
        running = {request.id for request in worker_state.active_requests}
        if (message.headers or {}).get("id") not in running:
            self._settle(self._request(message, settling.return_of))

    def _request(self, message: Any, then: Callable[..., Callable[[], Any]]) -> Callable[[], Any]:
        url = message.delivery_info["sqs_queue"]
        queue = next(name for name, known in self._queue_cache.items() if known == url)
        return then(self.sqs(queue), url, message.delivery_tag)

    @property
    def _held(self) -> Any:
        return self.qos._delivered

    def _settle(self, request: Callable[[], Any]) -> None:
        if self._settler is None:
            self._settler = Settler()
            self._settler.start()
        self._settler.put(request)

    def close(self) -> None:
        """Stop polling and give back what was not begun."""
        super().close()
        if self._settler is not None:
            self._settler.finish(FLUSH_SECONDS)
            self._settler = None
        if self._waker is not None:
            self._waker.close()
            self._waker = None

    # -- queues and clients --------------------------------------------------------------------

    @cached_property
    def predefined_queues(self) -> dict[str, dict[str, Any]]:
        """Return the queues, each with the region that its URL names."""
        queues = self.transport_options.get("predefined_queues") or {}
        return {name: region_of(queue["url"]) | queue for name, queue in queues.items()}

    def queue_declare(self, queue: str, *args: Any, **options: Any) -> queue_declare_ok_t:
        """Check that a queue is predefined. Kombu would ask SQS for its size before each send."""
        del args, options
        self._new_queue(queue)
        return queue_declare_ok_t(queue, 0, 0)

    def sqs(self, queue: str | None = None) -> Any:
        """Return the client of a queue, which gathers what is sent while a batch is open."""
        return batching.client_for_sending(super().sqs(queue))

    def _client(self, queue: str, config: Config) -> Any:
        known = self.predefined_queues[queue]
        return self._new_boto_client(
            "sqs",
            known.get("region", self.region),
            known.get("access_key_id", self.conninfo.userid),
            known.get("secret_access_key", self.conninfo.password),
            config=config,
        )

    def _new_boto_client(
        self,
        service: Any,
        region: str | None,
        access_key_id: str | None,
        secret_access_key: str | None,
        session_token: str | None = None,
        config: Config | None = None,
    ) -> Any:
        """Return one client for all channels of the process: each costs 0.1 s, a session some megabytes."""
        config = config or QUICK
        options = self.transport_options.get("client-config") or {}
        # A child process must not share its parent's connections.
        identity = (os.getpid(), region, access_key_id, secret_access_key, session_token)
        key = (service, identity, self.endpoint_url, self.is_secure, config.read_timeout, repr(options))
        with _building:
            if key not in _clients:
                if identity not in _sessions:
                    _sessions[identity] = boto3.Session(
                        access_key_id, secret_access_key, session_token, region
                    )
                _clients[key] = _sessions[identity].client(
                    service,
                    use_ssl=self.is_secure is not False,
                    endpoint_url=self.endpoint_url,
                    config=Config(**options).merge(config),
                )
            return _clients[key]


class Transport(SQS.Transport):
    """Kombu's SQS transport with `Channel`, and SQS's own answers among the errors to try again."""

    Channel = Channel
    connection_errors = (*SQS.Transport.connection_errors, ClientError)
