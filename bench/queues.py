"""Bare boto3 on SQS: filling queues quickly, and the floor of the bridge."""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

BATCH = 10  # SQS's largest batch


def fill(sqs: Any, url: str, bodies: Iterable[str]) -> None:
    """Send messages in batches."""
    waiting = iter(bodies)
    while batch := list(islice(waiting, BATCH)):
        entries = [{"Id": str(i), "MessageBody": body} for i, body in enumerate(batch)]
        sqs.send_message_batch(QueueUrl=url, Entries=entries)


def left(sqs: Any, url: str) -> int:
    """Return the number of messages that a queue holds, visible or not."""
    kinds = ("", "NotVisible", "Delayed")
    names = [f"ApproximateNumberOfMessages{kind}" for kind in kinds]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(found[name]) for name in names)


def pass_on(sqs: Any, source: str, target: str, count: int) -> float:
    """Receive 10, send 10, delete 10 in batches, until so many have gone over; return the seconds it took."""
    begun = time.perf_counter()
    while count > 0:
        found = sqs.receive_message(QueueUrl=source, MaxNumberOfMessages=BATCH, WaitTimeSeconds=1)["Messages"]
        sent = [{"Id": str(i), "MessageBody": message["Body"]} for i, message in enumerate(found)]
        sqs.send_message_batch(QueueUrl=target, Entries=sent)
        gone = [{"Id": str(i), "ReceiptHandle": m["ReceiptHandle"]} for i, m in enumerate(found)]
        sqs.delete_message_batch(QueueUrl=source, Entries=gone)
        count -= len(found)
    return time.perf_counter() - begun


def task_message(name: str, args: list[Any], queue: str) -> str:
    """Return a message of Celery's protocol 2 as kombu puts it on SQS."""
    number = str(uuid.uuid4())
    body = base64.b64encode(json.dumps([args, {}, {}]).encode()).decode()
    message = {
        "body": body,
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {
            "lang": "py",
            "task": name,
            "id": number,
            "root_id": number,
            "parent_id": None,
            "group": None,
            "argsrepr": "()",
            "kwargsrepr": "{}",
            "origin": "bench",
            "retries": 0,
            "eta": None,
            "expires": None,
            "timelimit": [None, None],
            "ignore_result": True,
        },
        "properties": {
            "correlation_id": number,
            "reply_to": str(uuid.uuid4()),
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": str(uuid.uuid4()),
        },
    }
    return base64.b64encode(json.dumps(message).encode()).decode()


def task_messages(name: str, args: list[Any], queue: str, count: int) -> Iterator[str]:
    """Return so many of them, each a task of its own."""
    return (task_message(name, args, queue) for _ in range(count))
