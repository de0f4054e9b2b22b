"""The last deployments: from the results in Redis and, without it, from what the service itself knows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count
from typing import Any

from pydantic import BaseModel

from deployer.model.snapshot import Phase, Snapshot

PREFIX = "celery-task-meta-"  # Celery's own (celery.backends.base.KeyValueStoreBackend)
CHUNK = 500
PUSH = "deployer.tasks.image_pushed"  # has an end of its own only if it was given up
DEPLOYMENTS = ("deployer.tasks.update_service", "deployer.tasks.rollback_service")


@dataclass(frozen=True)
class Entry:
    """One deployment."""

    at: datetime | None
    service: str
    outcome: str  # how it ended; `waiting` if it has not; `former` for an image that ran before
    reason: str
    image: str | None = None  # that it was to deploy, or to go back to
    previous: str | None = None  # that ran before
    duration: float | None = None  # seconds
    by: str = ""
    event: str | None = None
    task: str | None = None
    runs: str | None = None  # that the service was left with at the end
    who: str | None = None  # the person, as the command line knew them
    why: str | None = None  # their reason
    last_words: tuple[str, ...] = ()  # of the task that failed, masked
    number: int | None = None  # of what `deployer rollback --to` may go to: 1 is the newest

    @property
    def landed(self) -> str | None:
        """Return the image (with its digest) that the service was left with, if the deployment went well."""
        image = {"updated": self.image, "former": self.image, "rolled-back": self.runs}.get(self.outcome)
        return image if image and "@" in image else None


def numbered(entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries of one service, newest first, with the numbers of those that can be gone back to."""
    numbers = count(1)
    return [replace(one, number=next(numbers)) if one.landed else one for one in entries]


class _Report(BaseModel):
    """The report of a stored result, of any version."""

    outcome: str
    reason: str = ""
    service: str | None = None
    service_id: str | None = None
    image: str | None = None
    previous: str | None = None
    duration: float | None = None
    by: str = ""
    event: str | None = None
    runs: str | None = None
    refused: bool = False
    last_words: tuple[str, ...] = ()


MAX_TOLD = 200  # characters of a person's name and of their reason
QUIET = frozenset({"unchanged", "held", "ignored", "superseded", "former"})  # nothing was deployed by it


@dataclass(frozen=True)
class Wanted:
    """A choice of deployments."""

    outcomes: frozenset[str] = frozenset()  # of these only; none for all but QUIET
    everything: bool = False  # QUIET too
    since: datetime | None = None

    def covers(self, entry: Entry) -> bool:
        """Return whether a deployment is of the right time and, if outcomes are chosen, of one of them."""
        late = self.since is None or (entry.at is not None and entry.at >= self.since)
        return late and (not self.outcomes or entry.outcome in self.outcomes)

    def shows(self, entry: Entry) -> bool:
        """Return whether a deployment is shown: noise is only on demand."""
        loud = self.everything or bool(self.outcomes) or entry.outcome not in QUIET
        return loud and self.covers(entry)


def recorded(redis: Any, service: str | None = None) -> list[Entry]:
    """Return the deployments whose results are kept, newest first.

    Args:
        redis: a redis-py client.
        service: only of this service.

    Raises:
        redis.exceptions.RedisError: Redis does not answer.
    """
    found = [entry for meta in _results(redis) if (entry := _readable(meta))]
    entries = [entry for entry in found if service in {None, entry.service}]
    return sorted(entries, key=lambda entry: entry.at.timestamp() if entry.at else 0.0, reverse=True)


def _results(redis: Any) -> Iterator[Mapping[str, Any]]:
    keys: list[Any] = []
    for key in redis.scan_iter(f"{PREFIX}*", count=CHUNK):
        keys.append(key)
        if len(keys) == CHUNK:
            yield from _read(redis, keys)
            keys = []
    yield from _read(redis, keys)


def _read(redis: Any, keys: list[Any]) -> Iterator[Mapping[str, Any]]:
    for text in redis.mget(keys) if keys else ():
        try:
            meta = json.loads(text) if text else None
        except ValueError:
            continue
        if isinstance(meta, Mapping):
            yield meta


def _readable(meta: Mapping[str, Any]) -> Entry | None:
    """Return the entry of a result, None for one that no deployer wrote: others may write to Redis too."""
    try:
        return _entry(meta)
    except (ValueError, TypeError, AttributeError):
        return None


def _entry(meta: Mapping[str, Any]) -> Entry | None:
    report, name = _report(meta.get("result")), meta.get("name")
    given_up = name == PUSH and report and report.service
    if name not in DEPLOYMENTS and not given_up:
        return None
    if report and report.refused and not report.service_id:
        return None  # no deployment: there is no such service
    args, kwargs = meta.get("args") or [], meta.get("kwargs") or {}
    service = str(args[0] if args else kwargs.get("service", "?"))
    at = datetime.fromisoformat(meta["date_done"]).astimezone() if meta.get("date_done") else None
    memory, task = kwargs.get("deployment"), meta.get("task_id")
    told = memory if isinstance(memory, Mapping) else {}
    who, why = (str(one)[:MAX_TOLD] if one else None for one in (told.get("who"), told.get("why")))
    if report:
        known = report.model_dump(exclude={"service", "service_id", "refused"})
        return Entry(at, report.service or service, **known, task=task, who=who, why=why)
    status = str(meta.get("status", "?"))
    outcome = "waiting" if status in {"RETRY", "STARTED", "PENDING"} else status.lower()
    return Entry(at, service, outcome, _message(meta.get("result")), task=task, who=who, why=why)


def _report(result: object) -> _Report | None:
    """Return the report in a result, or in the arguments of a DeploymentFailedError."""
    said = result.get("exc_message") if isinstance(result, Mapping) else None
    parts = [result, *said] if isinstance(said, list) else [result]
    found = (part for part in parts if isinstance(part, Mapping) and "outcome" in part)
    return next(map(_Report.model_validate, found), None)


def _message(result: object) -> str:
    said = result.get("exc_message") if isinstance(result, Mapping) else result
    return str(said[0]) if isinstance(said, list) and said else str(said or "")


def remembered(snapshot: Snapshot) -> list[Entry]:
    """Return what a service's own labels and the Swarm's task history know, newest first."""
    service, state = snapshot.service, snapshot.service.state
    entries = []
    if state.at:
        entries.append(
            Entry(
                datetime.fromisoformat(state.at).astimezone(),
                service.name,
                _ending(snapshot),
                state.reason or f"{snapshot.progress.ready}/{snapshot.progress.desired} running",
                state.image,
                state.previous,
                by=state.by or "",
                event=state.event,
                task=state.task,
            )
        )
    entries += [
        Entry(None, service.name, "failed", "not tried again by itself", image=digest)
        for digest in state.failures
    ]
    known = {entry.image for entry in entries}
    entries += [
        Entry(None, service.name, "former", "from the Swarm's task history", image=image)
        for image in snapshot.former_images
        if image not in known
        and image != service.image_text
        and image.partition("@")[2] not in state.failures
    ]
    return entries


_ENDS = {Phase.CONVERGED: "updated", Phase.PAUSED: "failed", Phase.REVERTED: "rolled-back"}


def _ending(snapshot: Snapshot) -> str:
    state = snapshot.service.state
    if state.image != snapshot.service.image_text:
        return "superseded"
    ended = _ENDS.get(snapshot.progress.phase, "waiting")
    return "rolled-back" if state.by == "rollback" and ended == "updated" else ended
