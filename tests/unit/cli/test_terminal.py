"""What a terminal is shown of texts that strangers have written."""

import io
import json
import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from deployer.cli.views import render
from deployer.cli.views.history import history_lines
from deployer.errors import printable
from deployer.reports.explain import Explanation, Step
from deployer.reports.history import PREFIX, Entry, recorded

EVIL = "\x1b]0;owned\x07[bold]x[/nothing] :smile: \x9b31m"


class Redis:
    """Redis with results that anybody may have written."""

    def __init__(self, *metas):
        self.metas = [meta if isinstance(meta, bytes) else json.dumps(meta).encode() for meta in metas]

    def scan_iter(self, *_, **__):
        return [f"{PREFIX}{n}" for n in range(len(self.metas))]

    def mget(self, keys):
        return self.metas if keys else []


def shown(thing):
    out = io.StringIO()
    Console(file=out, width=500, force_terminal=False).print(thing)
    return out.getvalue()


def test_a_text_of_a_stranger_does_nothing_to_the_terminal():
    entry = Entry(datetime.now(UTC), EVIL, EVIL, EVIL, f"a/{EVIL}", EVIL, 1.0, EVIL, "[/a]" + EVIL, EVIL)
    text = "".join(shown(line) for line in history_lines([entry], 500))
    assert "[bold]x[/nothing] :smile:" in text
    assert not {"\x1b", "\x07", "\x9b"} & set(text)


def test_an_explanation_does_nothing_to_the_terminal():
    told = Explanation("web", EVIL, EVIL, "held", EVIL, "a rule", (Step("a rule", EVIL),))
    text = "".join(shown(line) for line in render.explanation(told))
    assert not {"\x1b", "\x07", "\x9b"} & set(text)


@given(st.text())
def test_what_is_printable_is_as_long_as_before(text):
    assert len(printable(text)) == len(text)
    assert printable(printable(text)) == printable(text)


GOOD = {
    "name": "deployer.tasks.update_service",
    "args": ["web"],
    "result": {"outcome": "updated"},
    "task_id": "1",
}


@pytest.mark.parametrize(
    "change",
    [
        {"args": 5}, {"args": "w"}, {"kwargs": [1]}, {"date_done": "yesterday"}, {"date_done": 5}, {"result": 5},
        {"result": {"outcome": "updated", "image": 5}}, {"result": {"outcome": [], "duration": "long"}},
        {"result": {"exc_message": {}}}, {"status": []}, {"task_id": {}}, {"result": {"outcome": "x", "event": 9}},
    ],
    ids=str,
)  # fmt: skip
def test_a_forged_result_hides_no_other(change):
    entries = recorded(Redis(GOOD | change, GOOD, b"[1]", b"\xff", b"{"))
    assert any(entry.service == "web" and entry.outcome == "updated" for entry in entries)
    for line in history_lines(entries, 80):
        shown(line)


def test_help_is_quick():
    """What needs Celery, AWS or rich is imported by the command that needs it."""
    code = "import sys, deployer.cli; print(*{'celery', 'boto3', 'rich', 'redis', 'pydantic'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize(("locale", "mark"), [("iso8859-1", "x"), ("ascii", "x"), ("utf-8", "✗")])
def test_a_locale_without_the_letters_ends_no_command(locale, mark):
    """D16: `explain` ended in a UnicodeEncodeError where the terminal speaks Latin-1."""
    code = "from deployer.cli.views import output; output.speak_any_locale(); print('✗ → é…\\N{SNOWMAN}'); raise SystemExit(3)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, env={**os.environ, "PYTHONIOENCODING": locale}
    )
    assert done.returncode == 3, done.stderr
    assert done.stdout.decode(locale).startswith(mark)
