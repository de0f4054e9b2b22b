"""How costs grow: with the services of a Swarm, with those that follow a push, with waiting events."""

from __future__ import annotations

from statistics import median

from bench import bridging, fanout
from bench.large import crowd
from bench.place import Place
from bench.stats import Curve

SIZES = (10, 100, 1000, 10_000)


def services(place: Place) -> Curve:
    """Measure one push that one of so many services follows; the engine is a stub."""
    sizes = SIZES[: place.size(4, 2)]
    ours, floors = [], []
    for size in sizes:
        with crowd(place, size) as found:
            taken = []
            for _ in range(place.size(6, 3)):
                found.restore()
                one = found.ours()
                found.restore()
                taken.append((one, found.by_hand()[0]))
        ours.append(median(one for one, _ in taken[1:]) * 1000)
        floors.append(median(other for _, other in taken[1:]) * 1000)
    what = "event sent → update accepted, by services of the Swarm"
    return Curve("growth-services", what, "ms", sizes, tuple(ours), tuple(floors))


def fan_out(place: Place) -> Curve:
    """Measure one push that all of so many services follow; one worker, a real engine."""
    sizes = SIZES[: place.size(3, 2)]
    ours, floors = [], []
    place.publish(fanout.IMAGE)
    pair = place.fresh()
    with place.deployer(pair):
        for size in (1, *sizes):
            place.services(fanout.IMAGE, size)
            floors.append(fanout.raw_updates(place))
            ours.append(fanout.pushed(place, pair, size))
    place.services(fanout.IMAGE, 0)
    what = "one push until the last update, by services that follow it"
    return Curve("growth-fanout", what, "s", sizes, tuple(ours[1:]), tuple(floors[1:]))


def events(place: Place) -> Curve:
    """Measure so many waiting events through the bridge."""
    sizes = SIZES[: place.size(4, 2)]
    ours = tuple(bridging.ours(place, size) for size in sizes)
    floors = tuple(bridging.floor(place, size) for size in sizes)
    return Curve("growth-events", "bridge, until all waiting events are handed on", "s", sizes, ours, floors)
