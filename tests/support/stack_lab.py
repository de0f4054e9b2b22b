"""The stack of a stack file on the lab's Swarm, and pushes that flow while it changes."""

from __future__ import annotations

import http.client
import itertools
import json
import re
import threading
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from paths import ROOT

from lab import HOST, Lab, Process, Queues, container, wait_until
from lab.engine import DOCKER

OURS = ("bridge", "worker", "beat", "flower", "webhook")
PARTS = (*OURS, "redis", "socket-proxy")


class Stack:
    """The stack of stack files, with SQS outside of it.

    Args:
        lab: its engine has the image, and a registry too.
        queues: that the parts use.
        image: of the deployer.
        inward: opens a port inside.
        files: names of stack files; the later ones add to the earlier ones.
        variables: what they ask of the environment, beyond what the lab knows.
    """

    def __init__(
        self,
        lab: Lab,
        queues: Queues,
        image: str,
        inward: Callable[[int], None],
        *files: str,
        **variables: str,
    ) -> None:
        self.lab, self.queues = lab, queues
        inward(lab.aws.port)
        gateway = lab.docker(
            "network", "inspect", "--format", "{{(index .IPAM.Config 0).Gateway}}", "docker_gwbridge"
        )
        # Where containers of an overlay network find what listens inside on every address.
        aws = partial(str.replace, lab.aws.endpoint, "127.0.0.1", gateway)
        self._secret("aws_credentials", "[default]\naws_access_key_id = test\naws_secret_access_key = test\n")
        self._secret("deployer_redis_url", "redis://:redis-password@redis:6379/0\n")
        self._secret("deployer_webhook_secrets", "plain=webhook-secret-of-24-chars\n")
        self._secret("flower_basic_auth", "operator:flower-password\n")
        lab.docker("node", "update", "--label-add", "deployer.state=true", lab.docker("node", "ls", "-q"))
        paths = [ROOT / "deploy" / name for name in files]
        text = "".join(path.read_text() for path in paths)
        self.parts = [part for part in PARTS if re.search(rf"^  {part}:$", text, re.MULTILINE)]
        self.ours = [part for part in self.parts if part in OURS]
        # A part that ends waits for its last poll.
        ours = {"AWS_ENDPOINT_URL": aws(), "DEPLOYER_POLL_WAIT": "2"}
        extra: dict[str, Any] = {part: {"environment": ours} for part in self.ours}
        if "stack.prometheus.yml" in files:
            extra["prometheus"] = {"deploy": {"replicas": 0}}  # there is none here
        override = lab.directory / "override.json"
        override.write_text(json.dumps({"version": "3.8", "services": extra}))
        self._files = [*paths, override]
        self._variables = {
            "DEPLOYER_IMAGE": image,
            "AWS_REGION": "eu-central-1",
            "DEPLOYER_QUEUE": queues.events.replace("127.0.0.1", gateway),
            "DEPLOYER_TASK_QUEUE": queues.tasks.replace("127.0.0.1", gateway),
            "REDIS_IMAGE": "lab/redis",
            "SOCKET_PROXY_IMAGE": "lab/haproxy",
            "DOCKER_SOCKET": f"{lab.engine.root}/docker.sock",
            **variables,
        }
        self.deploy()
        try:
            wait_until(lambda: all(self.is_up(part) for part in self.parts), 90, "the stack", every=0.3)
        except TimeoutError:
            down = [f"deployer_{part}" for part in self.parts if not self.is_up(part)]
            tasks = [lab.docker("service", "ps", "--no-trunc", name) for name in down]
            pytest.fail("\n".join([*tasks, *(lab.docker("service", "logs", name) for name in down)]))

    def deploy(self, **variables: str) -> None:
        """`docker stack deploy`, with these variables changed from now on."""
        self._variables |= variables
        container.deploy(self.lab, "deployer", self._files, self._variables)

    def _secret(self, name: str, text: str) -> None:
        self.lab.docker("secret", "create", name, "-", stdin=text.encode())

    def is_up(self, part: str) -> bool:
        """Whether as many tasks of a part run as are wanted."""
        return self.lab.is_up(f"deployer_{part}")

    def publish(self, reference: str, digest: str) -> str:
        """Tell of a push; the event's id."""
        event = self.lab.event(reference, digest)
        self.lab.aws.send(self.queues.events, json.dumps(event))
        return str(event["id"])

    def push(self, reference: str, text: str) -> str:
        """Push another image and tell of it; its digest."""
        digest = self.lab.push(reference, text)
        self.publish(reference, digest)
        return digest

    def containers(self, part: str) -> list[str]:
        """The containers of a part that run."""
        label = f"label=com.docker.swarm.service.name=deployer_{part}"
        return self.lab.docker("ps", "--quiet", "--filter", label).split()

    def execute(self, part: str, *argv: str) -> str:
        """What a command prints in a container of a part."""
        return self.lab.docker("exec", self.containers(part)[0], *argv)

    def follow(self, part: str) -> Process:
        """Write down all that the containers of a part log from now on, also those that end."""
        client = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DOCKER_HOST": self.lab.docker_host}
        argv = [DOCKER, "service", "logs", "--raw", "--follow", f"deployer_{part}"]
        return self.lab.spawn(f"log-of-{part}", *argv, env=client)

    def rolled_out(self, service: str, image: str, timeout: float = 60) -> None:
        """Wait until a service is to run an image."""
        wait_until(lambda: self.lab.image_of(service) == image, timeout, f"{service} on {image}", every=0.2)

    def updated(self, parts: Iterable[str], timeout: float = 90) -> None:
        """Wait until the Swarm has ended an update of each of these parts, well."""
        for part in parts:

            def done(part: str = part) -> bool:
                state = self.lab.inspect(f"deployer_{part}").get("UpdateStatus", {}).get("State")
                assert state not in {"paused", "rollback_started", "rollback_completed"}, (part, state)
                return state == "completed" and self.is_up(part)

            wait_until(done, timeout, f"the end of the update of {part}", every=0.3)


