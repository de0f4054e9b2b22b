"""From the event on the queue to the update that the Swarm has accepted: one service, nothing else to do."""

from __future__ import annotations

import json
import threading
import time

from bench.engine import image_of
from bench.place import Place, scatter
from bench.stats import Row, Spread
from lab import HOST

IMAGE = "bench/one:latest"


def by_hand(place: Place, url: str, ready: threading.Event) -> None:
    """Receive one event, find its services, resolve the tag and update, over kept connections."""
    raw = place.raw()
    raw.ask("GET", "/info")
    ready.set()
    message = place.aws.client("sqs").receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"][0]
    detail = json.loads(message["Body"])["detail"]
    name = f"{HOST}/{detail['repository-name']}:{detail['image-tag']}"
    for service in raw.services():
        if image_of(service).partition("@")[0] == name:
            raw.update(service, f"{name}@{raw.digest(name)}")


def timed(place: Place, url: str, digest: str, image: str = IMAGE) -> float:
    """Send an event; the seconds until the first update has been accepted."""
    scatter()
    place.watcher.mark()
    begun = time.time()
    place.aws.send(url, place.event_text(image, digest))
    return place.watcher.wait(1, 60)[0] - begun


def floor(place: Place, image: str = IMAGE) -> float:
    """Do the same by hand."""
    url = place.fresh().events
    digest = place.publish(image)
    ready = threading.Event()
    thread = threading.Thread(target=by_hand, args=(place, url, ready))
    thread.start()
    ready.wait()
    time.sleep(0.1)  # the poll is under way
    took = timed(place, url, digest, image)
    thread.join()
    return took


def run(place: Place) -> list[Row]:
    """Send events one after another, to the deployer and by hand in turn."""
    count = place.size(60, 10)
    place.publish(IMAGE)
    place.services(IMAGE, 1)
    pair = place.fresh()
    ours, floors = [], []
    with place.deployer(pair):
        for number in range(count + 1):
            one, other = timed(place, pair.events, place.publish(IMAGE)), 0.0
            place.drained(pair.events, pair.tasks)
            other = floor(place)
            if number:  # the first connects, and asks for a token
                ours.append(one * 1000)
                floors.append(other * 1000)
    spreads = Spread.of(ours), Spread.of(floors)
    what = "event sent → update accepted"
    note = "floor: ReceiveMessage, list, /distribution, update"
    return [
        Row("latency-p50", f"{what}, median", "ms", *spreads, target=2.5, note=note),
        Row("latency-p95", f"{what}, 95th percentile", "ms", *spreads, target=4, by="p95", note=note),
    ]
