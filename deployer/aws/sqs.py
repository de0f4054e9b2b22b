"""SQS as all parts use it: clients, queue URLs, and several messages in one request."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError, InvalidRegionError, NoRegionError

from deployer.aws.client_config import bounded
from deployer.aws.errors import MISSING, NO_REGION, code_of, translated
from deployer.errors import SettingsError, TemporaryError

BATCH = 10  # SQS's largest batch
LONGEST_POLL = 20  # seconds
_REGION = re.compile(r"(?:^|\.)([a-z]{2,}(?:-[a-z]+)+-\d+)\.")


def client(read_timeout: float = 30.0) -> Any:
    """Return a boto3 client; the time-out leaves room for a long poll."""
    return boto3.session.Session().client("sqs", config=bounded(read_timeout))


def queue_url(queue: str) -> str:
    """Return the URL of a queue that is given by name or by URL; SQS is asked for a name (`sqs:GetQueueUrl`).

    Raises:
        SettingsError: there is no such queue, or AWS cannot be asked.
    """
    if "://" in queue:
        return queue
    try:
        return str(client().get_queue_url(QueueName=queue)["QueueUrl"])
    except NoRegionError as fault:
        text = f"no AWS region is set, in which the queue {queue!r} is: export AWS_REGION=eu-central-1, say"
        raise SettingsError(f"{text}, or set the queue's URL in place of its name") from fault
    except (ClientError, BotoCoreError) as fault:
        raise SettingsError(_no_queue(queue, fault)) from fault


def _no_queue(queue: str, fault: Exception) -> str:
    where = boto3.session.Session().region_name
    example = f"https://sqs.{where}.amazonaws.com/123456789012/{queue}"
    if code_of(fault) in MISSING:
        known = f"there is no queue {queue!r} in {where} (AWS_REGION)"
        return f"{known}; correct its name, or set its URL: {example}"
    if isinstance(fault, InvalidRegionError):
        return NO_REGION.format(where)
    why = code_of(fault) or type(fault).__name__
    return f"SQS does not tell the URL of the queue {queue!r} ({why}); set the URL itself: {example}"


def region_of(url: str) -> dict[str, str]:
    """Return the AWS region in a queue's URL as `{"region": …}`, nothing for an emulator's."""
    found = _REGION.search(url.split("://", 1)[-1].split("/", 1)[0])
    return {"region": found[1]} if found else {}


def send_batch(sqs: Any, url: str, entries: Sequence[Mapping[str, Any]]) -> dict[str, TemporaryError]:
    """Send at most `BATCH` messages in one request.

    Args:
        sqs: a boto3 client.
        url: the queue's.
        entries: of SendMessageBatch.

    Returns:
        The ids of the entries of which SQS has not said that it took them, each with the reason.

    Raises:
        DeployerError: the request as a whole has failed.
    """
    with translated("sqs:SendMessage", f"to {url}"):
        answer = sqs.send_message_batch(QueueUrl=url, Entries=entries)
    # A request that succeeds may have failed in part, so only what is named as taken was taken.
    taken = {entry["Id"] for entry in answer.get("Successful") or ()}
    reasons = {
        entry["Id"]: f"{entry.get('Code')}: {entry.get('Message', '')}"
        for entry in answer.get("Failed") or ()
    }
    ids = [str(entry["Id"]) for entry in entries]
    return {
        one: TemporaryError(reasons.get(one, "SQS does not say that it took it"))
        for one in ids
        if one not in taken
    }
