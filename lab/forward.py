"""Ports of loopback that lead into the lab's network."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

from lab.namespaces import Namespaces
from lab.processes import free_port


class Forward:
    """A port of 127.0.0.1 on the machine, forwarded to one inside.

    Args:
        namespaces: where the port is that it leads to.
        target: the port inside.
        host: an address inside.
    """

    def __init__(self, namespaces: Namespaces, target: int, host: str = "127.0.0.1") -> None:
        self._namespaces = namespaces
        self._target = (host, target)
        self.port = free_port()
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                outside, _ = self._listener.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._connect, args=(outside,), daemon=True).start()

    def _connect(self, outside: socket.socket) -> None:
        with outside:
            try:
                inside = self._namespaces.call(lambda: socket.create_connection(self._target, 10))
            except OSError:
                return
            with inside:
                inside.settimeout(None)
                back = threading.Thread(target=_copy, args=(inside, outside), daemon=True)
                back.start()
                _copy(outside, inside)
                back.join()

    def close(self) -> None:
        """Take no more connections."""
        with suppress(OSError):
            # A thread that waits in accept() is not woken by close() alone.
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while chunk := source.recv(65536):
            target.sendall(chunk)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
