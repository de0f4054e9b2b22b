"""Hears of the pushes to the lab's registry, as EventBridge hears of those to ECR."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lab import port_forward
from lab.namespaces import Namespaces


@dataclass(frozen=True)
class Pushed:
    """A manifest that has got a tag."""

    repository: str
    tag: str
    digest: str
    kind: str  # its media type


class PushHook:
    """An HTTP server that a registry notifies of its pushes; its URL is the same in the lab's network.

    Args:
        namespaces: where the registry is.
        pushed: called for each push of a tag, in a thread.
    """

    def __init__(self, namespaces: Namespaces, pushed: Callable[[Pushed], None]) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                for event in told["events"]:
                    target = event["target"]
                    if event["action"] == "push" and target.get("tag"):
                        keys = ("repository", "tag", "digest", "mediaType")
                        pushed(Pushed(*(str(target[key]) for key in keys)))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        port = self._server.server_address[1]
        self._inside = port_forward.out_of(namespaces, port)
        self.url = f"http://127.0.0.1:{port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Hear no more."""
        self._inside.close()
        self._server.shutdown()
        self._server.server_close()
