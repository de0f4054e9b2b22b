"""Three managers on one machine, joined by a network whose cables can be pulled."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path

from lab import images
from lab.aws import HOST, Aws, Queues
from lab.context import Context
from lab.engine import Engine
from lab.janitor import Janitor
from lab.lab import _write_logins
from lab.namespaces import Namespaces
from lab.processes import Process, wait_until
from lab.registry import Registry
from lab.swarm import Swarm

SWITCH = "10.77.0.100"


class Cluster(Context):
    """A Swarm of three managers, a registry and SQS; use it as a context, in the main thread."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="lab-"))
        self._janitor = Janitor()
        self._janitor.path(self.directory)
        self.processes: list[Process] = []
        self._switch = self._namespaces("switch")
        self._run(self._switch, "ip link add bridge type bridge", f"ip addr add {SWITCH}/24 dev bridge")
        self._run(self._switch, "ip link set bridge up")
        self.managers = [self._manager(number) for number in (1, 2, 3)]
        self.registry = Registry(
            self.directory / "ecr", self._switch, [HOST], SWITCH, self.directory / "ecr.log"
        )
        self.aws = Aws(self.directory / "aws", self.directory / "aws.log")

    def _namespaces(self, name: str) -> Namespaces:
        return Namespaces(self.directory / name, {HOST: SWITCH}, self._janitor)

    def _manager(self, number: int) -> Swarm:
        namespaces = self._namespaces(f"m{number}")
        cable = f"ip link add m{number} type veth peer name eth0 netns {namespaces.pid}"
        self._run(self._switch, cable, f"ip link set m{number} master bridge up")
        self._run(namespaces, f"ip addr add 10.77.0.{number}/24 dev eth0", "ip link set eth0 up")
        return Swarm(
            Engine(self.directory / f"m{number}", namespaces, self.directory / f"m{number}.log"), HOST
        )

    @staticmethod
    def _run(namespaces: Namespaces, *commands: str) -> None:
        for command in commands:
            # The network alone is entered: a process id of the machine's must keep its meaning.
            argv = ["nsenter", "--net", "--target", str(namespaces.pid), *command.split()]
            subprocess.run(argv, check=True, capture_output=True)

    def start(self) -> None:
        """Start every part and join the managers."""
        parts = [self.aws, *(manager.engine for manager in self.managers)]
        for part in parts:
            part.begin()
        for part in parts:
            part.ready()
        password = self.aws.password()
        self.registry.accept(password)
        self.registry.start()
        for manager in self.managers:
            _write_logins(manager.engine.config, {HOST: ("AWS", password)})
            trusted = manager.engine.namespaces.certificates / HOST
            trusted.mkdir(parents=True, exist_ok=True)
            shutil.copy(self.registry.root / "certificate.pem", trusted / "ca.crt")
        first = self.managers[0]
        first.docker("swarm", "init", "--advertise-addr", "10.77.0.1", "--dispatcher-heartbeat", "2s")
        token = first.docker("swarm", "join-token", "--quiet", "manager")
        for number, manager in enumerate(self.managers[1:], 2):
            manager.docker(
                "swarm", "join", "--token", token, "--advertise-addr", f"10.77.0.{number}", "10.77.0.1:2377"
            )
        wait_until(lambda: len(first.docker("node", "ls", "-q").split()) == 3, 20, "three managers")

    def close(self) -> None:
        """End everything."""
        self.end_processes()
        for part in (self.registry, self.aws, *(manager.engine for manager in self.managers)):
            part.kill()
        for manager in self.managers:
            manager.engine.namespaces.close()
        self._switch.close()
        self._janitor.close()

    def end_processes(self) -> None:
        """End all workers."""
        for process in self.processes:
            process.kill()
        self.processes.clear()

    def pull_cable(self, number: int) -> None:
        """Cut a manager (1 to 3) off from the others and from the registry."""
        self._run(self._switch, f"ip link set m{number} down")

    def plug_cable(self, number: int) -> None:
        """Connect it again."""
        self._run(self._switch, f"ip link set m{number} up")

    def push(self, reference: str, text: str) -> str:
        """Push an image that sleeps (two on one node must not want the same port); its digest."""
        repository, _, tag = reference.partition(":")
        return self.registry.push(repository, tag, images.make(text, "job", seconds=100_000))

    def worker(self, number: int, queues: Queues, **settings: str) -> Process:
        """Start a worker against one of the managers (1 to 3); settings without their `DEPLOYER_`."""
        env = {**self.environment(number, queues), **{f"DEPLOYER_{k}": v for k, v in settings.items()}}
        name = f"worker-{uuid.uuid4().hex[:4]}"
        argv = [str(Path(sys.executable).with_name("celery")), "-A", "deployer", "worker", "-n", f"{name}@%h"]
        process = Process(argv, self.directory / f"{name}.log", env)
        self.processes.append(process)
        wait_until(lambda: " ready." in process.text, 30, "the worker")
        return process

    def environment(self, number: int, queues: Queues) -> Mapping[str, str]:
        """Return the environment of a worker against one of the managers."""
        return {
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "HOME": str(self.directory),
            "DOCKER_HOST": self.managers[number - 1].engine.socket,
            **self.aws.environment,
            "DEPLOYER_QUEUE": queues.events,
            "DEPLOYER_TASK_QUEUE": queues.tasks,
            "DEPLOYER_RECONCILE_INTERVAL": "0",
            "DEPLOYER_POLL_WAIT": "2",
        }
