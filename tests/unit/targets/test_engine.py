"""Requests to an engine over HTTP: versions that change under a running worker, lists, broken answers."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from deployer.errors import TemporaryError
from deployer.targets.swarm.client import DockerEngine

SPEC = {"Name": "web", "Labels": {}, "TaskTemplate": {}}


class FakeHttp(ThreadingHTTPServer):
    """An engine as far as its versions go; `versions` are told to one request after another, the last for good."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.versions = ["1.41"]
        self.written = []
        self.connections = []
        self.lists = {}

    def version(self):
        return self.versions.pop(0) if len(self.versions) > 1 else self.versions[0]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        version = self.server.version()
        if self.path.startswith("/version"):
            self._answer(version, {"ApiVersion": version})
        elif self.path.endswith("/_ping"):
            self.server.connections.append(("ping", self.client_address))
            self._answer(version, "OK")
        elif self.path.split("?")[0].endswith("/services"):
            self._answer(version, self.server.lists["services"])
        else:
            self._answer(version, {"ID": "id", "path": self.path})

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.connections.append(("write", self.client_address))
        self.server.written.append((self.path, json.loads(body)))
        self._answer(self.server.version(), {})

    def _answer(self, version, body):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Api-Version", version)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture
def http():
    with FakeHttp() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def engine(http, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{http.server_port}")
    for name in ("DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(name, raising=False)
    return DockerEngine()


def test_a_service_is_read_at_the_engines_own_version(http, engine):
    http.versions = ["1.51"]
    assert engine.service("web")["path"] == "/v1.51/services/web"


def test_what_an_upgraded_engine_says_to_the_old_version_is_not_used(http, engine):
    assert engine.service("web")
    http.versions = ["1.51"]
    with pytest.raises(TemporaryError, match=r"1\.51 now, and was 1\.41"):
        engine.service("web")
    assert engine.service("web")["path"] == "/v1.51/services/web"


def test_a_list_of_an_upgraded_engine_neither(http, engine):
    http.lists["services"] = []
    assert list(engine.services()) == []
    http.versions = ["1.51"]
    with pytest.raises(TemporaryError):
        list(engine.services())


def test_nothing_is_written_at_a_version_that_is_not_the_engines_own(http, engine):
    """It would accept the spec, and drop what that version lacks without a word."""
    assert engine.service("web")
    http.versions = ["1.51"]
    with pytest.raises(TemporaryError, match="has changed"):
        engine.update_service("id", 7, SPEC, None)
    assert http.written == []
    engine.service("web")
    engine.update_service("id", 7, SPEC, None)
    assert [path for path, _ in http.written] == ["/v1.51/services/id/update?version=7"]


def test_managers_of_two_versions_behind_one_address_lose_nothing(http, engine):
    http.versions = ["1.41", "1.41", "1.51"]  # asked for its version, read, and the next one is another
    assert engine.service("web")
    with pytest.raises(TemporaryError):
        engine.update_service("id", 7, SPEC, None)
    assert http.written == []


def test_the_write_goes_over_the_connection_that_told_the_version(http, engine):
    for _ in range(3):
        engine.update_service("id", 7, SPEC, None)
    assert [kind for kind, _ in http.connections] == ["ping", "write"] * 3
    assert len({address for _, address in http.connections}) == 1


@pytest.mark.parametrize("text", ["", "[", '[{"a": 1}', '[{"a": 1}, {"b"', "[}", "x", '{"message": "no"}'])
def test_a_list_without_its_end_is_no_list(http, engine, text):
    http.lists["services"] = text.encode()
    with pytest.raises(TemporaryError, match="no end of a list|no list"):
        list(engine.services())


def test_null_is_an_empty_list_and_numbers_stay_numbers(http, engine):
    http.lists["services"] = b"null\n"
    assert list(engine.services()) == []
    http.lists["services"] = b'[{"a": 1, "b": 0.5}]'
    assert list(engine.services()) == [{"a": 1, "b": 0.5}]
