"""How long processes take to begin."""

from __future__ import annotations

import subprocess
import sys
import time
from functools import partial

from bench import queues
from bench.place import QUIET, Place, says
from bench.stats import Row, Spread

FIRST = {"deployer": "given an event that is no push", "empty": "Task bench.noop["}


def python(*argv: str) -> float:
    """Return the seconds that a Python takes from its start to its end."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, *argv], check=True, capture_output=True)
    return time.perf_counter() - begun


def commands(place: Place) -> list[Row]:
    """Import and help."""
    what = {
        "import": ("import of deployer", ("-c", "import deployer"), 0.35),
        "help": ("deployer --help", ("-m", "deployer", "--help"), 0.35),
        "import-tasks": (
            "import of deployer.app",
            ("-c", "import deployer.broker.channel, deployer.broker.app"),
            None,
        ),
    }
    repeats = place.size(15, 5)
    bare: list[float] = []
    taken: dict[str, list[float]] = {name: [] for name in what}
    for _ in range(repeats):
        bare.append(python("-c", "pass"))
        for name, (_, argv, _) in what.items():
            taken[name].append(python(*argv))
    note = f"python -c pass takes {Spread.of(bare).median:.3f} s"
    return [
        Row(name, text, "s", Spread.of(taken[name]), target=target, note=note)
        for name, (text, _, target) in what.items()
    ]


def _worker(place: Place) -> float:
    pair = place.fresh()
    queue = pair.tasks.rsplit("/", 1)[-1]
    # The smallest task that the deployer has: an event that is none.
    place.aws.send(pair.tasks, queues.task_message("deployer.tasks.image_pushed", [{}], queue))
    env = place.environment(pair, **QUIET)
    argv = [sys.executable, "-m", "celery", "-A", "deployer", "worker", "-n", "first@%h"]
    begun = time.perf_counter()
    says(place.spawn("first", *argv, env=env), FIRST["deployer"])
    return time.perf_counter() - begun


def _empty(place: Place) -> float:
    pair = place.fresh()
    place.aws.send(pair.tasks, queues.task_message("bench.noop", [], pair.tasks.rsplit("/", 1)[-1]))
    env = place.empty_environment(pair.tasks)
    begun = time.perf_counter()
    says(place.empty_worker(env), FIRST["empty"])
    return time.perf_counter() - begun


def run(place: Place) -> list[Row]:
    """Start them in turn."""
    ours: list[float] = []
    floors: list[float] = []
    for begin, taken in [(partial(_worker, place), ours), (partial(_empty, place), floors)] * place.size(
        6, 2
    ):
        taken.append(begin())
        place.end_processes()
    row = Row(
        "start",
        "start of the worker → its first task",
        "s",
        Spread.of(ours),
        Spread.of(floors),
        target=1.3,
        note="floor: Celery with an empty app and its own SQS transport",
    )
    return [row, *commands(place)]
