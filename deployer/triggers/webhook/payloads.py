"""Read the payloads of registries\' hooks, one reader for each kind of sender.

A reader takes the decoded payload and yields the pushes it tells of as hints, with a reason for what is none.
It judges the form only; whether a name, a tag or a digest is one, `hooks` leaves to `events`. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from deployer.model.image import DEFAULT_TAG, DOCKER_HUB
from deployer.triggers.envelope import UnreadableError, quote
from deployer.triggers.verdict import Ignore, Reject

Payload = Mapping[str, Any]


@dataclass(frozen=True)
class Hint:
    """A push as a sender tells it: nothing is checked yet. `time` is ISO 8601 text or seconds since 1970."""

    host: object
    repository: object
    tag: object
    digest: object = None
    id: object = None
    time: object = None
    key: str = ""  # of JFrog's repository


Told = Hint | Ignore | Reject


def dockerhub(payload: Payload) -> Iterator[Told]:
    """Docker Hub, "Webhooks"."""
    push = _object(payload, "push_data")
    repository = _object(payload, "repository").get("repo_name")
    if isinstance(repository, str) and repository.startswith("_/"):
        repository = f"library/{repository.removeprefix('_/')}"  # an official image
    yield Hint(DOCKER_HUB, repository, push.get("tag"), time=push.get("pushed_at"))


def ghcr(payload: Payload) -> Iterator[Told]:
    """GitHub, "Webhook events and payloads": `package`, and `registry_package` as its Apps get it."""
    package = payload.get("package") or payload.get("registry_package")
    if not isinstance(package, dict):
        # Another event, or the ping when the hook is made.
        known = payload.keys() & {"zen", "sender", "repository", "organization"}
        yield Ignore("not-a-package") if known else Reject("unknown payload", "no package")
    elif payload.get("action") not in ("published", "updated"):
        yield _no_push(payload.get("action"))
    elif str(package.get("package_type")).lower() not in ("container", "docker"):
        yield Ignore("not-an-image", quote(package.get("package_type")))
    else:
        version = _object(package, "package_version")
        tag = _object(_object(version, "container_metadata"), "tag")
        host = _host(version.get("package_url") or "ghcr.io/")
        # Owner and name come as they were written; a reference is in lower case.
        repository = f"{_text(package, 'namespace')}/{_text(package, 'name')}".lower()
        yield Hint(host, repository, tag.get("name"), tag.get("digest") or None)


def harbor(payload: Payload) -> Iterator[Told]:
    """Harbor, "Configure Webhook Notifications": 1.x, 2.x and the form of CloudEvents."""
    if payload.get("type") not in ("PUSH_ARTIFACT", "pushImage", "harbor.artifact.pushed"):
        yield _no_push(payload.get("type"))
        return
    cloudevent = "specversion" in payload
    data = _object(payload, "data" if cloudevent else "event_data")
    time = payload.get("time" if cloudevent else "occur_at")
    repository = _object(data, "repository").get("repo_full_name")
    for resource in _objects(data, "resources"):
        digest, tag = resource.get("digest"), resource.get("tag")
        # Of an image without a tag Harbor tells the digest twice.
        tag = None if tag == digest else tag
        yield Hint(_host(resource.get("resource_url")), repository, tag, digest, payload.get("id"), time)


def quay(payload: Payload) -> Iterator[Told]:
    """Quay, "Repository notifications": Repository Push."""
    if "updated_tags" not in payload:
        known = "docker_url" in payload or "homepage" in payload
        yield Ignore("action-not-push") if known else Reject("unknown payload", "no updated_tags")
        return
    # A list of names; in 2013 a mapping from names to ids, which are no digests.
    tags, url = payload["updated_tags"], payload.get("docker_url")
    for tag in tags if isinstance(tags, list | dict) else [tags]:
        yield Hint(_host(url), _without_scheme(url).partition("/")[2], tag)


def azure(payload: Payload) -> Iterator[Told]:
    """Azure, "Container Registry webhook reference"."""
    yield _pushed(payload) if payload.get("action") == "push" else _no_push(payload.get("action"))


def distribution(payload: Payload) -> Iterator[Told]:
    """distribution, "Work with notifications": an envelope of several events."""
    for event in _objects(payload, "events"):
        yield _pushed(event) if event.get("action") == "push" else _no_push(event.get("action"))


def _pushed(event: Payload) -> Told:
    """Read an event of a distribution registry; Azure's hooks have the same form."""
    target, request = _object_or_empty(event, "target"), _object_or_empty(event, "request")
    if target and not target.get("tag"):
        return Ignore("untagged")  # a layer, or a manifest that was pushed by its digest
    return Hint(
        request.get("host"),
        target.get("repository"),
        target.get("tag"),
        target.get("digest"),
        event.get("id"),
        event.get("timestamp"),
    )


