"""Checks of a queue: it is there, it loses nothing, and it lets us do what we do with it.

No message is taken: permissions are asked with requests that SQS refuses for their form, and for lack of
permission before that.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from deployer.reports.finding import ABSENT, DENIED, Finding, Findings, Level, brief_of, says

VISIBILITY = 120  # seconds, the least that a look and its retries need
RECEIVES = 3  # before redrive: fewer, and an outage fills the dead-letter queue


def queue(sqs: Any, role: str, url: str, actions: Mapping[str, Callable[[Any, str], Any]]) -> Findings:
    """Check whether a queue is there, is set up to lose nothing, and lets us do what we do with it.

    Args:
        sqs: a boto3 client.
        role: `events queue` or `task queue`, for people.
        url: the queue's URL.
        actions: permissions by name, each with a request that tells whether we have it.
    """
    try:
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    except ClientError as fault:
        attributes = None
        if not says(fault, DENIED):
            setting = "DEPLOYER_QUEUE" if role == "events queue" else "DEPLOYER_TASK_QUEUE"
            yield Finding(role, "fail", brief_of(fault), f"set {setting} to the URL of a queue that exists")
            return
        yield Finding(
            role, "warn", "its attributes may not be read", "allow sqs:GetQueueAttributes to check them"
        )
    except BotoCoreError as fault:
        yield Finding(
            role, "fail", brief_of(fault), "let this host reach SQS (AWS_ENDPOINT_URL, proxy, network)"
        )
        return
    if attributes is not None:
        yield Finding(
            role, "ok", f"{url}, {attributes.get('ApproximateNumberOfMessages', '?')} messages wait"
        )
        yield from _set_up(role, attributes, sqs)
    for action, ask in actions.items():
        yield _allowed(role, action, partial(ask, sqs, url))


def waiting(sqs: Any, url: str) -> int:
    """Return how many messages a queue has for whoever asks, about; 0 if SQS does not tell."""
    name = "ApproximateNumberOfMessages"
    try:
        told = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"]
    except (ClientError, BotoCoreError):
        return 0  # `queue` says why
    return int(told.get(name, 0))


def _set_up(role: str, attributes: Mapping[str, str], sqs: Any) -> Findings:
    if attributes.get("FifoQueue") == "true":
        yield Finding(role, "fail", "it is a FIFO queue, which takes no delays", "use a standard queue")
    visible = int(attributes.get("VisibilityTimeout", 0))
    level: Level = "ok" if visible >= VISIBILITY else "fail"
    yield Finding(
        f"{role}: visibility timeout",
        level,
        f"{visible} s",
        "" if level == "ok" else f"set VisibilityTimeout to {VISIBILITY} or more: work is done twice",
    )
    yield from _redrive(role, attributes, sqs)
    if role == "events queue":
        yield _sender(role, attributes)


def _redrive(role: str, attributes: Mapping[str, str], sqs: Any) -> Findings:
    check = f"{role}: dead-letter queue"
    try:
        policy = json.loads(attributes.get("RedrivePolicy") or "null")
        target, receives = policy["deadLetterTargetArn"], int(policy["maxReceiveCount"])
    except (ValueError, TypeError, KeyError):
        yield Finding(
            check, "fail", "there is none", "give the queue a RedrivePolicy: poison goes round for ever"
        )
        return
    if receives < RECEIVES:
        yield Finding(
            check,
            "warn",
            f"after {receives} receives",
            f"set maxReceiveCount to {RECEIVES} or more: an outage fills it",
        )
        return
    name = target.rpartition(":")[2]
    try:
        url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
        told = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
        dead = int(told["Attributes"]["ApproximateNumberOfMessages"])
    except ClientError as fault:
        if says(fault, ABSENT):
            yield Finding(check, "fail", f"{name} does not exist", "create it, or correct the RedrivePolicy")
        else:
            yield Finding(check, "ok", f"{name}, after {receives} receives")
        return
    fix = "look at them; the log says why (“left for the dead-letter queue”)" if dead else ""
    yield Finding(check, "warn" if dead else "ok", f"{name}, {dead} messages in it", fix)


def _sender(role: str, attributes: Mapping[str, str]) -> Finding:
    """Check whether EventBridge or SNS may send to the events queue."""
    check, fix = f"{role}: who may send", "let events.amazonaws.com send (queue policy): no event arrives"
    try:
        policy = json.loads(attributes.get("Policy") or "{}")
        statements = policy.get("Statement") or []
        allowed = [json.dumps(s.get("Principal")) for s in statements if s.get("Effect") == "Allow"]
    except (ValueError, AttributeError):
        return Finding(check, "fail", "the queue's policy cannot be read", fix)
    services = [name for name in ("events", "sns") if any(f"{name}.amazonaws.com" in who for who in allowed)]
    if any(who in {'"*"', '{"AWS": "*"}'} for who in allowed) and not services:
        return Finding(check, "warn", "anybody", "let only events.amazonaws.com (or sns) send")
    if not services:
        return Finding(check, "fail", "neither EventBridge nor SNS", fix)
    return Finding(check, "ok", ", ".join(f"{name}.amazonaws.com" for name in services))


def _allowed(role: str, action: str, ask: Callable[[], Any]) -> Finding:
    try:
        ask()
    except ClientError as fault:
        if says(fault, DENIED):
            return Finding(f"{role}: {action}", "fail", "denied", f"allow {action} on this queue")
        if says(fault, ABSENT):
            return Finding(f"{role}: {action}", "fail", "there is no such queue", "correct the setting")
    except BotoCoreError as fault:
        return Finding(f"{role}: {action}", "fail", brief_of(fault), "let this host reach SQS")
    return Finding(f"{role}: {action}", "ok", "allowed")


def _refused(call: str, **arguments: Any) -> Callable[[Any, str], Any]:
    """Return a request that SQS refuses for its form, once it has seen that we may make it."""

    def ask(sqs: Any, url: str) -> Any:
        return getattr(sqs, call)(QueueUrl=url, **arguments)

    return ask


SEND = {"sqs:SendMessage": _refused("send_message_batch", Entries=[])}
TAKE = {
    "sqs:ReceiveMessage": _refused("receive_message", MaxNumberOfMessages=11, VisibilityTimeout=0),
    "sqs:DeleteMessage": _refused("delete_message_batch", Entries=[]),
}
RETURN = {"sqs:ChangeMessageVisibility": _refused("change_message_visibility_batch", Entries=[])}
