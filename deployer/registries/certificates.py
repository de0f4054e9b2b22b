"""Certificates of registries: the system's CAs, and those that Docker keeps for a registry."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

from requests.adapters import HTTPAdapter

from deployer.errors import PermanentError


class Trusting(HTTPAdapter):
    """Connections that trust the CAs of a context, beside those that `requests` brings."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Use the context for connections."""
        super().init_poolmanager(*args, ssl_context=self._context, **options)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """Use it for connections through a proxy too."""
        return super().proxy_manager_for(proxy, ssl_context=self._context, **options)


def trust(authorities: list[Path]) -> ssl.SSLContext:
    """Return the system's CAs and these."""
    context = ssl.create_default_context()
    for path in authorities:
        try:
            context.load_verify_locations(path)
        except OSError as fault:
            raise PermanentError(f"{path} cannot be read as a CA: {fault.strerror}") from fault
    return context
