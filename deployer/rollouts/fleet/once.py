"""A target and registries that are asked each question once, for a look at many services."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from deployer.errors import DeployerError
from deployer.model.evidence import Scan, Unproved
from deployer.model.image import Image
from deployer.model.service import Manifest
from deployer.policies.proofs import Verify
from deployer.policies.ranking import Tag
from deployer.rollouts.ports import Credentials, Registry, Target

T = TypeVar("T")


class _Once:
    """Remembers answers and failures, for several threads: a registry that is down is asked once, too."""

    def __init__(self) -> None:
        self.asked: dict[tuple[Any, ...], Any] = {}
        self._locks: dict[tuple[Any, ...], threading.Lock] = {}

    def ask(self, key: tuple[Any, ...], question: Callable[[], T]) -> T:
        with self._locks.setdefault(key, threading.Lock()):
            if key not in self.asked:
                try:
                    self.asked[key] = question()
                except DeployerError as fault:
                    self.asked[key] = fault
        answer = self.asked[key]
        if isinstance(answer, DeployerError):
            raise answer
        return cast("T", answer)


class AskedOnce(_Once):
    """A target that asks a registry once for each image."""

    def __init__(self, target: Target) -> None:
        super().__init__()
        self._target = target

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)

    def manifest(self, image: Image, credentials: Credentials | None) -> Manifest:
        """Return the registry's manifest of an image."""
        # With other credentials it is another question: a fresh token may be good where an old one was not.
        return self.ask((str(image), credentials), lambda: self._target.manifest(image, credentials))


class ListedOnce(_Once):
    """Registries that list the tags of a repository, and tell what is known of an image, once."""

    def __init__(self, registry: Registry) -> None:
        super().__init__()
        self._registry = registry

    def __getattr__(self, name: str) -> Any:
        return getattr(self._registry, name)

    def tags(self, image: Image, login: str | None = None) -> Sequence[Tag]:
        """Return all tags of an image's repository."""
        return self.ask((image.name, login), lambda: self._registry.tags(image, login))

    def unproved(self, image: Image, verify: Verify, login: str | None = None) -> Unproved | None:
        """Return why the signature of an image is not proved; None if it is."""
        key = ("signature", str(image), verify, login)
        return self.ask(key, lambda: self._registry.unproved(image, verify, login))

    def scan(self, image: Image, login: str | None = None) -> Scan:
        """Return what scans of an image have found."""
        return self.ask(("scan", str(image), login), lambda: self._registry.scan(image, login))
