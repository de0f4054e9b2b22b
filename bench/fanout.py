"""One push that many services follow, until the Swarm has accepted the last update."""

from __future__ import annotations

import time

from bench.place import Place
from bench.stats import Row, Spread
from lab import HOST, Queues

IMAGE = "bench/many:latest"
NOTE = "services without tasks; floor: the updates alone, one after another over one connection"


def raw_updates(place: Place) -> float:
    """Update all services by hand, as they were listed before; seconds."""
    raw = place.raw()
    services = raw.services()
    image = f"{HOST}/{IMAGE}@{place.publish(IMAGE)}"
    begun = time.perf_counter()
    for service in services:
        raw.update(service, image)
    return time.perf_counter() - begun


def pushed(place: Place, pair: Queues, services: int) -> float:
    """Return the seconds from the event of a push to the last update, once all is quiet."""
    digest = place.publish(IMAGE)
    place.watcher.mark()
    begun = time.time()
    place.aws.send(pair.events, place.event_text(IMAGE, digest))
    took = place.watcher.wait(services, 300)[-1] - begun
    place.drained(pair.events, pair.tasks)
    return took


def run(place: Place) -> list[Row]:
    """Run with one worker and with four; the first push of each connects, and asks for tokens."""
    count, repeats = place.size(1000, 50), place.size(3, 1)
    place.publish(IMAGE)
    place.services(IMAGE, count)
    taken: dict[int, list[float]] = {1: [], 4: []}
    floors: dict[int, list[float]] = {1: [], 4: []}
    for workers in taken:
        pair = place.fresh()
        with place.deployer(pair, workers):
            pushed(place, pair, count)
            for _ in range(repeats):
                floors[workers].append(raw_updates(place))
                taken[workers].append(pushed(place, pair, count))
                said = f"  {workers} workers: {taken[workers][-1]:.1f} s, floor {floors[workers][-1]:.1f} s"
                place.say(said)
    place.services(IMAGE, 0)
    return [
        Row(
            f"fanout-{workers}",
            f"one push, {count} services, {workers} worker{'s' if workers > 1 else ''}",
            "s",
            Spread.of(taken[workers]),
            Spread.of(floors[workers]),
            target=target,
            note=NOTE,
        )
        for workers, target in ((1, 3.0), (4, 1.5))
    ]
