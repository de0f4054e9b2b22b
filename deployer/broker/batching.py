"""Several Celery messages in one request to SQS: a tenth of the requests, and of their time.

Kombu sends each message by itself. Inside `Parcel.gather` the channel is given a client that keeps what is
to be sent, and `Parcel.send` hands it to SQS, ten at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from kombu.exceptions import OperationalError

BATCH = 10  # SQS's largest batch
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


class Parcel:
    """Messages for one queue, gathered in one thread."""

    def __init__(self) -> None:
        self._messages: list[_Message] = []
        self._keys: set[int] = set()

    @contextmanager
    def gather(self, key: int) -> Iterator[None]:
        """Keep what this thread sends meanwhile, under a key that tells it apart."""
        self._keys.add(key)
        _here.parcel = self, key
        try:
            yield
        finally:
            del _here.parcel

    def put(self, message: _Message) -> None:
        """Keep a message."""
        self._messages.append(message)

    def send(self) -> dict[int, Exception]:
        """Send what was gathered; the keys of which SQS has not said that it took them, each with the reason.

        A key under which nothing was gathered is among them.
        """
        nothing = OperationalError("nothing was handed to SQS")
        failed: dict[int, Exception] = dict.fromkeys(self._keys - {m.key for m in self._messages}, nothing)
        for batch in _batches(self._messages):
            failed |= _sent(batch)
        return failed


@dataclass(frozen=True)
class _Gatherer:
    """Stands where kombu expects a client, while a parcel is open."""

    client: Any
    parcel: Parcel
    key: int

    def send_message(self, **request: Any) -> None:
        self.parcel.put(_Message(self.key, self.client, request))


def client_for_sending(client: Any) -> Any:
    """The client, or what gathers its messages while this thread has a parcel open."""
    opened = getattr(_here, "parcel", None)
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


def _sent(batch: list[_Message]) -> dict[int, Exception]:
    url = batch[0].request["QueueUrl"]
    entries = [
        {"Id": str(number), **{name: value for name, value in message.request.items() if name != "QueueUrl"}}
        for number, message in enumerate(batch)
    ]
    try:
        refused = send_batch(batch[0].client, url, entries)
    except (BotoCoreError, ClientError) as fault:
        return dict.fromkeys((message.key for message in batch), fault)
    return {batch[int(number)].key: OperationalError(why) for number, why in refused.items()}


def send_batch(client: Any, url: str, entries: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Send at most `BATCH` messages in one request.

    Args:
        client: of SQS, by boto3.
        url: the queue's.
        entries: of SendMessageBatch.

    Returns:
        The ids of the entries of which SQS has not said that it took them, each with the reason.

    Raises:
        BotoCoreError, ClientError: the request as a whole has failed.
    """
    answer = client.send_message_batch(QueueUrl=url, Entries=entries)
    # A request that succeeds may have failed in part, so only what is named as taken was taken.
    taken = {one["Id"] for one in answer.get("Successful") or ()}
    why = {one["Id"]: f"{one.get('Code')}: {one.get('Message', '')}" for one in answer.get("Failed") or ()}
    ids = (str(entry["Id"]) for entry in entries)
    return {one: why.get(one, "SQS does not say that it took it") for one in ids if one not in taken}
