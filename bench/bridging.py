"""How many waiting events the bridge hands on in a second."""

from __future__ import annotations

from bench import queues
from bench.place import QUIET, Place, stamps
from bench.stats import Row, Spread
from lab import wait_until

DIGEST = "sha256:" + "0" * 64
HANDED_ON = "Push of "


def events(place: Place, count: int) -> list[str]:
    """Return the bodies of so many pushes."""
    return [place.event_text("bench/nobody:latest", DIGEST) for _ in range(count)]


def ours(place: Place, count: int) -> float:
    """Return seconds that the bridge takes for so many waiting events, from its first poll's to its last
    push.
    """
    pair = place.fresh()
    queues.fill(place.aws.sqs, pair.events, events(place, count))
    bridge = place.bridge(pair, **QUIET)
    try:
        wait_until(lambda: bridge.text.count(HANDED_ON) >= count, 300, "all events", every=0.1)
        begun, *_ = stamps(bridge.log, "Bridge started")
        return max(stamps(bridge.log, HANDED_ON)) - begun
    finally:
        place.end_processes()


def floor(place: Place, count: int) -> float:
    """Return seconds that the requests alone take."""
    pair = place.fresh()
    queues.fill(place.aws.sqs, pair.events, events(place, count))
    return queues.pass_on(place.aws.client("sqs"), pair.events, pair.tasks, count)


def run(place: Place) -> list[Row]:
    """Run bridge and floor in turn."""
    count, repeats = place.size(5000, 500), place.size(3, 2)
    rates, floors = [], []
    for _ in range(repeats):
        floors.append(count / floor(place, count))
        rates.append(count / ours(place, count))
        place.say(f"  {rates[-1]:.0f}/s, floor {floors[-1]:.0f}/s")
    row = Row(
        "bridge",
        f"bridge, {count} events waiting",
        "events/s",
        Spread.of(rates),
        Spread.of(floors),
        target=0.5,
        at_least=True,
        note="floor: receive 10, send 10, delete 10",
    )
    return [row]
