"""Metrics of worker, bridge and webhook, for Prometheus (prometheus-client).

Names follow Prometheus' own rules: base units, `_total` for counters. Nothing carries a service's name, so
that the number of time series does not grow with the Swarm.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime

from prometheus_client import REGISTRY, Counter, Gauge, Histogram, start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from deployer.errors import SettingsError
from deployer.model.deployment import Outcome, Report

log = logging.getLogger(__name__)

BUCKETS = (0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 900, 1800, 3600)

EVENTS = Counter("deployer_events_total", "Messages of the events queue, by what they were", ["kind"])
HOOKS = Counter(
    "deployer_hooks_total", "Hooks of registries, by sender and HTTP status", ["sender", "status"]
)
UPDATES = Counter("deployer_updates_total", "Updates that the Swarm has accepted")
DEPLOYMENTS = Counter("deployer_deployments_total", "Deployments that have ended", ["outcome", "by"])
RETRIES = Counter(
    "deployer_retries_total", "Tasks sent back because Swarm, registry or AWS did not answer", ["task"]
)
MISSED = Counter("deployer_missed_pushes_total", "Pushes that were found by looking, without their event")
RENEWED = Counter("deployer_credentials_renewed_total", "Services whose registry credentials were renewed")
LEDGER_LOST = Counter(
    "deployer_ledger_lost_total", "Times that the config object with the holds was found removed"
)
NOTIFICATIONS = Counter(
    "deployer_notifications_total", "Notifications, by whether they were taken", ["result"]
)
PUSH_TO_UPDATE = Histogram(
    "deployer_push_to_update_seconds", "From the push to the accepted update", buckets=BUCKETS
)
UPDATE_TO_END = Histogram(
    "deployer_update_to_end_seconds",
    "From the accepted update to the end of its roll-out",
    ["outcome"],
    buckets=BUCKETS,
)
LEAD_TIME = Histogram(
    "deployer_lead_time_seconds",
    "From the push to the end of the roll-out that it has led to",
    buckets=(*BUCKETS, 7200, 14_400, 43_200, 86_400, 604_800),
)
IN_FLIGHT = Gauge("deployer_messages_in_flight", "Messages that this process has taken and not finished")
STANDBY = Gauge("deployer_worker_standby", "1 while a worker takes no tasks because its engine is not well")
LAST_POLL = Gauge(
    "deployer_last_successful_poll_timestamp_seconds", "When SQS last answered a poll; 0 before the first"
)

for _outcome in Outcome:  # a rate needs the 0 before the 1
    for _by in ("event", "manual"):
        DEPLOYMENTS.labels(_outcome.value, _by)
REFUSED = "refused"  # a person's typo, say: no failed deployment, and nobody is to be woken by it
DEPLOYMENTS.labels(REFUSED, "manual")


def update_begun(pushed_at: str | None, now: datetime) -> None:
    """Count an update and the seconds since its push (ECR's times are whole seconds)."""
    UPDATES.inc()
    with suppress(TypeError, ValueError):  # whatever a message says, what it has begun is followed
        if pushed_at:
            PUSH_TO_UPDATE.observe(max(0.0, (now - datetime.fromisoformat(pushed_at)).total_seconds()))


def deployment_ended(report: Report, pushed_at: str | None = None) -> None:
    """Count a deployment by its outcome, or as refused, and the seconds since the push that it is of."""
    DEPLOYMENTS.labels(REFUSED if report.refused else report.outcome.value, report.by).inc()
    if report.duration:
        UPDATE_TO_END.labels(report.outcome.value).observe(report.duration)
    with suppress(TypeError, ValueError):
        if pushed_at and report.duration and report.outcome is Outcome.UPDATED:
            since = datetime.now(UTC) - datetime.fromisoformat(pushed_at)
            LEAD_TIME.observe(max(0.0, since.total_seconds()))


class _TokenAges(Collector):
    """Export the age of each registry's token, read at scrape time."""

    def __init__(self, issued: Callable[[], Mapping[str, datetime]]) -> None:
        self._issued = issued

    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily(
            "deployer_registry_token_age_seconds", "Age of the token of an ECR registry", labels=["registry"]
        )
        for registry, since in self._issued().items():
            family.add_metric([registry], (datetime.now(UTC) - since).total_seconds())
        yield family


def watch(
    last_poll: Callable[[], float | None],
    in_flight: Callable[[], int],
    issued: Callable[[], Mapping[str, datetime]] | None = None,
) -> None:
    """Register callbacks for gauges that are read at scrape time.

    Args:
        last_poll: returns when SQS last answered, on `time.monotonic`'s clock.
        in_flight: returns the number of messages that are held.
        issued: returns the time at which each registry's token was issued.
    """

    def polled_at() -> float:
        at = last_poll()
        return 0.0 if at is None else time.time() - (time.monotonic() - at)

    LAST_POLL.set_function(polled_at)
    IN_FLIGHT.set_function(in_flight)
    if issued is not None:
        REGISTRY.register(_TokenAges(issued))


def serve(address: str) -> None:
    """Serve `/metrics` in a daemon thread.

    Args:
        address: `host:port`, or `:port` for all interfaces.

    Raises:
        SettingsError: the address cannot be used.
    """
    host, _, port = address.rpartition(":")
    try:
        start_http_server(int(port), host or "0.0.0.0")  # noqa: S104 - what `:port` asks for
    except (OSError, ValueError, OverflowError) as fault:
        raise SettingsError(f"DEPLOYER_METRICS_ADDRESS={address} cannot be served: {fault}") from fault
    log.info("Metrics are served at http://%s/metrics", address)
