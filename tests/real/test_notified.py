"""Notifications of real deployments, received over HTTP."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from lab import wait_until

pytestmark = pytest.mark.real
WEB = "team/web:latest"


@pytest.fixture
def inbox():
    """A chat server: its port, and what it was sent."""
    told = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            told.append(
                (
                    self.path.partition("?")[0],
                    json.loads(self.rfile.read(int(self.headers["Content-Length"]))),
                )
            )
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1], told
    server.shutdown()
    server.server_close()


def push(lab, queues, text, **kind):
    digest = lab.push(WEB, text, **kind)
    lab.aws.send(queues.events, json.dumps(lab.event(WEB, digest)))
    return digest


def test_people_are_told_of_transitions_once_and_a_dead_target_holds_nothing_up(lab, queues, inbox):
    port, told = inbox
    lab.push(WEB, "v1")
    lab.create("one", WEB, "--update-monitor", "1s", "--label", "deployer.notify=ops")
    lab.create("two", WEB, "--update-monitor", "1s")
    lab.bridge(queues)
    urls = (
        f"json://127.0.0.1:1/dead json://127.0.0.1:{port}/all ops=json://127.0.0.1:{port}/ops?-secret=s3cret"
    )
    worker = lab.worker(queues, NOTIFY_URLS=urls)

    def ends(count):
        wait_until(lambda: worker.text.count(" ended: ") == count, 60, f"{count} ends")

    def heard(count):
        wait_until(lambda: len(told) >= count, 20, f"{count} messages")
        return dict(told[count - 2 : count])

    new = push(lab, queues, "v2")
    ends(2)
    messages = heard(2)
    assert messages["/all"]["title"] == "2 services updated"
    assert messages["/ops"]["title"] == "one updated"
    assert new in messages["/ops"]["message"]
    assert "event " in messages["/ops"]["message"]
    bad = push(lab, queues, "v3", kind="crash")
    ends(4)
    messages = heard(4)
    assert messages["/all"]["title"] == "2 services rolled back"
    assert messages["/all"]["type"] == "failure"
    assert "non-zero exit (7)" in messages["/ops"]["message"]
    assert bad in messages["/ops"]["message"]
    push(lab, queues, "v4")
    ends(6)
    assert heard(6)["/all"]["title"] == "2 services recovered"
    lab.aws.send(queues.events, json.dumps(lab.event(WEB, new)))  # late: nothing changes, nobody is told
    ends(8)
    worker.stop()
    assert len(told) == 6
    assert "A notification was not taken by json" in worker.text
    assert "s3cret" not in worker.text
