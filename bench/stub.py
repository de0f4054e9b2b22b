"""`python -m bench.stub SOCKET COUNT`: an engine with very many services, over a Unix socket.

Creating ten thousand services on a real Swarm takes longer than all that is measured with them. This one
serves what the deployer and the floor ask (`/services`, one service, `/tasks`, `/distribution`, `/configs`,
updates), from texts that are made once, so that both wait for it as little as possible.
"""

from __future__ import annotations

import json
import socketserver
import sys
import threading
import time
from collections.abc import Mapping
from functools import partial
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from lab import HOST

BEFORE, AFTER = ("sha256:" + digit * 64 for digit in "0f")
AT = "2026-01-01T00:00:00.000000000Z"


def repository(number: int) -> str:
    """Return the repository of a service's image: each service has its own."""
    return f"bench/app-{number:05d}"


def service(number: int) -> dict[str, Any]:
    """Return a service of a stack, as the engine shows one that was updated once."""
    name = f"stack_app-{number:05d}"
    labels = {
        "com.docker.stack.image": f"{HOST}/{repository(number)}:latest",
        "com.docker.stack.namespace": "stack",
    }
    container = {
        "Image": f"{HOST}/{repository(number)}:latest@{BEFORE}",
        "Labels": {"com.docker.stack.namespace": "stack"},
        "Env": [f"SETTING_{key}=some value of ordinary length" for key in range(8)],
        "Privileges": {"CredentialSpec": None, "SELinuxContext": None},
        "Isolation": "default",
    }
    spec = {
        "Name": name,
        "Labels": labels,
        "TaskTemplate": {
            "ContainerSpec": container,
            "Resources": {"Limits": {"MemoryBytes": 268435456}},
            "RestartPolicy": {"Condition": "any", "Delay": 5000000000, "MaxAttempts": 0},
            "Placement": {"Platforms": [{"Architecture": "amd64", "OS": "linux"}]},
            "Networks": [{"Target": "ts3kn2f6ge0t1zkcl7y9mwlrh", "Aliases": ["app"]}],
            "ForceUpdate": 0,
            "Runtime": "container",
        },
        "Mode": {"Replicated": {"Replicas": 1}},
        "UpdateConfig": {
            "Parallelism": 1,
            "FailureAction": "pause",
            "MaxFailureRatio": 0,
            "Order": "stop-first",
        },
        "EndpointSpec": {"Mode": "vip"},
    }
    address = {"NetworkID": "ts3kn2f6ge0t1zkcl7y9mwlrh", "Addr": "10.0.1.2/24"}
    return {
        "ID": f"bench{number:020d}",
        "Version": {"Index": 10},
        "CreatedAt": AT,
        "UpdatedAt": AT,
        "Spec": spec,
        "PreviousSpec": spec,
        "Endpoint": {"Spec": {"Mode": "vip"}, "VirtualIPs": [address]},
    }


class Store:
    """The services, each as a text, and what was asked.

    Args:
        count: how many services there are.
    """

    def __init__(self, count: int) -> None:
        self.lock = threading.Lock()
        self.services = [service(number) for number in range(count)]
        self.texts = [json.dumps(one).encode() for one in self.services]
        self.names = {one["Spec"]["Name"]: number for number, one in enumerate(self.services)}
        self.names |= {one["ID"]: number for number, one in enumerate(self.services)}
        self.all = b""
        self.update_at = 0.0
        self.join()

    def join(self) -> None:
        """Make the text of the whole list."""
        self.all = b"[" + b",".join(self.texts) + b"]\n"

    def update(self, name: str, version: int, spec: Mapping[str, Any]) -> tuple[int, object]:
        """Write over a version, as the engine does."""
        with self.lock:
            number = self.names[name]
            one = self.services[number]
            if one["Version"]["Index"] != version:
                return 500, {"message": "rpc error: code = Unknown desc = update out of sequence"}
            self.update_at = time.time()
            one |= {"PreviousSpec": one["Spec"], "Spec": dict(spec), "Version": {"Index": version + 1}}
            self.texts[number] = json.dumps(one).encode()
            self.join()
            return 200, {"Warnings": None}

    def task(self, name: str) -> dict[str, Any]:
        """Return the task of a service, which runs what it should."""
        one = self.services[self.names[name]]
        status = {"State": "running", "Timestamp": AT, "ContainerStatus": {"ContainerID": "c"}}
        times = {"CreatedAt": AT, "UpdatedAt": AT, "Version": one["Version"]}
        spec = one["Spec"]["TaskTemplate"]
        ids = {"ID": f"task-{name}", "ServiceID": one["ID"], "NodeID": "node", "Slot": 1}
        return {**ids, **times, "Spec": spec, "Status": status, "DesiredState": "running"}

    def restore(self) -> tuple[int, object]:
        """Bring the first service back to how it was."""
        with self.lock:
            self.services[0] = service(0)
            self.texts[0] = json.dumps(self.services[0]).encode()
            self.update_at = 0.0
            self.join()
        return 200, {}


class Handler(BaseHTTPRequestHandler):
    """The paths of the engine's API that are needed."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def __init__(self, store: Store, *args: Any) -> None:
        self._store = store
        super().__init__(*args)

    def do_GET(self) -> None:
        """Answer a question."""
        url = urlsplit(self.path)
        if url.path.endswith("/tasks"):
            wanted = json.loads(parse_qs(url.query)["filters"][0])["service"]
            self._answer(200, [self._store.task(name) for name in wanted])
            return
        self._answer(*self._found(unquote(url.path)))

    def do_POST(self) -> None:
        """Take an update."""
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if url.path.endswith("/bench/restore"):
            self._answer(*self._store.restore())
            return
        name = unquote(url.path).split("/")[-2]
        self._answer(*self._store.update(name, int(parse_qs(url.query)["version"][0]), json.loads(body)))

    def _found(self, path: str) -> tuple[int, object]:
        kind, _, name = path.removeprefix("/v1.41/").removeprefix("/").partition("/")
        store = self._store
        match kind:
            case "bench":
                return 200, {"update_at": store.update_at}
            case "version":
                return 200, {"ApiVersion": "1.41", "MinAPIVersion": "1.12", "Version": "20.10"}
            case "services" if not name:
                return 200, store.all
            case "services" if name in store.names:
                return 200, store.texts[store.names[name]]
            case "distribution":
                platform = {"architecture": "amd64", "os": "linux"}
                return 200, {"Descriptor": {"digest": AFTER}, "Platforms": [platform]}
        return 404, {"message": f"{path} not found"}

    def _answer(self, status: int, body: object) -> None:
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def address_string(self) -> str:
        """Return nothing: a Unix socket has no address."""
        return "-"


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 64


def main() -> None:
    """Serve until somebody ends it."""
    path, count = sys.argv[1], int(sys.argv[2])
    with _Server(path, partial(Handler, Store(count))) as server:
        print("stub ready", flush=True)
        server.serve_forever(0.5)


if __name__ == "__main__":
    main()
