"""Ports in the lab's network that lead to servers on the machine's loopback."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

from lab.forward import _copy
from lab.namespaces import Namespaces


class Inward:
    """A port inside, on every address there, forwarded to the port of the same number outside.

    So a URL with 127.0.0.1 holds for containers of the host's network too, and with the address of
    `docker_gwbridge` for those of an overlay network.

    Args:
        namespaces: where the port is.
        port: its number.
        host: the address outside.
    """

    def __init__(self, namespaces: Namespaces, port: int, host: str = "127.0.0.1") -> None:
        self.port = port
        self._host = host
        everywhere = "0.0.0.0"  # noqa: S104 - in a network namespace of ours
        self._listener = namespaces.call(lambda: socket.create_server((everywhere, port)))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                inside, _ = self._listener.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._connect, args=(inside,), daemon=True).start()

    def _connect(self, inside: socket.socket) -> None:
        with inside:
            try:
                outside = socket.create_connection((self._host, self.port), 10)
            except OSError:
                return
            with outside:
                outside.settimeout(None)
                back = threading.Thread(target=_copy, args=(outside, inside), daemon=True)
                back.start()
                _copy(inside, outside)
                back.join()

    def close(self) -> None:
        """Take no more connections."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
