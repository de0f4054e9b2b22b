"""One line for an event, with its ids, in the two forms."""

import json
import subprocess
import sys

CODE = """
import logging, sys
from deployer import logs
logs.configure("INFO", sys.argv[1])
log = logging.getLogger("deployer.tasks")
with logs.about(event="e-1", service="web"):
    log.info("Deployment of %s ended: %s", "web", 'failed, task: "exit 1"\\nnext', extra={"outcome": "failed"})
    with logs.about(task="t-1", event=None):
        try:
            raise ValueError("boom")
        except ValueError:
            log.exception("Broken")
log.info("after")
logging.getLogger("celery.app.trace").info("chatty")
"""


def lines(form):
    done = subprocess.run([sys.executable, "-c", CODE, form], capture_output=True, text=True, check=True)
    assert not done.stdout
    return done.stderr.splitlines()


def test_logfmt_is_one_line_for_an_event_and_carries_its_ids():
    ended, broken, after = lines("logfmt")
    assert ended.startswith("time=20")
    assert (
        ' level=info logger=deployer.tasks msg="Deployment of web ended: failed, task: \\"exit 1\\"\\nnext"'
        in ended
    )
    assert "event=e-1" in ended
    assert "service=web" in ended
    assert "outcome=failed" in ended
    assert "task=t-1" in broken
    assert "event=e-1" in broken
    assert "ValueError: boom" in broken
    assert "event=" not in after


def test_json_says_the_same():
    ended, broken, after = [json.loads(line) for line in lines("json")]
    assert ended["msg"].startswith("Deployment of web ended: failed")
    assert (ended["event"], ended["service"], ended["outcome"], ended["level"]) == (
        "e-1",
        "web",
        "failed",
        "info",
    )
    assert broken["task"] == "t-1"
    assert "boom" in broken["exception"]
    assert set(after) == {"time", "level", "logger", "msg"}
