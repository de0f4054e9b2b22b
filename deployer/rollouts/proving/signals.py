"""Alarms and queries, asked while a roll-out bakes and once at its end: one that fires takes it back."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from deployer.errors import PermanentError
from deployer.model import label_names as names
from deployer.model.deployment import RolloutMemory
from deployer.model.evidence import Signal, Signals
from deployer.policies.labels import ServiceLabels

log = logging.getLogger(__name__)


def _no_alarms(_: Sequence[str]) -> Sequence[Signal]:
    raise PermanentError("nobody is there to ask for alarms")


def _no_query(_: str) -> Signal:
    raise PermanentError("DEPLOYER_PROMETHEUS_URL is not set")


@dataclass(frozen=True)
class Sources:
    """Who is asked: CloudWatch for alarms by name or ARN, Prometheus for the samples of a query.

    They raise TemporaryError where there is no answer now, PermanentError where a person has to mend it.
    """

    alarms: Callable[[Sequence[str]], Sequence[Signal]] = _no_alarms
    query: Callable[[str], Signal] = _no_query


@dataclass(frozen=True)
class Heard:
    """What the alarms and queries of a service say."""

    fires: str | None = None  # the reason to go back
    unknown: str | None = None  # the reason why one of them says nothing


def listen(labels: ServiceLabels, sources: Sources, watch: RolloutMemory) -> Heard:
    """Ask the alarms and the query of a service's labels.

    An alarm that fired already when the roll-out began is left out, as ECS does with the alarms of a
    deployment: what is to mend a failure must not be stopped by it.

    Raises:
        TemporaryError: CloudWatch or Prometheus does not answer now.
    """
    began, fires, unknown = datetime.fromisoformat(watch.began_at), list[str](), list[str]()
    for one in _ask(labels, sources):
        if one.state is Signals.FIRES and one.since and one.since < began:
            _say_once(one.name, watch.task)
        elif one.state is Signals.FIRES:
            fires.append(f"{one.name} fires{f': {one.reason}' if one.reason else ''}")
        elif one.state is Signals.UNKNOWN:
            unknown.append(f"{one.name}: {one.reason or 'no data'}")
    return Heard("; ".join(fires) or None, "; ".join(unknown) or None)


def _ask(labels: ServiceLabels, sources: Sources) -> Iterator[Signal]:
    if labels.alarms:
        try:
            yield from sources.alarms(labels.alarms)
        except PermanentError as fault:
            yield Signal(f"label {names.ALARMS}", Signals.UNKNOWN, str(fault))
    if labels.query:
        try:
            yield sources.query(labels.query)
        except PermanentError as fault:
            yield Signal(f"label {names.QUERY}", Signals.UNKNOWN, str(fault))


@lru_cache(maxsize=1000)
def _say_once(alarm: str, task: str) -> None:
    log.warning("Alarm %s fired before deployment %s began, which does not heed it", alarm, task)
