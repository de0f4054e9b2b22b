"""The simulated world: a Swarm in memory, a registry, a queue that repeats and delays, workers that die."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from deployer.errors import DeployerError
from deployer.model.deployment import Again, Outcome, Report, Request
from deployer.model.evidence import Unproved
from deployer.model.image import Image
from deployer.model.service import Manifest, Service
from deployer.policies.labels import concerns
from deployer.policies.proofs import Verify
from deployer.rollouts.decision import Rules
from deployer.rollouts.deployer import Deployer
from deployer.rollouts.fleet import renewal, survey
from deployer.rollouts.ledger import trials
from deployer.rollouts.ledger.slots import Observer
from deployer.rollouts.ports import Change, Credentials
from deployer.targets.swarm.memory import MemoryEngine, Operator, service_spec
from deployer.targets.swarm.target import SwarmTarget
from deployer.tasks.message import DeploymentMessage
from deployer.tasks.rollout import Ended, look
from deployer.testing import FakeSwarm
from lab.simulate.oracle import Oracle

REPOSITORY = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/team/web"
RECONCILE, RENEWAL, VISIBILITY = 900.0, 3600.0, 120.0  # seconds
# So long after the last change only tasks that crash for ever still move, always in the same way. A look
# sees no more of them than the task history keeps, so what nobody looks at need not be played.
STEADY, SEEN = 240.0, 40.0  # seconds
REPEATED, DELAYED, DIES = 0.05, 0.1, 0.03  # chances, for each message


class Died(BaseException):
    """A worker's process is gone, between two calls."""


@dataclass(order=True)
class Message:
    """What lies in the queue."""

    due: float
    order: int
    service: str = field(compare=False)
    task: str = field(compare=False)
    body: Mapping[str, Any] = field(compare=False)
    asked: Mapping[str, Any] = field(compare=False, default_factory=dict)


class Port(FakeSwarm):
    """One worker's way to the Swarm and the registry; the process may die before each call."""

    def __init__(self, world: World) -> None:
        super().__init__(world.engine)
        self.world = world
        self.dies_in: int | None = None
        self.request: Request | None = None

    def _step(self) -> None:
        if self.dies_in is not None:
            self.dies_in -= 1
            if self.dies_in < 0:
                raise Died

    def read(self, name: str, now: datetime) -> Any:
        """Read one service."""
        self._step()
        return super().read(name, now)

    def ledger(self) -> Any:
        """Read the ledger."""
        self._step()
        return super().ledger()

    def write_ledger(self, read: Any, labels: Mapping[str, str]) -> None:
        """Write the ledger."""
        self._step()
        super().write_ledger(read, labels)

    def manifest(self, image: Image, credentials: Credentials | None) -> Manifest:
        """Ask the registry."""
        self._step()
        return super().manifest(image, credentials)

    def apply(self, service: Service, change: Change, credentials: Credentials | None) -> None:
        """Write a service, under the oracle's eyes."""
        self._step()
        if change.image:
            by = f"{self.request.deployment_id} ({change.state.by})" if self.request else "?"
            self.world.say(f"{service.name}: {by} writes …{str(change.image)[-4:]}")
        self.world.oracle.before_write(self.world, service, change, self.request)
        super().apply(service, change, credentials)
        self.world.oracle.wrote(service, change, self.request)
        self._step()

    def unproved(self, image: Image, verify: Verify, login: str | None = None) -> Unproved | None:
        """Tell whether an image is signed."""
        del login
        self._step()
        return None if image.digest in self.world.signed else Unproved(f"{verify} has not signed it")

    def credentials(self, image: Image, login: str | None = None) -> Credentials | None:
        """Return credentials for any registry."""
        del login
        return Credentials("AWS", "token", image.host)


