"""What it costs that many services wait for few slots: the core over the Swarm in memory, in virtual time.

Nothing is measured by a clock here. The looks, and what each of them asks for, are counted while the slots
stay taken: each roll-out lasts a minute, and each message comes back after the delay that it was sent with.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.place import Place
from bench.stats import Row, Spread
from deployer.model.deployment import Again, Request
from deployer.model.image import Image
from deployer.model.service import Manifest, Service
from deployer.rollouts.decision import Rules
from deployer.rollouts.deployer import Deployer
from deployer.rollouts.ledger import Ledger
from deployer.rollouts.ledger.slots import Observer
from deployer.rollouts.ports import Credentials
from deployer.targets.swarm.memory.updater import MONITOR
from deployer.testing import FakeSwarm
from lab import HOST

IMAGE = f"{HOST}/bench/waiting:latest"
ROLL_OUT = 60.0  # seconds
NOTE = "virtual time over the Swarm in memory; roll-outs of 60 s; the minutes after the first ten"


class CountingSwarm(FakeSwarm):
    """A Swarm whose roll-outs all last as long, and that counts what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()
        self.engine.agents.start = ROLL_OUT - MONITOR  # seconds

    def services(self, *ids: str, keep: Callable[[Service], bool] | None = None) -> list[Service]:
        """Count a list of services."""
        self.counts["lists"] += 1
        return super().services(*ids, keep=keep)

    def manifest(self, image: Image, credentials: Credentials | None) -> Manifest:
        """Count a request to the registry."""
        self.counts["registry"] += 1
        return super().manifest(image, credentials)

    def ledger(self) -> Ledger:
        """Count a reading of the ledger."""
        self.counts["ledger reads"] += 1
        return super().ledger()

    def write_ledger(self, read: Ledger, labels: Mapping[str, str]) -> None:
        """Count a writing of the ledger."""
        self.counts["ledger writes"] += 1
        super().write_ledger(read, labels)


@dataclass(frozen=True)
class Waited:
    """What happened, for each second in which services waited."""

    looks: float
    registry: float
    lists: float
    ledger_reads: float
    ledger_writes: float
    busy: float  # the part of the slots that was in use


def simulate(services: int, width: int, warm: int, minutes: int) -> Waited:
    """Push to so many services behind so many slots, and count after some minutes."""
    swarm = CountingSwarm()
    swarm.push(IMAGE, f"sha256:{1:064x}")
    for number in range(services):
        swarm.create(f"web{number}", f"{IMAGE}@sha256:{1:064x}")
    swarm.push(IMAGE, f"sha256:{2:064x}")
    now = [0.0]
    rules = Rules(max_rollouts=width)
    deployer = Deployer(swarm, swarm, rules, clock=swarm.clock, observer=Observer(lambda: now[0]))
    heap: list[tuple[float, int, Request, Any]] = [
        (0.0, number, Request(f"task{number}", trigger="event"), None) for number in range(services)
    ]
    looks, begun, counted = 0, 0, False
    while heap and heap[0][0] < (warm + minutes) * 60:
        now[0], number, request, watch = heapq.heappop(heap)
        swarm.tick(now[0] - swarm.engine.timeline.seconds)
        if now[0] >= warm * 60 and not counted:
            looks, begun, counted = 0, 0, True
            swarm.counts.clear()
        step = deployer.advance(f"web{number}", request, watch)
        looks += 1
        if not isinstance(step, Again):
            continue
        if step.watch and not watch:
            begun += 1
        request = replace(request, waiting=step.waiting, pre_job=step.pre_job)
        heapq.heappush(heap, (now[0] + max(1, math.ceil(step.seconds)), number, request, step.watch))
    seconds, counts = minutes * 60, swarm.counts
    return Waited(
        looks=looks / seconds,
        registry=counts["registry"] / seconds,
        lists=counts["lists"] / seconds,
        ledger_reads=counts["ledger reads"] / seconds,
        ledger_writes=counts["ledger writes"] / seconds,
        busy=begun * ROLL_OUT / (seconds * width),
    )


def run(place: Place) -> list[Row]:
    """Three hundred services behind five slots."""
    services, width = place.size(300, 300), 5
    waited = simulate(services, width, warm=10, minutes=place.size(40, 10))
    place.say(f"  {waited}")
    what = f"{services} services wait for {width} slots"
    told: Sequence[tuple[str, str, float, float | None, bool]] = (
        ("looks", "looks/s", waited.looks, 5, False),
        ("registry", "registry requests/s", waited.registry, 1, False),
        ("lists", "lists of services/s", waited.lists, 1, False),
        ("ledger", "ledger writes/s", waited.ledger_writes, None, False),
        ("busy", "of the slots in use", waited.busy, 0.9, True),
    )
    return [
        Row(f"waiting-{name}", what, unit, Spread.of([value]), target=target, at_least=more, note=NOTE)
        for name, unit, value, target, more in told
    ]
