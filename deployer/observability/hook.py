"""The outgoing hook: news as CloudEvents, signed as Standard Webhooks are.

CloudEvents 1.0 in the structured mode of its HTTP binding. The signature is HMAC-SHA256 over
`id.timestamp.body` in `webhook-signature`, as the Standard Webhooks specification has it, so that its
libraries can prove it. Both are some lines, for which no library is worth its weight.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import urllib3

from deployer.errors import PermanentError, TemporaryError
from deployer.observability.outbox import News
from deployer.observability.revisions import Described, revision

TYPE = "swarm-ecr-deployer.deployment"
SOURCE = "swarm-ecr-deployer"
CONTENT = "application/cloudevents+json; charset=utf-8"
TIMEOUT = urllib3.Timeout(connect=3.0, read=10.0)
LATER = {408, 425, 429}
SECRET_PREFIX = "whsec_"  # noqa: S105 - Standard Webhooks' own, before base64
_NAMESPACE = uuid.UUID("0b7c8a52-6d0e-5f7e-9d53-2f0f6bb3f2a1")


class Hook:
    """Posts news to a URL.

    Args:
        url: where to; it may hold a password.
        secret: to sign with, `whsec_` and base64 or any text; None for no signature.
        described: returns the labels of an image, by its whole reference.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        url: str,
        secret: str | None = None,
        described: Described = lambda _: {},
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._url, self._key, self._clock = url, _key(secret) if secret else None, clock
        self._described = described
        self._pool = urllib3.PoolManager(retries=False)

    def __call__(self, news: News) -> None:
        """Post one event.

        Raises:
            TemporaryError: it was not taken, and may be later.
            PermanentError: it is refused.
        """
        image, previous = (str(news.data.get(name) or "") or None for name in ("image", "previous"))
        event = cloudevent(replace(news, data={**news.data, **revision(self._described, image, previous)}))
        body = json.dumps(event, default=str).encode()
        headers = {"Content-Type": CONTENT, **self._signed(event["id"], body)}
        status = post(self._pool, "POST", self._url, body, headers)[0]
        refuse(status, "the hook (DEPLOYER_HOOK_URL)")

    def _signed(self, number: str, body: bytes) -> dict[str, str]:
        if self._key is None:
            return {}
        stamp = str(int(self._clock()))
        text = b".".join((number.encode(), stamp.encode(), body))
        signature = base64.b64encode(hmac.digest(self._key, text, hashlib.sha256)).decode()
        return {"webhook-id": number, "webhook-timestamp": stamp, "webhook-signature": f"v1,{signature}"}


def _key(secret: str) -> bytes:
    if secret.startswith(SECRET_PREFIX):
        return base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    return secret.encode()


def cloudevent(news: News) -> dict[str, Any]:
    """Return news as a CloudEvent; the same news has the same id, however often it is told."""
    same = json.dumps([news.task, news.kind, news.data.get("outcome"), news.data.get("reason")])
    return {
        "specversion": "1.0",
        "id": str(uuid.uuid5(_NAMESPACE, same)),
        "source": SOURCE,
        "type": f"{TYPE}.{news.kind}",
        "subject": news.service,
        "time": news.at.isoformat(),
        "datacontenttype": "application/json",
        "data": {"service": news.service, "deployment": news.task, **news.data},
    }


def post(
    pool: urllib3.PoolManager, method: str, url: str, body: bytes | None, headers: dict[str, str]
) -> tuple[int, bytes]:
    """Send a request to another system; return the status and at most a mebibyte of the body.

    Raises:
        TemporaryError: it does not answer; the text names no URL, which may hold a secret.
    """
    try:
        answer = pool.request(
            method, url, body=body, headers=headers, timeout=TIMEOUT, redirect=False, preload_content=False
        )
        said = answer.read(2**20)
        answer.release_conn()
    except urllib3.exceptions.HTTPError as fault:
        raise TemporaryError(f"it does not answer: {type(fault).__name__}") from fault
    return answer.status, said


def refuse(status: int, whom: str) -> None:
    """Raise the error that a status means, if it is none of success.

    Raises:
        TemporaryError: it may be taken later.
        PermanentError: it is refused.
    """
    if 200 <= status < 300:
        return
    kind = TemporaryError if status >= 500 or status in LATER else PermanentError
    raise kind(f"{whom} answers {status}")
