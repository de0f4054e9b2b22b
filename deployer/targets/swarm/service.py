"""Services as the Docker engine describes them, and the only changes that we make to a spec.

Works on the dictionaries of the Engine API (`GET /services`, raw, without `insertDefaults`, because the
spec that is read is written back and the engine's defaults must not become the user's settings).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

from deployer.model.label_names import POLICY
from deployer.model.service import STATE_PREFIX, Service, State
from deployer.rollouts.ports import Change

BUSY_STATES = {"updating", "rollback_started"}  # of the engine's UpdateStatus


def read_service(raw: Mapping[str, Any], policy: str | None = None) -> Service:
    """Return the service that one element of `GET /services` describes.

    Args:
        raw: the element.
        policy: DEPLOYER_POLICY, for a service without a policy of its own.
    """
    spec = raw["Spec"]
    default = {POLICY: policy} if policy else {}
    status = raw.get("UpdateStatus") or {}
    desired = _desired(spec.get("Mode") or {})
    return Service(
        id=str(raw["ID"]),
        name=str(spec["Name"]),
        version=int(raw["Version"]["Index"]),
        image_text=image_of(spec.get("TaskTemplate") or {}),
        labels=default | (spec.get("Labels") or {}),
        container_labels=_container(spec).get("Labels") or {},
        desired=desired,
        is_job=is_job(spec),
        rolling=status.get("State") in BUSY_STATES,
        rolling_since=status.get("StartedAt") or None,
        written_at=raw.get("UpdatedAt") or raw.get("CreatedAt"),
        command=(*(_container(spec).get("Command") or ()), *(_container(spec).get("Args") or ())),
        rolled_back=str(status.get("State") or "").startswith("rollback"),
        traceless=desired == 0,
        native=raw,
    )


def image_of(template: Mapping[str, Any]) -> str | None:
    """Return the image of a task template."""
    return (template.get("ContainerSpec") or {}).get("Image") or None


def is_job(spec: Mapping[str, Any]) -> bool:
    """Return whether a spec is one of a job, replicated or global."""
    mode = spec.get("Mode") or {}
    return "ReplicatedJob" in mode or "GlobalJob" in mode


def _container(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    return (spec.get("TaskTemplate") or {}).get("ContainerSpec") or {}


def _desired(mode: Mapping[str, Any]) -> int | None:
    if "Replicated" in mode:
        return int((mode["Replicated"] or {}).get("Replicas", 1))
    if "ReplicatedJob" in mode:
        return int((mode["ReplicatedJob"] or {}).get("TotalCompletions", 1))
    return None


def revise(raw: Mapping[str, Any], change: Change) -> dict[str, Any]:
    """Return the spec to write: the one that was read, with nothing changed but what `change` asks for.

    These are the image and the platforms of its manifest, `ForceUpdate` if forced, and the labels under
    `deployer.state.`.
    """
    spec: dict[str, Any] = deepcopy(dict(raw["Spec"]))
    template = spec["TaskTemplate"]
    if change.image:
        template["ContainerSpec"]["Image"] = str(change.image)
    if change.manifest and change.manifest.platforms:
        # As the engine's own client does, so that tasks are placed where the image can run.
        platforms = [_platform(platform) for platform in change.manifest.platforms]
        template["Placement"] = {**(template.get("Placement") or {}), "Platforms": platforms}
    if change.force:
        template["ForceUpdate"] = int(template.get("ForceUpdate", 0)) + 1
    labels = spec.get("Labels") or {}
    kept = {name: value for name, value in labels.items() if not name.startswith(STATE_PREFIX)}
    spec["Labels"] = {**kept, **_signed(change.state, State.of(labels), template).labels()}
    return spec


def _signed(state: State, before: State, template: Mapping[str, Any]) -> State:
    # A write that is another deployment's, or another image, says: these tasks are as we want them.
    # Anything else (a renewal of credentials) leaves it as it was, be the template ours or not.
    if (state.task, state.image) == (before.task, before.image):
        return replace(state, template=before.template)
    return replace(state, template=fingerprint(template))


def fingerprint(template: Mapping[str, Any]) -> str:
    """Return a short hash of a task template, the same however Go leaves out empty members."""
    text = json.dumps(_without_empties(template), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _without_empties(value: Any) -> Any:
    if isinstance(value, Mapping):
        members = {key: _without_empties(member) for key, member in value.items()}
        return {key: member for key, member in members.items() if member not in (None, "", [], {}, 0, False)}
    return [_without_empties(member) for member in value] if isinstance(value, list) else value


def is_ours(raw: Mapping[str, Any]) -> bool:
    """Return whether the tasks of a service should run exactly what the deployer wrote last.

    Scaling and labels are other people's business and change nothing of it. An image, an environment
    variable, a forced restart or a `docker stack deploy` of somebody else do.
    """
    spec = raw["Spec"]
    state, template = State.of(spec.get("Labels") or {}), spec.get("TaskTemplate") or {}
    if not state.task or state.image != image_of(template):
        return False
    if state.template:
        return state.template == fingerprint(template)
    # Written by a version that did not sign its templates: ours if the last write changed our state.
    before = raw.get("PreviousSpec")
    return not before or State.of(before.get("Labels") or {}) != state


def _platform(platform: Mapping[str, Any]) -> dict[str, str]:
    # An image says "arm" where a node says "armv7l": with the architecture such tasks are placed
    # nowhere (moby/swarmkit issue 2294), so it is left out.
    architecture = str(platform.get("architecture", ""))
    named = {
        "Architecture": "" if architecture.lower() == "arm" else architecture,
        "OS": str(platform.get("os", "")),
    }
    return {key: value for key, value in named.items() if value}
