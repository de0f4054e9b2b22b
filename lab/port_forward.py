"""TCP ports that lead into the lab's network, or out of it."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from contextlib import closing, suppress

from lab.namespaces import Namespaces
from lab.processes import free_port

CONNECT_TIMEOUT = 10.0  # seconds


class PortForward:
    """Forward every connection to a listening socket, until it is closed.

    Args:
        listener: its network decides who can connect.
        connect: returns a connected socket to the target; called in a thread.
    """

    def __init__(self, listener: socket.socket, connect: Callable[[], socket.socket]) -> None:
        self.port: int = listener.getsockname()[1]
        self._listener = listener
        self._connect = connect
        self._loop = asyncio.new_event_loop()
        self._closed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:  # cancels what is left
            runner.run(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._accept, sock=self._listener)
        await self._closed.wait()
        server.close()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # As a coroutine it would log its cancellation (asyncio of Python 3.11).
        task = asyncio.create_task(self._forward(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer), suppress(OSError):  # nobody listens there: close, as the target would
            target = await asyncio.to_thread(self._connect)
            there, back = await asyncio.open_connection(sock=target)
            with closing(back):
                await asyncio.gather(_copy(reader, back), _copy(there, writer))

    def close(self) -> None:
        """Close the port and all its connections."""
        self._loop.call_soon_threadsafe(self._closed.set)
        self._thread.join()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await source.read(65536):
            target.write(chunk)
            await target.drain()
    with suppress(OSError):
        target.write_eof()


def into(namespaces: Namespaces, port: int) -> PortForward:
    """Return a free port of 127.0.0.1 on the machine that leads to this port of loopback inside."""

    def connect() -> socket.socket:
        return namespaces.call(lambda: socket.create_connection(("127.0.0.1", port), CONNECT_TIMEOUT))

    return PortForward(socket.create_server(("127.0.0.1", free_port())), connect)


def out_of(namespaces: Namespaces, port: int, host: str = "127.0.0.1") -> PortForward:
    """Return a port inside, on every address there, that leads to the port of this number on the machine.

    A URL with 127.0.0.1 then also holds for containers of the host's network, and with the address of
    `docker_gwbridge` for those of an overlay network.
    """
    everywhere = "0.0.0.0"  # noqa: S104 - in a network namespace of ours
    listener = namespaces.call(lambda: socket.create_server((everywhere, port)))
    return PortForward(listener, lambda: socket.create_connection((host, port), CONNECT_TIMEOUT))
