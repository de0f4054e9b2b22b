"""Kombu's Redis transport for events and remote control, loaded where it is used: it costs 45 ms, some MB."""

from __future__ import annotations

from typing import Any

from kombu.transport import redis
from kombu.utils.json import dumps


class Channel(redis.Channel):
    """Kombu's channel, which also tells how many heard what was published last."""

    listeners = 0

    def _put_fanout(self, exchange: str, message: Any, routing_key: str, **options: Any) -> None:
        del options
        with self.conn_or_acquire() as client:
            topics = self._get_publish_topics(exchange, routing_key)
            self.listeners = sum(client.publish(topic, dumps(message)) for topic in topics)


class Transport(redis.Transport):
    """Kombu's transport with `Channel`."""

    Channel = Channel
