"""A worker whose engine is not well: it does not start, or leaves the tasks to the others."""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from types import SimpleNamespace

import pytest
from paths import ROOT

from deployer import app
from deployer.errors import PermanentError, TemporaryError
from deployer.targets.swarm.membership import why_no_manager
from deployer.tasks import again, worker
from deployer.tasks.message import Message
from deployer.tasks.standby import Standby

MANAGER = {"LocalNodeState": "active", "ControlAvailable": True, "NodeID": "n1"}
STARTING = {"LocalNodeState": "pending", "ControlAvailable": False, "NodeID": "n1"}
PROMOTED = {
    "LocalNodeState": "active",
    "ControlAvailable": False,
    "NodeID": "n1",
    "RemoteManagers": [{"NodeID": "n1"}],
}
WORKER = {**PROMOTED, "RemoteManagers": [{"NodeID": "n2"}]}


@pytest.mark.parametrize(
    ("swarm", "why"),
    [
        (MANAGER, None),
        (STARTING, None),
        (PROMOTED, None),
        ({"LocalNodeState": "locked", "ControlAvailable": False}, None),
        (WORKER, "is a worker node, not a manager"),
        ({"LocalNodeState": "inactive"}, "is not part of a Swarm"),
        (None, "is not part of a Swarm"),
    ],
)
def test_only_what_is_no_manager_for_certain_is_called_so(swarm, why):
    assert why_no_manager({"Swarm": swarm}) == why


@pytest.fixture
def engine(short_path):
    """A Docker engine on a socket that tells what it is told to tell."""
    info = {}

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            version = {"ApiVersion": "1.44", "MinAPIVersion": "1.24", "Version": "25"}
            body = json.dumps(version if self.path.endswith("/version") else info).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    class Server(ThreadingMixIn, UnixStreamServer):
        daemon_threads = True

        def get_request(self):
            request, _ = super().get_request()
            return request, ("engine", 0)

    path = Path(short_path) / "docker.sock"
    with Server(str(path), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield info, f"unix://{path}"
        server.shutdown()


def start(host):
    kept = {key: value for key, value in os.environ.items() if not key.startswith("DEPLOYER_")}
    mine = {
        "DOCKER_HOST": host,
        "AWS_REGION": "eu-central-1",
        "DEPLOYER_TASK_QUEUE": "https://sqs.eu-central-1.amazonaws.com/123456789012/tasks",
    }
    command = [sys.executable, "-m", "celery", "-A", "deployer", "worker"]
    return subprocess.run(
        command, env=kept | mine, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_worker_refuses_to_start_at_an_engine_that_is_no_manager(engine):
    """D1: it said `ready.`, took its share of the pushes and ended them as failed."""
    info, host = engine
    info |= {"Name": "box", "Swarm": {"LocalNodeState": "inactive"}}
    done = start(host)
    assert done.returncode == 1
    [line] = [line for line in done.stderr.splitlines() if line.startswith("deployer: ")]
    assert "this engine (box) is not part of a Swarm: set DOCKER_HOST" in line
    assert "Traceback" not in done.stderr
    assert "ready." not in done.stderr


def test_an_engine_that_does_not_answer_is_waited_for(monkeypatch):
    def info():
        raise TemporaryError("Docker engine does not answer")

    monkeypatch.setattr(app, "swarm", lambda: SimpleNamespace(info=info))
    worker._require_manager()


class Intake(list):
    def pause(self):
        self.append("pause")

    def resume(self):
        self.append("resume")


@pytest.mark.parametrize("fault", [TemporaryError("no leader"), PermanentError("forbidden")])
def test_tasks_are_left_to_others_until_the_engine_is_well(fault, caplog):
    answers, intake, slept = [fault, fault, fault, None], Intake(), []

    def ask():
        if answer := answers.pop(0):
            raise answer

    standby = Standby(ask, slept.append)
    caplog.set_level("INFO")
    standby.ask_until_well(intake)
    assert intake == ["pause", "resume"]
    assert len(slept) == 3
    assert max(slept) <= 5
    assert caplog.messages == [
        f"This worker takes no tasks until its engine is well: {fault}",
        "This worker takes tasks again",
    ]


def test_a_fault_of_somebody_else_stops_nobody():
    intake = Intake()
    Standby(lambda: None, lambda _: None).ask_until_well(intake)
    assert intake == []


def test_many_faults_ask_the_engine_once_at_a_time():
    asked, go = [], threading.Event()

    def ask():
        asked.append(1)
        go.wait(10)

    standby = Standby(ask, lambda _: None)
    standby.doubt()  # before the worker is ready
    standby.watch_over(Intake())
    for _ in range(20):
        standby.doubt()
    go.set()
    for thread in threading.enumerate():
        if thread.name == "standby":
            thread.join(10)
    assert len(asked) == 1


def test_the_consumer_is_cancelled_and_begun_again_in_the_hubs_thread():
    queue, did, later = SimpleNamespace(name="tasks"), [], []
    active = SimpleNamespace(
        queues=[queue],
        cancel_by_queue=lambda name: did.append(f"cancel {name}"),
        consuming_from=lambda name: False,
        add_queue=lambda queue: did.append(f"add {queue.name}"),
        consume=lambda: did.append("consume"),
    )
    intake = worker._Consumer(SimpleNamespace(task_consumer=active, call_soon=later.append))
    intake.pause()
    intake.resume()
    assert did == []
    for call in later:
        call()
    assert did == ["cancel tasks", "add tasks", "consume"]


def test_every_task_that_is_sent_back_for_a_fault_raises_the_doubt(monkeypatch):
    doubts = []
    monkeypatch.setattr(worker, "standby", lambda: SimpleNamespace(doubt=lambda: doubts.append(1)))
    again.note_fault(SimpleNamespace(name="deployer.tasks.reconcile"), TemporaryError("x"), Message(), 1.0)
    assert doubts == [1]
