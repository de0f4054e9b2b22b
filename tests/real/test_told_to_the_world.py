"""One push on a real Swarm, seen by a real HTTP server: signed news of its begin and its end."""

import base64
import hashlib
import hmac
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from pushes import WEB
from test_gates_on_a_swarm import FAST

from lab import wait_until

pytestmark = pytest.mark.real
SECRET = "whsec_" + base64.b64encode(b"a key of the test").decode()


@pytest.fixture
def sink():
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(503 if len(made.got) == 1 else 204)  # the first one has to come again
            self.end_headers()

        def log_message(self, *_):
            pass

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.got = []
    threading.Thread(target=made.serve_forever, args=(0.05,), daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def test_a_push_is_told_signed_and_again_if_it_was_not_taken(lab, queues, sink):
    lab.worker(queues, HOOK_URL=f"http://127.0.0.1:{sink.server_port}/", HOOK_SECRET=SECRET)
    lab.bridge(queues)
    lab.push(WEB, "v1")
    lab.create("web", WEB, *FAST, port=8101)
    digest = lab.push(WEB, "v2")
    event = lab.event(WEB, digest)
    lab.aws.send(queues.events, event)
    wait_until(lambda: any(b"deployment.ended" in body for _, body in sink.got[1:]), 60, "its end")
    for headers, body in sink.got:
        text = b".".join((headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body))
        signature = base64.b64encode(hmac.digest(b"a key of the test", text, hashlib.sha256)).decode()
        assert headers["webhook-signature"] == f"v1,{signature}"
    told = {news["id"]: news for news in (json.loads(body) for _, body in sink.got)}
    kinds = [news["type"].rpartition(".")[2] for news in told.values()]
    assert kinds == ["begun", "ended"]
    ended = [*told.values()][-1]
    assert (ended["subject"], ended["data"]["outcome"]) == ("web", "updated")
    assert ended["data"]["image"].endswith(digest)
    assert ended["data"]["event"] == json.loads(event)["id"] if isinstance(event, str) else event["id"]
