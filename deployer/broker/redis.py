"""Connections to the Redis that carries events and remote control."""

from __future__ import annotations

import logging
from typing import Any

from kombu import Connection
from kombu.utils.url import maybe_sanitize_url

from deployer.observability.outage import Outage, kind

TIMEOUT = 2.0  # seconds that one call of Redis may take
LONGEST_BACKOFF = 4.0  # seconds between two tries to connect
NEEDS_REDIS = "events and remote control need Redis, and none is set"


def redis_outage(log: logging.Logger, begins: str, ends: str) -> Outage:
    """Return an outage of Redis that tells errors by their kind."""
    # The text of an error may hold the URL with its password.
    return Outage(log, begins, ends, longest=LONGEST_BACKOFF, describe=kind)


def url_of(app: Any) -> str | None:
    """Return the URL of Redis, None if there is none."""
    url: str | None = app.conf.get("monitoring_secret_url")
    return url


class Monitoring(Connection):
    """A connection to Redis for events and commands; nothing is connected before the first use.

    Args:
        url: of Redis.
        broker: the URL of the broker, for people and for Flower to read.
        patient: wait until Redis answers, for somebody who has nothing else to do.
    """

    def __init__(self, url: str, broker: str | None = None, patient: bool = False) -> None:
        self._arguments = url, broker, patient
        self._told = f"{broker or '-'} (events and remote control: {maybe_sanitize_url(url)})"
        options = {
            "socket_connect_timeout": TIMEOUT,
            "socket_timeout": TIMEOUT,
            "socket_keepalive": True,
            "interval_start": 0.2,
            "interval_step": 0.4,
            "interval_max": 2.0,
        }
        if not patient:
            options |= {"max_retries": 1, "connect_retries_timeout": TIMEOUT}
        super().__init__(url, transport="deployer.broker.pubsub:Transport", transport_options=options)

    def clone(self, **options: Any) -> Monitoring:
        """Return another connection to the same Redis."""
        del options
        return Monitoring(*self._arguments)

    def as_uri(self, *args: Any, **options: Any) -> str:
        """Return a text for people, without a password; Flower finds no broker to count in it."""
        del args, options
        return self._told
