"""The raw engine API over its Unix socket: what the floor updates services with, and when updates came."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote


class Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket; `timeout` in seconds, None for ever."""

    def __init__(self, path: str, timeout: float | None = 60) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class RawEngine:
    """One kept connection to an engine, for one thread.

    Args:
        address: `unix:///…`.
        login: user and password that the registry is asked with.
    """

    def __init__(self, address: str, login: tuple[str, str, str]) -> None:
        self._connection = Connection(address.removeprefix("unix://"))
        user, password, host = login
        fields = {"username": user, "password": password, "serveraddress": host}
        self._auth = {"X-Registry-Auth": base64.urlsafe_b64encode(json.dumps(fields).encode()).decode()}

    def ask(self, method: str, path: str, body: object = None, auth: bool = False) -> Any:
        """Send one request, and return the JSON of its answer.

        Raises:
            RuntimeError: the engine answers with an error.
        """
        headers: Mapping[str, str] = self._auth if auth else {}
        data = None if body is None else json.dumps(body)
        self._connection.request(
            method, path, data, {**headers, **({"Content-Type": "application/json"} if data else {})}
        )
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {text.decode()[:300]}")
        return json.loads(text) if text else None

    def services(self) -> list[dict[str, Any]]:
        """Return all services."""
        return list(self.ask("GET", "/services"))

    def digest(self, image: str) -> str:
        """Resolve a tag at its registry, through the engine."""
        return str(self.ask("GET", f"/distribution/{image}/json", auth=True)["Descriptor"]["digest"])

    def update(self, service: Mapping[str, Any], image: str) -> None:
        """Write a service's spec with another image over the version that was read."""
        spec = service["Spec"]
        spec["TaskTemplate"]["ContainerSpec"]["Image"] = image
        version = service["Version"]["Index"]
        self.ask("POST", f"/services/{service['ID']}/update?version={version}", spec, auth=True)

    def create(self, name: str, image: str) -> None:
        """Create a service without tasks."""
        spec = {
            "Name": name,
            "Labels": {"com.docker.stack.namespace": "bench"},
            "TaskTemplate": {"ContainerSpec": {"Image": image}},
            "Mode": {"Replicated": {"Replicas": 0}},
        }
        self.ask("POST", "/services/create", spec, auth=True)


def image_of(service: Mapping[str, Any]) -> str:
    """Return the image in a service's spec."""
    return str(service["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"])


class Watcher:
    """When the Swarm accepted the first update of each service since a mark, by the engine's own events."""

    def __init__(self, address: str) -> None:
        self._updated: dict[str, float] = {}
        self._changed = threading.Condition()
        filters = quote(json.dumps({"type": ["service"], "event": ["update"]}))
        connection = Connection(address.removeprefix("unix://"), None)
        connection.request("GET", f"/events?filters={filters}")
        self._answer = connection.getresponse()
        self._connection = connection
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while line := self._answer.readline():
            event = json.loads(line)
            if "updatestate.new" in event["Actor"]["Attributes"]:
                continue  # the roll-out's progress, not a write
            with self._changed:
                self._updated.setdefault(event["Actor"]["ID"], event["timeNano"] / 1e9)
                self._changed.notify_all()

    def mark(self) -> None:
        """Forget what came before."""
        with self._changed:
            self._updated.clear()

    def wait(self, count: int, timeout: float) -> list[float]:
        """Return the times of `count` services' updates, as `time.time` counts, in order.

        Raises:
            TimeoutError: fewer came within `timeout` seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._updated) >= count, timeout):
                raise TimeoutError(f"{len(self._updated)} of {count} services updated in {timeout:g} s")
            return sorted(self._updated.values())
