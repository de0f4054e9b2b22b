"""A registry over HTTP whose answers a test writes."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from deployer.model.image import Image


class Server:
    """An HTTP server on loopback whose answers a test writes."""

    def __init__(self, context=None):
        self.answer = lambda path, query, authorization: (200, {}, {"tags": ["v1"]})
        self.requests = []  # (path with query, Authorization)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self):
                self.do_GET()

            def do_GET(self):
                parts = urlsplit(self.path)
                authorization = self.headers.get("Authorization")
                outer.requests.append((self.path, authorization))
                query = {name: values[0] for name, values in parse_qs(parts.query).items()}
                status, headers, body = outer.answer(parts.path, query, authorization)
                content = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in {"Content-Length": str(len(content)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.handle_error = lambda *_: None  # of clients that hang up
        self._server.daemon_threads = True
        self._server.block_on_close = False
        if context:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def host(self):
        return f"127.0.0.1:{self._server.server_port}"

    @property
    def image(self):
        return Image.parse(f"{self.host}/team/web:v1")

    def close(self):
        self._server.shutdown()
        self._server.server_close()
