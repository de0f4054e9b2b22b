"""All the real parts together."""

from __future__ import annotations

import base64
import http.client
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from lab import events, images, port_forward, requirements
from lab.aws import HOST, Aws, Queues
from lab.context import Context
from lab.engine import Engine
from lab.janitor import Janitor
from lab.namespaces import Namespaces
from lab.processes import Process, wait_until
from lab.redis import Redis
from lab.registry import Registry
from lab.swarm import Swarm

OTHER_HOST = "210987654321.dkr.ecr.us-east-1.amazonaws.com"
PLAIN_HOST = "registry.example.com:5000"
PLAIN_LOGIN = ("robot", "plain-password")
ECR_ADDRESS, PLAIN_ADDRESS = "127.0.0.2", "127.0.0.3"


class Lab(Context, Swarm):
    """An engine with a Swarm of one manager, ECR, another registry, SQS and Redis, all in one directory.

    Use it as a context, in the main thread: everything ends with it, and with the process that has made it.

    Args:
        directory: where everything lies, a temporary directory if it is not given. What the lab puts there
            is removed at the end, and the directory if the lab has made it.
        keep_logs: leave `logs` there at the end.
    """

    def __init__(self, directory: Path | None = None, keep_logs: bool = False) -> None:
        requirements.check()
        made = directory is None or not directory.exists()
        self.directory = (directory or Path(tempfile.mkdtemp(prefix="lab-"))).resolve()
        self.logs = self.directory / "logs"
        parts = self.directory / "parts"
        self.logs.mkdir(parents=True, exist_ok=True)
        self._janitor = Janitor()
        for path in (parts, *([] if keep_logs else [self.directory if made else self.logs])):
            self._janitor.path(path)
        self.namespaces = self._make_namespaces(parts / "engine")
        super().__init__(Engine(parts / "engine", self.namespaces, self.logs / "dockerd.log"), HOST)
        ecr, plain = self.logs / "ecr.log", self.logs / "plain-registry.log"
        hosts = [HOST, OTHER_HOST]
        self.aws = Aws(parts / "aws", self.logs / "aws.log")
        self.registry = Registry(
            parts / "ecr", self.namespaces, hosts, ECR_ADDRESS, ecr, pushed=self.aws.put_image
        )
        user, password = PLAIN_LOGIN
        self.plain_registry = Registry(
            parts / "plain", self.namespaces, [PLAIN_HOST], PLAIN_ADDRESS, plain, user
        )
        self.plain_registry.accept(password)
        self.redis = Redis(self.logs / "redis.log")
        self.processes: list[Process] = []
        self.password = ""  # the one in ECR's tokens
        self._parts = parts
        self._forwards: list[port_forward.PortForward] = []
        self._numbers = itertools.count(1)

    def _make_namespaces(self, root: Path) -> Namespaces:
        addresses = {HOST: ECR_ADDRESS, OTHER_HOST: ECR_ADDRESS, PLAIN_HOST.partition(":")[0]: PLAIN_ADDRESS}
        return Namespaces(root, addresses, self._janitor)

    def start(self) -> None:
        """Start every part, side by side, and wait until all of them serve."""
        early = (self.engine, self.aws, self.redis, self.plain_registry)
        for part in early:
            part.begin()
        for part in early:
            part.ready()
        self.password = self.aws.password()
        self.registry.accept(self.password)
        self.registry.start()
        logins = {HOST: ("AWS", self.password), OTHER_HOST: ("AWS", self.password), PLAIN_HOST: PLAIN_LOGIN}
        _write_logins(self.engine.config, logins)
        _write_logins(self._parts / "deployer", {PLAIN_HOST: PLAIN_LOGIN})
        self.docker("swarm", "init", "--advertise-addr", "127.0.0.1")

    def close(self) -> None:
        """End everything and remove what is not to be kept."""
        self.end_processes()
        for forward in self._forwards:
            forward.close()
        for part in (self.registry, self.plain_registry, self.aws, self.redis, self.engine):
            part.kill()
        self.namespaces.close()
        self._janitor.close()

    @property
    def docker_host(self) -> str:
        """Return the engine's address, for DOCKER_HOST."""
        return self.engine.socket

    def push(self, reference: str, text: str = "v1", kind: str = "web", **options: Any) -> str:
        """Push an image to ECR, straight over HTTP; its digest, the same for the same content.

        ECR's API knows of it too, to the second, as of all that is pushed here.

        Args:
            reference: repository and tag, without the registry: `team/web:latest`.
            text: see `images.make`, as for all the others.
            kind: what its container does.
            options: more of `images.make`.
        """
        return self.registry.push(*_parsed(reference), images.make(text, kind, **options))

    def push_index(self, reference: str, text: str = "v1", kind: str = "web", **options: Any) -> str:
        """Push the index of an image and its attestation, as BuildKit does; the index's digest."""
        return self.registry.push_index(*_parsed(reference), images.make(text, kind, **options))

    def docker_push(self, reference: str, text: str = "v1", kind: str = "web", **options: Any) -> str:
        """Load an image into the engine and push it with `docker push`; its digest.

        The client compresses the layer, so it is another digest than that of `push`.
        """
        name = f"{HOST}/{':'.join(_parsed(reference))}"
        digest = images.docker_push(self.docker, name, images.make(text, kind, **options))
        self.tell_ecr(*_parsed(reference), digest, images.MANIFEST)
        return digest

    def tell_ecr(self, repository: str, tag: str, digest: str, kind: str) -> None:
        """Tell ECR's API of a manifest, of this media type, that the registry has."""
        path = f"/v2/{repository}/manifests/{digest}"
        self.aws.put_image(repository, tag, self.registry.request("GET", path, accept=kind)[2], kind)

    @staticmethod
    def event(reference: str, digest: str, at: datetime | None = None) -> dict[str, Any]:
        """Return the event that EventBridge makes of a push to ECR."""
        return events.pushed(*_parsed(reference), digest, at)

    def http(self, port: int, path: str = "/") -> str:
        """Return a page of a service that runs with `--network host`.

        Raises:
            OSError: nobody listens there, or the answer is not a page.
        """
        return self.namespaces.call(partial(_fetch, "127.0.0.1", port, path))

    def page(self, port: int) -> str:
        """Return the same page, empty while nobody answers."""
        try:
            return self.http(port)
        except OSError:
            return ""

    def pages(self, service: str) -> list[str]:
        """Return the pages of a service's running containers without a port, sorted; "" for each that does
        not answer.
        """
        return sorted(self.namespaces.call(partial(_page, host)) for host in self.addresses(service))

    def forward(self, port: int) -> int:
        """Open a port of 127.0.0.1 on the machine that leads to this one inside, until the lab is closed."""
        self._forwards.append(port_forward.into(self.namespaces, port))
        return self._forwards[-1].port

    def environment(self, queues: Queues, **settings: str) -> dict[str, str]:
        """Return the environment of a bridge or a worker.

        Args:
            queues: the queues that they use.
            settings: variables of the deployer, without `DEPLOYER_`; an empty one is left out.
        """
        ours = {
            "QUEUE": queues.events,
            "TASK_QUEUE": queues.tasks,
            "REDIS_URL": self.redis.url,
            "LOG_LEVEL": "DEBUG",
            "RECONCILE_INTERVAL": "0",  # a worker that looks around by itself would hide what events do
            "POLL_WAIT": "2",  # a part that ends waits for its last poll
        }
        return {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self._parts),
            "DOCKER_HOST": self.docker_host,
            "DOCKER_CONFIG": str(self._parts / "deployer"),  # it knows no password of ECR
            **self.aws.environment,
            **{f"DEPLOYER_{name}": value for name, value in {**ours, **settings}.items() if value},
        }

    def spawn(self, name: str, *argv: str, env: Mapping[str, str]) -> Process:
        """Start a process whose log is `logs/NAME-N.log`; it ends with the test."""
        process = Process(list(argv), self.logs / f"{name}-{next(self._numbers)}.log", env)
        self.processes.append(process)
        return process

    def bridge(self, queues: Queues, **settings: str) -> Process:
        """Start a bridge, and wait until it polls; settings as of `environment`."""
        env = self.environment(queues, **settings)
        process = self.spawn("bridge", sys.executable, "-m", "deployer", "bridge", env=env)
        wait_until(partial(_says, process, "Bridge started"), 30, "the bridge", every=0.02)
        return process

    def worker(self, queues: Queues, *options: str, **settings: str) -> Process:
        """Start a worker with these options of `celery worker`, and wait until it is ready."""
        env = self.environment(queues, **settings)
        name = f"worker-{next(self._numbers)}@%h"
        command = [sys.executable, "-m", "celery", "-A", "deployer", "worker", "-n", name]
        process = self.spawn("worker", *command, *options, env=env)
        wait_until(partial(_says, process, " ready."), 30, "the worker", every=0.02)
        return process

    def python(self, queues: Queues, code: str, **settings: str) -> str:
        """Run Python with the deployer's settings, as a person would; what it prints."""
        env = self.environment(queues, **settings)
        done = subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60
        )
        if done.returncode:
            raise RuntimeError(done.stderr[-2000:])
        return done.stdout

    def end_processes(self) -> None:
        """End all that was spawned."""
        for process in self.processes:
            process.kill()
        self.processes.clear()

    def restore(self) -> None:
        """Bring back whatever was stopped, killed, frozen or told to refuse."""
        for part in (self.engine, self.aws, self.redis, self.registry, self.plain_registry):
            part.restore()
        if self.registry.password != self.password:
            self.registry.accept(self.password)


def _parsed(reference: str) -> tuple[str, str]:
    repository, _, tag = reference.partition(":")
    return repository, tag or "latest"


def _write_logins(directory: Path, logins: Mapping[str, tuple[str, str]]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    auths = {
        host: {"auth": base64.b64encode(":".join(login).encode()).decode()} for host, login in logins.items()
    }
    (directory / "config.json").write_text(json.dumps({"auths": auths}))


def _says(process: Process, text: str) -> bool:
    if not process.running:
        raise RuntimeError(f"it ended: {process.text[-2000:]}")
    return text in process.text


def _page(host: str) -> str:
    try:
        return _fetch(host, images.PORT, "/")
    except OSError:
        return ""


def _fetch(host: str, port: int, path: str) -> str:
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read().decode()
    except http.client.HTTPException as fault:
        raise OSError(f"no answer of HTTP at {host}:{port}: {fault!r}") from fault
    finally:
        connection.close()
    if answer.status != 200:
        raise OSError(f"{path} at {host}:{port}: {answer.status} {text}")
    return text.strip()