def jfrog(payload: Payload) -> Iterator[Told]:
    """JFrog, "Event types", domain Docker."""
    if (payload.get("domain"), payload.get("event_type")) != ("docker", "pushed"):
        yield _no_push(payload.get("event_type"))
        return
    data = _object(payload, "data")
    checksum, key = data.get("sha256"), _text(data, "repo_key")
    digest = f"sha256:{checksum}" if checksum else None
    yield Hint(None, data.get("image_name"), data.get("tag"), digest, key=key)


def nexus(payload: Payload) -> Iterator[Told]:
    """Sonatype Nexus, "Repository Webhook": events of components and of assets."""
    if payload.get("action") not in ("CREATED", "UPDATED"):
        yield _no_push(payload.get("action"))
        return
    kind = "component" if "component" in payload else "asset"
    thing, key = _object(payload, kind), _text(payload, "repositoryName")
    if thing.get("format") != "docker":
        yield Ignore("not-an-image", quote(thing.get("format")))
        return
    name, tag = _text(thing, "name"), thing.get("version")
    if kind == "asset":  # v2/<name>/manifests/<tag>, or a layer
        path, manifests, tag = name.removeprefix("v2/").rpartition("/manifests/")
        if not manifests:
            yield Ignore("not-an-image", quote(name))
            return
        name = path
    if str(tag).startswith("sha256:"):
        yield Ignore("untagged")
    else:
        yield Hint(None, name, tag, time=payload.get("timestamp"), key=key)


def plain(payload: Payload) -> Iterator[Told]:
    """Read an image by name, or the parts of one as keel's native webhook takes them."""
    name, tag, digest = payload.get("image") or payload.get("name"), payload.get("tag"), payload.get("digest")
    if not tag and not digest and isinstance(name, str) and not {":", "@"} & set(name.rpartition("/")[2]):
        tag = DEFAULT_TAG  # as Docker's own commands read it
    yield Hint(payload.get("host") or "", name, tag, digest)


def _no_push(action: object) -> Told:
    if isinstance(action, str):
        return Ignore("action-not-push", quote(action))
    return Reject("unknown payload", "it does not say what happened")


def _host(url: object) -> str | None:
    host, slash, _ = _without_scheme(url).partition("/")
    return host if host and slash else None


def _without_scheme(url: object) -> str:
    """Return the URL without `https://`, which some versions write before it."""
    return url.removeprefix("https://").removeprefix("http://") if isinstance(url, str) else ""


def _text(payload: Payload, key: str) -> str:
    value = payload.get(key)
    if not isinstance(value, str) or not value:
        raise UnreadableError("unknown payload", f"{key} not a text")
    return value


def _object(payload: Payload, key: str) -> Payload:
    value = payload.get(key)
    if not isinstance(value, dict):
        raise UnreadableError("unknown payload", f"{key} not an object")
    return value


def _object_or_empty(payload: Payload, key: str) -> Payload:
    value = payload.get(key)
    return value if isinstance(value, dict) else {}


def _objects(payload: Payload, key: str) -> list[Payload]:
    value = payload.get(key)
    if not isinstance(value, list):
        raise UnreadableError("unknown payload", f"{key} not a list")
    return [item if isinstance(item, dict) else {} for item in value]
