"""Takes the pictures of the documentation: Flower's pages in a headless Chromium, the command line as SVG.

`python -m tools.pictures`; needs Debian's `chromium`. Everything that they show happens on the real parts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from lab.lab import Lab
from lab.processes import free_port, wait_until

OUT = Path("docs/pictures")
LOGIN = "operator:password"


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
        page = f"http://{LOGIN}@127.0.0.1:{port}"
        _picture(f"{page}/tasks", "flower-tasks", 1900, 700)
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


def _terminal(env: dict[str, str], name: str, *words: str) -> None:
    """Save what a command shows in a terminal as SVG."""
    code = (
        "import rich.console, sys; from deployer import cli\n"
        "console = rich.console.Console(record=True, width=150, force_terminal=True)\n"
        "rich.console.Console = lambda *a, **k: console\n"
        "from deployer import screens; screens.Console = rich.console.Console\n"
        f"console.print('$ deployer {' '.join(words)}', style='bold')\n"
        f"cli.main({list(words)!r}, standalone_mode=False)\n"
        f"console.save_svg({str((OUT / f'{name}.svg').resolve())!r}, title='deployer {words[0]}')\n"
    )
    subprocess.run([sys.executable, "-c", code], env=env, check=True, stdout=subprocess.DEVNULL)


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
    main()
