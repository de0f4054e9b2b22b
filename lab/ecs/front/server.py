"""An HTTP server that stands before an emulator of ECS, and is strict where that is not."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Mapping
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from deployer.errors import TemporaryError
from deployer.targets.ecs.wire.api import error_of
from lab.ecs.front.strict import Strict
from lab.ecs.records import Json
from lab.ecs.refusal import Refusal
from lab.processes import free_port

TARGET = "AmazonEC2ContainerServiceV20141113"
JSON = "application/x-amz-json-1.1"


class Front:
    """The server; its port is free until `start`.

    Args:
        port: where the emulator is, on loopback.
        region: to which requests are taken to be.
    """

    def __init__(self, port: int, region: str) -> None:
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self._emulator = port
        scope = f"test/20260101/{region}/ecs/aws4_request"
        self._signature = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"
        self.strict = Strict(self.send)
        self.calls: list[tuple[str, Json]] = []  # every request over HTTP: the action and its members
        self.refusals: list[str] = []  # the code of each refusal over HTTP
        self.region = region
        self.account = None
        self._server: ThreadingHTTPServer | None = None

    def start(self) -> None:
        """Serve."""
        handler = partial(_Handler, self)
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Serve no more."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()

    def call(self, action: str, /, **members: Any) -> Json:
        """Send a request as a person does, by the rules; errors as of `deployer.targets.ecs.wire.api.Api`."""
        try:
            return self.strict.request(action, members)
        except Refusal as refusal:
            raise error_of(action, refusal.status, refusal.code, refusal.message) from refusal

    def forget(self) -> None:
        """Know nothing any more of what has passed."""
        self.strict = Strict(self.send)
        self.calls.clear()
        self.refusals.clear()

    def refused(self, code: str) -> int:
        """Return how many requests over HTTP were refused with a code."""
        return self.refusals.count(code)

    def called(self, action: str) -> list[Json]:
        """Return the members of every request over HTTP of an action, oldest first."""
        return [members for name, members in self.calls if name == action]

    def send(self, action: str, members: Mapping[str, Any]) -> Json:
        """Send a request to the emulator, past all rules.

        Raises:
            Refusal: it refuses.
        """
        headers = {
            "X-Amz-Target": f"{TARGET}.{action}",
            "Content-Type": JSON,
            "Authorization": self._signature,
        }
        connection = http.client.HTTPConnection("127.0.0.1", self._emulator, timeout=60)
        try:
            connection.request("POST", "/", json.dumps(members), headers)
            answer = connection.getresponse()
            body: Json = json.loads(answer.read() or b"{}")
        finally:
            connection.close()
        if answer.status != 200:
            code = str(body.get("__type", "ServerException"))
            raise Refusal(code, str(body.get("message") or body.get("Message") or ""), answer.status)
        return body


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each answer waits 40 ms for the head's acknowledgement

    def __init__(self, front: Front, *args: object) -> None:
        self._front = front
        super().__init__(*args)  # type: ignore[arg-type]

    def do_POST(self) -> None:
        """Answer one request of ECS's JSON protocol."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        action = (self.headers.get("X-Amz-Target") or "").rpartition(".")[2]
        members: Json = json.loads(body or b"{}")
        self._front.calls.append((action, members))
        try:
            status, answer = 200, self._front.strict.request(action, members)
        except Refusal as refusal:
            self._front.refusals.append(refusal.code)
            status, answer = refusal.status, {"__type": refusal.code, "message": refusal.message}
        except TemporaryError:
            self.close_connection = True
            return
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", JSON)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *args: object) -> None:
        """Say nothing."""
