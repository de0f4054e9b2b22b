"""A Redis server on loopback, which keeps nothing on disk."""

from __future__ import annotations

import socket
from pathlib import Path

from lab.processes import Process, free_port
from lab.server import Server


class Redis(Server):
    """Redis on a free port; a restart keeps the port and loses the data, a freeze keeps both."""

    def __init__(self, log: Path) -> None:
        super().__init__("Redis")
        self._log = log
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def launch(self) -> Process:
        """Start the server."""
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        return Process(["redis-server", *options], self._log)

    def answers(self) -> bool:
        """Return whether it answers a PING."""
        return self.command(b"PING").startswith(b"+PONG")

    def command(self, command: bytes) -> bytes:
        """Send an inline command; the beginning of its answer."""
        with socket.create_connection(("127.0.0.1", self.port), 5) as connection:
            connection.sendall(command + b"\r\n")
            return connection.recv(1000)

    def clear(self) -> None:
        """Forget everything."""
        self.command(b"FLUSHALL")
