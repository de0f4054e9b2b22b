"""What bridge and worker do while there is nothing to do."""

from __future__ import annotations

import sys
import time

from bench.place import QUIET, Place, says
from bench.processes import Counter, cpu, rss
from bench.stats import Row, Spread
from lab import Process, Queues

POLLS = 180.0  # of 20 s in an hour
WARM_UP = 5.0  # seconds


def _processes(place: Place, counters: dict[str, Counter], pair: Queues) -> dict[str, Process]:
    endpoint = {name: f"http://127.0.0.1:{counter.port}" for name, counter in counters.items()}
    bridge_env = place.environment(pair, **QUIET) | {"AWS_ENDPOINT_URL": endpoint["bridge"]}
    found = {"bridge": place.spawn("idle", sys.executable, "-m", "deployer", "bridge", env=bridge_env)}
    found["worker"] = place.stranger(place.fresh(), place.docker_host, AWS_ENDPOINT_URL=endpoint["worker"])
    found["redis"] = place.stranger(
        place.fresh(),
        place.docker_host,
        AWS_ENDPOINT_URL=endpoint["redis"],
        DEPLOYER_REDIS_URL=place.redis.url,
    )
    empty = place.fresh().tasks.replace(f":{place.aws.port}/", f":{counters['empty'].port}/")
    found["empty"] = place.empty_worker(place.empty_environment(empty, counters["empty"].port))
    says(found["bridge"], "Bridge started")
    says(found["empty"], " ready.")
    return found


def run(place: Place) -> list[Row]:
    """Run all side by side for 80 seconds, each with a counter between it and SQS."""
    seconds = place.size(82, 45)
    counters = {name: Counter(place.aws.port) for name in ("bridge", "worker", "redis", "empty")}
    try:
        processes = _processes(place, counters, place.fresh())
        time.sleep(WARM_UP)
        before = {name: cpu(process.pid) for name, process in processes.items()}
        begun = time.monotonic()
        time.sleep(seconds)
        lasted = time.monotonic() - begun
        spent = {
            name: (cpu(process.pid) - before[name]) / lasted * 1000 for name, process in processes.items()
        }
        sizes = {name: rss(process.pid) for name, process in processes.items()}
        polls = {name: counter.per_hour("ReceiveMessage") for name, counter in counters.items()}
        others = {
            name: sum(1 for at, action in counter.requests if action != "ReceiveMessage" and at > begun)
            for name, counter in counters.items()
        }
    finally:
        place.end_processes()
        for counter in counters.values():
            counter.close()
    place.say(f"  polls an hour {polls}, other requests {others}, ms/s {spent}, MiB {sizes}")
    return [*_requests(polls, others, lasted), *_use(spent, sizes)]


def _requests(polls: dict[str, float], others: dict[str, int], lasted: float) -> list[Row]:
    rows = []
    for name in ("bridge", "worker"):
        count = polls[name] + others[name] / lasted * 3600
        alone = f"20 s polls alone are {POLLS:g}, an empty worker makes {polls['empty']:.0f}"
        note = f"counted over {lasted:.0f} s; {alone}"
        rows.append(
            Row(
                f"idle-{name}-requests",
                f"SQS requests of an idle {name}",
                "per hour",
                Spread.of([count]),
                target=185,
                note=note,
            )
        )
    return rows


def _use(spent: dict[str, float], sizes: dict[str, float]) -> list[Row]:
    names = {"bridge": "bridge", "worker": "worker", "redis": "worker with Redis"}
    rows = []
    for name, what in names.items():
        goal = None if name == "redis" else 1.15
        pair = Spread.of([spent[name]]), Spread.of([spent["empty"]])
        rows.append(Row(f"idle-{name}-cpu", f"processor of an idle {what}", "ms/s", *pair, target=goal))
        pair = Spread.of([sizes[name]]), Spread.of([sizes["empty"]])
        rows.append(Row(f"idle-{name}-memory", f"memory of an idle {what}", "MiB", *pair, target=goal))
    return rows
