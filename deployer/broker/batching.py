"""Send several Celery messages in one request to SQS: a tenth of the requests, and of their time.

Kombu sends each message by itself. Inside `SendBatch.gather` the channel is given a client that keeps what is
to be sent, and `SendBatch.send` hands it to SQS, ten at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from deployer.aws.sqs import BATCH, send_batch
from deployer.errors import DeployerError, TemporaryError

MAX_BYTES = 256 * 1024  # of all bodies of a request; SQS takes more today, but not in every partition

_here = threading.local()


@dataclass(frozen=True)
class _Message:
    key: int
    client: Any
    request: Mapping[str, Any]

    @property
    def size(self) -> int:
        # Kombu's bodies are base64, a byte for each character.
        return len(self.request["MessageBody"])


class SendBatch:
    """Messages for one queue, gathered in one thread."""

    def __init__(self) -> None:
        self._messages: list[_Message] = []
        self._keys: set[int] = set()

    @contextmanager
    def gather(self, key: int) -> Iterator[None]:
        """Keep the messages that this thread sends meanwhile, under a key that tells them apart."""
        self._keys.add(key)
        _here.batch = self, key
        try:
            yield
        finally:
            del _here.batch

    def put(self, message: _Message) -> None:
        """Keep a message."""
        self._messages.append(message)

    def send(self) -> dict[int, DeployerError]:
        """Send what was gathered.

        Returns:
            The keys of which SQS has not said that it took them, each with the reason; a key under which
            nothing was gathered is among them.
        """
        nothing = TemporaryError("nothing was handed to SQS")
        failed: dict[int, DeployerError] = dict.fromkeys(
            self._keys - {m.key for m in self._messages}, nothing
        )
        for batch in _batches(self._messages):
            failed |= _send(batch)
        return failed


@dataclass(frozen=True)
class _Gatherer:
    """Stands where kombu expects a client, while a batch is open."""

    client: Any
    batch: SendBatch
    key: int

    def send_message(self, **request: Any) -> None:
        self.batch.put(_Message(self.key, self.client, request))


def client_for_sending(client: Any) -> Any:
    """Return the client, or what gathers its messages while this thread has a batch open."""
    opened = getattr(_here, "batch", None)
    return _Gatherer(client, *opened) if opened else client


def _batches(messages: list[_Message]) -> Iterator[list[_Message]]:
    batch: list[_Message] = []
    for message in messages:
        if batch and not _fits(batch, message):
            yield batch
            batch = []
        batch.append(message)
    if batch:
        yield batch


def _fits(batch: list[_Message], message: _Message) -> bool:
    same_queue = batch[0].request["QueueUrl"] == message.request["QueueUrl"]
    return same_queue and len(batch) < BATCH and sum(m.size for m in batch) + message.size <= MAX_BYTES


def _send(batch: list[_Message]) -> dict[int, DeployerError]:
    url = batch[0].request["QueueUrl"]
    entries = [
        {"Id": str(number), **{name: value for name, value in message.request.items() if name != "QueueUrl"}}
        for number, message in enumerate(batch)
    ]
    try:
        refused = send_batch(batch[0].client, url, entries)
    except DeployerError as fault:
        return dict.fromkeys((message.key for message in batch), fault)
    return {batch[int(number)].key: why for number, why in refused.items()}
