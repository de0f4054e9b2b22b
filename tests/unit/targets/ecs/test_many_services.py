"""Scenario 17: 200 services of one image, within ECS's quotas, played as messages on a virtual clock."""

import heapq
import itertools
import math
from types import SimpleNamespace

import pytest
from ecs_world import MANAGED, REPOSITORY, EcsWorld, container, pinned

from deployer.errors import BusyError
from deployer.model.deployment import Outcome, Request
from deployer.rollouts.fleet import batch
from deployer.targets.ecs.wire.quotas import Buckets
from deployer.tasks.message import DeploymentMessage
from deployer.tasks.rollout import Ended, look

SERVICES = 200


class Bounded:
    """The API in memory behind our buckets, as requests over HTTP are."""

    def __init__(self, world, alone):
        self._api, self._clock = world.api, world.fake.clock
        self.region, self.account = world.api.region, world.api.account
        self._buckets = Buckets(lambda: self._clock.seconds, self._sleep)
        self._wait, self._alone, self._action = world.wait, alone, ""
        self.throttled, self.updates = 0, []

    def _sleep(self, seconds):
        # Of many threads one waits for its token while the others go on, and its request is a little late.
        if self._alone or self._action != "RegisterTaskDefinition":
            self._wait(seconds)

    def call(self, action, **members):
        self._action = action
        self._buckets.take(action)
        try:
            answer = self._api.call(action, **members)
        except BusyError as busy:
            self.throttled += 1
            raise BusyError(str(busy), self._buckets.throttled(action)) from busy
        if action == "UpdateService":
            self.updates.append(self._clock.seconds)
        return answer


class Queue:
    """SQS's: delays of whole seconds, never shorter than asked for; each look is a message of its own."""

    def __init__(self, world):
        self._world, self._messages, self._numbers = world, [], itertools.count()
        self.looks, self.reports = {}, {}

    def send(self, service, message, seconds):
        due = self._world.fake.clock.seconds + math.ceil(seconds)
        heapq.heappush(self._messages, (due, next(self._numbers), service, message))

    def run(self):
        while self._messages:
            due, _, service, message = heapq.heappop(self._messages)
            self._world.wait(max(0.0, due - self._world.fake.clock.seconds))
            self.looks[service] = self.looks.get(service, 0) + 1
            message = DeploymentMessage.decode(message.encode())
            done = look(self._world.deployer, service, message.request(f"t-{service}"), message)
            if isinstance(done, Ended):
                self.reports[service] = done.report
            else:
                assert done.fault is None, "a quota is no fault"
                self.send(service, done.message, done.seconds)


@pytest.fixture(params=["one thread", "many threads"])
def world(request, monkeypatch):
    world = EcsWorld()
    for number in range(SERVICES):
        app = container("app", f"{REPOSITORY}:latest", MANAGED)
        world.operator.create(f"web-{number}", app, family=f"web-{number}", desired=1)
    world.push(1)
    world.wait(60)
    world.forget_calls()
    alone = request.param == "one thread"
    world.fake.quotas = alone
    world.api = Bounded(world, alone)
    world.deployer = world.worker()
    monkeypatch.setattr(batch, "time", SimpleNamespace(monotonic=lambda: world.fake.clock.seconds))
    return world


def begin(world, queue):
    """What `image_pushed` does: parts whose first looks are made together, and messages for the rest."""
    services = world.deployer.target.services()
    assert len(services) == SERVICES
    for part in batch.parts(services):
        requests = [Request(f"t-{one.name}", trigger="event") for one in part]
        for begun in batch.begin(world.deployer, part, requests):
            message = DeploymentMessage(by="event")
            step = begun.step
            message = message.after(step) if step else message
            queue.send(begun.service.name, message, step.seconds if step else 0.0)


def test_17_two_hundred_services_begin_within_two_hundred_seconds(world):
    queue = Queue(world)
    world.push(2)
    start = world.fake.clock.seconds
    begin(world, queue)
    queue.run()
    world.fake.quotas = False
    began = sorted(at - start for at in world.api.updates)
    assert len(began) == SERVICES
    assert began[-1] <= 200
    # The quota leaves no more than 20 at once, then one a second.
    assert all(later - earlier >= 9 for earlier, later in zip(began, began[30:], strict=False))
    assert {report.outcome for report in queue.reports.values()} == {Outcome.UPDATED}
    assert {image for n in range(SERVICES) for image in world.images(f"web-{n}")} == {pinned(2)}
    assert world.api.throttled == 0
    assert world.counted("RegisterTaskDefinition") == SERVICES
    assert max(queue.looks.values()) <= 20
