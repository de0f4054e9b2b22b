"""Put the parts together: the Celery app, and the core with the real edges."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterable, Iterator
from datetime import timedelta
from functools import lru_cache
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError
from celery import signals
from celery.utils.time import rate

from deployer.aws import sqs
from deployer.aws.accounts import Accounts
from deployer.aws.alarms import Alarms
from deployer.aws.client_config import bounded
from deployer.broker.app import MonitoredCelery
from deployer.errors import DeployerError, SettingsError
from deployer.observability import health, logs, metrics, notifications
from deployer.observability.outbox import Outbox, Receiver
from deployer.registries.credentials import Registries
from deployer.reports import doctor, queue_checks
from deployer.reports.finding import Finding
from deployer.rollouts.decision import Rules
from deployer.rollouts.deployer import Deployer
from deployer.rollouts.pace import Pace
from deployer.rollouts.ports import Target
from deployer.rollouts.proving.signals import Sources
from deployer.settings import Settings, load
from deployer.targets.ecs.last_words import reader
from deployer.targets.ecs.service import Options
from deployer.targets.ecs.target import Ecs
from deployer.targets.ecs.wire.connection import connect, ledger_of, schedules_of
from deployer.targets.swarm.client import DockerSwarm

log = logging.getLogger(__name__)

app = MonitoredCelery("deployer", include=["deployer.tasks"])
app.config_from_object("celeryconfig")


@signals.setup_logging.connect
def _log_as_set(loglevel: int | str | None = None, **_: Any) -> None:
    # Celery's own default is WARNING, so the more talkative of its option and our setting is meant.
    wanted = logging.getLevelNamesMapping()[load().log_level]
    asked = logging.getLevelName(loglevel) if isinstance(loglevel, str) else loglevel
    level = min(wanted, asked) if isinstance(asked, int) and asked else wanted
    logs.configure(level, load().log_format)


def show_bridge(bridge: Any) -> None:
    """Serve a bridge's metrics and its health."""
    settings = load()
    if settings.metrics_address:
        metrics.watch(lambda: bridge.polled_at, lambda: 0)
        metrics.serve(settings.metrics_address)
    if settings.health_file:
        silence = health.silence(lambda: time.monotonic() - bridge.begun)
        health.HealthWriter(settings.health_file, "bridge", silence).start()


def count_event(kind: str) -> None:
    """Count a message of the events queue."""
    metrics.EVENTS.labels(kind).inc()


@lru_cache(maxsize=1)
def notifier() -> notifications.Notifier:
    """Return the notifier of people, one for the process.

    Raises:
        SettingsError: DEPLOYER_NOTIFY_URLS or DEPLOYER_NOTIFY_TEMPLATE is wrong.
    """
    settings = load()
    urls = notifications.targets(settings.notify_urls.get_secret_value() if settings.notify_urls else "")
    notifications.check(urls)

    def counted(taken: bool) -> None:
        metrics.NOTIFICATIONS.labels("sent" if taken else "failed").inc()

    return notifications.Notifier(urls, settings.notify_template, counted=counted)


@lru_cache(maxsize=1)
def outbox() -> Outbox:
    """Return what tells other systems of deployments, one for the process."""
    from deployer.observability.github import GitHub
    from deployer.observability.hook import Hook

    settings, receivers = load(), dict[str, Receiver]()
    if settings.hook_url:
        secret = settings.hook_secret.get_secret_value() if settings.hook_secret else None
        receivers["the hook"] = Hook(settings.hook_url.get_secret_value(), secret, registries().described)
    if settings.github_token:
        token = settings.github_token.get_secret_value()
        receivers["GitHub"] = GitHub(token, registries().described, settings.github_api)
    return Outbox(receivers, lambda taken: metrics.NOTIFICATIONS.labels("sent" if taken else "failed").inc())


@signals.beat_init.connect
def _control_beat(sender: Any, **_: Any) -> None:
    from deployer.broker.beat import use_redis  # nobody but beat needs it

    use_redis(sender)


def credentials_age() -> timedelta:
    """Return the age that stored registry credentials may reach."""
    return timedelta(seconds=load().credentials_max_age)


def reconcile_interval() -> timedelta:
    """Return the time between two looks at all services; a day if there are none."""
    return timedelta(seconds=load().reconcile_interval or 86_400)


def refresh_interval() -> timedelta:
    """Return the time between two renewals of credentials."""
    return timedelta(seconds=min(600.0, load().credentials_max_age / 4))


@lru_cache(maxsize=1)
def registries() -> Registries:
    """Return the credentials for registries, one cache for the process."""
    settings = load()
    return Registries(settings.assume_roles, settings.named_logins, cosign_keys=settings.cosign_keys)


@lru_cache(maxsize=1)
def swarm() -> DockerSwarm:
    """Return the Swarm that DOCKER_HOST names, one client for the process."""
    return DockerSwarm(load().policy)


@lru_cache(maxsize=1)
def ecs() -> Ecs:
    """Return the clusters of DEPLOYER_ECS_CLUSTERS, with one set of connections for the process.

    Raises:
        SettingsError: the settings of ECS do not go together.
    """
    from deployer.registries.manifests import (
        Manifests,
    )  # needs requests, which a Swarm's worker can do without

    settings = load()
    accounts = Accounts(settings.assume_roles)
    clusters = connect(settings.ecs_clusters, accounts)
    store = ledger_of(settings.ecs_ledger, clusters, accounts, settings.max_rollouts)
    options = Options(settings.ecs_opt_in, settings.policy)
    return Ecs(clusters, store, options, Manifests(), schedules_of(accounts), reader(accounts))


