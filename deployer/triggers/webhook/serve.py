"""The webhook's HTTP server: connections that say nothing must not keep those out that do.

uvicorn has no time-out for a request's first bytes and counts every connection: two hundred that sent half a
header closed the webhook for as long as they stayed.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Sequence

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from deployer.errors import SettingsError

log = logging.getLogger(__name__)

STOP_SECONDS = 2  # that requests under way may take at the end
CONNECTIONS = 200
SILENT = 100  # connections without a request, of which the oldest makes room for a new one
HEADER_SECONDS = 10.0  # that a connection may take to send the whole header of a request
MAX_HEADERS = 16 * 1024  # bytes


def impatient() -> type[H11Protocol]:
    """Return a protocol that closes connections without a request: after a while, or when there are many."""
    silent: dict[H11Protocol, asyncio.TimerHandle] = {}  # oldest first

    class Impatient(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._expect()
            if len(silent) > SILENT:
                oldest, timer = next(iter(silent.items()))
                timer.cancel()
                del silent[oldest]  # it is lost only in the next turn of the loop
                oldest.transport.close()

        def connection_lost(self, exc: Exception | None) -> None:
            self._expect(False)
            super().connection_lost(exc)

        def handle_events(self) -> None:
            super().handle_events()
            self._expect(self.cycle is None or self.cycle.response_complete)

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self._expect(self.cycle is None or self.cycle.response_complete)

        def _expect(self, request: bool = True) -> None:
            """Begin to wait for a request's header, or end it; what comes in between changes nothing."""
            if not request:
                if timer := silent.pop(self, None):
                    timer.cancel()
            elif self not in silent and not self.transport.is_closing():
                silent[self] = self.loop.call_later(HEADER_SECONDS, self.transport.close)

    return Impatient


def run(app: Starlette, host: str, port: int, proxies: Sequence[str] = ()) -> None:
    """Serve in the main thread until SIGTERM or SIGINT, and finish what is under way.

    Args:
        app: what is served.
        host: the address to listen on.
        port: the port, 0 for any that is free.
        proxies: addresses and networks whose `X-Forwarded-For` tells who asks.

    Raises:
        SettingsError: nobody can listen there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as fault:
        raise SettingsError(f"cannot listen on {host} port {port}: {fault.strerror or fault}") from fault
    # uvicorn's access log would show `?token=`.
    config = uvicorn.Config(
        app,
        http=impatient(),
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=list(proxies),
        h11_max_incomplete_event_size=MAX_HEADERS,
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn sends the signal that has ended it once more, to whoever handled it before: nobody.
        signal.signal(number, lambda *_: None)
    log.info("Webhook listens on %s port %d", host, listener.getsockname()[1])
    uvicorn.Server(config).run(sockets=[listener])
    log.info("Webhook stopped")
