"""A private Docker engine, in namespaces of its own."""

from __future__ import annotations

import http.client
import json
import os
import shlex
import socket
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

from lab.namespaces import Namespaces
from lab.processes import Process, wait_until
from lab.programs import PATH, program
from lab.server import Server

DOCKER, DOCKERD = program("docker"), program("dockerd")
SOCKET_PATH = 107  # bytes, unix(7)


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Engine(Server):
    """An engine; its data stay for the next start, and its containers run on after a `kill`.

    Args:
        root: a directory of its own, with a short path.
        namespaces: where it runs, with all its containers.
        log: where its output goes.

    Raises:
        ValueError: the path is too long for the sockets in it.
    """

    def __init__(self, root: Path, namespaces: Namespaces, log: Path) -> None:
        super().__init__("the engine")
        if len(os.fsencode(root / "data/swarm/control.sock")) > SOCKET_PATH:
            raise ValueError(f"the path of the lab is too long for a Unix socket in it: {root}")
        self.root = root
        self.namespaces = namespaces
        self._log = log
        self._path = root / "docker.sock"
        self.socket = f"unix://{self._path}"
        self.config = root / "client"
        self.config.mkdir(parents=True, exist_ok=True)
        # Plugins that lie beside the client, wherever it is.
        plugins = Path(DOCKER).parent.parent / "libexec" / "docker" / "cli-plugins"
        if plugins.is_dir() and not (self.config / "cli-plugins").exists():
            (self.config / "cli-plugins").symlink_to(plugins)

    def launch(self) -> Process:
        """Start dockerd, and with it a containerd of its own."""
        options = {
            "data-root": self.root / "data",
            "exec-root": "/run/docker",  # a /run that is seen in the namespaces only
            "pidfile": "/run/docker.pid",
            "host": self.socket,
            # systemd, the default on many machines, knows nothing of the processes in our namespaces.
            "exec-opt": "native.cgroupdriver=cgroupfs",
            "cgroup-parent": f"/{self.namespaces.cgroup}",
            "shutdown-timeout": 2,
        }
        # What a killed engine leaves behind, in a /run that outlives it.
        fresh = ["sh", "-c", 'rm -f /run/docker.pid; exec "$@"', "engine"]
        more = shlex.split(os.environ.get("LAB_DOCKERD", ""))
        argv = [*fresh, DOCKERD, *(f"--{key}={value}" for key, value in options.items()), *more]
        # Its containerd and runc are those beside it.
        env = {**os.environ, "PATH": PATH}
        return Process(self.namespaces.command(*argv, processes=True), self._log, env, forks=True)

    def answers(self) -> bool:
        """Return whether the API answers."""
        return self._ask("/_ping")[0] == 200

    def _ask(self, path: str, timeout: float = 5, body: object = None) -> tuple[int, bytes]:
        connection = _Connection(self._path, timeout)
        try:
            if body is None:
                connection.request("GET", path)
            else:
                headers = {"Content-Type": "application/json"}
                connection.request("POST", path, json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except http.client.HTTPException as fault:
            raise OSError(f"{self.name} hung up") from fault
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        """Return the engine's answer at a path, such as `/services/web`, in the engine's own API version.

        Raises:
            LookupError: there is no such thing.
            OSError: the engine does not answer.
            RuntimeError: it answers with another error.
        """
        status, answer = self._ask(path, 30)
        if status == 404:
            raise LookupError(answer.decode().strip())
        if status >= 300:
            raise RuntimeError(f"GET {path}: {status} {answer.decode().strip()}")
        return json.loads(answer)

    def post(self, path: str, body: object) -> tuple[int, str]:
        """Post JSON to a path of the engine's API, and return the status and the text of the answer."""
        status, answer = self._ask(path, 30, body)
        return status, answer.decode().strip()

    def docker(self, *argv: str, stdin: bytes | None = None, timeout: float = 120) -> str:
        """Run a command of Docker's client against this engine; what it printed.

        Raises:
            RuntimeError: it failed; with what it said.
            subprocess.TimeoutExpired: it took longer than `timeout` seconds.
        """
        env = {
            "PATH": PATH,
            "DOCKER_HOST": self.socket,
            "DOCKER_CONFIG": str(self.config),
        }
        done = subprocess.run([DOCKER, *argv], env=env, input=stdin, capture_output=True, timeout=timeout)
        if done.returncode:
            raise RuntimeError(f"docker {' '.join(argv)}: {done.stderr.decode().strip()}")
        return done.stdout.decode().strip()

    def remove_containers(self) -> None:
        """Remove all containers, and wait until they are gone."""

        def gone() -> bool:
            left = [container["Id"] for container in self.get("/containers/json?all=1")]
            if left:
                with suppress(RuntimeError):  # somebody else removes it already
                    self.docker("rm", "--force", *left)
            return not left

        wait_until(gone, 30, "an engine without containers")
