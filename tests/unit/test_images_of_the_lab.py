"""The images of the lab run on what busybox this machine has."""

import io
import shutil
import subprocess
import tarfile

import pytest

from lab import images


def files(image):
    with tarfile.open(fileobj=io.BytesIO(image.layer)) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}


def test_a_program_with_libraries_brings_them_into_the_image(monkeypatch, tmp_path):
    # A plain busybox, as initramfs-tools brings it, is a program with libraries like any other.
    monkeypatch.setattr(images, "BUSYBOX", shutil.which("sleep"))
    content = files(images.make("v1"))
    assert any("libc.so" in name for name in content)
    for name, data in content.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(0o755)
    if subprocess.run(["unshare", "--map-root-user", "true"], capture_output=True).returncode:
        pytest.skip("no user namespaces for a chroot")
    subprocess.run(["unshare", "--map-root-user", "chroot", tmp_path, "/bin/busybox", "0"], check=True)


def test_a_static_program_comes_alone(monkeypatch, tmp_path):
    script = tmp_path / "busybox"
    script.write_text("#!/bin/sh\n")
    monkeypatch.setattr(images, "BUSYBOX", str(script))
    assert files(images.make("v1")) == {"bin/busybox": b"#!/bin/sh\n"}
