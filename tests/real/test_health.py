"""`deployer health`: what it says of a process that works, hangs, or cannot reach SQS."""

import json
import subprocess
import sys
import threading
import time

import pytest
from click.testing import CliRunner

from deployer.cli import main
from deployer.observability import health
from deployer.settings import load
from lab import wait_until


def beat(path, *checks):
    health.HealthWriter(path, "worker", *checks).beat()


@pytest.fixture
def command(tmp_path, monkeypatch):
    path = tmp_path / "health"
    monkeypatch.setenv("DEPLOYER_HEALTH_FILE", str(path))
    load.cache_clear()
    yield path, lambda: CliRunner().invoke(main, ["health"])
    load.cache_clear()


def test_a_quiet_process_is_healthy(command):
    path, run = command
    beat(path, health.silence(lambda: 25.0), health.stuck(lambda: 0.0))
    assert (run().exit_code, run().output) == (0, "worker: healthy\n")


@pytest.mark.parametrize(
    ("check", "told"),
    [
        (health.silence(lambda: 100.0), "SQS has not answered for 100 s"),
        (health.stuck(lambda: 700.0), "a task has been running for 700 s"),
    ],
)
def test_a_process_that_does_not_work_says_why(command, check, told):
    path, run = command
    beat(path, lambda: None, check)
    assert run().exit_code == 1
    assert told in run().output


def test_a_process_that_hangs_or_is_gone_is_found_by_the_age_of_its_word(command):
    path, run = command
    path.write_text(json.dumps({"role": "bridge", "pid": 1, "at": time.time() - 60, "reason": None}))
    assert run().exit_code == 1
    assert "no sign of life for 60 s" in run().output


@pytest.mark.parametrize("text", ["", "null", "[]", '{"role": 1}', "{"])
def test_rubbish_in_the_file_is_no_health(command, text):
    path, run = command
    path.write_text(text)
    assert run().exit_code == 1
    assert "DEPLOYER_HEALTH_FILE" in run().output


def test_without_the_setting_the_command_names_it(monkeypatch):
    monkeypatch.delenv("DEPLOYER_HEALTH_FILE", raising=False)
    load.cache_clear()
    result = CliRunner().invoke(main, ["health"])
    assert result.exit_code == 1
    assert "DEPLOYER_HEALTH_FILE is not set" in result.output


def test_a_loop_that_does_not_turn_is_found(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(health.time, "monotonic", lambda: now[0])
    calls = []
    check = health.LoopCheck(calls.append)
    assert check() is None
    calls.pop()()  # the loop turns
    now[0] += 100
    assert check() is None
    now[0] += 100
    assert check() == "the worker's loop is stuck for 100 s"


def test_a_look_that_fails_is_not_the_last(tmp_path, monkeypatch):
    monkeypatch.setattr(health, "BEAT", 0.01)
    looks, again = [], threading.Event()

    def changing():
        looks.append(1)
        if len(looks) == 1:
            raise RuntimeError("Set changed size during iteration")
        again.set()

    health.HealthWriter(tmp_path / "health", "worker", changing).start()
    assert again.wait(5)
    monkeypatch.setattr(health, "BEAT", 1e6)  # the thread sleeps from now on


def test_a_full_disk_ends_nothing(tmp_path):
    beat(tmp_path / "missing" / "health", lambda: None)


@pytest.mark.real
def test_a_quiet_worker_and_bridge_are_healthy_a_frozen_one_and_one_without_sqs_are_not(
    lab, queues, tmp_path
):
    files = {role: str(tmp_path / role) for role in ("bridge", "worker")}

    def said(role):
        env = lab.environment(queues, HEALTH_FILE=files[role])
        command = [sys.executable, "-m", "deployer", "health"]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=30)
        return f"{done.returncode} {done.stdout}{done.stderr}"

    def both(text, timeout, every=1.0):
        wait_until(lambda: all(text in said(role) for role in files), timeout, text, every)

    bridge = lab.bridge(queues, HEALTH_FILE=files["bridge"])
    lab.worker(queues, HEALTH_FILE=files["worker"])
    both("healthy", 20)
    bridge.freeze()
    lab.aws.freeze()
    wait_until(lambda: "1 Error: bridge: no sign of life" in said("bridge"), 60, "the frozen bridge", every=1)
    assert said("worker").startswith("0 worker: healthy")
    bridge.thaw()
    both("1 Error: ", 120)
    both("SQS has not answered", 120)
    lab.aws.thaw()
    both("0 ", 60)
