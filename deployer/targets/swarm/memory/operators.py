"""The acts of operators at a Swarm in memory: the `docker service` and `docker stack` commands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from deployer.errors import NoSuchServiceError
from deployer.rollouts.ports import Credentials
from deployer.targets.swarm.memory.engine import MemoryEngine
from deployer.targets.swarm.memory.objects import Json, copied

STACK_IMAGE = "com.docker.stack.image"
SECOND = 1_000_000_000  # in the nanoseconds of the Engine API

Resolve = Literal["always", "changed", "never"]


def service_spec(
    name: str,
    image: str,
    *,
    replicas: int = 1,
    mode: str = "Replicated",
    labels: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    update: Mapping[str, Any] | None = None,
    restart: Mapping[str, Any] | None = None,
) -> Json:
    """Return the spec that `docker service create` sends."""
    modes: Json = {"Replicated": {"Replicas": replicas}, "ReplicatedJob": {"MaxConcurrent": replicas}}
    container: Json = {"Image": image}
    if env:
        container["Env"] = [f"{key}={value}" for key, value in env.items()]
    template: Json = {"ContainerSpec": container, "ForceUpdate": 0}
    if restart:
        template["RestartPolicy"] = dict(restart)
    return {
        "Name": name,
        "Labels": dict(labels or {}),
        "TaskTemplate": template,
        "Mode": {mode: modes.get(mode, {})},
        "UpdateConfig": {"Parallelism": 1, "FailureAction": "pause", **(update or {})},
    }


class Operator:
    """A person with the `docker` command."""

    def __init__(self, engine: MemoryEngine) -> None:
        self._engine = engine

    def update(
        self,
        name: str,
        *,
        env: Mapping[str, str | None] | None = None,
        image: str | None = None,
        labels: Mapping[str, str | None] | None = None,
        force: bool = False,
        replicas: int | None = None,
        update: Mapping[str, Any] | None = None,
        credentials: Credentials | None = None,
        **container: Any,
    ) -> None:
        """Run `docker service update`; None takes a variable or a label away.

        Args:
            name: the service.
            env: `--env-add` and `--env-rm`.
            image: `--image`, resolved as the command does it.
            labels: `--label-add` and `--label-rm`.
            force: `--force`.
            replicas: `--replicas`.
            update: `--update-…`.
            credentials: `--with-registry-auth`.
            container: other fields of the ContainerSpec.
        """
        read = self._engine.service(name)
        spec = read["Spec"]
        template = spec["TaskTemplate"]
        template["ContainerSpec"].update(container)
        if env:
            known = dict(one.partition("=")[::2] for one in template["ContainerSpec"].get("Env") or [])
            merged = [f"{key}={value}" for key, value in _merged(known, env).items()]
            template["ContainerSpec"].pop("Env", None)
            if merged:
                template["ContainerSpec"]["Env"] = merged
        if image:
            template["ContainerSpec"]["Image"] = self._resolved(image)
        if labels:
            spec["Labels"] = _merged(spec.get("Labels") or {}, labels)
        if force:
            template["ForceUpdate"] = template.get("ForceUpdate", 0) + 1
        if replicas is not None:
            spec["Mode"]["Replicated"]["Replicas"] = replicas
        if update:
            spec["UpdateConfig"] = {**(spec.get("UpdateConfig") or {}), **update}
        self._engine.update_service(read["ID"], read["Version"]["Index"], spec, credentials)

    def scale(self, name: str, replicas: int) -> None:
        """Run `docker service scale`."""
        self.update(name, replicas=replicas)

    def roll_back(self, name: str) -> None:
        """Run `docker service rollback`."""
        read = self._engine.service(name)
        self._engine.roll_back_service(read["ID"], read["Version"]["Index"])

    def deploy_stack(self, spec: Mapping[str, Any], resolve: Resolve = "always") -> None:
        """Run `docker stack deploy` with one service in the file.

        Args:
            spec: the service as the file has it; its image as written there.
            resolve: `--resolve-image`.
        """
        wanted: Json = copied(spec)
        container = wanted["TaskTemplate"]["ContainerSpec"]
        literal = container["Image"]
        wanted["Labels"] = {**(wanted.get("Labels") or {}), STACK_IMAGE: literal}
        try:
            read = self._engine.service(wanted["Name"])
        except NoSuchServiceError:
            container["Image"] = self._resolved(literal)
            self._engine.create_service(wanted)
            return
        before = read["Spec"]["TaskTemplate"]
        known = (read["Spec"].get("Labels") or {}).get(STACK_IMAGE) == literal
        if resolve != "always" and known:
            container["Image"] = before["ContainerSpec"]["Image"]
        elif resolve != "never":
            container["Image"] = self._resolved(literal)
        wanted["TaskTemplate"]["ForceUpdate"] = before.get("ForceUpdate", 0)
        self._engine.update_service(read["ID"], read["Version"]["Index"], wanted, None)

    def _resolved(self, image: str) -> str:
        """Return an image with its digest, or as it is where the registry does not know it."""
        digest = self._engine.digests.get(image)
        return f"{image}@{digest}" if digest and "@" not in image else image


def _merged(known: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    merged = {**known, **changes}
    return {key: value for key, value in merged.items() if value is not None}
