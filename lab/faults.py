"""A registry that fails a number of times and then works again."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from lab.registry import Registry

BEHIND = 8443  # where the registry listens while somebody stands in front of it
NOT_PASSED = ("transfer-encoding", "connection", "content-length", "date", "server")
# What ECR says of a token that is older than 12 hours.
EXPIRED = (403, "DENIED", "Your authorization token has expired. Reauthenticate and try again.")
UNAUTHORIZED = (401, "UNAUTHORIZED", "authentication required")
THROTTLED = (429, "TOOMANYREQUESTS", "Rate exceeded")
BROKEN = (503, "UNAVAILABLE", "service unavailable")


@dataclass
class Faults:
    """How many look-ups of a manifest are still to fail, and how many have."""

    left: int
    error: tuple[int, str, str]
    failed: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self, method: str) -> bool:
        """Return whether this look-up fails.

        A client that fails at HEAD asks once more with GET, to read the error: only a GET is counted.
        """
        with self._lock:
            if not self.left:
                return False
            if method == "GET":
                self.left -= 1
                self.failed += 1
            return True


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, registry: Registry, faults: Faults, *args: object) -> None:
        self._registry = registry
        self._faults = faults
        super().__init__(*args)  # type: ignore[arg-type]

    def _serve(self) -> None:
        asks_manifest = "/manifests/" in self.path and "Authorization" in self.headers
        if asks_manifest and self._faults.next(self.command):
            status, code, message = self._faults.error
            body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
            self._answer(status, {"Content-Type": "application/json"}, body)
            return
        # A client says in several Accept headers what it takes.
        asked = {name: ", ".join(self.headers.get_all(name, [])) for name in self.headers}
        status, headers, body = self._registry.ask(self.command, self.path, b"", asked)
        passed = {name: value for name, value in headers.items() if name.lower() not in NOT_PASSED}
        self._answer(status, passed, body, headers.get("Content-Length"))

    do_GET = do_HEAD = _serve  # noqa: N815

    def _answer(self, status: int, headers: dict[str, str], body: bytes, length: str | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", length or str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@contextmanager
def failing(registry: Registry, times: int, error: tuple[int, str, str] = UNAUTHORIZED) -> Iterator[Faults]:
    """Let the next look-ups of manifests fail, for reading clients; connections are refused for a moment.

    Args:
        registry: it listens behind a port of its own meanwhile.
        times: how many look-ups fail.
        error: status, code and message, such as EXPIRED.
    """
    faults = Faults(times, error)
    port, registry.port = registry.port, BEHIND
    registry.restart()
    handler = partial(_Handler, registry, faults)
    server = registry.namespaces.call(lambda: ThreadingHTTPServer((registry.address, port), handler))
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trust.load_cert_chain(registry.root / "certificate.pem", registry.root / "key.pem")
    # The handshake is for the thread of the connection: nobody waits for a client that says nothing.
    server.socket = trust.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield faults
    finally:
        server.shutdown()
        server.server_close()
        registry.port = port
        registry.restart()
