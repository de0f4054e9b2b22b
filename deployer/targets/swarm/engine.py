"""Requests to a Docker engine over kept connections, found as the `docker` command finds it.

docker-py finds the engine and its API version. The requests themselves go to urllib3: docker-py (7.1) keeps a
pool of connections for each path, so that hardly any is used again, and a write must be sent over the very
connection that has just told the engine's version.

A spec that is read or written at an older version than the engine's own silently loses what that version
lacks. The engine may be upgraded under a running worker, and an address may stand for managers of several
versions, so every answer's `Api-Version` is compared.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import urllib3

if TYPE_CHECKING:
    import docker

TIMEOUT = 30  # seconds for one request; the engine itself asks the registry within some of them
CONNECTIONS = 10  # that are kept

Send = Callable[[str, str, Mapping[str, str], "bytes | None"], urllib3.BaseHTTPResponse]


class NoAnswerError(Exception):
    """The engine cannot be reached, or has broken off its answer; the message says how."""


class VersionChangedError(Exception):
    """The engine that answered has another API version than the one that was asked for its version."""


@dataclass(frozen=True)
class Answer:
    """An engine's answer."""

    status: int
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON.

        Raises:
            ValueError: it is none.
        """
        return json.loads(self.body)

    @property
    def message(self) -> str:
        """Return the engine's words about an error."""
        try:
            return str(self.json()["message"])[:500]
        except (ValueError, KeyError, TypeError):
            return self.body.decode(errors="replace").strip()[:500] or f"status {self.status}"


@dataclass(frozen=True)
class _Wire:
    """Ways to one engine (or to several behind one address), and the API version that is spoken on them."""

    version: str
    send: Send  # over any of the kept connections
    write: Send  # over a connection of its own, one request after another


