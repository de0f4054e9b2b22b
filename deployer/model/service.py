"""A Swarm service as the deployer sees it, and the only changes that it may make to its spec.

Pure: works on the dictionaries of the Engine API (`GET /services`, raw, without `insertDefaults`,
because what is read is written back and the engine's defaults must not become the user's settings).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, fields, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from deployer.errors import PermanentError
from deployer.model.image import Image, is_digest

STATE_PREFIX = "deployer.state."
KEPT_FAILURES = 5
KEPT_TASKS = 5
TRUE, FALSE = {"true", "1", "yes", "on"}, {"false", "0", "no", "off"}


class LabelError(PermanentError):
    """A label on a service cannot be understood; the message names it and what it may be."""


@dataclass(frozen=True)
class State:
    """What the deployer remembers on the service itself, in the labels under `deployer.state.`.

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

    @classmethod
    def of(cls, labels: Mapping[str, str]) -> State:
        """Read the state from a service's labels.

        Anybody who may update the service may write there: labels that are not ours, and values that we
        cannot have written, are passed over.
        """
        found = {f.name: labels.get(_label(f.name)) for f in fields(cls)}
        return cls(**{name: text for name, text in found.items() if text and _is_ours(name, text)})

    @property
    def failures(self) -> tuple[str, ...]:
        """The digests that must not be tried again by themselves, newest first."""
        return tuple(self.failed.split(",")) if self.failed else ()

    @property
    def former_tasks(self) -> tuple[str, ...]:
        """The deployments that wrote before `task`, newest first, as far as they are remembered."""
        return tuple(self.done.split(",")) if self.done else ()

    def done_before(self, task: str) -> str | None:
        """What `done` is to be when another deployment writes."""
        tasks = dict.fromkeys(one for one in (self.task, *self.former_tasks) if one and one != task)
        return ",".join(list(tasks)[:KEPT_TASKS]) or None

    @property
    def credentials_since(self) -> datetime | None:
        """When registry credentials were last written with the service, as far as we did it."""
        times = [datetime.fromisoformat(text) for text in (self.at, self.credentials_at) if text]
        return max(times, default=None)

    def with_failure(self, digest: str | None) -> State:
        """Add a digest that must not be tried again by itself."""
        failures = dict.fromkeys([digest, *self.failures] if digest else self.failures)
        return replace(self, failed=",".join(list(failures)[:KEPT_FAILURES]) or None)

    def labels(self) -> dict[str, str]:
        """The labels that hold this state."""
        values = {_label(f.name): getattr(self, f.name) for f in fields(self)}
        return {label: value for label, value in values.items() if value is not None}


def _label(field: str) -> str:
    return STATE_PREFIX + field.replace("_", "-")


def _is_time(text: str) -> bool:
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
    "at": _is_time,
    "pushed_at": _is_time,
    "credentials_at": _is_time,
}


def _is_ours(field: str, text: str) -> bool:
    return field not in _CHECKS or _CHECKS[field](text)


