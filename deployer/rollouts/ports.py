"""What the core needs of the world: a Swarm to read and write, registries' credentials and tags.

`swarm` and `registry` implement these with the real ones, `testing` in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from deployer.model.image import Image
from deployer.model.service import Manifest, Service
from deployer.policies.ranking import Tag
from deployer.rollouts.ledger import Ledger


@dataclass(frozen=True)
class Credentials:
    """A user name and password for one registry."""

    username: str
    password: str = field(repr=False)
    host: str = ""


class Swarm(Protocol):
    """The target of deployments, as far as a roll-out needs it."""

    def service(self, name: str) -> Service:
        """Read one service by name or id; NoSuchServiceError if there is none."""

    def tasks(self, *service_ids: str) -> Sequence[Mapping[str, Any]]:
        """Read the tasks of services, with those of their recent past."""

    def manifest(self, image: Image, credentials: Credentials | None) -> Manifest:
        """Ask the image's registry what the image is, with these credentials."""

    def update(self, service: Service, spec: Mapping[str, Any], credentials: Credentials | None) -> None:
        """Write a spec over the version that was read; StaleVersionError if it is no longer the newest."""

    def services(self, *ids: str, keep: Callable[[Service], bool] | None = None) -> Sequence[Service]:
        """Read all services or those of the ids, and return those that `keep` wants."""

    def ledger(self) -> Ledger:
        """Read what belongs to the whole Swarm."""

    def write_ledger(self, ledger: Ledger, labels: Mapping[str, str]) -> None:
        """Replace it; StaleVersionError if somebody else has since the read."""


class Registry(Protocol):
    """Credentials for registries, and what they hold; `login` is the name of a login that rules."""

    def credentials(self, image: Image, login: str | None = None) -> Credentials | None:
        """Credentials for an image's registry; None where nothing is known (anonymous)."""

    def tags(self, image: Image, login: str | None = None) -> Sequence[Tag]:
        """All tags of an image's repository, in no order; NotFoundError if there is no such repository."""

    def renew(self, image: Image) -> None:
        """Have a fresh token for an image's registry; on an error the one that there is stays."""

    def forget(self, image: Image) -> bool:
        """Drop what is cached for an image's registry; whether there was anything."""
