"""A Prometheus on loopback that watches itself: `up` is a sample that a query can ask for."""

from __future__ import annotations

import socket
import urllib.request
from pathlib import Path

from lab.processes import Process, free_port
from lab.programs import program
from lab.server import Server

SETTINGS = """\
global: {{ scrape_interval: 1s }}
scrape_configs:
  - job_name: self
    static_configs: [{{ targets: ["127.0.0.1:{port}"] }}]
"""


class Prometheus(Server):
    """Debian's Prometheus on a free port.

    Args:
        root: a directory of its own.
        log: where its output goes.
    """

    def __init__(self, root: Path, log: Path) -> None:
        super().__init__("Prometheus")
        self._root, self._log, self.port = root, log, free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def launch(self) -> Process:
        """Start it."""
        self._root.mkdir(parents=True, exist_ok=True)
        settings = self._root / "prometheus.yml"
        settings.write_text(SETTINGS.format(port=self.port))
        options = [f"--config.file={settings}", f"--storage.tsdb.path={self._root / 'data'}"]
        return Process(
            [program("prometheus"), *options, f"--web.listen-address=127.0.0.1:{self.port}"], self._log
        )

    def answers(self) -> bool:
        """Return whether it has watched itself."""
        with socket.create_connection(("127.0.0.1", self.port), 2):
            pass
        with urllib.request.urlopen(f"{self.url}/api/v1/query?query=up", timeout=5) as answer:  # noqa: S310 - our own
            return b'"value"' in answer.read()
