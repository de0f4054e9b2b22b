"""A registry that behaves as ECR does for a client: TLS, ECR's host names, a user and a token."""

from __future__ import annotations

import base64
import http.client
import json
import shutil
import ssl
import subprocess
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import bcrypt

from lab import images
from lab.images import Image, digest_of
from lab.namespaces import Namespaces
from lab.processes import Process
from lab.server import Server

T = TypeVar("T")
Answer = tuple[int, Mapping[str, str], bytes]
SETTINGS = """\
version: 0.1
log:
  level: warn
storage:
  filesystem:
    rootdirectory: {root}/images
  delete:
    enabled: true
http:
  addr: {address}:{port}
  tls:
    certificate: {root}/certificate.pem
    key: {root}/key.pem
auth:
  htpasswd:
    realm: registry
    path: {root}/htpasswd
"""
NOTIFIED = """\
notifications:
  endpoints:
    - name: lab
      url: {url}
      timeout: 5s
      threshold: 3
      backoff: 1s
"""


class Registry(Server):
    """A registry in the engine's namespaces. A stop keeps its images for the next start.

    Args:
        root: a directory of its own.
        namespaces: where it listens; the engine there is made to trust its certificate.
        hosts: the names it answers to, as they stand in an image reference; all with the same port.
        address: a loopback address inside the namespaces.
        log: where its output goes.
        user: whom it lets in, with the password that `accept` tells.
        pushed: is told repository, tag, manifest and media type of what gets a tag by `put_manifest`.
    """

    def __init__(
        self,
        root: Path,
        namespaces: Namespaces,
        hosts: Sequence[str],
        address: str,
        log: Path,
        user: str = "AWS",
        pushed: Callable[[str, str, bytes, str], None] | None = None,
    ) -> None:
        super().__init__(f"the registry {hosts[0]}")
        self.root = root
        self.namespaces = namespaces
        self.address = address
        self.user = user
        self.password = ""  # that it takes
        self.notified = ""  # a URL inside that is told of every push, as of the next start
        self.port = int(hosts[0].partition(":")[2] or 443)
        self._log = log
        self._pushed = pushed
        root.mkdir(parents=True, exist_ok=True)
        self._make_certificate(hosts)

    def _make_certificate(self, hosts: Sequence[str]) -> None:
        certificate = self.root / "certificate.pem"
        names = ",".join([*(f"DNS:{host.partition(':')[0]}" for host in hosts), f"IP:{self.address}"])
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout"]
        argv = ["openssl", "req", "-x509", *key, str(self.root / "key.pem"), "-out", str(certificate)]
        argv += ["-days", "30", "-subj", "/CN=registry", "-addext", f"subjectAltName={names}"]
        subprocess.run(argv, check=True, capture_output=True)
        for host in hosts:
            trusted = self.namespaces.certificates / host
            trusted.mkdir(parents=True, exist_ok=True)
            shutil.copy(certificate, trusted / "ca.crt")

    def launch(self) -> Process:
        """Start docker-registry."""
        settings = self.root / "registry.yml"
        text = SETTINGS.format(root=self.root, address=self.address, port=self.port)
        settings.write_text(text + (NOTIFIED.format(url=self.notified) if self.notified else ""))
        return Process(self.namespaces.command("docker-registry", "serve", str(settings)), self._log)

    def answers(self) -> bool:
        """Return whether it answers, if only with a refusal."""
        return bool(self.request("GET", "/v2/")[0])

    def accept(self, password: str) -> None:
        """Take this password from now on, and no other; whoever has another gets status 401."""
        self.password = password
        hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()
        fresh = self.root / "htpasswd.new"
        fresh.write_text(f"{self.user}:{hashed}\n")
        # It reads the file again when the file's time has changed, so it must never see half of it.
        fresh.rename(self.root / "htpasswd")

    def refuse(self) -> None:
        """Refuse every token until `accept`."""
        self.accept(uuid.uuid4().hex)

    def while_thawed(self, work: Callable[[], T]) -> T:
        """Do something with a frozen registry that needs it, and freeze it again."""
        self.thaw()
        try:
            return work()
        finally:
            self.freeze()

    def push(self, repository: str, tag: str, image: Image) -> str:
        """Store an image under a tag (or its digest); its digest."""
        for content in (image.layer, image.config):
            self._store(repository, content)
        return self.put_manifest(repository, tag, image.manifest, images.MANIFEST)

    def push_index(self, repository: str, tag: str, image: Image) -> str:
        """Store an index of the image and an attestation, of which only the index has the tag; its digest."""
        proof = images.attestation(image)
        for child in (image, proof):
            self.push(repository, child.digest, child)
        return self.put_manifest(repository, tag, images.index(image, proof), images.INDEX)

    def put_manifest(self, repository: str, tag: str, manifest: bytes, kind: str) -> str:
        """Store a manifest, or an index, as it is; its digest."""
        self._checked("PUT", f"/v2/{repository}/manifests/{tag}", manifest, kind)
        if self._pushed and ":" not in tag:
            self._pushed(repository, tag, manifest, kind)
        return digest_of(manifest)

    def delete(self, repository: str, digest: str) -> None:
        """Forget a manifest, as a lifecycle policy does; its tags go with it."""
        self._checked("DELETE", f"/v2/{repository}/manifests/{digest}")

    def tags(self, repository: str) -> list[str]:
        """Return the tags of a repository."""
        status, _, answer = self.request("GET", f"/v2/{repository}/tags/list")
        return sorted(json.loads(answer)["tags"] or []) if status == 200 else []

    def _store(self, repository: str, content: bytes) -> None:
        digest = digest_of(content)
        if self.request("HEAD", f"/v2/{repository}/blobs/{digest}")[0] == 200:
            return
        _, headers, _ = self._checked("POST", f"/v2/{repository}/blobs/uploads/")
        place = "/v2/" + headers["Location"].split("/v2/", 1)[1]
        self._checked("PUT", f"{place}&digest={digest}", content, "application/octet-stream")

    def _checked(self, method: str, path: str, body: bytes = b"", kind: str = "") -> Answer:
        status, headers, answer = self.request(method, path, body, kind)
        if status >= 300:
            raise RuntimeError(f"{method} {path}: {status} {answer.decode(errors='replace')}")
        return status, headers, answer

    def request(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        kind: str = "",
        password: str | None = None,
        accept: str = "",
    ) -> Answer:
        """Send one request, with the accepted password unless another is given; return status, headers and
        body.

        `kind` is the media type of the body, `accept` the one that the answer may have.
        """
        login = f"{self.user}:{self.password if password is None else password}"
        headers = {"Authorization": "Basic " + base64.b64encode(login.encode()).decode()}
        headers |= {name: value for name, value in (("Content-Type", kind), ("Accept", accept)) if value}
        return self.ask(method, path, body, headers)

    def ask(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send one request with these headers; return status, headers and body.

        Raises:
            OSError: it does not answer.
        """

        def send() -> Answer:
            trust = ssl.create_default_context(cafile=str(self.root / "certificate.pem"))
            connection = http.client.HTTPSConnection(self.address, self.port, timeout=10, context=trust)
            try:
                connection.request(method, path, body, dict(headers))
                answer = connection.getresponse()
                return answer.status, dict(answer.headers), answer.read()
            except http.client.HTTPException as fault:
                raise OSError(f"{self.name} hung up") from fault
            finally:
                connection.close()

        return self.namespaces.call(send)
