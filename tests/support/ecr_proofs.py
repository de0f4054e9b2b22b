"""ECR's answers about signatures and scans, by a stand-in that takes and gives what botocore's model has."""

import json
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import botocore.session

MODEL = botocore.session.get_session().get_service_model("ecr")
OURS = {"DescribeImageSigningStatus", "DescribeImageScanFindings"}


def checked(action, body, answer):
    """Status and JSON of an answer: an object, or the name of an error."""
    known = MODEL.operation_model(action)
    assert set(body) <= set(known.input_shape.members)
    assert set(known.input_shape.required_members) <= set(body)
    if isinstance(answer, str):
        assert answer in {shape.name for shape in known.error_shapes}
        return 400, json.dumps({"__type": answer, "message": "no"})
    assert set(answer) <= set(known.output_shape.members)
    return 200, json.dumps(answer)


class Proofs:
    """Knows `scans` and `signatures` by digest; whatever else is asked goes on to another endpoint."""

    def __init__(self, endpoint):
        self.scans, self.signatures = {}, {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                action = self.headers["X-Amz-Target"].rpartition(".")[2]
                if action in OURS:
                    asked = json.loads(body)
                    digest = asked["imageId"]["imageDigest"]
                    if "Scan" in action:
                        answer = outer.scans.get(digest, "ScanNotFoundException")
                    else:
                        answer = outer.signatures.get(digest, {"signingStatuses": []})
                    status, text = checked(action, asked, answer)
                    content = text.encode()
                else:
                    request = urllib.request.Request(endpoint, body, dict(self.headers))
                    with urllib.request.urlopen(request) as answer:
                        status, content = answer.status, answer.read()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
