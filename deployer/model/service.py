"""A service of any target as the deployer sees it, and the state that it keeps with the service."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from deployer.errors import PermanentError
from deployer.model.image import Image, is_digest
from deployer.model.label_names import LOGIN

STATE_PREFIX = "deployer.state."
KEPT_FAILURES = 20  # on the service itself, in the write that goes back; the ledger keeps all
KEPT_TASKS = 5
CLOCKS_APART = timedelta(minutes=10)  # as far as the clocks of two machines may be apart


class LabelError(PermanentError):
    """A label on a service cannot be understood; the message names it and what it may be."""


@dataclass(frozen=True)
class State:
    """The deployer's memory on the service itself, in the labels under `deployer.state.`.

    It is written in the same update as the change it records. All values are texts; times are ISO 8601.
    """

    image: str | None = None  # what we wrote last: if the service runs something else, somebody else wrote
    previous: str | None = None  # the image to go back to, always with a digest
    failed: str | None = None  # digests that must not be tried again by themselves, newest first
    reason: str | None = None  # why it failed
    task: str | None = None  # the deployment (a Celery task id) that wrote this
    done: str | None = None  # the deployments that wrote before, newest first
    event: str | None = None  # the event that began it
    by: str | None = None  # what began it: event, manual, reconcile, rollback
    at: str | None = None  # when
    pushed_at: str | None = None  # when the image was pushed, as far as the event said
    credentials_at: str | None = None  # when its registry credentials were renewed after that
    template: str | None = None  # a fingerprint of the tasks' template as we wrote it
    restart: str | None = None  # "true" if the update restarted the same digest: there is no way back from it

    @classmethod
    def of(cls, labels: Mapping[str, str]) -> State:
        """Read the state from a service's labels.

        Anybody who may update the service may write there: labels that are not ours, and values that we
        cannot have written, are passed over.
        """
        found = ((name, labels.get(label)) for name, label in _LABELS.items())
        return cls(**{name: text for name, text in found if text and _is_ours(name, text)})

    @property
    def failures(self) -> tuple[str, ...]:
        """Return the digests that must not be tried again by themselves, newest first."""
        return tuple(self.failed.split(",")) if self.failed else ()

    @property
    def former_tasks(self) -> tuple[str, ...]:
        """Return the deployments that wrote before `task`, newest first, as far as they are remembered."""
        return tuple(self.done.split(",")) if self.done else ()

    def done_before(self, task: str) -> str | None:
        """Return the value of `done` for when another deployment writes."""
        tasks = dict.fromkeys(one for one in (self.task, *self.former_tasks) if one and one != task)
        return ",".join(list(tasks)[:KEPT_TASKS]) or None

    @property
    def credentials_since(self) -> datetime | None:
        """Return the time at which we last wrote registry credentials with the service."""
        times = [datetime.fromisoformat(text) for text in (self.at, self.credentials_at) if text]
        return max(times, default=None)

    def with_failure(self, digest: str | None) -> State:
        """Add a digest that must not be tried again by itself."""
        failures = dict.fromkeys([digest, *self.failures] if digest else self.failures)
        return replace(self, failed=",".join(list(failures)[:KEPT_FAILURES]) or None)

    def without_failure(self, digest: str | None) -> State:
        """Forget that a digest failed: it runs, or a person wants it all the same."""
        return replace(self, failed=",".join(one for one in self.failures if one != digest) or None)

    def labels(self) -> dict[str, str]:
        """Return the labels that hold this state."""
        values = {label: getattr(self, name) for name, label in _LABELS.items()}
        return {label: value for label, value in values.items() if value is not None}


_LABELS = {f.name: STATE_PREFIX + f.name.replace("_", "-") for f in fields(State)}


def is_time(text: str) -> bool:
    """Return whether a text is a time in ISO 8601 with a time zone."""
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _is_image(text: str) -> bool:
    return Image.find(text) is not None


def _is_pinned_image(text: str) -> bool:
    image = Image.find(text)
    return image is not None and image.digest is not None


_CHECKS: Mapping[str, Callable[[str], bool]] = {
    "image": _is_image,
    "previous": _is_pinned_image,
    "failed": lambda text: all(map(is_digest, text.split(","))),
    "at": is_time,
    "pushed_at": is_time,
    "credentials_at": is_time,
}


def _is_ours(field: str, text: str) -> bool:
    return field not in _CHECKS or _CHECKS[field](text)


@dataclass(frozen=True)
class Manifest:
    """A registry's answer about an image: its digest and the platforms that it can run on."""

    digest: str
    platforms: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class Service:
    """One service as its target described it in one reading."""

    id: str
    name: str
    version: int  # guards a write
    image_text: str | None  # as it is spelled there; None for what runs no image (plugins, …)
    labels: Mapping[str, str] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict)  # of labels that may stand in several places
    container_labels: Mapping[str, str] = field(default_factory=dict)  # which are not ours to read
    desired: int | None = 1  # tasks that should run (or, for a job, complete); None: the nodes decide
    is_job: bool = False  # it ends by itself, and an update runs it again
    rolling: bool = False  # the target says that an update or a rollback is under way
    rolling_since: str | None = None  # by the target's own clock
    written_at: str | None = None  # when it was last written, by the target's own clock
    rolled_back: bool = False  # the target's last word is on a rollback, under way or ended
    traceless: bool = False  # it has no tasks, which alone tell of a write that was taken back
    untouchable: str | None = None  # why nobody may write to it here, whatever is wanted
    keeps_credentials: bool = True  # its target stores those for its registry with it, and they grow old
    command: Sequence[str] = ()  # that its tasks run, as far as its description says
    native: Any = field(default=None, repr=False, compare=False)  # the target's own record, opaque to others

    @cached_property
    def state(self) -> State:
        """Return the state that the deployer keeps on this service."""
        return State.of(self.labels)

    @cached_property
    def image(self) -> Image | None:
        """Return the image, or None where there is none or where it is no valid reference."""
        return Image.find(self.image_text)

    def rolls(self, now: datetime, timeout: float) -> bool:
        """Return whether a roll-out is under way, for no longer than it may take.

        The target says so for good where tasks find no node. It says since when by its own clock.

        Args:
            now: the time of the look, aware.
            timeout: seconds that a roll-out of it may take.
        """
        if not self.rolling or not self.rolling_since:
            return self.rolling
        return now - datetime.fromisoformat(self.rolling_since) < timedelta(seconds=timeout) + CLOCKS_APART

    @property
    def login(self) -> str | None:
        """Return the name of the credentials for its registry (label `deployer.login`), None for the usual
        ones.
        """
        return self.labels.get(LOGIN, "").strip() or None

    def carries(self, label: str | None) -> bool:
        """Return whether the service carries a label, given as `key` or `key=value`."""
        if label is None:
            return True
        key, equals, value = label.partition("=")
        return key in self.labels and (not equals or self.labels[key] == value)
