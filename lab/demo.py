"""`make demo`: watch a `docker push` become a rolled-out service, step by step, on the real parts."""

from __future__ import annotations

import re
import shlex
import signal
import sys
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from lab import HOST, Lab, Process, wait_until

DIRECTORY = Path(".lab")
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
STAMP = re.compile(r"^time=(\S+) ", re.MULTILINE)


def say(text: str, note: str = "") -> None:
    """One line of the story."""
    print(f"{text}{DIM}{'  ' + note if note else ''}{PLAIN}", flush=True)


def stamp_of(process: Process, pattern: str) -> datetime | None:
    """When a process logged a line that has this pattern."""
    for line in process.text.splitlines():
        found = STAMP.match(line)
        if found and re.search(pattern, line):
            return datetime.fromisoformat(found[1]).astimezone()
    return None


def tell_steps(processes: dict[str, Process], begun: datetime) -> None:
    """Print the way of the event while it goes it."""
    for name, pattern, meaning in STEPS:
        process = processes[name]
        wait_until(partial(stamp_of, process, pattern), 60, meaning)
        moment = stamp_of(process, pattern) or begun
        say(f"  {GREEN}+{(moment - begun).total_seconds():6.3f} s{PLAIN}  {meaning}")


def tell(lab: Lab) -> tuple[dict[str, str], int]:
    """The whole story; the environment and the page's port for those who stay."""
    queues = lab.aws.queues(visibility=30)
    say(f"{BOLD}1. Version 1 runs{PLAIN}")
    lab.docker_push(IMAGE, "Hello from version 1")
    options = ("--replicas", "1", "--update-monitor", "1s", "--update-order", "stop-first")
    lab.create("web", IMAGE, *options, port=PORT)
    page = lab.forward(PORT)
    wait_until(lambda: lab.page(PORT), 20, "the page")
    say(f"   docker push {HOST}/{IMAGE}; docker service create --name web …")
    say(f"   http://127.0.0.1:{page}/ says: {BOLD}{lab.page(PORT)}{PLAIN}")

    env = lab.environment(queues, LOG_LEVEL="INFO")
    processes = {
        "bridge": lab.bridge(queues, LOG_LEVEL="INFO"),
        "worker": lab.worker(queues, LOG_LEVEL="INFO"),
    }
    say("   deployer bridge; celery -A deployer worker", "(both run)")

    say(f"{BOLD}2. Somebody pushes version 2{PLAIN}")
    digest = lab.docker_push(IMAGE, "Hello from version 2")
    begun = datetime.now(UTC)
    lab.aws.send(queues.events, lab.event(IMAGE, digest))
    say(f"   docker push {HOST}/{IMAGE}", digest[:19] + "…")
    say("   ECR's event is on the SQS queue")
    tell_steps(processes, begun)
    wait_until(lambda: "version 2" in lab.page(PORT), 20, "the new page")
    say(f"   http://127.0.0.1:{page}/ says: {BOLD}{lab.page(PORT)}{PLAIN}")
    state = lab.inspect("web")["Spec"]["Labels"]
    say("   the way back is on the service", "…" + state["deployer.state.previous"][-20:])
    return env, page


def stay(lab: Lab, env: dict[str, str], page: int) -> None:
    """Leave everything running until somebody presses Ctrl-C."""
    script = lab.directory / "env.sh"
    names = [
        name for name in env if name.startswith(("AWS_", "DEPLOYER_")) or name in {"DOCKER_HOST", "PATH"}
    ]
    lines = [f"export {name}={shlex.quote(env[name])}" for name in names]
    script.write_text("\n".join([*lines, f"export DOCKER_CONFIG={lab.engine.config}", ""]))
    say(f"\n{BOLD}It goes on running.{PLAIN} In another shell:")
    for line, meaning in (
        (f". {script}", "point docker, celery and deployer at it"),
        ("docker service ps web", "the Swarm's own view"),
        ("deployer update web --force", "restart the service by hand"),
        ("deployer rollback web", "and back to version 1"),
        (f"tail -f {lab.logs}/worker-*.log", "what the worker says"),
        (f"curl http://127.0.0.1:{page}/", "the page"),
    ):
        say(f"   {line:42}", meaning)
    say("Press Ctrl-C to end it and to clean up.")
    ending = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ending)
    signal.sigwait(ending)


def main() -> None:
    """Tell the story, and stay if `--keep` is given."""
    keep = "--keep" in sys.argv[1:]
    begun = time.monotonic()
    say("Starting a private Docker engine with a Swarm, a registry that stands in for ECR, SQS and Redis …")
    with Lab(DIRECTORY) as lab:
        say(f"   ready after {time.monotonic() - begun:.1f} s", "(in namespaces of their own)")
        env, page = tell(lab)
        took = f"{time.monotonic() - begun:.1f} s"
        say(f"\n{GREEN}Done{PLAIN} in {took}: one push, one event, one roll-out, followed to its end.")
        if keep:
            stay(lab, env, page)
    say("Everything that was started has ended, and its files are removed.")
    if not keep:
        say("Play with it: make demo KEEP=1")


if __name__ == "__main__":
    main()
