"""The digest and the platforms of an image, asked of its registry: `GET /v2/<name>/manifests/<reference>`.

The protocol is OCI's distribution specification ("Pulling manifests"). First comes a HEAD, which Docker Hub
does not count as a pull. Platforms belong to a digest for ever, so they are asked for once: an index names
them, and for the manifest of a single image they are in its config.
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from functools import lru_cache
from threading import Lock
from typing import Any

from deployer.errors import PermanentError
from deployer.model.image import IMAGE_CONFIGS, Image
from deployer.model.service import Manifest
from deployer.registries.conversation import Conversation
from deployer.rollouts.ports import Credentials

INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
SINGLE = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
ACCEPT = ", ".join((*INDEXES, *SINGLE))
MAX_KNOWN = 2000  # digests whose platforms are kept

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
Platforms = tuple[Mapping[str, Any], ...]


class Manifests:
    """The question for manifests, and the platforms that are known already; safe for threads."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Platforms] = OrderedDict()
        self._lock = Lock()

    def __call__(self, image: Image, credentials: Credentials | None) -> Manifest:
        """Return what an image is now; no platforms where its registry does not tell them.

        Args:
            image: by tag or digest; by digest it is that one or an error.
            credentials: for its registry; None for an anonymous request.

        Raises:
            NotFoundError: no such tag, digest or repository.
            AccessDeniedError: the registry refuses these credentials.
            TemporaryError: it cannot be reached, throttles or answers 5xx.
            PermanentError: it does not speak the protocol, or the image is none that ECS could run.
        """
        reference = image.digest or image.tag or "latest"
        name = f"{image.repository}{'@' if image.digest else ':'}{reference}"
        with Conversation(image, credentials, name, f"image {name}") as registry:
            head = registry.ask(f"manifests/{reference}", ACCEPT, "HEAD")
            digest = image.digest or head.headers.get("Docker-Content-Digest", "")
            if known := self._platforms(digest):
                return Manifest(digest, known)
            body = registry.ask(f"manifests/{reference}", ACCEPT).body
            digest = _digest_of(body)
            if image.digest not in (None, digest):
                raise PermanentError(f"registry {image.host} has another content than {name}")
            platforms = _platforms_of(registry, registry.json(body), name)
        self._keep(digest, platforms)
        return Manifest(digest, platforms)

    def _platforms(self, digest: str) -> Platforms | None:
        with self._lock:
            return self._known.get(digest)

    def _keep(self, digest: str, platforms: Platforms) -> None:
        with self._lock:
            self._known[digest] = platforms
            if len(self._known) > MAX_KNOWN:
                self._known.popitem(last=False)


def children_of(image: Image, credentials: Credentials | None) -> list[str]:
    """Return the digests of the manifests of all platforms of an image; its own if it is for one.

    Args:
        image: with its digest.
        credentials: for its registry; None for an anonymous request.

    Raises:
        NotFoundError, AccessDeniedError, TemporaryError, PermanentError: as of `Manifests`.
    """
    digest = image.digest or ""
    name = f"{image.repository}@{digest}"
    with Conversation(image, credentials, name, f"image {name}") as registry:
        children = registry.json(registry.ask(f"manifests/{digest}", ACCEPT).body).get("manifests")
    if not isinstance(children, list):
        return [digest]
    named = (str(child["digest"]) for child in children if isinstance(child, dict) and list(_named([child])))
    return [one for one in named if _DIGEST.fullmatch(one)]


@lru_cache(maxsize=MAX_KNOWN)
def labels_of(image: Image, credentials: Credentials | None) -> Mapping[str, str]:
    """Return the labels of an image's config; of an index those of the first platform.

    Raises:
        NotFoundError, AccessDeniedError, TemporaryError, PermanentError: as of `Manifests`.
    """
    name = f"{image.repository}@{image.digest}"
    with Conversation(image, credentials, name, f"image {name}") as registry:
        manifest = registry.json(registry.ask(f"manifests/{image.digest}", ACCEPT).body)
        children = manifest.get("manifests")
        if isinstance(children, list):
            named = [one for one in children if isinstance(one, dict) and list(_named([one]))]
            if not named or not _DIGEST.fullmatch(str(named[0].get("digest"))):
                return {}
            manifest = registry.json(registry.ask(f"manifests/{named[0]['digest']}", ACCEPT).body)
        config = manifest.get("config")
        if not isinstance(config, dict) or not _DIGEST.fullmatch(str(config.get("digest"))):
            return {}
        content = registry.blob(config["digest"])
        told = registry.json(content).get("config") if content else None
    labels = told.get("Labels") if isinstance(told, dict) else None
    return {str(k): str(v) for k, v in labels.items()} if isinstance(labels, dict) else {}


def _platforms_of(registry: Conversation, manifest: Mapping[str, Any], name: str) -> Platforms:
    children = manifest.get("manifests")
    if isinstance(children, list):
        return tuple(_named(children))
    config = manifest.get("config")
    if not isinstance(config, dict) or not _DIGEST.fullmatch(str(config.get("digest"))):
        raise registry.stranger()
    if config.get("mediaType") not in IMAGE_CONFIGS:
        raise PermanentError(f"{name} is no image but {str(config.get('mediaType'))[:80]}")
    content = registry.blob(config["digest"])
    if content is None:
        return ()
    if _digest_of(content) != config["digest"]:
        raise registry.stranger()
    return tuple(_named([{"platform": registry.json(content)}]))


def _named(children: list[Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the platforms that are some: attestations are for `unknown/unknown`."""
    for child in children:
        platform = child.get("platform") if isinstance(child, dict) else None
        if not isinstance(platform, dict):
            continue
        found = {
            key: platform[key]
            for key in ("architecture", "os", "variant", "os.version")
            if isinstance(platform.get(key), str)
        }
        if found.get("architecture", "unknown") != "unknown" and found.get("os", "unknown") != "unknown":
            yield found


def _digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
