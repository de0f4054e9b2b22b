"""One line for an event, with its ids, in the two forms."""

import json
import logging
import re
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from deployer.observability import logs

CODE = """
import logging, sys
from deployer.observability import logs
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


@given(
    st.dictionaries(st.sampled_from(["event", "task", "service"]), st.text(min_size=1)), st.text(min_size=1)
)
def test_no_text_makes_two_lines_of_one_or_another_key(ids, text):
    record = logging.LogRecord("deployer", logging.INFO, "", 0, "%s", (text,), None)
    with logs.about(**ids):
        line, told = (
            logs.LogFormatter(as_json=False).format(record),
            logs.LogFormatter(as_json=True).format(record),
        )
    assert len(line.splitlines()) == len(told.splitlines()) == 1
    assert json.loads(told) | ids | {"msg": text} == json.loads(told)
    found = re.findall(r'([a-z]+)=("(?:[^"\\]|\\.)*"|[^\s"=]+)(?: |$)', line)
    read = {key: json.loads(value) if value.startswith('"') else value for key, value in found}
    assert {key: read[key] for key in [*ids, "msg"]} == ids | {"msg": text}
    assert set(read) == {"time", "level", "logger", "msg", *ids}
