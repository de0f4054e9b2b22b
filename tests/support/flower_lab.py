"""Flower, started as people start it, and its HTTP API."""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.parse
import urllib.request
from base64 import b64encode
from pathlib import Path
from typing import Any

from lab import Lab, Queues, wait_until
from lab.processes import free_port

LOGIN = "operator:flower-password"


class Flower:
    """`celery -A deployer flower` on a free port of loopback, behind a password.

    Args:
        lab: where it runs.
        queues: the queues of its app.
        options: of the command.
        environment: further variables.
    """

    def __init__(self, lab: Lab, queues: Queues, *options: str, **environment: str) -> None:
        self.port = free_port()
        command = [sys.executable, "-m", "celery", "-A", "deployer", "flower", f"--port={self.port}"]
        env = lab.environment(queues) | {"FLOWER_BASIC_AUTH": LOGIN} | environment
        self.process = lab.spawn("flower", *command, *options, env=env)
        wait_until(self._answers, 30, "Flower")

    def _answers(self) -> bool:
        try:
            return self.call("/healthcheck") == "OK"
        except urllib.error.HTTPError:
            raise
        except OSError:
            if not self.process.running:
                raise RuntimeError(self.process.text) from None
            return False

    def call(self, path: str, login: str | None = LOGIN, data: Any = None, form: Any = None) -> str:
        """The text of a page, or of the API's answer to a POST of data (JSON) or a form."""
        headers = {"Authorization": f"Basic {b64encode(login.encode()).decode()}"} if login else {}
        body = json.dumps(data).encode() if data is not None else None
        body = urllib.parse.urlencode(form).encode() if form is not None else body
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body, headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.read().decode()

    def tasks(self) -> dict[str, dict[str, Any]]:
        """All tasks that Flower knows, by id."""
        return json.loads(self.call("/api/tasks"))

    def deployments(self, state: str | None = None) -> list[dict[str, Any]]:
        """The deployments among them, in one state or in any."""
        found = [t for t in self.tasks().values() if t["name"] and not t["name"].endswith("image_pushed")]
        return [t for t in found if state in {None, t["state"]}]

    def address(self) -> str:
        """The address that it listens on, from the kernel's table of sockets."""
        port = f":{self.port:04X}"
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            local = line.split()[1]
            if local.endswith(port):
                return ".".join(str(byte) for byte in reversed(bytes.fromhex(local[:8])))
        return ""
