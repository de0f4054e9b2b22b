"""JSON Schemas of the hooks' bodies: whatever fits its sender's schema is accepted, or ignored with a reason.

They say what the readers need, not all that a sender may send. The tests make bodies of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]

_NAME = r"[a-z0-9]+(?:[._-][a-z0-9]+)*"
_REPOSITORY_TEXT = rf"{_NAME}(?:/{_NAME})*"
_HOST_TEXT = r"[a-z0-9]+(?:-[a-z0-9]+)*(?:\.[a-z0-9]+(?:-[a-z0-9]+)*)+(?::[0-9]{1,5})?"
_TAG_TEXT = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"


def _text(pattern: str, longest: int = 200) -> Schema:
    return {"type": "string", "pattern": f"^{pattern}$", "maxLength": longest}


def _object(optional: Mapping[str, Any] | None = None, **needed: Any) -> Schema:
    return {"type": "object", "required": list(needed), "properties": {**needed, **(optional or {})}}


_REPOSITORY, _HOST, _TAG = _text(_REPOSITORY_TEXT, 100), _text(_HOST_TEXT, 100), _text(_TAG_TEXT, 128)
_DIGEST = _text("sha256:[a-f0-9]{64}", 71)
_URL = _text(rf"(?:https://)?{_HOST_TEXT}/{_REPOSITORY_TEXT}(?::{_TAG_TEXT})?")
_EVENT = _object(
    action={"const": "push"},
    target=_object({"digest": _DIGEST}, repository=_REPOSITORY, tag=_TAG),
    request=_object(host=_HOST),
)
_EVENTS = _object(events={"type": "array", "items": _EVENT, "maxItems": 100})

BODIES: Mapping[str, Schema] = {
    "azure": _EVENT,
    "distribution": _EVENTS,
    "dockerhub": _object(push_data=_object(tag=_TAG), repository=_object(repo_name=_REPOSITORY)),
    "ghcr": _object(
        action={"enum": ["published", "updated"]},
        package=_object(
            namespace=_text("[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*", 39),
            name=_text(_REPOSITORY_TEXT, 100),
            package_type={"enum": ["CONTAINER", "container", "docker"]},
            package_version=_object(
                {"package_url": _URL},
                container_metadata=_object(tag=_object({"digest": _DIGEST}, name=_TAG)),
            ),
        ),
    ),
    "gitlab": _EVENTS,
    "harbor": _object(
        type={"enum": ["PUSH_ARTIFACT", "pushImage"]},
        event_data=_object(
            repository=_object(repo_full_name=_REPOSITORY),
            resources={
                "type": "array",
                "items": _object({"digest": _DIGEST}, resource_url=_URL, tag=_TAG),
                "maxItems": 100,
            },
        ),
    ),
    "jfrog": _object(
        domain={"const": "docker"},
        event_type={"const": "pushed"},
        data=_object(
            {"sha256": _text("[a-f0-9]{64}", 64)}, repo_key=_text(_NAME), image_name=_REPOSITORY, tag=_TAG
        ),
    ),
    "nexus": _object(
        action={"enum": ["CREATED", "UPDATED"]},
        repositoryName=_text(_NAME),
        component=_object(format={"const": "docker"}, name=_REPOSITORY, version=_TAG),
    ),
    "plain": {
        "oneOf": [
            _object(
                {"digest": _DIGEST, "tag": False, "name": False, "host": False},
                image=_text(rf"{_HOST_TEXT}/{_REPOSITORY_TEXT}:{_TAG_TEXT}"),
            ),
            _object({"digest": _DIGEST, "image": False}, name=_REPOSITORY, tag=_TAG, host=_HOST),
        ]
    },
    "quay": _object(
        docker_url=_text(rf"(?:https://)?{_HOST_TEXT}/{_REPOSITORY_TEXT}"),
        updated_tags={"type": "array", "items": _TAG, "maxItems": 100},
    ),
}

_REASONS: Schema = {
    "type": "array",
    "items": _object(reason={"type": "string"}, detail={"type": "string"}),
}
ACCEPTED: Schema = _object(
    accepted={
        "type": "array",
        "items": _object(
            image={"type": "string"}, digest={"type": ["string", "null"]}, id={"type": "string"}
        ),
    },
    ignored=_REASONS,
    rejected=_REASONS,
)
REFUSED: Schema = _object({"rejected": _REASONS}, error={"type": "string"})
HEALTHY: Schema = _object({"error": {"type": "string"}}, status={"enum": ["healthy", "unhealthy"]})
