"""What bridge and worker keep after very many events, beside an empty worker after as many empty tasks."""

from __future__ import annotations

from bench import queues
from bench.bridging import events
from bench.place import Place, says
from bench.processes import rss
from bench.stats import Row, Spread
from lab import wait_until

SERVICES = 10


def ours(place: Place, steps: int, step: int) -> tuple[list[float], list[float]]:
    """Return memory of bridge and worker in MiB after each step of so many events."""
    place.publish("bench/other:latest")
    place.services("bench/other:latest", SERVICES)
    pair = place.fresh()
    sizes: tuple[list[float], list[float]] = [], []
    with place.deployer(pair) as (bridge, worker):
        for _ in range(steps):
            queues.fill(place.aws.sqs, pair.events, events(place, step))
            place.drained(pair.events, pair.tasks, timeout=300)
            sizes[0].append(rss(bridge.pid))
            sizes[1].append(rss(worker.pid))
    place.services("bench/other:latest", 0)
    return sizes


def floor(place: Place, count: int) -> float:
    """Return memory of an empty worker in MiB after so many empty tasks."""
    pair = place.fresh()
    queue = pair.tasks.rsplit("/", 1)[-1]
    try:
        worker = place.empty_worker(place.empty_environment(pair.tasks))
        says(worker, " ready.")
        queues.fill(place.aws.sqs, pair.tasks, queues.task_messages("bench.noop", [], queue, count))
        wait_until(lambda: worker.text.count(" succeeded in ") >= count, 300, "all tasks", every=0.2)
        return rss(worker.pid)
    finally:
        place.end_processes()


def run(place: Place) -> list[Row]:
    """Measure growth after the first fifth of the events, which warms up."""
    count, steps = place.size(10_000, 500), 10
    bridge, worker = ours(place, steps, count // steps)
    empty = floor(place, count)
    place.say(f"  worker {worker}, bridge {bridge}")
    warm = steps // 5 - 1
    rows = []
    for name, sizes in (("worker", worker), ("bridge", bridge)):
        what = f"memory of the {name} after {count} events"
        note = f"RSS; floor: an empty worker after {count} tasks"
        rows.append(
            Row(
                f"memory-{name}",
                what,
                "MiB",
                Spread.of(sizes[-1:]),
                Spread.of([empty]),
                target=1.15,
                note=note,
            )
        )
        rows.append(
            Row(
                f"memory-{name}-growth",
                f"memory of the {name}, {count} events / {count // 5}",
                "MiB",
                Spread.of(sizes[-1:]),
                Spread.of([sizes[warm]]),
                target=1.02,
                note="RSS",
            )
        )
    return rows
