"""The ports of the core: a target to read and write, and registries with their credentials and tags.

`targets` and `registries` implement them with the real ones, `testing` in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from deployer.model.evidence import Scan, Unproved
from deployer.model.image import Image
from deployer.model.service import Manifest, Service, State
from deployer.model.snapshot import Snapshot
from deployer.policies.proofs import Verify
from deployer.policies.ranking import Tag
from deployer.rollouts.ledger import Ledger
from deployer.rollouts.prejob import Done, Failed, Running


@dataclass(frozen=True)
class Credentials:
    """A user name and password for one registry."""

    username: str
    password: str = field(repr=False)
    host: str = ""


@dataclass(frozen=True)
class Change:
    """One write to a service: the state to keep, and the image to run if it is to be another one."""

    state: State
    image: Image | None = None
    manifest: Manifest | None = None  # of `image`: the platforms on which its tasks may be placed
    force: bool = False  # restart the tasks


class Target(Protocol):
    """The target of roll-outs: it runs the services. Faults are TemporaryError or PermanentError."""

    def services(self, *ids: str, keep: Callable[[Service], bool] | None = None) -> Sequence[Service]:
        """Read all services or those of the ids, and return those that `keep` wants."""

    def read(self, name: str, now: datetime) -> Snapshot:
        """Read one service by name or id; NoSuchServiceError if there is none."""

    def read_all(self, services: Sequence[Service], now: datetime) -> Sequence[Snapshot]:
        """Read what there is to know of services that have been listed, in few requests."""

    def manifest(self, image: Image, credentials: Credentials | None) -> Manifest:
        """Ask the image's registry what the image is, with these credentials."""

    def apply(self, service: Service, change: Change, credentials: Credentials | None) -> None:
        """Write a change over the version that was read; StaleVersionError if it is no longer the newest."""

    def run_first(self, service: Service, change: Change, command: str) -> Running | Failed | Done:
        """Run a command on a change's image, once for each deployment, before the service gets it.

        LabelError where the target has jobs for that.
        """

    def run_after(self, service: Service, command: str) -> Running | Failed | Done:
        """Run a command on what a service runs, once for each deployment; LabelError as of `run_first`."""

    def last_words(self, service: Service, number: int) -> Sequence[str]:
        """Return the last lines that the newest failing task of a service has logged, if any."""

    def settled(self, service: Service) -> None:
        """Bring along what runs a service's image beside it, now that it has converged; never raises."""

    def ledger(self) -> Ledger:
        """Read what belongs to the whole target."""

    def write_ledger(self, ledger: Ledger, labels: Mapping[str, str]) -> None:
        """Replace it; StaleVersionError if somebody else has since the read."""


class Registry(Protocol):
    """Credentials for registries, and what they hold; `login` is the name of a login that rules."""

    def credentials(self, image: Image, login: str | None = None) -> Credentials | None:
        """Return credentials for an image's registry; None where nothing is known (anonymous)."""

    def tags(self, image: Image, login: str | None = None) -> Sequence[Tag]:
        """Return all tags of an image's repository, in no order; raise NotFoundError if it is missing."""

    def unproved(self, image: Image, verify: Verify, login: str | None = None) -> Unproved | None:
        """Return why the signature of an image (with its digest) is not proved; None if it is."""

    def scan(self, image: Image, login: str | None = None) -> Scan:
        """Return what scans of an image (with its digest) have found."""

    def renew(self, image: Image) -> None:
        """Have a fresh token for an image's registry; on an error the one that there is stays."""

    def forget(self, image: Image) -> bool:
        """Drop what is cached for an image's registry; whether there was anything."""
