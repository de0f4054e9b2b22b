"""Requests to a Docker engine over kept connections, found as the `docker` command finds it.

docker-py finds the engine and its API version. Over a Unix socket the requests themselves go to urllib3: what
docker-py and requests do around each costs more than the engine takes to answer (0.5 ms of a processor), and
docker-py (7.1) keeps a pool of connections for each path, so that hardly any is used again.
"""

from __future__ import annotations

import codecs
import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import urllib3

if TYPE_CHECKING:
    import docker

TIMEOUT = 30  # seconds for one request; the engine itself asks the registry within some of them
CONNECTIONS = 10  # that are kept
READ_BYTES = 128 * 1024  # of a list at a time
SEPARATORS = re.compile(r"[\s,]*")
_DECODER = json.JSONDecoder()

Send = Callable[[str, str, Mapping[str, str], "bytes | None"], urllib3.BaseHTTPResponse]


class NoAnswerError(Exception):
    """The engine cannot be reached, or has broken off its answer; the message says how."""


@dataclass(frozen=True)
class Answer:
    """What the engine has answered."""

    status: int
    body: bytes

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            ValueError: it is none.
        """
        return json.loads(self.body)

    @property
    def message(self) -> str:
        """What the engine says of an error."""
        try:
            return str(self.json()["message"])[:500]
        except (ValueError, KeyError, TypeError):
            return self.body.decode(errors="replace").strip()[:500] or f"status {self.status}"


class Engine:
    """An engine; safe for several threads. Nothing is connected until the first request."""

    def __init__(self) -> None:
        self._sender: Send | None = None
        self._lock = threading.Lock()

    def forget(self) -> None:
        """Ask the engine for its API version again, at the next request."""
        with self._lock:
            self._sender = None

    def ask(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        body: object = None,
    ) -> Answer:
        """One request, with a body of JSON if there is one.

        Raises:
            NoAnswerError: the engine does not answer; it may have done what it was asked to.
        """
        with _Broken():
            answer = self._begun(method, path, params, headers, body)
            return Answer(answer.status, answer.read())

    def each(self, path: str, params: Mapping[str, Any] | None = None) -> Answer | Iterator[Any]:
        """The elements of a list as they come in; an answer if it is an error.

        Raises:
            NoAnswerError: the engine does not answer, or breaks off, or answers no list.
        """
        with _Broken():
            answer = self._begun("GET", path, params)
            return _read(answer) if answer.status < 300 else Answer(answer.status, answer.read())

    def _begun(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        body: object = None,
    ) -> urllib3.BaseHTTPResponse:
        target = f"{path}?{urlencode(params)}" if params else path
        data = None if body is None else json.dumps(body).encode()
        kind = {} if body is None else {"Content-Type": "application/json"}
        return self._send()(method, target, {**(headers or {}), **kind}, data)

    def _send(self) -> Send:
        with self._lock:
            if self._sender is None:
                # Imported here because a worker can take tasks before it needs them (60 ms).
                import docker
                from docker.utils import kwargs_from_env

                # Asks the engine for its API version, so it can fail, and is tried again at the next call.
                client = docker.APIClient(**kwargs_from_env(), version="auto", timeout=TIMEOUT)
                self._sender = _over_socket(client) or _over_docker(client)
            return self._sender


class _Broken:
    """Turns what breaks a connection into a NoAnswerError."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, fault: BaseException | None, trace: object) -> None:
        if isinstance(fault, (urllib3.exceptions.HTTPError, OSError)) or _is_dockers(fault):
            raise NoAnswerError(str(fault).split("\n", 1)[0][:200]) from fault


def _is_dockers(fault: BaseException | None) -> bool:
    # requests' own are OSErrors.
    from docker.errors import DockerException

    return isinstance(fault, DockerException)


def _over_socket(client: docker.APIClient) -> Send | None:
    from docker.transport import UnixHTTPAdapter
    from docker.transport.unixconn import UnixHTTPConnectionPool

    adapter = client.get_adapter(client.base_url)
    if not isinstance(adapter, UnixHTTPAdapter):
        return None
    pool = UnixHTTPConnectionPool(client.base_url, adapter.socket_path, TIMEOUT, maxsize=CONNECTIONS)
    version = f"/v{client.api_version}"
    client.close()

    def send(
        method: str, target: str, headers: Mapping[str, str], data: bytes | None
    ) -> urllib3.BaseHTTPResponse:
        return pool.urlopen(
            method,
            version + target,
            data,
            headers,
            retries=False,
            timeout=TIMEOUT,
            preload_content=False,
        )

    return send


def _over_docker(client: docker.APIClient) -> Send:
    base = f"{client.base_url}/v{client.api_version}"

    def send(
        method: str, target: str, headers: Mapping[str, str], data: bytes | None
    ) -> urllib3.BaseHTTPResponse:
        answer = client.request(
            method, base + target, headers=dict(headers), data=data, timeout=TIMEOUT, stream=True
        )
        raw: urllib3.BaseHTTPResponse = answer.raw
        raw.decode_content = True
        return raw

    return send


def _read(answer: urllib3.BaseHTTPResponse) -> Iterator[Any]:
    try:
        with _Broken():
            yield from elements(answer.stream(READ_BYTES))
    except ValueError as fault:
        answer.close()
        raise NoAnswerError(str(fault)[:200]) from fault
    except BaseException:
        answer.close()  # what was not read to its end is of no use to the next request
        raise


def elements(chunks: Iterable[bytes]) -> Iterator[Any]:
    """The elements of a JSON array, out of its text in pieces of any size.

    `null` is an empty one, as Go writes a slice that was never made.

    Raises:
        ValueError: it is no array, or it has no end.
    """
    decode = codecs.getincrementaldecoder("utf-8")().decode
    text, place, begun = "", 0, False
    for chunk in chunks:
        text, place = text[place:] + decode(chunk), 0
        while True:
            place = SEPARATORS.match(text, place).end()  # type: ignore[union-attr]
            if not begun and text[place : place + 1] == "[":
                begun, place = True, place + 1
                continue
            if not begun or text[place : place + 1] in {"", "]"}:
                break
            try:
                element, place = _DECODER.raw_decode(text, place)
            except json.JSONDecodeError:
                break  # its end is in a later chunk
            yield element
    if text[place:].strip() != ("]" if begun else "null"):
        raise ValueError(f"no end of a list: {text[place:][:80]!r}")
