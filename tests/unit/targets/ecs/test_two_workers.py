"""Scenario 10: two workers at the same service at the same moment, a hundred times.

ECS has no compare-and-swap. With a ledger one of them writes; without one both may, and the end is right.
"""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from ecs_world import EcsWorld, pinned

from deployer.aws.accounts import Accounts
from deployer.errors import BusyError, StaleVersionError, TemporaryError
from deployer.model.deployment import Again, Outcome, Report, Request
from deployer.targets.ecs.wire.ledger import DynamoLedger, NoLedger
from lab import REGION
from lab.aws import Aws

ROUNDS = 100


class SideBySide:
    """The API in memory for two threads: both have read the service before either goes on."""

    def __init__(self, api):
        self._api, self._lock = api, threading.Lock()
        self.region, self.account = api.region, api.account
        self.barrier = None
        self._waited = threading.local()
        self._chance = random.Random(10)

    def call(self, action, **members):
        with self._lock:
            answer = self._api.call(action, **members)
        if self.barrier is None:
            return answer
        if action == "DescribeServices" and getattr(self._waited, "at", None) is not self.barrier:
            self._waited.at = self.barrier
            self.barrier.wait(10)
        time.sleep(self._chance.uniform(0, 0.001))  # the other thread may go on
        return answer


@pytest.fixture
def world():
    world = EcsWorld()
    world.api = SideBySide(world.api)
    world.create()
    return world


def at_once(world, workers, round_number):
    """The first looks of two deployments for one push, begun together; what came of each."""
    world.api.barrier = threading.Barrier(len(workers))

    def look(number):
        request = Request(f"t{round_number}-{number}", trigger="event")
        try:
            return request, workers[number].advance("web", request)
        except TemporaryError as fault:
            return request, fault

    with ThreadPoolExecutor(len(workers)) as pool:
        found = list(pool.map(look, range(len(workers))))
    world.api.barrier = None
    return found


def race(world, *stores):
    """Push a hundred times; return how many deployments each push led to, and the outcomes."""
    workers = [world.worker(store) for store in stores]
    writes, outcomes = [], []
    for number in range(2, ROUNDS + 2):
        world.push(number)
        world.forget_calls()
        for (request, step), worker in zip(at_once(world, workers, number), workers, strict=True):
            watch = step.watch if isinstance(step, Again) else None
            done = step if isinstance(step, Report) else world.go_on("web", request, watch, worker=worker)
            outcomes.append(done.outcome)
        writes.append((world.counted("RegisterTaskDefinition"), world.counted("UpdateService")))
        assert world.images() == [pinned(number)]
    return writes, outcomes


def test_10_with_a_ledger_each_push_is_one_deployment(world):
    writes, outcomes = race(world, world.store, world.store)
    assert set(writes) == {(1, 1)}
    assert set(outcomes) <= {Outcome.UPDATED, Outcome.UNCHANGED, Outcome.SUPERSEDED}
    assert outcomes.count(Outcome.UPDATED) >= ROUNDS


def test_10_without_a_ledger_the_end_is_right(world):
    writes, outcomes = race(world, NoLedger(), NoLedger())
    assert max(updates for _, updates in writes) <= 2
    assert not {Outcome.FAILED, Outcome.ROLLED_BACK} & set(outcomes)


# -- DynamoDB itself -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def emulator(tmp_path_factory):
    root = tmp_path_factory.mktemp("aws")
    found = Aws(root / "aws", root / "aws.log")
    found.start()
    found.ledger_table("deployer-ledger")
    yield found
    found.kill()


@pytest.fixture
def dynamo(emulator, monkeypatch):
    for name, value in emulator.environment.items():
        monkeypatch.setenv(name, value)
    return lambda: DynamoLedger("deployer-ledger", REGION, Accounts((), lambda: datetime.now(UTC)))


@pytest.mark.real
def test_10_with_dynamodb_each_push_is_one_deployment(world, dynamo):
    writes, _ = race(world, dynamo(), dynamo())
    assert set(writes) == {(1, 1)}


@pytest.mark.real
def test_dynamodb_takes_one_of_many_that_have_read_the_same(dynamo):
    stores = [dynamo() for _ in range(4)]
    barrier = threading.Barrier(4)

    def claim(store):
        taken = 0
        for _ in range(25):
            seen = store.counter("arn:unit")
            barrier.wait(10)
            try:
                store.claim("arn:unit", seen)
                taken += 1
            except BusyError:
                pass
            barrier.wait(10)
        return taken

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(claim, stores)) == 25
    assert stores[0].counter("arn:unit") == 25
    ledger = stores[0].ledger()
    stores[0].write_ledger(ledger, {"deployer.hold.web": "audit"})
    with pytest.raises(StaleVersionError):
        stores[1].write_ledger(ledger, {})
    assert dict(stores[1].ledger().labels) == {"deployer.hold.web": "audit"}
