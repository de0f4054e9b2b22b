"""The bridge command with several task queues, against a server that answers as SQS does."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from paths import SAMPLES

from deployer.app import named_queues

EVENTS = "https://sqs.eu-central-1.amazonaws.com/111111111111/deployer-events"
HERE = "https://sqs.eu-central-1.amazonaws.com/111111111111/deployer-tasks"
ELSEWHERE = "https://sqs.us-east-1.amazonaws.com/111111111111/deployer-tasks"
ANOTHER = "https://sqs.eu-central-1.amazonaws.com/222222222222/deployer-tasks"
PUSH = (SAMPLES / "ecr-image-action-push-modern.json").read_text()


class Sqs(BaseHTTPRequestHandler):
    """Hands out one push and takes tasks; notes each request with the region that it is signed for."""

    server: Any
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        action = self.headers["X-Amz-Target"].rpartition(".")[2]
        scope = re.search(r"Credential=\w+/\d+/([\w-]+)/sqs", self.headers["Authorization"])
        assert scope
        self.server.seen.append((action, request["QueueUrl"], scope[1]))
        answer = json.dumps(getattr(self, f"_{action}")(request)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def _ReceiveMessage(self, _: Any) -> dict[str, Any]:
        pushes, self.server.pushes = self.server.pushes, []
        if not pushes:
            self.server.deleted.wait(30)
        return {"Messages": pushes}

    def _SendMessageBatch(self, request: Any) -> dict[str, Any]:
        return {"Successful": [{"Id": entry["Id"], "MessageId": "m"} for entry in request["Entries"]]}

    def _DeleteMessageBatch(self, _: Any) -> dict[str, Any]:
        self.server.deleted.set()
        return {"Successful": []}

    def log_message(self, *_: Any) -> None:
        """Keep the tests' output clean."""


@pytest.fixture
def sqs() -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Sqs)
    server.daemon_threads = True
    server.seen, server.deleted = [], threading.Event()
    server.pushes = [{"MessageId": "1", "ReceiptHandle": "r", "Body": PUSH}]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.deleted.set()
    server.shutdown()
    server.server_close()


def test_queues_of_one_name_in_other_regions_and_accounts_all_get_the_push(sqs: Any) -> None:
    """Fault 8: only the last of them got it, and the event was deleted."""
    settings = {
        "DEPLOYER_QUEUE": EVENTS,
        "DEPLOYER_TASK_QUEUE": f"{HERE},{ELSEWHERE},{ANOTHER}",
        "AWS_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{sqs.server_port}",
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DEPLOYER_", "AWS_"))}
    bridge = subprocess.Popen(
        [sys.executable, "-m", "deployer", "bridge"], env=kept | settings, stderr=subprocess.PIPE, text=True
    )
    try:
        assert sqs.deleted.wait(60), "the event is not handed on"
    finally:
        bridge.terminate()
        said = bridge.communicate(timeout=30)[1]
    sent = {(url, region) for action, url, region in sqs.seen if action == "SendMessageBatch"}
    assert sent == {(HERE, "eu-central-1"), (ELSEWHERE, "us-east-1"), (ANOTHER, "eu-central-1")}, said


def test_each_queue_has_a_name_of_its_own_and_the_workers_own_keeps_sqs_name() -> None:
    queues = named_queues([HERE, ELSEWHERE, ANOTHER, f"{HERE}/"])
    assert list(queues.values()) == [HERE, ELSEWHERE, ANOTHER]
    assert next(iter(queues)) == "deployer-tasks"
    assert all(re.fullmatch(r"deployer-tasks(-[0-9a-f]{12})?", name) for name in queues)
    assert named_queues([HERE, ELSEWHERE]) == {name: queues[name] for name in list(queues)[:2]}, "stable"
