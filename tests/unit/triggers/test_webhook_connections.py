"""Fault 34: connections that say nothing do not close the webhook. With real sockets."""

import contextlib
import http.client
import json
import socket
import threading
from types import SimpleNamespace

import pytest
import uvicorn

from deployer.triggers.webhook import serve
from deployer.triggers.webhook.server import Receiver
from lab import wait_until
from lab.processes import free_port

SECRET = "the-secret-of-plain"
HALF = b"POST /hooks/plain HTTP/1.1\r\nHost: x\r\nX-Slow: "


@pytest.fixture
def port(monkeypatch):
    monkeypatch.setattr(serve.signal, "signal", lambda *_: None)  # only the main thread may
    monkeypatch.setattr(uvicorn.Server, "capture_signals", lambda _: contextlib.nullcontext())
    servers = []
    run = uvicorn.Server.run
    monkeypatch.setattr(
        uvicorn.Server, "run", lambda self, **options: (servers.append(self), run(self, **options))
    )
    outbox = SimpleNamespace(ill=lambda: None, send=lambda _: None)
    app = Receiver(outbox, {"plain": [SECRET]}, rate=10_000).app("1.0")
    number = free_port()
    thread = threading.Thread(target=serve.run, args=(app, "127.0.0.1", number), daemon=True)
    thread.start()
    wait_until(lambda: servers and servers[0].started, 10, "the server")
    yield number
    servers[0].should_exit = True
    thread.join(10)


def post(port, connection=None):
    connection = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    headers = {"Authorization": f"Bearer {SECRET}", "Content-Type": "application/json"}
    connection.request("POST", "/hooks/plain", json.dumps({"image": "acme/web:1"}), headers)
    answer = connection.getresponse()
    answer.read()
    return answer.status


def idle(port, count, said):
    sockets = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(count)]
    for one in sockets:
        one.sendall(said)
    return sockets


def is_closed(one):
    one.settimeout(0.05)
    try:
        return one.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


@pytest.mark.parametrize("said", [b"", HALF])
def test_fault_34_hundreds_of_idle_connections_do_not_close_the_webhook(port, said):
    sockets = idle(port, 300, said)
    assert [post(port) for _ in range(3)] == [202, 202, 202]
    wait_until(lambda: is_closed(sockets[0]), 10, "the oldest to be closed")
    for one in sockets:
        one.close()


def test_a_header_that_does_not_end_is_not_waited_for(monkeypatch, port):
    monkeypatch.setattr(serve, "HEADER_SECONDS", 0.3)
    (slow,) = idle(port, 1, HALF)
    wait_until(lambda: is_closed(slow), 10, "the connection to be closed")


def test_nor_is_the_next_one_on_a_connection_that_had_an_answer(monkeypatch, port):
    monkeypatch.setattr(serve, "HEADER_SECONDS", 0.5)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    assert [post(port, connection), post(port, connection)] == [202, 202]
    connection.sock.sendall(HALF)
    wait_until(lambda: is_closed(connection.sock), 10, "the connection to be closed")
