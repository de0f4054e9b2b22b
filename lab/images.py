"""Small images of one layer, a busybox with what libraries it needs, made without an engine.

What they do stands in their configuration alone, so that a new version is a few hundred bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import shlex
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from lab.programs import program, with_libraries

BUSYBOX = program("busybox")
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar"
INDEX = "application/vnd.oci.image.index.v1+json"
ATTESTATION = "application/vnd.in-toto+json"

PORT = 8080
SERVE = f"/bin/busybox httpd -f -p ${{PORT:-{PORT}}} -h /www"
KINDS = ("web", "crash", "crash-later", "healthy", "unhealthy", "job")


@dataclass(frozen=True)
class Image:
    """The three things that a registry stores."""

    layer: bytes
    config: bytes
    manifest: bytes

    @property
    def digest(self) -> str:
        """Return the manifest's digest, which names the image."""
        return digest_of(self.manifest)


def digest_of(content: bytes) -> str:
    """Return the name by which a registry knows a content."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


@lru_cache(maxsize=1)
def _layer(busybox: str) -> bytes:
    """Return the files of every image. Debian's plain busybox, often installed already, is not static."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in ("bin", "www", "tmp", "etc"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(folder)
        _, *libraries = with_libraries(busybox)
        for name, source in [("bin/busybox", busybox), *((path[1:], path) for path in libraries)]:
            content = Path(source).read_bytes()
            file = tarfile.TarInfo(name)
            file.size, file.mode = len(content), 0o755
            tar.addfile(file, io.BytesIO(content))
    return buffer.getvalue()


def _command(kind: str, text: str, seconds: float) -> str:
    page = f"echo {shlex.quote(text)} >/www/index.html; "
    if kind == "crash":
        return f"echo {shlex.quote(text)} >&2; exit 7"
    if kind == "job":
        return f"sleep {seconds}; echo {shlex.quote(text)}"
    if kind == "crash-later":
        return f"{page}{SERVE} & sleep {seconds}; exit 7"
    return f"{page}exec {SERVE}"


def _healthcheck(kind: str) -> dict[str, object]:
    test = "exit 0" if kind == "healthy" else "exit 1"
    half_second = 500_000_000  # nanoseconds, the unit of the image specification
    return {
        "Test": ["CMD", "/bin/busybox", "sh", "-c", test],
        "Interval": half_second,
        "Timeout": 5_000_000_000,
        "Retries": 2,
    }


def make(
    text: str, kind: str = "web", seconds: float = 1.0, labels: Mapping[str, str] | None = None
) -> Image:
    """Make an image whose container does this.

    Args:
        text: the page that it serves on the port that the variable PORT gives (8080 if none).
        kind: `web` serves it; `crash` writes it to stderr and exits with 7 at once; `crash-later` serves it,
            then exits with 7; `healthy` and `unhealthy` serve it, with a health check that says so in 1 s;
            `job` writes it to stdout and exits with 0.
        seconds: how long `crash-later` and `job` live.
        labels: the image's labels.
    """
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is no kind of image; there are {', '.join(KINDS)}")
    run: dict[str, Any] = {
        "Entrypoint": ["/bin/busybox", "sh", "-c", _command(kind, text, seconds)],
        "Env": ["PATH=/bin"],
        "Labels": dict(labels or {}),
        # Process 1 ignores SIGTERM unless it says otherwise, and each update would take its grace period.
        "StopSignal": "SIGKILL",
    }
    if kind in ("healthy", "unhealthy"):
        run["Healthcheck"] = _healthcheck(kind)
    layer = _layer(BUSYBOX)
    config = {
        "architecture": ARCHITECTURE,
        "os": "linux",
        "config": run,
        "rootfs": {"type": "layers", "diff_ids": [digest_of(layer)]},
        "history": [{"created_by": f"{kind} {text}"}],
    }
    return _image(config, layer, LAYER)


def _image(config: Mapping[str, Any], layer: bytes, kind: str) -> Image:
    packed = json.dumps(config).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": _descriptor(CONFIG, packed),
        "layers": [_descriptor(kind, layer)],
    }
    return Image(layer, packed, json.dumps(manifest).encode())


def _descriptor(kind: str, content: bytes, **more: object) -> dict[str, object]:
    return {"mediaType": kind, "size": len(content), "digest": digest_of(content), **more}


def attestation(image: Image) -> Image:
    """Return BuildKit's attestation of an image: an "image" for no platform, whose layer tells how it was
    built.
    """
    statement = {"_type": "https://in-toto.io/Statement/v0.1", "subject": [{"digest": image.digest}]}
    layer = json.dumps(statement).encode()
    config = {
        "architecture": "unknown",
        "os": "unknown",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [digest_of(layer)]},
    }
    return _image(config, layer, ATTESTATION)


def index(image: Image, proof: Image) -> bytes:
    """Return the index of an image and its attestation, as BuildKit pushes it for one platform."""
    here = {"architecture": ARCHITECTURE, "os": "linux"}
    nowhere = {"architecture": "unknown", "os": "unknown"}
    notes = {
        "vnd.docker.reference.digest": image.digest,
        "vnd.docker.reference.type": "attestation-manifest",
    }
    manifests = [
        _descriptor(MANIFEST, image.manifest, platform=here),
        _descriptor(MANIFEST, proof.manifest, platform=nowhere, annotations=notes),
    ]
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}).encode()


def archive(image: Image, name: str) -> bytes:
    """Return the image as `docker load` reads it, under this name (with its tag)."""
    entry = {"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}
    files = {
        "config.json": image.config,
        "layer.tar": image.layer,
        "manifest.json": json.dumps([entry]).encode(),
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, content in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def docker_push(docker: Callable[..., str], name: str, image: Image) -> str:
    """Load an image into an engine, push it under this name, and return its digest.

    The client compresses the layer, so it is another digest than that of `image`.
    """
    docker("load", "--quiet", stdin=archive(image, name))
    return docker("push", name).rpartition("digest: ")[2].split()[0]
