"""Where the parts are put together: the Celery app, and the core with the real edges."""

from __future__ import annotations

import logging
import sys
from functools import lru_cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from celery import signals
from celery.utils.time import rate

from deployer.errors import SettingsError
from deployer.limits import Pace
from deployer.monitoring import MonitoredCelery
from deployer.plan import Rules
from deployer.registry import Registries
from deployer.rollout import Deployer
from deployer.settings import load
from deployer.swarm import DockerSwarm

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
# Celery logs every look at a roll-out as a task received and succeeded.
CHATTY = ("botocore", "boto3", "urllib3", "docker", "kombu", "celery.app.trace", "celery.worker.strategy")

app = MonitoredCelery("deployer", include=["deployer.tasks"])
app.config_from_object("celeryconfig")


def configure_logging(level: str | int) -> None:
    """Log to standard error, one line an event; the libraries below us only from WARNING on."""
    logging.basicConfig(format=LOG_FORMAT, level=level, stream=sys.stderr, force=True)
    for chatty in CHATTY:
        logging.getLogger(chatty).setLevel(logging.WARNING)


@signals.setup_logging.connect
def _log_as_set(loglevel: int | str | None = None, **_: Any) -> None:
    # Celery's own default is WARNING, so the more talkative of its option and our setting is meant.
    wanted = logging.getLevelNamesMapping()[load().log_level]
    asked = logging.getLevelName(loglevel) if isinstance(loglevel, str) else loglevel
    configure_logging(min(wanted, asked) if isinstance(asked, int) and asked else wanted)


@lru_cache(maxsize=1)
def swarm() -> DockerSwarm:
    """The Swarm that DOCKER_HOST names, one client for the process."""
    return DockerSwarm()


@lru_cache(maxsize=1)
def deployer() -> Deployer:
    """The core with the real Swarm and the real registries, one for the process."""
    settings = load()
    rules = Rules(
        filter_label=settings.filter_label,
        rollback=settings.rollback,
        rollout_timeout=settings.rollout_timeout,
        settle=settings.settle,
        max_rollouts=settings.max_rollouts,
        allow_registries=settings.allow_registries,
    )
    return Deployer(swarm(), Registries(), rules, Pace(rate(settings.rate_limit or "")))


def sqs_client(read_timeout: float = 30.0) -> Any:
    """A boto3 client for SQS: no request may hang for good, and long polls take up to 20 s."""
    config = Config(
        connect_timeout=5,
        read_timeout=read_timeout,
        retries={"mode": "standard", "total_max_attempts": 2},
    )
    return boto3.session.Session().client("sqs", config=config)


def queue_url(queue: str) -> str:
    """The URL of a queue that is given by name or by URL; a name is asked of SQS (`sqs:GetQueueUrl`).

    Raises:
        SettingsError: there is no such queue, or AWS cannot be asked.
    """
    if "://" in queue:
        return queue
    try:
        return str(sqs_client().get_queue_url(QueueName=queue)["QueueUrl"])
    except (ClientError, BotoCoreError) as fault:
        raise SettingsError(f"no URL is found for the queue {queue}; set the URL itself ({fault})") from fault


@lru_cache(maxsize=1)
def task_queues() -> dict[str, str]:
    """The task queues, name to URL; the first is this Swarm's own.

    Raises:
        SettingsError: none is set, or one cannot be found.
    """
    settings = load()
    settings.need("task_queue")
    urls = [queue_url(queue) for queue in settings.task_queue]
    return {url.rstrip("/").rsplit("/", 1)[-1]: url for url in urls}
