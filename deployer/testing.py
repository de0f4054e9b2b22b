"""A Swarm in memory that behaves as the engine was measured to, for tests of the core (also of your own).

It implements the ports of `rollout`. Time stands still until `tick` moves both the clock and the engine's
updater by one step. It keeps the traits that matter: a version index that must match and moves at every
write, an UpdateStatus that every write clears, tasks that are restarted only when the task template changed,
failure actions, an engine rollback that takes the labels back as well.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

from deployer.errors import NoSuchServiceError, NotFoundError, StaleVersionError
from deployer.model.image import Image
from deployer.model.service import Manifest
from deployer.policies.ranking import Tag
from deployer.rollouts.ledger import Ledger
from deployer.rollouts.ports import Credentials
from deployer.targets.swarm.target import SwarmTarget


class FakeSwarm(SwarmTarget):
    """Services, tasks, a registry and a clock."""

    def __init__(self) -> None:
        super().__init__(_Engine(self))
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.digests: dict[str, str] = {}  # "repository:tag" to digest
        self.pushed: dict[tuple[str, str], datetime] = {}  # (repository, digest) to its first push
        self.crashing: set[str] = set()  # digests whose tasks fail at once
        self.raw: dict[str, dict[str, Any]] = {}
        self.history: dict[str, list[dict[str, Any]]] = {}
        self.writes: list[tuple[str, str]] = []  # (service, image) of every write
        self._index = itertools.count(10)
        self._ledger = Ledger()

    # -- what a test does --------------------------------------------------------------------------

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
    ) -> None:
        """Create a service that runs and has converged."""
        container: dict[str, Any] = {"Image": image}
        self.raw[name] = {
            "ID": f"id-{name}",
            "Version": {"Index": next(self._index)},
            "Spec": {
                "Name": name,
                "Labels": dict(labels or {}),
                "TaskTemplate": {"ContainerSpec": container, "ForceUpdate": 0},
                "Mode": {"Replicated": {"Replicas": replicas}},
                "UpdateConfig": {"FailureAction": failure_action},
            },
        }
        self.history[name] = []
        for slot in range(1, replicas + 1):
            self._start(name, slot, "running")

    def remove(self, name: str) -> None:
        """Remove a service."""
        del self.raw[name], self.history[name]

    def edit(self, name: str, **template: Any) -> None:
        """Update the container's spec, as an operator's own `docker service update` does."""
        spec = deepcopy(self.raw[name]["Spec"])
        spec["TaskTemplate"]["ContainerSpec"].update(template)
        self._write(name, spec)

    def tick(self, seconds: float = 1.0) -> None:
        """Let time pass and every service's updater make one step."""
        self.now += timedelta(seconds=seconds)
        for name in list(self.raw):
            self._step(name)

    def settle(self, steps: int = 50) -> None:
        """Let the engine finish what it has begun."""
        for _ in range(steps):
            self.tick()

    def image(self, name: str) -> str:
        """Return the image of a service's spec."""
        return str(self.raw[name]["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"])

    def starts(self, name: str) -> int:
        """Return the number of tasks that a service has ever started."""
        return len(self.history[name])

    # -- the ports ---------------------------------------------------------------------------------

    def manifest(self, image: Image, credentials: Credentials | None) -> Manifest:
        """Return the registry's manifest of an image."""
        del credentials
        if image.digest:
            return Manifest(image.digest)
        try:
            return Manifest(self.digests[str(image)])
        except KeyError:
            raise NotFoundError(f"the registry has no {image}") from None

    def credentials(self, image: Image, login: str | None = None) -> Credentials | None:
        """Return the credentials of a login; without one, no registry here needs a password."""
        return Credentials(login, "password", image.host) if login else None

    def tags(self, image: Image, login: str | None = None) -> Sequence[Tag]:
        """Return all tags of a repository, with the time when each one's digest was first pushed, as ECR has
        it.
        """
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

    def renew(self, image: Image) -> None:
        """Do nothing: tokens do not age here."""
        del image

    def forget(self, image: Image) -> bool:
        """Do nothing: nothing is cached."""
        del image
        return False

    def ledger(self) -> Ledger:
        """Return the ledger; a test may change it."""
        return self._ledger

    def write_ledger(self, read: Ledger, labels: Mapping[str, str]) -> None:
        """Replace its labels."""
        if read.version != self._ledger.version:
            raise StaleVersionError("update out of sequence")
        self._ledger = Ledger(dict(labels), "id-ledger", next(self._index))

    # -- the engine --------------------------------------------------------------------------------

    def _name(self, name_or_id: str) -> str:
        name = name_or_id.removeprefix("id-")
        if name not in self.raw:
            raise NoSuchServiceError(f"no service {name!r} in this Swarm")
        return name

    def _write(self, name: str, spec: dict[str, Any]) -> None:
        raw = self.raw[name]
        raw["PreviousSpec"], raw["Spec"] = raw["Spec"], spec
        raw.pop("UpdateStatus", None)
        raw["Version"]["Index"] = next(self._index)
        self.writes.append((name, self.image(name)))

    def _start(self, name: str, slot: int, state: str) -> None:
        spec = self.raw[name]["Spec"]["TaskTemplate"]
        status = {"State": state, "Timestamp": self.now.isoformat()}
        if state == "failed":
            status["Err"] = "task: non-zero exit (1)"
        self.history[name].append(
            {
                "ID": f"{name}.{slot}.{len(self.history[name])}",
                "ServiceID": f"id-{name}",
                "Slot": slot,
                "Spec": deepcopy(spec),
                "CreatedAt": self.now.isoformat(),
                "Status": status,
                "DesiredState": "running" if state == "running" else "shutdown",
            }
        )

    def _step(self, name: str) -> None:
        raw = self.raw[name]
        state = (raw.get("UpdateStatus") or {}).get("State")
        if state in {"paused", "rollback_paused"}:
            return
        dirty = self._dirty_slot(name)
        if dirty is None:
            if state in {"updating", "rollback_started"}:
                self._say(name, "completed" if state == "updating" else "rollback_completed")
            return
        rolling_back = (state or "").startswith("rollback")
        if state not in {"updating", "rollback_started"}:
            self._say(name, "updating")
        self._replace(name, dirty, rolling_back)

    def _dirty_slot(self, name: str) -> int | None:
        spec = self.raw[name]["Spec"]
        live = {t["Slot"]: t for t in self.history[name] if t["DesiredState"] == "running"}
        for slot in range(1, spec["Mode"]["Replicated"]["Replicas"] + 1):
            if slot not in live or live[slot]["Spec"] != spec["TaskTemplate"]:
                return slot
        return None

    def _replace(self, name: str, slot: int, rolling_back: bool) -> None:
        for task in self.history[name]:
            if task["Slot"] == slot and task["DesiredState"] == "running":
                task["DesiredState"], task["Status"]["State"] = "shutdown", "shutdown"
        crashes = any(self.image(name).endswith(digest) for digest in self.crashing)
        self._start(name, slot, "failed" if crashes else "running")
        if crashes:
            self._react(name, rolling_back)

    def _react(self, name: str, rolling_back: bool) -> None:
        raw = self.raw[name]
        action = raw["Spec"].get("UpdateConfig", {}).get("FailureAction", "pause")
        if rolling_back:
            self._say(name, "rollback_paused")
        elif action == "pause":
            self._say(name, "paused")
        elif action == "rollback" and raw.get("PreviousSpec"):
            raw["Spec"] = raw.pop("PreviousSpec")
            self._say(name, "rollback_started")
        elif action == "rollback":
            self._say(name, "paused")

    def _say(self, name: str, state: str) -> None:
        raw = self.raw[name]
        begun = (raw.get("UpdateStatus") or {}).get("StartedAt", self.now.isoformat())
        raw["UpdateStatus"] = {"State": state, "StartedAt": begun, "Message": f"{state} by the engine"}
        raw["Version"]["Index"] = next(self._index)


