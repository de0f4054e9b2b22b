"""A Celery app whose events and remote control go over Redis, while its tasks go over another broker.

SQS has no exchange between processes, so with it Flower, `celery inspect` and `celery control` see nothing
(Celery's user guide, "Monitoring"). Here they go over Redis and the tasks stay where they are:

    app = MonitoredCelery("app", broker=…)
    app.conf.monitoring_secret_url = "redis://…"   # None: neither events nor remote control

Redis is optional at every moment. No thread that works ever waits for it: events go into a bounded buffer
that a daemon thread sends, commands come in through another. Both connect again by themselves. What Redis
could not take during an outage is sent when it is back and somebody listens, the newest 10,000 of them.
"""

from __future__ import annotations

from typing import Any

from celery import Celery

from deployer.broker.control import RemoteControl
from deployer.broker.redis import Monitoring, url_of


class MonitoredCelery(Celery):
    """A Celery app whose events and remote control go over the Redis of `conf.monitoring_secret_url`."""

    events_cls = "deployer.broker.events:RedisEvents"
    control_cls = "deployer.broker.control:RedisControl"

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.steps["consumer"].add(RemoteControl)

    def connection(self, hostname: Any = None, *args: Any, **options: Any) -> Any:
        """Return a connection whose purpose is not told: Flower's, to listen to events.

        Tasks are sent and received with `connection_for_write` and `connection_for_read`.
        """
        url = url_of(self)
        if hostname or args or options or not url:
            return super().connection(hostname, *args, **options)
        return Monitoring(url, self.conf.broker_write_url, patient=True)
