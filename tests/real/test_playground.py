"""`make demo KEEP=1`: each thing that it suggests is typed as printed, and does what is said beside it."""

import re
import signal
import subprocess
import sys
import urllib.request

import pytest
from console import Terminal, commands, pattern
from paths import ROOT

from lab import wait_until

pytestmark = pytest.mark.real
END = "Press Ctrl-C"


@pytest.fixture
def playground(short_path, request):
    log = short_path / "demo.txt"
    module = getattr(request, "param", "lab.demo")
    argv = [sys.executable, "-m", module, "--keep", "--directory", str(short_path / "lab")]
    with log.open("w") as output:
        process = subprocess.Popen(argv, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_until(lambda: END in log.read_text() or process.poll() is not None, 180, "the playground")
        assert process.poll() is None, log.read_text()
        yield log
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert not (short_path / "lab").exists()
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def shell(tmp_path):
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "LANG": "C.UTF-8", "TERM": "xterm"}
    terminal = Terminal([], ROOT, tmp_path, env)
    yield terminal
    terminal.close()


def body(url):
    """Return a page, empty while nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.read().decode()
    except OSError:
        return ""


def test_five_things_to_try_work_as_printed(playground, shell):
    told = playground.read_text()
    page, flower = re.search(r"the page (\S+) and Flower (\S+)", told).groups()
    [script] = re.findall(r"in this directory: +(\. \S+)", told)
    new, crash, history, explain, back = re.findall(r"^   \d\. (.+?)  +\S", told, re.MULTILINE)

    def typed(command):
        status, printed = shell.run(command)
        assert status == 0, f"$ {command}\n{printed}"
        return printed

    typed(script)
    assert "✗" not in typed("deployer doctor")
    assert "web" in typed(new)
    wait_until(lambda: "Hello 3" in body(page), 60, "version 3")
    wait_until(lambda: typed("deployer history web --json").count('"updated"') == 2, 60, "its end")
    typed(crash)
    wait_until(lambda: '"rolled-back"' in typed("deployer history web --json"), 60, "the rollback")
    assert "Hello 3" in body(page)
    assert "rolled-back" in typed(history)
    assert "held" in typed(explain)
    typed(back)
    wait_until(lambda: "version 2" in body(page), 30, "version 2")
    assert "flower" in body(flower).lower()


@pytest.mark.parametrize("playground", ["lab.ecs.demo"], indirect=True)
def test_the_same_five_things_on_ecs(playground, shell):
    told = playground.read_text()
    [script] = re.findall(r"in this directory: +(\. \S+)", told)
    new, crash, history, explain, back = re.findall(r"^   \d\. (.+?)  +\S", told, re.MULTILINE)

    def typed(command):
        status, printed = shell.run(command)
        assert status == 0, f"$ {command}\n{printed}"
        return printed

    typed(script)
    assert "web" in typed(new)
    wait_until(lambda: typed("deployer history web --json").count('"updated"') == 2, 60, "its end")
    typed(crash)
    wait_until(lambda: '"rolled-back"' in typed("deployer history web --json"), 90, "the rollback")
    assert "rolled-back" in typed(history)
    assert "held" in typed(explain)
    assert "rolled back by hand" in typed(back)


@pytest.mark.parametrize("playground", ["lab.ecs.demo"], indirect=True)
def test_the_page_about_ecs_is_typed(playground, shell):
    """Every command of "Try it, without an account" does what the page shows; history is looked at until it does."""
    shell.run(re.findall(r"in this directory: +(\. \S+)", playground.read_text())[0])
    page = ROOT / "docs" / "ecs.md"
    typed = [one for one in commands(page) if one.where.endswith("Try it, without an account")]
    assert len(typed) > 10
    for command in typed:
        shown, said = pattern(command.shown), []

        def as_shown(command=command, shown=shown, said=said):
            said[:] = shell.run(command.text)
            return said[0] == 0 and shown.fullmatch(said[1])

        try:
            wait_until(as_shown, 60 if "history" in command.text else 0.1, command.text)
        except TimeoutError:
            pytest.fail(f"{command.where}: $ {command.text}\n{said[1]}")
