"""The worker around the tasks: what it checks before it starts, shows while it runs, and ends with."""

from __future__ import annotations

import logging
import random
import time
from functools import lru_cache
from typing import Any

from celery import signals
from celery.worker import state

from deployer import app as parts
from deployer.broker.polling import POLLS
from deployer.broker.task import NOT_SENT
from deployer.errors import DeployerError, SettingsError, brief
from deployer.observability import health, metrics
from deployer.rollouts.ledger.turns import last_turn
from deployer.settings import load
from deployer.targets.swarm.membership import why_no_manager
from deployer.tasks.ending import ToldEnds
from deployer.tasks.standby import Standby

log = logging.getLogger(__name__)

FLUSH_SECONDS = 3.0  # that a worker's end waits for notifications


@lru_cache(maxsize=1)
def standby() -> Standby:
    """Return what watches over this worker's engine, one for the process."""
    of = "ledger" if load().ecs_clusters else "engine"
    return Standby(lambda: parts.deployer().target.ledger(), time.sleep, of)


@lru_cache(maxsize=1)
def told_ends() -> ToldEnds:
    """Return what remembers the ends that have been told, one for the process."""
    return ToldEnds(getattr(parts.app.backend, "claim", None))


@signals.worker_init.connect
def _prepare(**_: Any) -> None:
    """Serve metrics and check what only the worker uses; what is wrong ends it with one line."""
    settings = load()
    try:
        parts.notifier()
        parts.deployer()
        if not settings.ecs_clusters:
            _require_manager()
        if settings.metrics_address:
            metrics.watch(_last_poll_at, lambda: len(state.reserved_requests), parts.registries().issued)
            metrics.STANDBY.set_function(lambda: standby().active)
            metrics.serve(settings.metrics_address)
    except SettingsError as fault:
        raise SystemExit(f"deployer: {fault}") from None


def _require_manager() -> None:
    """Refuse an engine that is no manager; one that does not answer may be well in a moment.

    Raises:
        SettingsError: the engine is in no Swarm, or a worker node.
    """
    try:
        info = parts.swarm().info()
    except DeployerError:
        return
    if why := why_no_manager(info):
        raise SettingsError(
            f"this engine ({info.get('Name', 'without a name')}) {why}: set DOCKER_HOST to a manager's, "
            "or run workers on managers only (node.role == manager)"
        )


def _last_poll_at() -> float | None:
    # A worker that leaves the tasks to others does not poll, and SQS is not to blame.
    return time.monotonic() if standby().active else POLLS.answered_at


def _longest_running() -> float:
    """Return for how many seconds the oldest task that runs in this worker has been running."""
    begun = [request.time_start for request in tuple(state.active_requests) if request.time_start]
    return time.monotonic() - min(begun) if begun else 0.0


class _Consumer:
    """The tasks' queues as Celery's consumer takes from them; its calls run in the hub's thread."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._queues: list[Any] = []

    def pause(self) -> None:
        self._consumer.call_soon(self._cancel)

    def resume(self) -> None:
        self._consumer.call_soon(self._consume)

    def _cancel(self) -> None:
        tasks = self._consumer.task_consumer
        self._queues = list(tasks.queues)
        for queue in self._queues:
            tasks.cancel_by_queue(queue.name)

    def _consume(self) -> None:
        tasks = self._consumer.task_consumer
        for queue in self._queues:
            if not tasks.consuming_from(queue.name):
                tasks.add_queue(queue)
        tasks.consume()


@signals.worker_ready.connect
def _begin(sender: Any, **_: Any) -> None:
    """Tell HEALTHCHECK how this worker is, and watch over its engine."""
    standby().watch_over(_Consumer(sender))
    if path := load().health_file:
        loop, quiet = health.LoopCheck(sender.hub.call_soon), health.silence(POLLS.silent_seconds)
        health.HealthWriter(path, "worker", loop, quiet, health.stuck(_longest_running)).start()


@signals.worker_ready.connect
def _catch_up(**_: Any) -> None:
    """Ask for a look for what was missed while nobody ran; of workers that start together one will do."""
    if not load().reconcile_interval:
        return
    try:
        turn: str | None = last_turn(parts.deployer().target.ledger(), "reconcile")
    except DeployerError:
        turn = None
    message = {} if turn is None else {"turn": turn}
    try:
        parts.app.send_task(
            "deployer.tasks.reconcile",
            kwargs={"deployment": message},
            delay_seconds=random.randint(1, 10),  # noqa: S311 - jitter
        )
    except NOT_SENT as fault:
        log.warning("Not looked for missed pushes at the start: %s", brief(fault))


@signals.worker_shutdown.connect
def _send_notifications(**_: Any) -> None:
    parts.notifier().flush(FLUSH_SECONDS)
    parts.outbox().flush(FLUSH_SECONDS)
