"""What test_bus.py is run on: an SQS over HTTP, a proxy that breaks it, and Celery workers."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

HERE = Path(__file__).parent
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "not-for-the-log",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
ERRORS = {
    "error 500": (500, b'{"__type": "com.amazonaws.sqs#InternalFailure", "message": "broken"}'),
    "error 503": (503, b"<html>try later</html>"),
    "throttled": (400, b'{"__type": "com.amazonaws.sqs#RequestThrottled", "message": "slow"}'),
    "access denied": (403, b'{"__type": "com.amazonaws.sqs#AccessDeniedException", "message": "no"}'),
    "expired credentials": (400, b'{"__type": "ExpiredTokenException", "message": "expired"}'),
    "queue deleted": (400, b'{"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "gone"}'),
    "garbage": (200, b"<html>please log in</html>"),
    "wrong answer": (200, b'{"Messages": [{"Body": "no receipt handle"}]}'),
    "empty": (200, b"{}"),
}


def wait_until(condition: Callable[[], Any], seconds: float = 10.0, what: object = "") -> Any:
    """Wait for a condition to hold, and return its value."""
    until = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < until, f"not within {seconds} s: {what or condition}"
        time.sleep(0.02)
    return value


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Emulator:
    """A real SQS protocol over HTTP, in a process of its own."""

    def __init__(self, root: Path) -> None:
        self.port = free_port()
        settings = {
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(self.port),
            "DOCKER_HOST": "unix:///nonexistent",
            "TMPDIR": str(root),
            "LOG_LEVEL": "WARNING",
        }
        with (root / "emulator.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ministack"],
                env={**os.environ, **CREDENTIALS, **settings},
                stdout=log,
                stderr=log,
            )
        self.url = f"http://127.0.0.1:{self.port}"
        wait_until(self._answers, 30, "the emulator answers")
        options = Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 1})
        session = boto3.Session("test", "test", region_name="eu-central-1")
        self.sqs = session.client("sqs", endpoint_url=self.url, config=options)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/_ministack/health", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def queue(self, name: str, visibility: int = 60, receives: int | None = None) -> str:
        """A new queue, with a dead-letter queue called NAME-dead after so many receives."""
        attributes = {"VisibilityTimeout": str(visibility)}
        if receives:
            dead = self.sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
            arn = self.sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])
            policy = {"deadLetterTargetArn": arn["Attributes"]["QueueArn"], "maxReceiveCount": receives}
            attributes["RedrivePolicy"] = json.dumps(policy)
        return self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]

    def bodies(self, url: str) -> list[str]:
        """Take what is visible in a queue."""
        found: list[str] = []
        while answer := self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            found += [message["Body"] for message in answer]
        return found

    def count(self, url: str) -> int:
        """How many messages a queue has, visible and not."""
        kinds = ["ApproximateNumberOfMessages" + kind for kind in ("", "NotVisible", "Delayed")]
        found = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=kinds)["Attributes"]
        return sum(int(found.get(kind, 0)) for kind in kinds)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


class Proxy:
    """Stands between worker and emulator; `fault` breaks requests in one of many ways.

    Beside ERRORS: `refuse` (nobody listens), `hole` (connections are kept and never answered),
    `cut` (reset after the request).
    """

    def __init__(self, target: int) -> None:
        self.target, self.port = target, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.requests: Counter[str] = Counter()
        self.open: Counter[str] = Counter()  # requests that are not answered yet
        self._fault, self._only = "", ""
        self.ended = threading.Event()
        self._server: ThreadingHTTPServer | None = None
        self._listen()

    def _listen(self) -> None:
        proxy = self

        class Handler(_Handler):
            owner = proxy

        self._server = _Server(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def fault(self, kind: str, only: str = "") -> None:
        """Break all requests, or those of one action, until `heal`."""
        self._fault, self._only = kind, only
        if kind == "refuse":
            self._close()

    def heal(self) -> None:
        self._fault = ""
        if self._server is None:
            self._listen()

    def fault_of(self, action: str) -> str:
        return self._fault if self._only in ("", action) else ""

    def _close(self) -> None:
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def stop(self) -> None:
        self.ended.set()
        self._close()


def _xml(error: bytes) -> bytes:
    """An error of SQS as the query protocol has it."""
    told = json.loads(error)
    code = told["__type"].rpartition("#")[2]
    return f"<E><Error><Code>{code}</Code><Message>{told['message']}</Message></Error></E>".encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *args: object) -> None:
        """Say nothing of connections that a worker's end has cut."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: Proxy

    def do_POST(self) -> None:
        action = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
        self.owner.open[action] += 1
        try:
            self._post()
        finally:
            self.owner.open[action] -= 1

    def _post(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        asks_in_xml = "X-Amz-Target" not in self.headers  # STS does
        action = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
        self.owner.requests[action] += 1
        kind = self.owner.fault_of(action)
        if kind == "hole":
            self.owner.ended.wait()
        if kind in ("hole", "cut", "refuse"):
            self.close_connection = True
        else:
            status, answer = ERRORS[kind] if kind else self._forward(body)
            self._answer(status, _xml(answer) if kind and asks_in_xml else answer)

    def _forward(self, body: bytes) -> tuple[int, bytes]:
        upstream = http.client.HTTPConnection("127.0.0.1", self.owner.target, timeout=30)
        headers = {key: value for key, value in self.headers.items() if key.lower() != "host"}
        upstream.request("POST", self.path, body, headers)
        answer = upstream.getresponse()
        return answer.status, answer.read()

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


class Worker:
    """`celery worker` on bus_app in a process of its own."""

    def __init__(
        self, root: Path, endpoint: str, queue: str, *options: str, prefetch: int = 1, wait: int = 1
    ) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self._log, self._trace = root / "worker.log", root / "trace"
        self.environment = {
            **CREDENTIALS,
            "AWS_ENDPOINT_URL": endpoint,
            "BUS_QUEUE": queue,
            "BUS_TRACE": str(self._trace),
            "BUS_PREFETCH": str(prefetch),
            "BUS_WAIT": str(wait),
            "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent)]),
        }
        command = [sys.executable, "-m", "celery", "-A", "bus_app", "worker", "-l", "INFO", *options]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command, env={**os.environ, **self.environment}, stdout=log, stderr=log, cwd=root
            )
        wait_until(lambda: "ready." in self.log, 30, "the worker is ready")

    @property
    def log(self) -> str:
        return self._log.read_text()

    def lines(self, level: str, since: int = 0) -> list[str]:
        """The log's lines of a level that speak of the queue, from a position on."""
        return [line for line in self.log[since:].splitlines() if f": {level}/" in line and "ueue" in line]

    def steps(self, name: str) -> list[tuple[float, str]]:
        """What a task has noted: when, and which step."""
        lines = self._trace.read_text().splitlines() if self._trace.exists() else []
        notes = [json.loads(line) for line in lines]
        return [(note["at"], note["step"]) for note in notes if note["name"] == name]

    def has_run(self, name: str, seconds: float = 10.0) -> None:
        wait_until(lambda: "ended" in dict(map(reversed, self.steps(name))), seconds, f"{name} has run")

    def terminate(self) -> float:
        """SIGTERM; how many seconds it took to end."""
        begun = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(15) == 0
        return time.monotonic() - begun

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
