"""`make demo`: watch a `docker push` become a rolled-out service, step by step, on the real parts."""

from __future__ import annotations

import argparse
import re
import signal
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from lab import HOST, Process, wait_until
from lab.playground import Playground

P = TypeVar("P", bound=Playground)
IMAGE = "team/web:latest"
PORT = 8080
BOLD, DIM, GREEN, PLAIN = ("\033[1m", "\033[2m", "\033[32m", "\033[0m") if sys.stdout.isatty() else ("",) * 4
# A line of a log, and what it means on the way of an event.
STEPS = (
    ("bridge", r"Push of \S+, ", "the bridge took the event from SQS and sent it on as a Celery task"),
    (
        "worker",
        r"Push of .* is followed by",
        "a worker took the task from SQS and found the services of the image",
    ),
    ("worker", r"Updated service", "the registry said what the tag means now, the Swarm took the update"),
    ("worker", r"ended: updated", "every task runs the new image: the deployment has ended"),
)
TRY = (
    ('lab/push "Hello 3" && deployer status', "push version 3, and see it go out"),
    ('lab/push "Hello 4" --crash', "push a version that crashes: it is rolled back, and not retried"),
    ("deployer history web", "what was deployed, and how it ended"),
    ("deployer explain web", "what a push would do now, rule by rule"),
    ("deployer rollback web --wait", "go back to the version before"),
)
STAMP = re.compile(r"^time=(\S+) ", re.MULTILINE)


def say(text: str, note: str = "") -> None:
    """Print one line of the story."""
    print(f"{text}{DIM}{'  ' + note if note else ''}{PLAIN}", flush=True)


def stamp_of(process: Process, pattern: str) -> datetime | None:
    """Return the time at which a process logged a line with this pattern."""
    for line in process.text.splitlines():
        found = STAMP.match(line)
        if found and re.search(pattern, line):
            return datetime.fromisoformat(found[1]).astimezone()
    return None


def tell_steps(
    processes: dict[str, Process], begun: datetime, steps: Sequence[tuple[str, str, str]] = STEPS
) -> None:
    """Print the way of the event while it goes it."""
    for name, pattern, meaning in steps:
        process = processes[name]
        wait_until(partial(stamp_of, process, pattern), 60, meaning)
        moment = stamp_of(process, pattern) or begun
        say(f"  {GREEN}+{(moment - begun).total_seconds():6.3f} s{PLAIN}  {meaning}")


def tell(lab: Playground) -> str:
    """Tell the whole story, and return where the page is."""
    say(f"{BOLD}1. Version 1 runs{PLAIN}")
    lab.docker_push(IMAGE, "Hello from version 1")
    options = ("--replicas", "1", "--update-monitor", "1s", "--update-order", "stop-first")
    lab.create("web", IMAGE, *options, port=PORT)
    page = lab.forward(PORT)
    wait_until(lambda: lab.page(PORT), 20, "the page")
    say(f"   docker push {HOST}/{IMAGE}; docker service create --name web …")
    say(f"   http://127.0.0.1:{page}/ says: {BOLD}{lab.page(PORT)}{PLAIN}")
    processes = lab.deploy()
    say("   deployer bridge; celery -A deployer worker", "(both run)")

    say(f"{BOLD}2. Somebody pushes version 2{PLAIN}")
    digest = lab.docker_push(IMAGE, "Hello from version 2")
    say(f"   docker push {HOST}/{IMAGE}", digest[:19] + "…")
    begun = wait_until(lambda: lab.events.get(digest), 20, "the event") or datetime.now(UTC)
    say("   ECR's event is on the SQS queue")
    tell_steps(processes, begun)
    wait_until(lambda: "version 2" in lab.page(PORT), 20, "the new page")
    say(f"   http://127.0.0.1:{page}/ says: {BOLD}{lab.page(PORT)}{PLAIN}")
    state = lab.inspect("web")["Spec"]["Labels"]
    say("   the way back is on the service", "…" + state["deployer.state.previous"][-20:])
    return f"the page http://127.0.0.1:{page}/"


def stay(lab: Playground, what: str, tries: Sequence[tuple[str, str]]) -> None:
    """Leave everything running until somebody presses Ctrl-C.

    Args:
        lab: where it runs.
        what: is there to look at.
        tries: commands to try, and what they do.
    """
    flower = lab.watch()
    script = _short(lab.write_environment())
    say(f"\n{BOLD}It goes on running:{PLAIN} {what} and Flower {flower}")
    say(f"In another shell, in this directory:  . {script}", "points docker, deployer and celery at it")
    for number, (line, meaning) in enumerate(tries, 1):
        say(f"   {number}. {line:{max(len(line) for line, _ in tries)}}", meaning)
    logs = " ".join(f"--file {_short(path)}" for path in sorted(lab.logs.glob("[bw]*-*.log")))
    say(f"What they logged of a service, event by event:  deployer logs web {logs}")
    say("Press Ctrl-C to end it and to clean up.")
    ending = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ending)
    signal.sigwait(ending)


def _short(path: Path) -> Path:
    """Return a path as somebody in this directory would type it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def main(
    playground: Callable[[Path], P],
    story: Callable[[P], str],
    tries: Sequence[tuple[str, str]],
    intro: str,
) -> None:
    """Tell a story, and stay if `--keep` is given.

    Args:
        playground: makes where it plays.
        story: tells it, and returns what is there to look at.
        tries: commands to try, and what they do.
        intro: what is started.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--keep", action="store_true", help="leave everything running at the end")
    parser.add_argument("--directory", type=Path, default=Path(".lab"), help="where it all lies")
    given = parser.parse_args()
    begun = time.monotonic()
    say(f"Starting {intro}, a registry that stands in for ECR, SQS and Redis …")
    with playground(given.directory) as lab:
        say(f"   ready after {time.monotonic() - begun:.1f} s", "(in namespaces of their own)")
        what = story(lab)
        took = f"{time.monotonic() - begun:.1f} s"
        say(f"\n{GREEN}Done{PLAIN} in {took}: one push, one event, one roll-out, followed to its end.")
        if given.keep:
            stay(lab, what, tries)
    say("Everything that was started has ended, and its files are removed.")
    if not given.keep:
        say("Play with it: make demo KEEP=1", "with TARGET=ecs for ECS")


if __name__ == "__main__":
    main(Playground, tell, TRY, "a private Docker engine with a Swarm")