class Engine:
    """An engine; safe for several threads. Nothing is connected until the first request."""

    def __init__(self) -> None:
        self._wire: _Wire | None = None
        self._lock = threading.Lock()
        self._writing = threading.Lock()

    def forget(self) -> None:
        """Ask the engine for its API version again, at the next request."""
        with self._lock:
            self._wire = None

    def ask(
        self, path: str, params: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Read something.

        Raises:
            NoAnswerError: the engine does not answer.
            VersionChangedError: an engine of another version has answered; what it says must not be used.
        """
        with _Broken():
            answer = self._checked(self._connected(), "GET", _target(path, params), headers or {})
            return Answer(answer.status, answer.read())

    def write(self, path: str, params: Mapping[str, Any], headers: Mapping[str, str], body: object) -> Answer:
        """Write something, if the engine that would be written to still has the version that was spoken.

        Raises:
            NoAnswerError: the engine does not answer; it may have done what it was asked to.
            VersionChangedError: nothing was written.
        """
        data = json.dumps(body).encode()
        headers = {**headers, "Content-Type": "application/json"}
        with _Broken(), self._writing:
            wire = self._connected()
            self._check(wire, wire.write("GET", "/_ping", {}, None)).read()
            answer = wire.write("POST", _target(path, params), headers, data)
            return Answer(answer.status, answer.read())

    def each(self, path: str, params: Mapping[str, Any] | None = None) -> Answer | Iterator[Any]:
        """Return the elements of a list as they come in, or an answer if it is an error.

        Raises:
            NoAnswerError: the engine does not answer, or breaks off, or answers no list.
            VersionChangedError: as of `ask`.
        """
        with _Broken():
            answer = self._checked(self._connected(), "GET", _target(path, params), {})
            return _elements(answer) if answer.status < 300 else Answer(answer.status, answer.read())

    def _checked(
        self, wire: _Wire, method: str, target: str, headers: Mapping[str, str]
    ) -> urllib3.BaseHTTPResponse:
        return self._check(wire, wire.send(method, target, headers, None))

    def _check(self, wire: _Wire, answer: urllib3.BaseHTTPResponse) -> urllib3.BaseHTTPResponse:
        told = answer.headers.get("Api-Version")
        if told and told != wire.version:
            answer.close()
            self.forget()
            raise VersionChangedError(f"its API version is {told} now, and was {wire.version}")
        return answer

    def _connected(self) -> _Wire:
        with self._lock:
            if self._wire is None:
                # Imported here because a worker can take tasks before it needs them (60 ms).
                import docker
                from docker.utils import kwargs_from_env

                # Asks the engine for its API version, so it can fail, and is tried again at the next call.
                client = docker.APIClient(**kwargs_from_env(), version="auto", timeout=TIMEOUT)
                self._wire = _Wire(str(client.api_version), _sender(client, CONNECTIONS), _sender(client, 1))
            return self._wire


def _target(path: str, params: Mapping[str, Any] | None) -> str:
    return f"{path}?{urlencode(params)}" if params else path


class _Broken:
    """Turns what breaks a connection into a NoAnswerError."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, fault: BaseException | None, trace: object) -> None:
        if isinstance(fault, (urllib3.exceptions.HTTPError, OSError)) or _is_dockers(fault):
            raise NoAnswerError(_system_words(fault) or str(fault).split("\n", 1)[0][:200]) from fault


def _system_words(fault: BaseException | None) -> str | None:
    """Return the words of the operating system ("No such file or directory"), which libraries wrap."""
    for _ in range(10):
        if fault is None or (isinstance(fault, OSError) and fault.strerror):
            break
        fault = fault.__cause__ or fault.__context__
    return fault.strerror if isinstance(fault, OSError) else None


def _is_dockers(fault: BaseException | None) -> bool:
    # requests' own are OSErrors.
    from docker.errors import DockerException

    return isinstance(fault, DockerException)


def _sender(client: docker.APIClient, connections: int) -> Send:
    base = f"/v{client.api_version}"
    if client.base_url == "http+docker://ssh":
        return _over_docker(client)
    pool = _pool(client, connections)

    def send(
        method: str, target: str, headers: Mapping[str, str], data: bytes | None
    ) -> urllib3.BaseHTTPResponse:
        return pool.urlopen(
            method, base + target, data, headers, retries=False, timeout=TIMEOUT, preload_content=False
        )

    return send


def _over_docker(client: docker.APIClient) -> Send:
    """Return the way over docker-py's own session, which alone knows SSH."""
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


def _pool(client: docker.APIClient, connections: int) -> urllib3.HTTPConnectionPool:
    """Return a pool of connections to where docker-py found the engine."""
    from docker.transport import UnixHTTPAdapter
    from docker.transport.unixconn import UnixHTTPConnectionPool

    adapter = client.get_adapter(client.base_url)
    if isinstance(adapter, UnixHTTPAdapter):
        return UnixHTTPConnectionPool(client.base_url, adapter.socket_path, TIMEOUT, maxsize=connections)
    tls = _tls(client.verify, client.cert) if client.base_url.startswith("https") else {}
    return urllib3.connection_from_url(client.base_url, maxsize=connections, **tls)


def _tls(verify: bool | str | None, cert: tuple[str, str] | str | None) -> dict[str, Any]:
    certificate, key = cert if isinstance(cert, tuple) else (cert, None)
    trusted = {"ca_certs": verify} if isinstance(verify, str) else {}
    required = "CERT_REQUIRED" if verify else "CERT_NONE"
    return {"cert_reqs": required, "cert_file": certificate, "key_file": key, **trusted}


class _List:
    """An answer for ijson, which would pass over what is no list."""

    def __init__(self, answer: urllib3.BaseHTTPResponse) -> None:
        self._answer = answer
        self._begun = False

    def read(self, size: int = -1) -> bytes:
        data = self._answer.read(size)
        if not self._begun and (text := data.lstrip()):
            self._begun = True
            if text[:1] not in (b"[", b"n"):
                raise NoAnswerError(f"no list: {text[:80]!r}")
        return data


def _elements(answer: urllib3.BaseHTTPResponse) -> Iterator[Any]:
    import ijson

    try:
        with _Broken():
            # `null` is an empty list, as Go writes a slice that was never made.
            yield from ijson.items(_List(answer), "item", use_float=True)
    except ijson.JSONError as fault:
        answer.close()
        raise NoAnswerError(f"no end of a list: {fault}"[:200]) from fault
    except BaseException:
        answer.close()  # what was not read to its end is of no use to the next request
        raise
