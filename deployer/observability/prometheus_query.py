"""A query of Prometheus: it fires if it returns a sample, as the expression of an alerting rule does.

The HTTP API is Prometheus's own ("Instant queries"), which Thanos, Mimir and others have too.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote, urlsplit

import urllib3

from deployer.errors import PermanentError, TemporaryError
from deployer.model.evidence import Signal, Signals

TIMEOUT = urllib3.Timeout(connect=3.0, read=10.0)
MAX_ANSWER = 2**20  # bytes
MAX_SAID = 100  # characters of a query


class Prometheus:
    """A server.

    Args:
        url: its base, with user and password if it wants them.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else None
        self._headers = urllib3.make_headers(basic_auth=login) if login else {}
        self.shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"  # without its password
        self._url = f"{self.shown}{parts.path.rstrip('/')}/api/v1/query"
        self._pool = urllib3.PoolManager(maxsize=4, retries=False)

    def __call__(self, query: str) -> Signal:
        """Return whether a query fires.

        Raises:
            TemporaryError: Prometheus does not answer now.
            PermanentError: it does not understand the query, or refuses.
        """
        try:
            answer = self._pool.request(
                "POST",
                self._url,
                fields={"query": query, "timeout": "10s"},
                encode_multipart=False,
                headers=self._headers,
                timeout=TIMEOUT,
                redirect=False,
                preload_content=False,
            )
            body = answer.read(MAX_ANSWER + 1)
            answer.release_conn()
        except urllib3.exceptions.HTTPError as fault:
            raise TemporaryError(
                f"Prometheus at {self.shown} does not answer: {type(fault).__name__}"
            ) from fault
        if answer.status >= 500 or answer.status == 429:
            raise TemporaryError(f"Prometheus at {self.shown} cannot answer now ({answer.status})")
        told = _json(body)
        if answer.status != 200 or told.get("status") != "success":
            why = str(told.get("error") or f"status {answer.status}")[:200]
            raise PermanentError(f"Prometheus at {self.shown} refuses {query[:MAX_SAID]!r}: {why}")
        return _signal(query, told.get("data"))


def _json(body: bytes) -> dict[str, Any]:
    try:
        told = json.loads(body) if len(body) <= MAX_ANSWER else None
    except (ValueError, RecursionError):
        told = None
    return told if isinstance(told, dict) else {}


def _signal(query: str, data: object) -> Signal:
    name = f"query {query[:MAX_SAID]}"
    kind, result = (data.get("resultType"), data.get("result")) if isinstance(data, dict) else (None, None)
    if kind != "vector" or not isinstance(result, list):
        raise PermanentError(f"{name} is of type {kind!r}: it may be an instant vector, such as up == 0")
    if not result:
        return Signal(name, Signals.QUIET)
    sample = result[0] if isinstance(result[0], dict) else {}
    labels = ", ".join(f"{k}={v}" for k, v in sorted((sample.get("metric") or {}).items()))
    value = (sample.get("value") or ["", ""])[-1]
    return Signal(name, Signals.FIRES, f"{value} {{{labels}}}"[:200])