def flower(lab: Lab, path: str, login: str | None = "operator:flower-password") -> tuple[int, str]:
    """What Flower answers on the port of the node: status and body."""

    def ask() -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", 5555, timeout=10)
        headers = {"Authorization": f"Basic {b64encode(login.encode()).decode()}"} if login else {}
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    return lab.namespaces.call(ask)


@dataclass(frozen=True)
class Push:
    """A push that was told of."""

    service: str
    digest: str
    event: str  # its id


class Flow:
    """Pushes one after another, each a new digest for the next of some services, and a look at what these run.

    Use it as a context; with its end the pushes end.

    Args:
        stack: is told of them.
        references: repository and tag of each service.
        every: seconds between two pushes.
    """

    def __init__(self, stack: Stack, references: Mapping[str, str], every: float = 1.0) -> None:
        self.pushes: list[Push] = []
        self.seen: dict[str, list[str]] = {service: [] for service in references}
        self._stack, self._references, self._every = stack, references, every
        self._ended = threading.Event()
        self._faults: list[Exception] = []
        self._threads = [
            threading.Thread(target=self._guarded, args=(work,)) for work in (self._push, self._look)
        ]

    def __enter__(self) -> Flow:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Push no more; the watching ends too.

        Raises:
            Exception: what kept a push from being made, or a look.
        """
        self._ended.set()
        for thread in self._threads:
            thread.join()
        if self._faults:
            raise self._faults[0]

    def flowed(self, count: int, timeout: float = 60) -> None:
        """Wait until so many more pushes have been made."""
        wanted = len(self.pushes) + count
        wait_until(lambda: len(self.pushes) >= wanted or self._faults, timeout, f"{count} more pushes")

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as fault:  # noqa: BLE001 - the main thread shall know
            self._faults.append(fault)

    def _push(self) -> None:
        services = itertools.cycle(self._references.items())
        for number in itertools.count(1):
            service, reference = next(services)
            digest = self._stack.lab.push(reference, f"{service} {number}")
            self.pushes.append(Push(service, digest, self._stack.publish(reference, digest)))
            if self._ended.wait(self._every):
                return

    def _look(self) -> None:
        while not self._ended.wait(0.1):
            self.look()

    def look(self) -> None:
        """Note what each service is to run now."""
        for service in self._stack.lab.engine.get("/services"):
            name = service["Spec"]["Name"]
            if name in self.seen:
                image = str(service["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"])
                if self.seen[name][-1:] != [image]:
                    self.seen[name].append(image)

    def last(self) -> dict[str, str]:
        """The image of the last push of each service."""
        digests = {push.service: push.digest for push in self.pushes}
        return {name: f"{HOST}/{self._references[name]}@{digest}" for name, digest in digests.items()}

    def steps_back(self) -> list[tuple[str, str, str]]:
        """Where a service went from an image to one that was pushed before it, or to one that nobody pushed."""
        wrong = []
        for service, images in self.seen.items():
            order = [push.digest for push in self.pushes if push.service == service]
            for before, after in itertools.pairwise(images):
                first, second = (image.partition("@")[2] for image in (before, after))
                # The image that the service was made with is no push of ours.
                if second not in order or (first in order and order.index(second) < order.index(first)):
                    wrong.append((service, before, after))
        return wrong
