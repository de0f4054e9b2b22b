"""The deployer's own log lines about one service, found by its name, its events and its deployments."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from deployer.model.service import Service

# `service=web`, `service="a name"`, as `observability.logs` writes them.
_PAIR = re.compile(r'(?:^|\s)(time|service|event|task)=(?:"((?:[^"\\]|\\.)*)"|(\S*))')


@dataclass(frozen=True)
class Line:
    """One line of a worker's or a bridge's log."""

    service: str
    event: str | None
    task: str | None
    source: str  # the deployer's service, or the file, that it is from
    line: str


def lines_of(name: str, logs: Iterable[tuple[str, str]]) -> list[Line]:
    """Return the lines about a service, by event and in the order of time within each.

    A line belongs to it if it names the service, or an event or a deployment of a line that does: what the
    bridge says of an event comes before anybody knows whose it is.

    Args:
        name: the service's name.
        logs: (source, text) of every log.
    """
    read = [(source, text, _ids(text)) for source, log in logs for text in log.splitlines() if text.strip()]
    ours = [ids for _, _, ids in read if ids.get("service") == name]
    known = {ids[key] for ids in ours for key in ("event", "task") if ids.get(key)}
    found = [
        Line(name, ids.get("event"), ids.get("task"), source, text)
        for source, text, ids in sorted(read, key=lambda one: one[2].get("time", ""))
        if ids.get("service") in {name, None} and (ids.get("service") == name or known & set(ids.values()))
    ]
    order = list(dict.fromkeys(line.event or line.task for line in found))
    return sorted(found, key=lambda line: order.index(line.event or line.task))


def _ids(text: str) -> Mapping[str, str]:
    if text.startswith("{"):
        try:
            told = json.loads(text)
        except ValueError:
            return {}
        return {key: str(told[key]) for key in ("time", "service", "event", "task") if told.get(key)}
    return {key: quoted or plain for key, quoted, plain in _PAIR.findall(text)}


def own_services(services: Sequence[Service]) -> Iterator[Service]:
    """Yield the services that run the deployer itself: `celery -A deployer …`, `deployer bridge`."""
    for service in services:
        if "deployer" in service.command and not {"flower", "health"} & set(service.command):
            yield service
