"""Takes the pictures of the documentation: Flower's pages in a headless Chromium, the command line as SVG.

`python -m tools.pictures`; without Debian's `chromium` it leaves Flower's pages alone. Everything that they
show happens on the real parts.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from lab.lab import Lab
from lab.playground import Playground
from lab.processes import free_port, wait_until
from tools.recording import Recording

OUT = Path("docs/pictures")
LOGIN = "operator:password"
IMAGE = "team/shop:latest"
COLUMNS = 104


def main() -> None:
    """Make deployments of many ends and show them."""
    with Lab() as lab:
        queues = lab.aws.queues(visibility=120)
        port = free_port()
        env = lab.environment(queues) | {
            "FLOWER_BASIC_AUTH": LOGIN,
            "FLOWER_PORT": str(port),
            "FLOWER_NATURAL_TIME": "true",
        }
        flower = lab.spawn("flower", sys.executable, "-m", "celery", "-A", "deployer", "flower", env=env)
        wait_until(lambda: "Visit me" in flower.text, 30, "Flower")
        worker = lab.worker(queues)
        lab.bridge(queues)
        _deploy(
            lab, queues.events, lambda ends: wait_until(lambda: worker.text.count(" ended: ") >= ends, 90)
        )
        _terminal(env, "status", "status")
        _terminal(env, "explain", "explain", "shop")
        _terminal(env, "history", "history", "--limit", "8")
        if not shutil.which("chromium"):
            return
        page = f"http://{LOGIN}@127.0.0.1:{port}"
        _picture(f"{page}/tasks", "flower-tasks", 1400, 640)
        failed = json.loads(lab.python(queues, _FIND))
        _picture(f"{page}/task/{failed}", "flower-task", 1300, 1250)
        _picture(f"{page}/workers", "flower-workers", 1300, 420)


_FIND = """
import json
from redis import Redis
from deployer.reports.history import recorded
from deployer.settings import load
entries = recorded(Redis.from_url(load().redis))
print(json.dumps(next(e.task for e in entries if e.outcome == "rolled-back")))
"""


def _deploy(lab: Lab, events: str, ended: object) -> None:
    def push(name: str, text: str, kind: str = "web") -> None:
        digest = lab.push(f"team/{name}:latest", text, kind)
        lab.aws.send(events, lab.event(f"team/{name}:latest", digest))

    options = {"held": ("--label", "deployer.hold=audit until Friday")}
    for name in ("shop", "search", "billing", "held"):
        lab.push(f"team/{name}:latest", "v1")
        lab.create(name, f"team/{name}:latest", "--update-monitor", "1s", *options.get(name, ()))
    for number, (name, text, kind) in enumerate(
        [
            ("search", "v2", "web"),
            ("held", "v2", "web"),
            ("shop", "v2", "crash"),
            ("billing", "v2", "web"),
            ("billing", "v3", "web"),
            ("shop", "v2", "crash"),
        ],
        1,
    ):
        push(name, text, kind)
        ended(number)  # type: ignore[operator]
    lab.push("team/search:latest", "v3")


def _demo(directory: Path) -> None:
    """Record a push, a push of a broken version, and what is known of both afterwards."""
    recording = Recording(COLUMNS, 20)
    with Playground(directory) as lab:
        lab.docker_push(IMAGE, "v1")
        lab.create("shop", IMAGE, "--replicas", "4", "--update-delay", "600ms", "--update-monitor", "1s")
        lab.deploy()
        for kind, note, end in (("web", "", "updated"), ("crash", "  # a broken version", "rolled-back")):
            recording.type(f"docker push $ECR/{IMAGE}{note}")
            digest = lab.docker_push(IMAGE, "v2", kind)
            recording.show(f"latest: digest: {digest} size: 528", 1.5)
            recording.type("deployer status --watch")
            _watch(recording, lab.variables, end)
        recording.type("deployer history shop")
        recording.show(printed(lab.variables, "history", "shop"), 5)
    title = "A push is rolled out to four tasks; a broken version is rolled back"
    (OUT / "demo.svg").write_text(recording.svg(title))


def _watch(recording: Recording, env: Mapping[str, str], end: str) -> None:
    seen, shown, until = "", "", time.monotonic() + 60
    while not (f"{end} " in shown and "converged" in shown):
        seen = printed(env, "status", "shop")
        plain = re.sub(r"\x1b\[[0-9;]*m|\d+ s", "", seen)  # ages alone are no news
        if time.monotonic() > until:
            raise TimeoutError(f"not {end}: {seen}")
        if plain != shown:
            (recording.replace if shown else recording.show)(seen, 0.7)
        shown = plain
    recording.replace(seen, 2)
    wait_until(lambda: f'"{end}"' in printed(env, "history", "shop", "--json"), 30, "its end", every=1)


def _terminal(env: Mapping[str, str], name: str, *words: str) -> None:
    """Save what a command shows in a terminal as SVG."""
    recording = Recording(150, 0)
    recording.show(f"\033[1m$ deployer {' '.join(words)}\033[0m", 0)
    recording.show(printed(env, *words, columns=150), 0)
    recording.height = len(recording.lines)
    recording.frames = [(0, recording.lines)]
    (OUT / f"{name}.svg").write_text(recording.svg(f"deployer {words[0]}"))


def printed(env: Mapping[str, str], *words: str, columns: int = COLUMNS) -> str:
    """Return what a command of the deployer prints in a terminal, with its colours."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    argv = [sys.executable, "-m", "deployer", *words]
    with subprocess.Popen(argv, env={**env, "TERM": "xterm-256color"}, stdout=theirs, stderr=theirs):
        os.close(theirs)
        said = b""
        with suppress(OSError), os.fdopen(ours, "rb", 0) as output:  # it ends with an error: EIO
            while chunk := output.read(65536):
                said += chunk
    return said.decode().replace("\r\n", "\n")


def _picture(url: str, name: str, width: int, height: int) -> None:
    """Save what a page shows in Chromium."""
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--virtual-time-budget=8000",
    ]
    target = [f"--window-size={width},{height}", f"--screenshot={OUT / f'{name}.png'}", url]
    environment = {**os.environ, "HOME": tempfile.gettempdir()}
    subprocess.run(["chromium", *options, *target], check=True, capture_output=True, env=environment)


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="lab-") as made:
        _demo(Path(made) / "demo")
    main()
