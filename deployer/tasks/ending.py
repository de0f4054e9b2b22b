"""The end of a deployment, told once: in the log, the metrics, the notifications and the history.

Its message may come twice, also hours later and to another worker; the second one gets the first one's end.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from deployer.errors import DeploymentFailedError
from deployer.model.deployment import Outcome, Report, Request
from deployer.observability import metrics
from deployer.observability.notifications import Notifier
from deployer.observability.outbox import News, Outbox

log = logging.getLogger(__name__)

KEPT_SECONDS = 30 * 24 * 3600  # as long as results
REMINDER_SECONDS = 24 * 3600  # after which what still cannot be done is told once more
REMEMBERED = 2_000  # ends, without Redis
PREFIX = "deployer-end-"
WROTE = {Outcome.UPDATED, Outcome.FAILED, Outcome.ROLLED_BACK}

Claim = Callable[[str, str, int], "str | None"]
"""Stores a value for some seconds under a key without one; the value that it has already, None if none."""


class ToldEnds:
    """Remember which ends have been told: in Redis, and in this process if there is none.

    Args:
        shared: claims a key for all workers; raises whatever it likes while Redis does not answer.
    """

    def __init__(self, shared: Claim | None = None) -> None:
        self._shared = shared
        self._mine: OrderedDict[str, str] = OrderedDict()
        self._lock = threading.Lock()

    def claim(self, key: str, value: str = "", seconds: int = KEPT_SECONDS) -> str | None:
        """Store a value under a key without one; return the value that it has already, None if none."""
        if self._shared is not None:
            try:
                return self._shared(PREFIX + key, value, seconds)
            except Exception as fault:  # noqa: BLE001 - Redis is optional, whatever it answers
                log.debug("Redis does not know which ends were told: %s", type(fault).__name__)
        with self._lock:
            if key in self._mine:
                return self._mine[key]
            self._mine[key] = value
            if len(self._mine) > REMEMBERED:
                self._mine.popitem(last=False)
        return None

    def is_new(self, key: str, seconds: int = KEPT_SECONDS) -> bool:
        """Return whether nobody has asked this before."""
        return self.claim(key, seconds=seconds) is None

    def earlier(self, deployment_id: str, report: Report, result: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the end that was told of this deployment before, None if this one is to be told.

        A message that comes again may find that there is nothing left to do. Another way round, what was held
        at first and is rolled out by the same event later has a second end that matters.
        """
        text = json.dumps(result)
        first = self.claim(deployment_id, text)
        if report.outcome in WROTE:
            first = self.claim(f"{deployment_id}-{report.outcome}", text)
        try:
            return dict(json.loads(first)) if first is not None else None
        except (ValueError, TypeError):
            return dict(result)  # told, but Redis has lost how

    def is_repeated(self, report: Report) -> bool:
        """Return whether a look at all services has found the same, and written nothing, within a day."""
        if report.by != "reconcile" or report.duration:
            return False
        words = [report.service_id or report.service, report.outcome, report.reason, report.image or ""]
        key = sha256("\n".join(words).encode()).hexdigest()
        return not self.is_new(f"same-{key}", REMINDER_SECONDS)


def end(
    deployment_id: str,
    report: Report,
    request: Request,
    ends: ToldEnds,
    notifier: Notifier,
    outbox: Outbox | None = None,
) -> dict[str, Any]:
    """Tell the end of a deployment, unless it was told before; return the task's result.

    Raises:
        DeploymentFailedError: the deployment failed, or was rolled back without having been asked for.
    """
    if report.refused and request.image:
        report = replace(report, image=request.image)  # what was asked for, not what runs
    # Plain words and lists, as Redis gives them back: monitors show the text of a result.
    result: dict[str, Any] = json.loads(json.dumps({**asdict(report), "task": deployment_id}))
    if earlier := ends.earlier(deployment_id, report, result):
        log.debug("Deployment %s has ended before, as %s", deployment_id, earlier["outcome"])
        result = earlier
    elif ends.is_repeated(report):
        log.debug("Deployment %s ended as one before it: %s", deployment_id, report.reason)
    else:
        _tell(deployment_id, report, request, notifier)
        if outbox:
            outbox.tell(news_of("ended", deployment_id, report.service, request, asdict(report)))
    if is_bad(Outcome(result["outcome"]), request):
        told = words(result["outcome"], result["reason"])
        raise DeploymentFailedError(f"{result['service']}: {told}", result)
    return result


def news_of(kind: str, task: str, service: str, request: Request, told: Mapping[str, Any]) -> News:
    """Return what has happened to a deployment, with who asked for it and why."""
    asked = {"by": request.trigger, "event": request.event, "pushed_at": request.pushed_at}
    person = {"who": request.who, "why": request.why}
    kept = ("outcome", "reason", "image", "previous", "runs", "duration", "recovered", "service_id")
    data = {**asked, **person, **{name: told.get(name) for name in kept}}
    return News(kind, task, service, datetime.now(UTC), {k: v for k, v in data.items() if v is not None})


def is_bad(outcome: Outcome, request: Request) -> bool:
    """Return whether a deployment has ended otherwise than was wanted."""
    return outcome is Outcome.FAILED or (outcome is Outcome.ROLLED_BACK and not request.rollback)


def words(outcome: str, reason: str) -> str:
    """Return an end in words, the outcome once."""
    return f"{outcome}, {reason.removeprefix(f'{outcome}: ')}"


def _tell(deployment_id: str, report: Report, request: Request, notifier: Notifier) -> None:
    bad = is_bad(report.outcome, request) and not report.refused
    log.log(
        logging.ERROR if bad else logging.INFO,
        "Deployment %s of service %s ended: %s",
        deployment_id,
        report.service,
        words(report.outcome, report.reason),
        extra={"outcome": report.outcome.value, "duration": report.duration, "image": report.image},
    )
    metrics.deployment_ended(report, request.pushed_at)
    notifier.tell(report, deployment_id)
