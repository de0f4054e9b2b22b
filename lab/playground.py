"""A lab to play with: every push to its registry becomes an event, and all parts of the deployer run."""

from __future__ import annotations

import shlex
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from lab import images
from lab.aws import HOST, Queues
from lab.lab import Lab
from lab.processes import Process, free_port, wait_until
from lab.push_hook import Pushed, PushHook

VISIBILITY = 120  # seconds, as in production: `deployer doctor` asks for it


class Playground(Lab):
    """The lab with a bridge, a worker, beat and Flower, and with events for every push."""

    def __init__(self, directory: Path, keep_logs: bool = False) -> None:
        super().__init__(directory, keep_logs)
        self.events: dict[str, datetime] = {}  # by the digest that was pushed, when
        self._hook = PushHook(self.namespaces, self._pushed)
        self.registry.notified = self._hook.url
        self._queues: Queues | None = None  # as soon as somebody listens

    def close(self) -> None:
        """End everything."""
        self._script.unlink(missing_ok=True)
        self._hook.close()
        super().close()

    @property
    def _script(self) -> Path:
        return self.directory / "env.sh"

    def _pushed(self, push: Pushed) -> None:
        self.tell_ecr(push.repository, push.tag, push.digest, push.kind)
        if self._queues:
            self.events[push.digest] = datetime.now(UTC)
            self.aws.send(self._queues.events, self.event(f"{push.repository}:{push.tag}", push.digest))

    def docker_push(self, reference: str, text: str = "v1", kind: str = "web", **options: Any) -> str:
        """Push an image with `docker push`, and return its digest; the registry tells ECR."""
        return images.docker_push(self.docker, f"{HOST}/{reference}", images.make(text, kind, **options))

    def deploy(self) -> dict[str, Process]:
        """Start a bridge and a worker; from now on pushes have events."""
        self._queues = queues = self.aws.queues(visibility=VISIBILITY)
        settings = {"LOG_LEVEL": "INFO", "RECONCILE_INTERVAL": "900"}
        self.variables = self.environment(queues, **settings)
        return {"bridge": self.bridge(queues, **settings), "worker": self.worker(queues, **settings)}

    def watch(self) -> str:
        """Start beat and Flower; return Flower's URL."""
        celery = (sys.executable, "-m", "celery", "-A", "deployer")
        self.spawn("beat", *celery, "beat", env=self.variables)
        port = free_port()
        flower = self.spawn("flower", *celery, "flower", f"--port={port}", env=self.variables)
        wait_until(partial(_serves, flower), 60, "Flower")
        return f"http://127.0.0.1:{port}/"

    def write_environment(self) -> Path:
        """Write, and return, a script that points docker, deployer and celery at all of this."""
        ours = {"LAB": str(self.directory), **self.variables, "DOCKER_CONFIG": str(self.engine.config)}
        kept = {name: value for name, value in ours.items() if name != "HOME"}
        lines = [f"export {name}={shlex.quote(value)}" for name, value in kept.items()]
        self._script.write_text("\n".join([*lines, ""]))
        return self._script


def _serves(flower: Process) -> bool:
    if not flower.running:
        raise RuntimeError(f"Flower ended: {flower.text[-2000:]}")
    return "Visit me" in flower.text