@lru_cache(maxsize=1)
def deployer() -> Deployer:
    """Return the core with the real target and the real registries, one for the process."""
    settings = load()
    target: Target = ecs() if settings.ecs_clusters else swarm()
    rules = Rules(
        filter_label=settings.filter_label,
        rollback=settings.rollback,
        rollout_timeout=settings.rollout_timeout,
        settle=settings.settle,
        max_rollouts=settings.max_rollouts,
        allow_repositories=settings.allow_repositories,
        verify=settings.verify,
        no_data_fails=settings.no_data == "fail",
        task_logs=settings.task_logs,
    )
    pace = Pace(rate(settings.rate_limit or ""))
    return Deployer(target, registries(), rules, pace=pace, sources=_sources(settings))


def _sources(settings: Settings) -> Sources:
    """Return who is asked for alarms and queries; Prometheus only where it is set."""
    alarms = Alarms(Accounts(settings.assume_roles))
    if settings.prometheus_url is None:
        return Sources(alarms)
    from deployer.observability.prometheus_query import Prometheus

    return Sources(alarms, Prometheus(settings.prometheus_url.get_secret_value()))


@lru_cache(maxsize=1)
def task_queues() -> dict[str, str]:
    """Return the task queues, name to URL; the first is this worker's own.

    Raises:
        SettingsError: none is set, or one cannot be found.
    """
    settings = load()
    settings.need("task_queue")
    return named_queues([sqs.queue_url(queue) for queue in settings.task_queue])


def named_queues(urls: Iterable[str]) -> dict[str, str]:
    """Give each queue a name of its own: SQS's, with a hash where regions or accounts share it."""
    queues: dict[str, str] = {}
    for url in dict.fromkeys(url.rstrip("/") for url in urls):
        name = url.rsplit("/", 1)[-1]
        if name in queues:
            name = f"{name}-{hashlib.sha256(url.encode()).hexdigest()[:12]}"
        queues[name] = url
    return queues


def checks() -> Iterator[Finding]:
    """Run every check of `deployer doctor`, one after another."""
    settings = load()
    session = boto3.session.Session()
    now = doctor.now()
    try:
        found, theirs = doctor.identity(session.client("sts", config=bounded(read_timeout=10, attempts=1)))
    except BotoCoreError as fault:
        found, theirs = doctor.no_identity(fault), None
    yield found
    if theirs:
        yield doctor.clock("AWS", theirs, now)
    if found.level != "fail":
        yield from _queue_checks(settings)
    try:
        core = deployer()
    except SettingsError as fault:
        yield Finding("settings", "fail", str(fault), "correct the setting")
    else:
        yield from (
            _ecs_checks(settings, found) if settings.ecs_clusters else doctor.engine(core, swarm().info, now)
        )
        yield from doctor.registries(core, doctor.BY_WORKER if settings.ecs_clusters else doctor.BY_ENGINE)
        yield from doctor.labels(core)
        yield from doctor.ways_back(core)
    yield doctor.redis(settings.redis)
    if settings.redis:
        yield doctor.workers(lambda: app.control.inspect(timeout=2.0).ping(), _tasks_waiting)
    try:
        notifier()
    except SettingsError as fault:
        yield Finding("notifications", "fail", str(fault), "correct the setting")


def _ecs_checks(settings: Settings, identity: Finding) -> Iterator[Finding]:
    from deployer.reports import ecs_checks

    target, ours = ecs(), identity.found if identity.level == "ok" else ""
    for place in target.places:
        account = ours.split(":")[4] if ours else "*"
        shown = ecs_checks.Place(str(place.cluster), place.cluster.name, place.api, account)
        yield from ecs_checks.cluster(shown)
    yield from ecs_checks.ledger(target.store, settings.ecs_ledger)
    yield from ecs_checks.services(target)
    yield from ecs_checks.schedules(target)
    if ours and (passed := _roles(target)):
        iam = boto3.session.Session().client("iam", config=bounded(read_timeout=10, attempts=1))
        yield ecs_checks.pass_role(iam, ours, passed)


def _roles(target: Ecs) -> list[str]:
    try:
        return target.roles()
    except DeployerError:
        return []  # the rows of the clusters say so


def _tasks_waiting() -> int:
    try:
        url = next(iter(task_queues().values()))
    except SettingsError:
        return 0  # the checks of the queue have said it
    return queue_checks.waiting(sqs.client(), url)


def _queue_checks(settings: Settings) -> Iterator[Finding]:
    wanted = (
        ("events queue", "queue", queue_checks.TAKE),
        ("task queue", "task_queue", queue_checks.SEND | queue_checks.TAKE | queue_checks.RETURN),
    )
    for role, setting, actions in wanted:
        try:
            url = sqs.queue_url(settings.need(setting))
        except SettingsError as fault:
            yield Finding(role, "fail", str(fault), "set it to the queue's URL")
            continue
        yield from queue_checks.queue(sqs.client(), role, url, actions)