class _Engine:
    """The raw JSON of the fake, as the Engine API gives it."""

    def __init__(self, swarm: FakeSwarm) -> None:
        self.swarm = swarm

    def services(self, ids: Sequence[str] = ()) -> list[dict[str, Any]]:
        """Return all services or those of the ids."""
        return [deepcopy(raw) for raw in self.swarm.raw.values() if not ids or raw["ID"] in ids]

    def service(self, name: str) -> dict[str, Any]:
        """Return one service by name or id."""
        return deepcopy(self.swarm.raw[self.swarm._name(name)])

    def tasks(self, service_ids: Sequence[str]) -> list[dict[str, Any]]:
        """Return services' tasks: as many old ones for each slot as the engine keeps by default."""
        kept = []
        for tasks in (self.swarm.history[self.swarm._name(service_id)] for service_id in service_ids):
            by_slot = sorted(tasks, key=lambda t: t["Slot"])
            for _, group in itertools.groupby(by_slot, key=lambda t: t["Slot"]):
                kept += list(group)[-6:]
        return deepcopy(kept)

    def update_service(
        self, service_id: str, version: int, spec: Mapping[str, Any], credentials: Credentials | None
    ) -> None:
        """Write a spec over a version."""
        del credentials
        name = self.swarm._name(service_id)
        if self.swarm.raw[name]["Version"]["Index"] != version:
            raise StaleVersionError("update out of sequence")
        self.swarm._write(name, deepcopy(dict(spec)))

    def config(self, name: str) -> None:
        """Return nothing: the ledger is kept apart."""
        del name

    def create_config(self, spec: Mapping[str, Any]) -> None:
        """Refuse: the ledger is kept apart."""
        raise NotImplementedError

    def update_config(self, config_id: str, version: int, spec: Mapping[str, Any]) -> None:
        """Refuse: the ledger is kept apart."""
        raise NotImplementedError

    def distribution(self, image: str, credentials: Credentials | None) -> Mapping[str, Any]:
        """Return the registry's answer."""
        manifest = self.swarm.manifest(Image.parse(image), credentials)
        return {"Descriptor": {"digest": manifest.digest}, "Platforms": list(manifest.platforms)}
