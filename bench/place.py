"""The place where all is measured: the parts of the lab, and short words for what the cases do there."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from bench import queues
from bench.engine import RawEngine, Watcher, image_of
from lab import HOST, Lab, Process, Queues, wait_until

QUIET = {"LOG_LEVEL": "INFO", "RECONCILE_INTERVAL": "0", "REDIS_URL": "", "POLL_WAIT": ""}
VISIBILITY = 120  # seconds, as the README wants it
STAMP = re.compile(r"^time=(\S+) ", re.MULTILINE)


class Place(Lab):
    """The lab, with what is the same in all measurements.

    Args:
        quick: smaller sizes and fewer repetitions.
        said: told how it goes on.
    """

    def __init__(self, quick: bool, said: Any = print) -> None:
        super().__init__()
        self.aws.module = "bench.sqs"
        self.quick = quick
        self.say = said
        self._texts = itertools.count(1)
        self._watcher: Watcher | None = None

    def size(self, full: int, quick: int) -> int:
        """Return the first number, or the second for a quick run."""
        return quick if self.quick else full

    @property
    def watcher(self) -> Watcher:
        """Watch for the updates that the Swarm accepts."""
        if self._watcher is None:
            self._watcher = Watcher(self.docker_host)
        return self._watcher

    @property
    def login(self) -> tuple[str, str, str]:
        """Return user and password of ECR, and its host."""
        return "AWS", self.password, HOST

    def raw(self) -> RawEngine:
        """Return a connection to the engine with nothing around it."""
        return RawEngine(self.docker_host, self.login)

    def fresh(self) -> Queues:
        """Create a pair of queues of its own."""
        return self.aws.queues(VISIBILITY, 100)

    def publish(self, reference: str) -> str:
        """Push an image that nobody has pushed before; its digest."""
        return self.push(reference, f"{os.getpid()}-{next(self._texts)}")

    def services(self, reference: str, count: int) -> None:
        """Have exactly so many services of an image, without tasks."""
        raw = self.raw()
        image = f"{HOST}/{reference}"
        # Those of another measurement go, whatever their names.
        found = {service["Spec"]["Name"]: image_of(service) for service in raw.services()}
        have = {name for name, runs in found.items() if runs.startswith(image)}
        want = {f"bench-{number}" for number in range(count)}
        for name in set(found) - (have & want):
            raw.ask("DELETE", f"/services/{name}")
        for name in sorted(want - have):
            raw.create(name, image)

    @contextmanager
    def deployer(self, pair: Queues, workers: int = 1, **settings: str) -> Iterator[tuple[Process, ...]]:
        """Run a bridge and workers while the context lasts; the bridge first."""
        with self.running(pair, True, workers, **settings) as processes:
            yield processes

    @contextmanager
    def running(
        self, pair: Queues, bridge: bool, workers: int, **settings: str
    ) -> Iterator[tuple[Process, ...]]:
        """Run a bridge or none, and workers."""
        wanted = QUIET | settings
        processes = [self.bridge(pair, **wanted)] if bridge else []
        try:
            for _ in range(workers):
                processes.append(self.worker(pair, **wanted))
            time.sleep(0.3)  # their first polls are under way
            yield tuple(processes)
        finally:
            self.end_processes()

    def stranger(self, pair: Queues, docker_host: str, **changes: str) -> Process:
        """Start a worker on another engine; `changes` are of the environment."""
        env = {**self.environment(pair, **QUIET), "DOCKER_HOST": docker_host, **changes}
        argv = [sys.executable, "-m", "celery", "-A", "deployer", "worker", "-n", "stranger@%h"]
        process = self.spawn("stranger", *argv, env=env)
        says(process, " ready.")
        return process

    def empty_environment(self, queue: str, port: int | None = None) -> dict[str, str]:
        """Return the environment of `bench.empty`."""
        env = self.environment(self.fresh(), **QUIET)
        return {
            **{name: value for name, value in env.items() if not name.startswith("DEPLOYER_")},
            "BENCH_QUEUE": queue,
            "BENCH_BROKER": f"127.0.0.1:{port or self.aws.port}",
        }

    def empty_worker(self, env: dict[str, str]) -> Process:
        """Start a worker of an empty app, without waiting."""
        argv = [sys.executable, "-m", "celery", "-A", "bench.empty", "worker", "-l", "INFO", "-n", "empty@%h"]
        return self.spawn("empty", *argv, env=env)

    def event_text(self, reference: str, digest: str) -> str:
        """Return ECR's event of a push, as it lies on the queue."""
        return json.dumps(self.event(reference, digest))

    def drained(self, *urls: str, timeout: float = 120) -> None:
        """Wait until queues are empty."""
        wait_until(
            lambda: not sum(queues.left(self.aws.sqs, url) for url in urls), timeout, "empty queues", 0.1
        )


def says(process: Process, text: str, timeout: float = 60) -> None:
    """Wait until a process has logged a text, to 2 ms."""
    wait_until(partial(_has, process, text), timeout, f"{text!r} in {process.log.name}", every=0.002)


def _has(process: Process, text: str) -> bool:
    if not process.running:
        raise RuntimeError(f"it ended: {process.text[-2000:]}")
    return text in process.text


def stamps(path: Path, text: str) -> list[float]:
    """Return the times at which each line with a text was logged, as `time.time` counts."""
    lines = (line for line in path.read_text(errors="replace").splitlines() if text in line)
    found = (STAMP.match(line) for line in lines)
    return [datetime.fromisoformat(match[1]).timestamp() for match in found if match]


def scatter() -> None:
    """Wait up to 20 ms, so that what is sent meets the emulator's looks at no preferred moment."""
    time.sleep(random.uniform(0, 0.02))