class World:
    """Everything, and the time."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.engine = MemoryEngine()
        self.operator = Operator(self.engine)
        self.oracle = Oracle()
        self.rules = Rules(
            rollout_timeout=300.0,
            max_rollouts=chance.choice([0, 1, 2]),
            settle=chance.choice([0.0, 0.0, 60.0]),
        )
        self.skews = [chance.choice([0.0, 0.0, 240.0, -240.0]) for _ in range(3)]
        self.signed: set[str | None] = set()  # digests
        self.observers = [self._observer() for _ in self.skews]
        self.queue: list[Message] = []
        self.order = itertools.count()
        self.numbers = itertools.count(1)
        self.log: list[str] = []
        for name in ("node-2", "node-3"):
            self.engine.add_node(name)

    @property
    def now(self) -> float:
        """Seconds since the beginning."""
        return self.engine.timeline.seconds

    def _observer(self) -> Observer:
        return Observer(lambda: self.now)

    def held(self, name: str) -> str | None:
        """Return whether a service is held or all are frozen."""
        target = SwarmTarget(self.engine)
        hold = target.ledger().hold(name, target.service(name).id, self.engine.timeline.now)
        return f"held ({hold})" if hold else None

    def known(self, name: str) -> set[str]:
        """Return the digests that a service's tasks, the spec before or the ledger tell of."""
        target = SwarmTarget(self.engine)
        raw = self.engine.service(name)
        templates = [task["Spec"] for task in self.engine.tasks([raw["ID"]])]
        templates.append((raw.get("PreviousSpec") or raw["Spec"])["TaskTemplate"])
        images = [str(template["ContainerSpec"]["Image"]) for template in templates]
        ledger = target.ledger()
        trial = trials.find(ledger, name)
        noted = {trial.digest} if trial else set()
        return {image.partition("@")[2] for image in images} | noted | set(ledger.failures(name))

    def say(self, text: str) -> None:
        """Add a line to the story."""
        self.log.append(f"{self.now:9.0f} s  {text}")

    def create(self, name: str, tag: str, labels: Mapping[str, str], failure_action: str) -> None:
        """Create a service that runs."""
        digest = self.engine.digests[f"{REPOSITORY}:{tag}"]
        spec = service_spec(
            name,
            f"{REPOSITORY}:{tag}@{digest}",
            replicas=2,
            labels=labels,
            update={"FailureAction": failure_action},
        )
        self.engine.create_service(spec, running=True)

    def push(self, tag: str, crashing: bool, lost: bool) -> str:
        """Push a new image, with or without its event."""
        digest = f"sha256:{next(self.numbers):064x}"
        self.engine.digests[f"{REPOSITORY}:{tag}"] = digest
        if crashing:
            self.engine.images.crashing.add(digest)
        self.oracle.pushed(tag, digest)
        if not lost:
            self.event(tag, digest)
        return digest

    def event(self, tag: str, digest: str) -> None:
        """Send the event of a push to each service that it concerns."""
        pushed = Image.parse(f"{REPOSITORY}:{tag}")
        for service in SwarmTarget(self.engine).services():
            if concerns(service, pushed):
                body = DeploymentMessage(by="event", event=digest, hint=digest, service_id=service.id)
                self.send(service.name, f"event-{digest[-4:]}-{service.id}", body.encode())

    def send(
        self, service: str, task: str, body: Mapping[str, Any], seconds: float = 0.0, **asked: Any
    ) -> None:
        """Put a message into the queue: at least once, late at times."""
        copies = 2 if self.chance.random() < REPEATED else 1
        for _ in range(copies):
            late = self.chance.uniform(0, 600) if self.chance.random() < DELAYED else 0.0
            due = self.now + seconds + late + self.chance.uniform(0, 1)
            heapq.heappush(self.queue, Message(due, next(self.order), service, task, dict(body), dict(asked)))

    # -- the workers -------------------------------------------------------------------------------

    def worker(self) -> tuple[Deployer, Port, int]:
        """Return any of the workers."""
        number = self.chance.randrange(len(self.skews))
        port, skew = Port(self), timedelta(seconds=self.skews[number])
        if self.chance.random() < DIES:
            port.dies_in = self.chance.randrange(12)
        timeline = self.engine.timeline
        deployer = Deployer(
            port, port, self.rules, lambda: timeline.now + skew, observer=self.observers[number]
        )
        return deployer, port, number

    def take(self, message: Message) -> None:
        """Have a worker look at a deployment once."""
        deployer, port, number = self.worker()
        read = DeploymentMessage.decode(message.body)
        port.request = read.request(message.task, **message.asked)
        try:
            step = look(deployer, message.service, port.request, read, timedelta(seconds=RECONCILE))
        except Died:
            self.observers[number] = self._observer()
            self.say(f"a worker dies with {message.task} of {message.service}")
            message.due = self.now + VISIBILITY
            heapq.heappush(self.queue, message)
            return
        if isinstance(step, Ended):
            self._end(message, step.report)
            return
        self.oracle.goes_on(message.task)
        again = Message(
            self.now + max(step.seconds, 1.0) + self.chance.uniform(0, 1),
            next(self.order),
            message.service,
            message.task,
            step.message.encode(),
            message.asked,
        )
        heapq.heappush(self.queue, again)

    def _end(self, message: Message, report: Report) -> None:
        self.say(f"{message.service}: {message.task} ends as {report.outcome}: {report.reason[:90]}")
        self.oracle.ended(message.service, message.task, report)

    def reconcile(self) -> None:
        """Make the periodic look."""
        deployer, _, _ = self.worker()
        try:
            found = survey.survey(deployer, at_once=1)  # one thread: a story comes out the same each time
        except (Died, DeployerError):
            return
        self.oracle.looked(self)
        for one in found.behind:
            if one.now:
                task = f"late-{one.service_id}-{one.wanted[-4:]}"
                self.send(one.service, task, DeploymentMessage(by="reconcile").encode())

    def renew(self) -> None:
        """Renew old credentials."""
        deployer, _, _ = self.worker()
        try:
            renewal.refresh(deployer, timedelta(hours=6))
        except (Died, DeployerError):
            return

    def run_until(self, time: float) -> None:
        """Let everything happen that is due."""
        while self.queue and self.queue[0].due <= time:
            message = heapq.heappop(self.queue)
            self._pass(message.due)
            self.take(message)
        self._pass(time)

    def _pass(self, time: float) -> None:
        """Let the Swarm go on until a time at which somebody looks at it."""
        timeline = self.engine.timeline
        begin, end = max(self.now, self.engine.disturbed_at + STEADY), time - SEEN
        if begin < end:
            timeline.advance(begin - self.now)
            timeline.skip(end - begin)
        timeline.advance(max(0.0, time - self.now))
        for record in self.engine.cluster.services.values():
            self.oracle.engine_says(record.name, record.status or {})


__all__ = ["RECONCILE", "RENEWAL", "REPOSITORY", "Again", "Outcome", "World"]
