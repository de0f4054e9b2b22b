"""Put events on the events queue, from a server that must not wait for SQS longer than it wants to."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from deployer.aws.errors import code_of, translated
from deployer.aws.sqs import BATCH, send_batch
from deployer.errors import AccessDeniedError, DeployerError, TemporaryError
from deployer.observability.outage import Outage

log = logging.getLogger(__name__)

T = TypeVar("T")

FRESH = 5.0  # seconds for which an answer of the queue tells how it is
AT_ONCE = 8  # requests; boto3 keeps ten connections


class Outbox:
    """The events queue, as far as events are put on it; several threads may use it.

    Args:
        sqs: a boto3 SQS client.
        queue_url: the events queue.
    """

    def __init__(self, sqs: Any, queue_url: str) -> None:
        self._sqs, self._url = sqs, queue_url
        self._asking = threading.Lock()
        self._asked_at: float | None = None
        self._outage = Outage(log, "%s", "The events queue takes messages again")
        self._silent: str | None = None  # why SQS did not answer when it was last asked
        self._denied: str | None = None  # why it took no event, which asking does not tell

    def send(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Put events on the queue, each a message of its own.

        Raises:
            TemporaryError: the queue has not taken all of them; those that it has, may be sent again.
        """
        try:
            for begin in range(0, len(events), BATCH):
                batch = events[begin : begin + BATCH]
                entries = [{"Id": str(i), "MessageBody": json.dumps(event)} for i, event in enumerate(batch)]
                if refused := send_batch(self._sqs, self._url, entries):
                    raise TemporaryError(f"SQS has not taken an event: {next(iter(refused.values()))}")
        except AccessDeniedError as fault:
            self._denied = f"events are refused: {fault}"
            raise TemporaryError(str(fault)) from fault
        except DeployerError as fault:
            raise TemporaryError(str(fault)) from fault
        self._asked_at, self._silent, self._denied = time.monotonic(), None, None

    def ill(self) -> str | None:
        """Return why the queue takes no events, None if it does; ask SQS at most every few seconds."""
        with self._asking:
            if self._asked_at is None or time.monotonic() - self._asked_at > FRESH:
                self._silent = self._ask()
                self._asked_at = time.monotonic()
                if self._silent:
                    self._outage.failed(self._silent)
                else:
                    self._outage.worked()
            return self._silent or self._denied

    def _ask(self) -> str | None:
        try:
            with translated("sqs:SendMessage", f"to {self._url}"):
                # Refused for its form, once SQS has seen that we may send.
                self._sqs.send_message_batch(QueueUrl=self._url, Entries=[])
        except DeployerError as fault:
            if "EmptyBatch" not in code_of(fault.__cause__):
                return f"the events queue does not take messages: {fault}"
        return None


async def in_thread(work: Callable[[], T]) -> T:
    """Do blocking work; when this is cancelled, or the process ends, nobody waits for the work.

    With anyio's threads, which are no daemons, the process ends 4 s later while SQS hangs.
    """
    done: Future[T] = Future()
    done.set_running_or_notify_cancel()  # from here on it cannot be cancelled, and takes its result

    def run() -> None:
        try:
            done.set_result(work())
        except Exception as fault:  # noqa: BLE001 - raised again where it is waited for
            done.set_exception(fault)

    threading.Thread(target=run, name="webhook", daemon=True).start()
    return await asyncio.wrap_future(done)
