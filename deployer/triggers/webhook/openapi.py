"""The description of `deployer webhook`: an OpenAPI document, and the same as a page without scripts.

Both are made of `senders.SENDERS` and `schemas.BODIES`. The page loads nothing from anywhere: it is there
without a way to the Internet.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import Any

from deployer.triggers.webhook.schemas import ACCEPTED, BODIES, HEALTHY, REFUSED
from deployer.triggers.webhook.senders import SENDERS, Sender

_DIGEST = "sha256:b301f5ef3a46f1fe18d266d9ec537eb39432a783ad867a36f22c622b5ccb19bb"
_EVENT = {
    "id": "320678d8-ca14-430f-8bb6-4ca139cd83f7",
    "timestamp": "2026-03-14T09:26:53Z",
    "action": "push",
    "target": {"repository": "team/api", "tag": "latest", "digest": _DIGEST},
    "request": {"host": "registry.example.com:5000"},
}
_VERSION = {"container_metadata": {"tag": {"name": "latest", "digest": _DIGEST}}}

EXAMPLES: Mapping[str, Mapping[str, Any]] = {
    "azure": {**_EVENT, "request": {"host": "example.azurecr.io"}},
    "distribution": {"events": [_EVENT]},
    "dockerhub": {
        "callback_url": "https://registry.hub.docker.com/u/team/api/hook/2141b5bi5i5b02bec211i4eeih0242eg11000a/",
        "push_data": {"pushed_at": 1773480413, "tag": "latest"},
        "repository": {"repo_name": "team/api"},
    },
    "ghcr": {
        "action": "published",
        "package": {
            "name": "api",
            "namespace": "Team",
            "package_type": "CONTAINER",
            "package_version": {**_VERSION, "package_url": "ghcr.io/team/api:latest"},
        },
    },
    "gitlab": {"events": [{**_EVENT, "request": {"host": "registry.gitlab.example.com"}}]},
    "harbor": {
        "type": "PUSH_ARTIFACT",
        "occur_at": 1773480413,
        "event_data": {
            "resources": [
                {"digest": _DIGEST, "tag": "latest", "resource_url": "harbor.example.com/team/api:latest"}
            ],
            "repository": {"repo_full_name": "team/api"},
        },
    },
    "jfrog": {
        "domain": "docker",
        "event_type": "pushed",
        "data": {
            "repo_key": "docker-local",
            "image_name": "team/api",
            "tag": "latest",
            "sha256": _DIGEST.removeprefix("sha256:"),
        },
    },
    "nexus": {
        "action": "UPDATED",
        "repositoryName": "docker-hosted",
        "timestamp": "2026-03-14T09:26:53.000+0000",
        "component": {"format": "docker", "name": "team/api", "version": "latest"},
    },
    "plain": {"image": "registry.example.com/team/api:latest", "digest": _DIGEST},
    "quay": {"docker_url": "quay.io/team/api", "updated_tags": ["latest"]},
}
"""For each sender the least that its reader needs; real payloads have far more fields."""

ANSWERS: Mapping[str, str] = {
    "200": "Understood, and nothing to do: `ignored` says why (no tag, a pull, a deletion).",
    "202": "The pushes in `accepted` are on the events queue.",
    "401": "The secret is missing or wrong.",
    "404": "No such sender, or one without a secret in DEPLOYER_WEBHOOK_SECRETS.",
    "408": "The body did not come in time.",
    "413": "The body is larger than 256 KiB.",
    "422": "The payload cannot be read: `error` says why.",
    "429": "Too many hooks: again after `Retry-After` seconds.",
    "503": "The events queue does not answer: again after `Retry-After` seconds.",
}

_SCHEMES: Mapping[str, Mapping[str, str]] = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "whole_header": {"type": "apiKey", "in": "header", "name": "Authorization"},
    "url_token": {"type": "apiKey", "in": "query", "name": "token"},
    "hub_signature": {"type": "apiKey", "in": "header", "name": "X-Hub-Signature-256"},
    "nexus_signature": {"type": "apiKey", "in": "header", "name": "X-Nexus-Webhook-Signature"},
    "jfrog_secret": {"type": "apiKey", "in": "header", "name": "X-JFrog-Event-Auth"},
    "jfrog_signature": {"type": "apiKey", "in": "header", "name": "X-JFrog-Event-Auth"},
}


def document(version: str) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of a version of ours."""
    proofs = {proof.__name__: proof.__doc__ for sender in SENDERS.values() for proof in sender.proofs}
    paths = {f"/hooks/{name}": {"post": _hook(name, sender)} for name, sender in SENDERS.items()}
    health = {
        "operationId": "healthz",
        "summary": "Whether the events queue answers",
        "responses": {
            "200": _answer("It does.", HEALTHY),
            "503": _answer("It does not: hooks would be refused.", HEALTHY),
        },
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "swarm-ecr-deployer webhook",
            "version": version,
            "description": "Hooks of registries other than ECR. A hook is a hint: what is deployed, "
            "the registry says.",
        },
        "paths": {**paths, "/healthz": {"get": health}},
        "components": {
            "securitySchemes": {
                name: {**_SCHEMES[name], "description": text or ""} for name, text in proofs.items()
            }
        },
    }


def _hook(name: str, sender: Sender) -> dict[str, Any]:
    return {
        "operationId": name,
        "summary": sender.title,
        "description": (sender.read.__doc__ or "").strip(),
        "security": [{proof.__name__: []} for proof in sender.proofs],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": BODIES[name], "example": EXAMPLES[name]}},
        },
        "responses": {
            status: _answer(text, ACCEPTED if status in ("200", "202") else REFUSED)
            for status, text in ANSWERS.items()
        },
    }


def _answer(description: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


_STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem}"
    "pre{background:#f4f4f4;padding:1rem;overflow:auto}td,th{text-align:left;padding:.2rem 1rem .2rem 0}"
)


def page(described: Mapping[str, Any]) -> str:
    """Return the document as HTML."""
    info, schemes = described["info"], described["components"]["securitySchemes"]
    parts = [f"<h1>{_text(info['title'])} {_text(info['version'])}</h1><p>{_text(info['description'])}</p>"]
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            parts.append(f"<h2>{_text(operation['summary'])}</h2><p>{_code(f'{method.upper()} {path}')}</p>")
            for needed in operation.get("security", ()):
                parts += [f"<p>Secret: {_text(schemes[name]['description'])}</p>" for name in needed]
            if body := operation.get("requestBody"):
                example = json.dumps(body["content"]["application/json"]["example"], indent=2)
                parts.append(f"<pre>{escape(example)}</pre>")
    rows = "".join(f"<tr><th>{status}</th><td>{_text(text)}</td></tr>" for status, text in ANSWERS.items())
    parts.append(f"<h2>Answers</h2><table>{rows}</table><p><a href=openapi.json>openapi.json</a></p>")
    head = f"<!doctype html><html lang=en><meta charset=utf-8><title>{_text(info['title'])}</title>"
    return f"{head}<style>{_STYLE}</style>{''.join(parts)}</html>"


def _text(text: str) -> str:
    """Escaped, with what stands between backticks as code."""
    return "".join(
        _code(part) if index % 2 else escape(part) for index, part in enumerate(str(text).split("`"))
    )


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"
