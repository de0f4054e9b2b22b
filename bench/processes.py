"""What a process uses, as the kernel counts it, and how many requests it makes of SQS."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from pathlib import Path


def cpu(pid: int) -> float:
    """Return the processor seconds of a process's threads, to the nanosecond (proc(5), schedstat)."""
    spent = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):
            spent += int((task / "schedstat").read_text().split()[0])
    return spent / 1e9


def rss(pid: int) -> float:
    """Return the resident memory of a process in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"process {pid} has ended")


class Counter:
    """Stands before SQS on a port of its own, and notes when each request of which action came."""

    def __init__(self, port: int) -> None:
        self._behind = port
        self.requests: list[tuple[float, str]] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._server.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._server.accept()
                far = socket.create_connection(("127.0.0.1", self._behind))
                for side in (near, far):
                    side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._pump, args=(near, far, True), daemon=True).start()
                threading.Thread(target=self._pump, args=(far, near, False), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, counts: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if counts:
                    self._note(data)
                target.sendall(data)
        for side in (source, target):
            with suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)

    def _note(self, data: bytes) -> None:
        # The JSON protocol names the action in a header; celery's own transport has it in the form's body.
        for word in (b"AmazonSQS.", b"Action="):
            for found in data.split(word)[1:]:
                name = bytes(found[:40]).split(b"\r")[0].split(b"&")[0].decode(errors="replace")
                self.requests.append((time.monotonic(), name))

    def per_hour(self, action: str) -> float:
        """Return the requests of an action per hour, from the time between the first and the last."""
        at = [moment for moment, name in self.requests if name == action]
        return (len(at) - 1) / (at[-1] - at[0]) * 3600 if len(at) > 1 else 0.0
