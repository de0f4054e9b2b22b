"""Services on the Swarm of one engine."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from lab.engine import Engine
from lab.processes import wait_until


class Swarm:
    """The services that one manager knows.

    Args:
        engine: the manager.
        host: the registry of images that are named without one.
    """

    def __init__(self, engine: Engine, host: str) -> None:
        self.engine = engine
        self._host = host

    def docker(self, *argv: str, stdin: bytes | None = None) -> str:
        """Run a command of Docker's client; what it printed.

        Raises:
            RuntimeError: it failed; with what it said.
        """
        return self.engine.docker(*argv, stdin=stdin)

    def create(
        self, name: str, image: str, *options: str, port: int | None = None, wait: bool = True
    ) -> None:
        """Create a service and, unless told otherwise, wait until it runs.

        Args:
            name: the service's name.
            image: of ECR without its host, `team/web:latest`, or of another registry with it.
            options: more options of `docker service create`.
            port: where the image serves on the network of the namespaces, which the service then joins
                (without IPVS in the kernel Swarm's virtual IPs carry nothing); a stop takes 2 s longer there.
            wait: until as many tasks run as are wanted.
        """
        argv = ["--detach", "--quiet", "--with-registry-auth", "--name", name]
        argv += ["--network", "host", "--env", f"PORT={port}"] if port else []
        with_host = image if "." in image.partition("/")[0] else f"{self._host}/{image}"
        self.docker("service", "create", *argv, *options, with_host)
        if wait:
            wait_until(lambda: self.is_up(name), 30, f"all tasks of {name} running")

    def is_up(self, service: str) -> bool:
        """Return whether the desired number of tasks runs."""
        found = self.engine.get(f"/services?status=true&filters={_filter(name=service)}")
        status = [one["ServiceStatus"] for one in found if one["Spec"]["Name"] == service]
        return bool(status) and bool(status[0]["RunningTasks"] == status[0]["DesiredTasks"])

    def inspect(self, service: str) -> dict[str, Any]:
        """Return a service as the engine's API shows it, without defaults filled in."""
        found: dict[str, Any] = self.engine.get(f"/services/{service}")
        return found

    def image_of(self, service: str) -> str:
        """Return the image in a service's spec."""
        return str(self.inspect(service)["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"])

    def tasks(self, service: str) -> list[dict[str, Any]]:
        """Return all tasks of a service as the API shows them, newest first, with those that have ended."""
        found = self.engine.get(f"/tasks?filters={_filter(service=service)}")
        return sorted(found, key=lambda task: str(task["CreatedAt"]), reverse=True)

    def tasks_of(self, service: str) -> list[str]:
        """Return the ids of all tasks of a service, with those that have ended."""
        return sorted(task["ID"] for task in self.tasks(service))

    def addresses(self, service: str) -> list[str]:
        """Return the addresses inside of a service's running containers, if it has no port."""
        label = f"com.docker.swarm.service.name={service}"
        found = self.engine.get(f"/containers/json?filters={_filter(label=label)}")
        networks = [network for one in found for network in one["NetworkSettings"]["Networks"].values()]
        return [network["IPAddress"] for network in networks if network["IPAddress"]]

    def clear(self) -> None:
        """Remove all services, configs, secrets and networks, and wait until their containers are gone."""
        for kind in ("service", "config", "secret"):
            found = [one["ID"] for one in self.engine.get(f"/{kind}s")]
            if found:
                self.docker(kind, "rm", *found)
        # The Swarm takes its time to remove the containers of a service that is gone.
        self.engine.remove_containers()
        self._remove_networks()

    def _remove_networks(self) -> None:
        def gone() -> bool:
            found = self.engine.get(f"/networks?filters={_filter(scope='swarm')}")
            left = [network["Id"] for network in found if not network["Ingress"]]
            if left:
                with suppress(RuntimeError):  # it is being removed: the engine says yes before it is done
                    self.docker("network", "rm", *left)
            return not left

        wait_until(gone, 30, "a Swarm without networks", every=0.1)

    def forget_images(self) -> None:
        """Remove every image that no container uses, so that the next task must pull."""
        self.docker("image", "prune", "--all", "--force")


def _filter(**wanted: str) -> str:
    return quote(json.dumps({name: [value] for name, value in wanted.items()}))