@dataclass(frozen=True)
class Manifest:
    """What a registry says of an image: its digest and the platforms that it can run on."""

    digest: str
    platforms: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class Service:
    """One answer of `GET /services/{id}`."""

    raw: Mapping[str, Any]

    @property
    def id(self) -> str:
        """The engine's id of the service."""
        return str(self.raw["ID"])

    @property
    def name(self) -> str:
        """The name, as in `docker service ls`."""
        return str(self.raw["Spec"]["Name"])

    @property
    def version(self) -> int:
        """The version index that guards a write."""
        return int(self.raw["Version"]["Index"])

    @property
    def spec(self) -> Mapping[str, Any]:
        """The raw spec; never changed in place."""
        spec: Mapping[str, Any] = self.raw["Spec"]
        return spec

    @property
    def labels(self) -> Mapping[str, str]:
        """The service's labels (`deploy.labels` of a stack file)."""
        return self.spec.get("Labels") or {}

    @property
    def container_labels(self) -> Mapping[str, str]:
        """The labels of its containers, which are not ours to read (`labels` of a stack file)."""
        container = self.spec.get("TaskTemplate", {}).get("ContainerSpec") or {}
        return container.get("Labels") or {}

    @cached_property
    def state(self) -> State:
        """What the deployer remembers on this service."""
        return State.of(self.labels)

    @property
    def image_text(self) -> str | None:
        """The image as it stands in the spec; None for plugins and network attachments."""
        container = self.spec.get("TaskTemplate", {}).get("ContainerSpec") or {}
        return container.get("Image") or None

    @cached_property
    def image(self) -> Image | None:
        """The image, or None where there is none or where it is no reference of the grammar."""
        return Image.find(self.image_text)

    @property
    def previous_image(self) -> Image | None:
        """The image of the spec before the last write, which `docker service rollback` would bring back."""
        before = (self.raw.get("PreviousSpec") or {}).get("TaskTemplate") or {}
        return Image.find((before.get("ContainerSpec") or {}).get("Image"))

    @property
    def force_update(self) -> int:
        """The counter that restarts tasks when it moves."""
        return int(self.spec.get("TaskTemplate", {}).get("ForceUpdate", 0))

    @property
    def is_job(self) -> bool:
        """A replicated or a global job: it ends by itself and an update runs it again."""
        mode = self.spec.get("Mode") or {}
        return "ReplicatedJob" in mode or "GlobalJob" in mode

    @property
    def wanted(self) -> int | None:
        """How many tasks should run (or, for a job, complete); None where the nodes decide."""
        mode = self.spec.get("Mode") or {}
        if "Replicated" in mode:
            return int((mode["Replicated"] or {}).get("Replicas", 1))
        if "ReplicatedJob" in mode:
            return int((mode["ReplicatedJob"] or {}).get("TotalCompletions", 1))
        return None

    @property
    def job_iteration(self) -> int | None:
        """The run of a job that counts; None for a service that is no job."""
        status = self.raw.get("JobStatus")
        return int((status.get("JobIteration") or {}).get("Index", 0)) if status else None

    @property
    def update_state(self) -> str | None:
        """The engine's word on the last update (`UpdateStatus.State`); None when it gives none."""
        return (self.raw.get("UpdateStatus") or {}).get("State") or None

    @property
    def is_rolling_back(self) -> bool:
        """Whether the engine's last word is on a rollback, under way or ended."""
        return (self.update_state or "").startswith("rollback")

    @property
    def update_message(self) -> str:
        """The engine's explanation of `update_state`."""
        return (self.raw.get("UpdateStatus") or {}).get("Message") or ""

    @property
    def update_started_at(self) -> str | None:
        """When the engine began the last update, by its own clock; None when it does not say."""
        return (self.raw.get("UpdateStatus") or {}).get("StartedAt") or None

    def flag(self, label: str, default: bool) -> bool:
        """A label that is true or false.

        Raises:
            LabelError: it is neither.
        """
        text = self.labels.get(label, "").strip().lower()
        if not text:
            return default
        if text not in TRUE | FALSE:
            raise LabelError(f"label {label}={text[:40]!r} is neither true nor false")
        return text in TRUE

    def seconds(self, label: str, default: float) -> float:
        """A label that is a positive number of seconds.

        Raises:
            LabelError: it is not.
        """
        text = self.labels.get(label, "").strip()
        if not text:
            return default
        if not text.isascii() or not text.isdecimal() or not 0 < int(text) <= 86_400:
            raise LabelError(f"label {label}={text[:40]!r} is no number of seconds from 1 to 86400")
        return float(text)

    @property
    def hold(self) -> str | None:
        """The reason of a hold (label `deployer.hold`), or None if there is no hold."""
        text = self.labels.get("deployer.hold", "").strip()
        if not text or text.lower() in FALSE:
            return None
        return "label deployer.hold" if text.lower() in TRUE else text

    @property
    def login(self) -> str | None:
        """The name of the credentials for its registry (label `deployer.login`), None for the usual ones."""
        return self.labels.get("deployer.login", "").strip() or None

    def carries(self, label: str | None) -> bool:
        """Whether the service carries a label, given as `key` or `key=value`."""
        if label is None:
            return True
        key, equals, value = label.partition("=")
        return key in self.labels and (not equals or self.labels[key] == value)


def revise(
    service: Service,
    state: State,
    *,
    image: Image | None = None,
    manifest: Manifest | None = None,
    force: bool = False,
) -> dict[str, Any]:
    """The spec to write: the one that was read, with nothing changed but what is asked for here.

    `image` and the platforms of its `manifest`, `ForceUpdate` if forced, the labels under
    `deployer.state.`.
    """
    spec: dict[str, Any] = deepcopy(dict(service.spec))
    kept = {k: v for k, v in service.labels.items() if not k.startswith(STATE_PREFIX)}
    spec["Labels"] = {**kept, **state.labels()}
    template = spec["TaskTemplate"]
    if image:
        template["ContainerSpec"]["Image"] = str(image)
    if manifest and manifest.platforms:
        # As the engine's own client does, so that tasks are placed where the image can run.
        placement = template.get("Placement") or {}
        template["Placement"] = {
            **placement,
            "Platforms": [_platform(p) for p in manifest.platforms],
        }
    if force:
        template["ForceUpdate"] = service.force_update + 1
    return spec


def _platform(platform: Mapping[str, Any]) -> dict[str, str]:
    # An image says "arm" where a node says "armv7l": with the architecture such tasks are placed
    # nowhere (moby/swarmkit issue 2294), so it is left out.
    architecture = str(platform.get("architecture", ""))
    named = {
        "Architecture": "" if architecture.lower() == "arm" else architecture,
        "OS": str(platform.get("os", "")),
    }
    return {key: value for key, value in named.items() if value}
