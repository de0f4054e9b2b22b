"""News for other systems: signed, told again if it must be, and never in a deployment's way."""

import base64
import hashlib
import hmac
import json
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from deployer.errors import TemporaryError
from deployer.observability.github import GitHub
from deployer.observability.hook import Hook
from deployer.observability.outbox import TRIES, News, Outbox
from deployer.observability.revisions import PREFIX, compare, revision

NOW = datetime(2026, 1, 1, tzinfo=UTC)
IMAGE = "registry.example/team/web:v2@sha256:" + "2" * 64
COMMITS = {"v1": "1" * 40, "v2": "2" * 40}
LABELS = {
    f"{PREFIX}revision": COMMITS["v2"],
    f"{PREFIX}source": "https://github.com/team/web",
    f"{PREFIX}version": "2.0",
}


def news(kind="ended", **data):
    return News(kind, "t1", "web", NOW, {"image": IMAGE, **data})


@pytest.fixture
def sink():
    """A server that keeps what it gets, and answers what a test says."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            made.got.append((self.command, self.path, dict(self.headers), body))
            status, answer = made.answer(self.command, self.path)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def do_GET(self):
            self.do_POST()

        def log_message(self, *_):
            pass

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.got, made.answer = [], lambda *_: (200, {})
    made.url = f"http://127.0.0.1:{made.server_port}"
    threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def told(receiver, *every, **options):
    counted = []
    outbox = Outbox({"it": receiver}, counted.append, sleep=lambda _: None, **options)
    for one in every:
        outbox.tell(one)
    outbox.flush(10)
    return counted


@pytest.mark.parametrize("secret", ["whsec_" + base64.b64encode(b"a key").decode(), "a key"])
def test_the_hook_posts_cloudevents_that_are_signed(sink, secret):
    hook = Hook(sink.url + "/hook", secret, lambda _: LABELS, clock=lambda: 1_700_000_000.5)
    assert told(hook, news(outcome="updated", who="alice@bastion")) == [True]
    [(_, path, headers, body)] = sink.got
    event = json.loads(body)
    assert (path, headers["Content-Type"]) == ("/hook", "application/cloudevents+json; charset=utf-8")
    assert {name: event[name] for name in ("specversion", "type", "subject", "source", "time")} == {
        "specversion": "1.0",
        "type": "swarm-ecr-deployer.deployment.ended",
        "subject": "web",
        "source": "swarm-ecr-deployer",
        "time": "2026-01-01T00:00:00+00:00",
    }
    assert (event["data"]["who"], event["data"]["version"]) == ("alice@bastion", "2.0")
    text = b".".join((event["id"].encode(), b"1700000000", body))
    expected = base64.b64encode(hmac.digest(b"a key", text, hashlib.sha256)).decode()
    lower = {name.lower(): value for name, value in headers.items()}
    assert (lower["webhook-id"], lower["webhook-timestamp"]) == (event["id"], "1700000000")
    assert lower["webhook-signature"] == f"v1,{expected}"


def test_what_is_not_taken_is_told_again_with_the_same_id_and_given_up_in_the_end(sink, caplog):
    answers = iter([503, 429, 200])
    sink.answer = lambda *_: (next(answers), {})
    assert told(Hook(sink.url), news()) == [True]
    assert len({json.loads(body)["id"] for *_, body in sink.got}) == 1
    sink.answer = lambda *_: (503, {})
    sink.got.clear()
    assert told(Hook(sink.url), news()) == [False]
    assert len(sink.got) == TRIES
    assert (
        "it was not told that deployment t1 has ended: the hook (DEPLOYER_HOOK_URL) answers 503"
        in caplog.text
    )


def test_a_refusal_and_a_redirect_are_final_and_the_next_news_is_told(sink):
    answers = iter([400, 302, 200])
    sink.answer = lambda *_: (next(answers), {})
    assert told(Hook(sink.url), news(), news("begun"), news("waiting")) == [False, False, True]


def test_nobody_is_there_and_no_secret_is_said(caplog):
    assert told(Hook("http://me:secret@127.0.0.1:1/secret"), news()) == [False]
    assert "does not answer" in caplog.text
    assert "secret" not in caplog.text


def test_a_receiver_that_breaks_stops_nobody():
    def breaks(_):
        raise KeyError

    assert told(breaks, news(), news()) == [False, False]


def test_it_never_waits_for_a_receiver():
    gate = threading.Event()
    outbox = Outbox({"slow": lambda _: gate.wait(10)})
    for _ in range(1500):
        outbox.tell(news())
    gate.set()


class Forge:
    """GitHub, as far as it is asked here."""

    def __init__(self, sink):
        self.made = []
        sink.answer = self.answer
        self.sink = sink

    def answer(self, method, path):
        if method == "GET":
            return 200, self.made
        if path.endswith("/deployments"):
            asked = json.loads(self.sink.got[-1][3])
            self.made.append({"id": 7, "payload": asked["payload"]})
            return 201, {"id": 7}
        return 201, {}


def states(sink):
    return [json.loads(body)["state"] for method, path, _, body in sink.got if path.endswith("/statuses")]


def test_github_gets_one_deployment_with_its_states(sink):
    forge = Forge(sink)
    github = GitHub("a-token", lambda _: LABELS, sink.url)
    every = news("begun"), news("waiting"), news(outcome="rolled-back", reason="web.1: exit 7")
    assert told(github, *every) == [True, True, True]
    assert states(sink) == ["in_progress", "failure"]
    assert len(forge.made) == 1
    wanted = json.loads(
        next(body for method, path, _, body in sink.got if path == "/repos/team/web/deployments")
    )
    assert (wanted["ref"], wanted["environment"], wanted["required_contexts"]) == (COMMITS["v2"], "web", [])
    assert all(headers["Authorization"] == "Bearer a-token" for _, _, headers, _ in sink.got)


@pytest.mark.parametrize(
    "labels",
    [
        {},
        LABELS | {f"{PREFIX}revision": "main"},
        LABELS | {f"{PREFIX}source": "https://github.com.evil.example/a/b"},
        LABELS | {f"{PREFIX}source": "https://github.com/a/../b"},
    ],
)
def test_github_is_not_asked_for_an_image_that_does_not_say_where_it_is_from(sink, labels):
    assert told(GitHub("a-token", lambda _: labels, sink.url), news("begun")) == [True]
    assert sink.got == []


def test_the_commits_between_two_images():
    described = {"new": LABELS, "old": LABELS | {f"{PREFIX}revision": COMMITS["v1"]}}.get
    assert revision(described, "new", "old") == {
        "revision": COMMITS["v2"],
        "source": "https://github.com/team/web",
        "version": "2.0",
        "compare": f"https://github.com/team/web/compare/{COMMITS['v1']}...{COMMITS['v2']}",
    }
    assert (
        compare("https://gitlab.example/a/b/c.git", "1", "2")
        == "https://gitlab.example/a/b/c/-/compare/1...2"
    )
    for wrong in ("javascript:alert(1)", "http://github.com/a/b", "https://example.com/a", None):
        assert compare(wrong, "1", "2") is None
    assert compare("https://github.com/a/b", "1", "2&x=<b>") is None

    def down(_):
        raise TemporaryError("registry does not answer")

    assert revision(down, "new", "old") == {}
