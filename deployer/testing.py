"""A Swarm in memory that behaves as the engine was measured to, for tests of the core (also of your own).

`FakeSwarm` is a target and its registry at once: the engine is `MemoryEngine`, which the simulation and the
comparison with a real Swarm use too. Time stands still until `tick` moves it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from deployer.errors import NotFoundError
from deployer.model.evidence import Scan, Scanned, Unproved
from deployer.model.image import Image
from deployer.policies.proofs import Verify
from deployer.policies.ranking import Tag
from deployer.rollouts.ports import Credentials
from deployer.targets.swarm.memory import MemoryEngine, Operator, service_spec
from deployer.targets.swarm.memory.objects import ServiceRecord
from deployer.targets.swarm.target import SwarmTarget


class FakeSwarm(SwarmTarget):
    """Services, tasks, a registry and a clock.

    Args:
        engine: the engine; others may look at the same one.
    """

    engine: MemoryEngine

    def __init__(self, engine: MemoryEngine | None = None) -> None:
        super().__init__(engine or MemoryEngine())
        self.digests = self.engine.digests  # "repository:tag" to digest
        self.pushed: dict[tuple[str, str], datetime] = {}  # (repository, digest) to its first push
        self.signed: set[tuple[str | None, str]] = (
            set()
        )  # (digest, `cosign:key`, `aws-signer` or with a profile)
        self.scans: dict[str, Scan] = {}  # by digest
        self.writes = self.engine.written  # (service, image) of every write

    # -- what a test does --------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        """Return the time now; set it to move the clock without the engine."""
        return self.engine.timeline.now

    @now.setter
    def now(self, moment: datetime) -> None:
        self.engine.timeline.begin += moment - self.now

    @property
    def crashing(self) -> set[str]:
        """Return the digests whose tasks fail at once; they may be changed."""
        return self.engine.images.crashing

    @crashing.setter
    def crashing(self, digests: set[str]) -> None:
        self.engine.images.crashing = digests

    def clock(self) -> datetime:
        """Return the time now, for `Deployer(clock=…)`."""
        return self.now

    def push(self, image: str, digest: str) -> None:
        """Make a tag mean a digest."""
        pushed = Image.parse(image).without_digest()
        self.digests[str(pushed)] = digest
        self.pushed.setdefault((pushed.name, digest), self.now)

    def create(
        self,
        name: str,
        image: str,
        *,
        replicas: int = 1,
        labels: Mapping[str, str] | None = None,
        failure_action: str = "pause",
        mode: str = "Replicated",
    ) -> None:
        """Create a service that runs and has converged, in the place of one of the same name."""
        if name in self.raw:
            self.remove(name)
        update = {"FailureAction": failure_action}
        spec = service_spec(name, image, replicas=replicas, mode=mode, labels=labels, update=update)
        self.engine.create_service(spec, running=True)

    def remove(self, name: str) -> None:
        """Remove a service."""
        self.engine.remove_service(name)

    def edit(self, name: str, **template: Any) -> None:
        """Update the container's spec, as an operator's own `docker service update` does."""
        Operator(self.engine).update(name, **template)

    def tick(self, seconds: float = 1.0) -> None:
        """Let time pass, and the engine do what it does in it."""
        self.engine.timeline.advance(seconds)

    def settle(self, steps: int = 50) -> None:
        """Let the engine finish what it has begun."""
        self.tick(steps)

    def image(self, name: str) -> str:
        """Return the image of a service's spec."""
        return str(self.engine.record(name).template["ContainerSpec"]["Image"])

    def starts(self, name: str) -> int:
        """Return the number of tasks that a service has ever started."""
        return self.engine.cluster.made[self.engine.record(name).id]

    @property
    def raw(self) -> dict[str, dict[str, Any]]:
        """Return the services as the engine has them; their Spec and UpdateStatus can be changed."""
        return {record.name: _Live(record) for record in self.engine.cluster.services.values()}

    @property
    def history(self) -> dict[str, list[dict[str, Any]]]:
        """Return the tasks of each service as the engine shows them, oldest first."""
        return {name: list(self.engine.tasks([raw["ID"]])) for name, raw in self.raw.items()}

    # -- the registry ------------------------------------------------------------------------------

    def credentials(self, image: Image, login: str | None = None) -> Credentials | None:
        """Return the credentials of a login; without one, no registry here needs a password."""
        return Credentials(login, "password", image.host) if login else None

    def tags(self, image: Image, login: str | None = None) -> Sequence[Tag]:
        """Return all tags of a repository, with the time when each one's digest was first pushed."""
        del login
        every = {Image.parse(name): digest for name, digest in self.digests.items()}
        found = [
            Tag(one.followed_tag or "", self.pushed.get((one.name, digest)), digest)
            for one, digest in every.items()
            if one.same_repository(image)
        ]
        if not found:
            raise NotFoundError(f"the registry has no {image.name}")
        return found

    def unproved(self, image: Image, verify: Verify, login: str | None = None) -> Unproved | None:
        """Return why a signature is not proved: `signed` has no such digest and signer."""
        del login
        names = verify.names or ("",)
        if any((image.digest, f"{verify.by}:{name}".rstrip(":")) in self.signed for name in names):
            return None
        return Unproved(f"{verify} has not signed it")

    def scan(self, image: Image, login: str | None = None) -> Scan:
        """Return the scan that a test has put into `scans`, by digest; without one it has not begun."""
        del login
        return self.scans.get(image.digest or "", Scan(Scanned.RUNNING, reason="it has not been scanned yet"))

    def renew(self, image: Image) -> None:
        """Do nothing: tokens do not age here."""
        del image

    def forget(self, image: Image) -> bool:
        """Do nothing: nothing is cached."""
        del image
        return False


class _Live(dict[str, Any]):
    """A service's JSON whose Spec and UpdateStatus are the engine's own."""

    def __init__(self, record: ServiceRecord) -> None:
        status = {"UpdateStatus": record.status} if record.status else {}
        super().__init__({**record.shown(), "Spec": record.spec, **status})
        self._record = record

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        setattr(self._record, {"Spec": "spec", "UpdateStatus": "status"}[key], value)
