"""A Swarm with ten thousand services, of which one runs the image that is pushed; the engine is a stub."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.engine import RawEngine, image_of
from bench.place import QUIET, Place, says, scatter
from bench.processes import rss
from bench.stats import Row, Spread
from bench.stub import AFTER, repository
from lab import HOST, Process, Queues, wait_until

IMAGE = f"{repository(0)}:latest"
NAME = f"{HOST}/{IMAGE}"


class Crowd:
    """A stub engine with its queues and the deployer that works on it."""

    def __init__(self, place: Place, socket: str, pair: Queues, worker: Process) -> None:
        self.place, self.socket, self.pair, self.worker = place, socket, pair, worker
        self._control = RawEngine(socket, place.login)

    def raw(self) -> RawEngine:
        """Return a connection with nothing around it."""
        return RawEngine(self.socket, self.place.login)

    def restore(self) -> None:
        """Put the image of the one service behind again."""
        self._control.ask("POST", "/bench/restore", {})

    def _updated(self) -> float:
        return float(self._control.ask("GET", "/bench/state")["update_at"])

    def push(self, url: str) -> float:
        """Send the event; the seconds until the update."""
        scatter()
        begun = time.time()
        self.place.aws.send(url, self.place.event_text(IMAGE, AFTER))
        return wait_until(self._updated, 60, "the update", every=0.01) - begun

    def by_hand(self) -> tuple[float, float]:
        """Return the seconds from the event to the update by hand, and those of list and update alone."""
        url, spent = self.place.fresh().events, []
        raw = self.raw()
        raw.digest(NAME)

        def work() -> None:
            client = self.place.aws.client("sqs")
            client.receive_message(QueueUrl=url, WaitTimeSeconds=20)
            begun = time.perf_counter()
            found = [one for one in raw.services() if image_of(one).partition("@")[0] == NAME]
            for one in found:
                raw.update(one, f"{NAME}@{raw.digest(NAME)}")
            spent.append(time.perf_counter() - begun)

        thread = threading.Thread(target=work)
        thread.start()
        time.sleep(0.2)  # the poll is under way
        took = self.push(url)
        thread.join()
        return took, spent[0]

    def ours(self) -> float:
        """Return the seconds from the event to the update by the deployer."""
        took = self.push(self.pair.events)
        self.place.drained(self.pair.events, self.pair.tasks)
        return took


@contextmanager
def crowd(place: Place, count: int) -> Iterator[Crowd]:
    """Run so many services on a stub, with a bridge and a worker."""
    path = Path(place.directory) / f"stub-{count}.sock"
    path.unlink(missing_ok=True)
    env = place.environment(place.fresh())
    stub = place.spawn("stub", sys.executable, "-m", "bench.stub", str(path), str(count), env=env)
    says(stub, "stub ready")
    pair = place.fresh()
    try:
        place.bridge(pair, **QUIET)
        worker = place.stranger(pair, f"unix://{path}")
        time.sleep(0.3)  # their first polls are under way
        yield Crowd(place, f"unix://{path}", pair, worker)
    finally:
        place.end_processes()


def run(place: Place) -> list[Row]:
    """Run the deployer and the floor in turn, with the worker's memory before and after."""
    count, repeats = place.size(10_000, 1000), place.size(18, 3)
    ours, floors, bare, memory = [], [], [], []
    with crowd(place, count) as found:
        for number in range(repeats + 1):
            found.restore()
            took = found.ours()
            found.restore()
            floor, alone = found.by_hand()
            if number:  # the first connects, and asks for a token
                ours.append(took * 1000)
                floors.append(floor * 1000)
                bare.append(alone * 1000)
                memory.append(rss(found.worker.pid))
    what = f"{count} services, one push that one follows"
    note = "a stub engine; floor: ReceiveMessage, list, /distribution, update"
    alone_note = "the same, but the floor has no queue: list, /distribution, update"
    third = max(len(memory) // 3, 1)
    return [
        Row("large", what, "ms", Spread.of(ours), Spread.of(floors), target=2, note=note),
        Row(
            "large-alone",
            f"{what}, floor without its queue",
            "ms",
            Spread.of(ours),
            Spread.of(bare),
            note=alone_note,
        ),
        Row(
            "large-memory",
            "its worker's memory, last third of the pushes / middle third",
            "MiB",
            Spread.of(memory[-third:]),
            Spread.of(memory[third : 2 * third]),
            target=1.02,
            note="RSS",
        ),
    ]
