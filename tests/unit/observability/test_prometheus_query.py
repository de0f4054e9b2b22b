"""A query of Prometheus fires if it returns a sample."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import pytest

from deployer.errors import PermanentError, TemporaryError
from deployer.model.evidence import Signals
from deployer.observability.prometheus_query import MAX_ANSWER, Prometheus


@pytest.fixture
def server():
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            made.asked.append((self.path, parse_qs(body)["query"][0], self.headers.get("Authorization")))
            status, content = made.answer
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "http://169.254.169.254/")
            self.end_headers()
            self.wfile.write(content if isinstance(content, bytes) else json.dumps(content).encode())

        def log_message(self, *_):
            pass

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.asked, made.answer = [], (200, {})
    threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture
def prometheus(server):
    return Prometheus(f"http://me:secr%40et@127.0.0.1:{server.server_port}/prom/")


def vector(*samples):
    return 200, {"status": "success", "data": {"resultType": "vector", "result": list(samples)}}


def test_a_sample_fires_and_none_is_quiet(server, prometheus):
    server.answer = vector({"metric": {"job": "web"}, "value": [1, "7"]})
    signal = prometheus("errors > 1")
    assert (signal.state, signal.reason) == (Signals.FIRES, "7 {job=web}")
    server.answer = vector()
    assert prometheus("errors > 1").state is Signals.QUIET
    assert server.asked[0] == ("/prom/api/v1/query", "errors > 1", "Basic bWU6c2VjckBldA==")


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        ((400, {"status": "error", "error": "parse error"}), PermanentError, "refuses 'x >': parse error"),
        ((401, b"no"), PermanentError, "status 401"),
        ((302, b""), PermanentError, "status 302"),
        ((503, b""), TemporaryError, "cannot answer now"),
        (
            (200, {"status": "success", "data": {"resultType": "scalar", "result": [1, "1"]}}),
            PermanentError,
            "scalar",
        ),
        (
            (200, {"status": "success", "data": {"resultType": "matrix", "result": [{}]}}),
            PermanentError,
            "matrix",
        ),
        ((200, b"x" * (MAX_ANSWER + 1)), PermanentError, "status 200"),
    ],
)
def test_what_is_no_answer_is_said_without_the_password(server, prometheus, answer, error, said):
    server.answer = answer
    with pytest.raises(error) as caught:
        prometheus("x >")
    assert said in str(caught.value)
    assert "secr" not in str(caught.value)


def test_nobody_is_there():
    with pytest.raises(TemporaryError, match="http://127.0.0.1:1 does not answer"):
        Prometheus("http://me:secret@127.0.0.1:1")("up")


def test_an_address_of_ipv6_keeps_its_brackets():
    assert Prometheus("http://me:secret@[::1]:9090").shown == "http://[::1]:9090"
