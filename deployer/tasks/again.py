"""Send a task back to the queue: it comes again later, and remembers what its message says.

Celery calls this a retry. Its monitors show the class of the reason, which tells progress from a fault.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from deployer.errors import BusyError, DeployerError, DeploymentFailedError
from deployer.observability import metrics
from deployer.observability.outage import backoff
from deployer.tasks import worker
from deployer.tasks.message import Message

log = logging.getLogger(__name__)


class Waiting(Exception):  # noqa: N818 - no error, it is what monitors show
    """The reason why a deployment that has not begun is looked at again."""


class Rolling(Waiting):
    """The progress of a roll-out that is looked at again."""


class Delayed(Waiting):
    """The fault that delays a deployment."""


def again_later(task: Any, fault: DeployerError, message: Message) -> Exception:
    """Send a task of many services back after a fault of the engine, also one that it calls permanent.

    A socket proxy that forbids a request, say, is mended by a person, and no push may be lost meanwhile.
    """
    if isinstance(fault, BusyError):
        return send_back(task, message.with_wait(fault.seconds), fault.seconds, Waiting(str(fault)))
    message = message.with_fault()
    seconds = backoff(message.faults)
    note_fault(task, fault, message, seconds)
    return send_back(task, message.with_wait(seconds), seconds, Delayed(str(fault)))


def leave(task: Any, fault: DeployerError, message: Message, patience: timedelta) -> Exception:
    """Send a periodic task back, or leave what it would do to the next one."""
    if message.waited < patience.total_seconds():
        return again_later(task, fault, message)
    name = task.name.rpartition(".")[2]
    log.warning("%s is left to the next one: %s", name, fault)
    return DeploymentFailedError(f"{name}: left to the next one: {fault}")


def note_fault(task: Any, fault: Exception, message: Message, seconds: float) -> None:
    """Tell of the first fault of a task, count each, and doubt what it needs."""
    name = task.name.rpartition(".")[2]
    level = logging.WARNING if message.faults == 1 else logging.DEBUG
    log.log(level, "%s waits %.0f s: %s", name, seconds, fault)
    metrics.RETRIES.labels(name).inc()
    worker.standby().doubt()


def send_back(task: Any, message: Message, seconds: float, reason: Waiting) -> Exception:
    """Return what a task has to raise to come again after some seconds, with what it remembers."""
    # Retry of Celery keeps id, arguments and headers; the delay becomes SQS's own (DurableTask).
    kwargs = {**task.request.kwargs, "deployment": message.encode()}
    retry: Exception = task.retry(
        args=task.request.args, kwargs=kwargs, countdown=seconds, exc=reason, throw=False
    )
    return retry
