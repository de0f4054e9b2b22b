"""The deployer's own image, built offline on a base made by debootstrap, and images of local programs.

What takes long is kept under CACHE for the next lab of this machine: the base, the wheels of the lock files,
and the built image, each under a name that changes with what it is made of.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from packaging.markers import Marker

from lab import images
from lab.engine import DOCKER
from lab.programs import PATH, program, with_libraries
from lab.swarm import Swarm

CACHE = Path("/var/cache/swarm-ecr-deployer")
ROOT = Path(__file__).parent.parent
LOCKS = ("requirements.lock", "requirements-build.lock")
SOURCES = ("Dockerfile", "pyproject.toml", "README.md", "LICENSE", "celeryconfig.py", *LOCKS)
RELEASE = "bookworm"
PYTHON = "3.11.2"  # of that release
PACKAGES = "python3,python3-venv,ca-certificates"
BASE = "lab/base"
APPLETS = ("sh", "sed", "cat", "grep", "sleep", "wget", "httpd")
NEVER_READ = (
    "./var/cache/",
    "./var/lib/apt/lists/",
    "./usr/share/doc/",
    "./usr/share/man/",
    "./usr/share/locale/",
)


def build(swarm: Swarm, name: str, *options: str, fresh: bool = False) -> None:
    """Have the deployer's image in an engine, on our own base.

    Args:
        swarm: the engine.
        name: the name of the image.
        options: more options of `docker build`.
        fresh: build it, whatever is cached.
    """
    base(swarm)
    with tempfile.TemporaryDirectory() as made:
        context = Path(made)
        sources(context)
        if fresh:
            _build(swarm, context, name, "--no-cache", *options)
            return
        key = _key(context, *options, PACKAGES)
        kept = _kept(f"image-{key}.tar", lambda path: _save(swarm, context, path, *options))
        _load(swarm, kept, f"lab/built:{key}", name)


def base(swarm: Swarm) -> None:
    """Have the base in an engine: the smallest Debian, with Python."""
    if not _knows(swarm, BASE):
        key = hashlib.sha256(f"{RELEASE} {PACKAGES} {NEVER_READ}".encode()).hexdigest()[:16]
        # The client reads a file faster than we could hand it over.
        swarm.docker("import", str(_kept(f"base-{key}.tar", _debootstrap)), BASE)


def wheels() -> Path:
    """Return a directory with the wheels of the lock files."""
    key = hashlib.sha256(b"".join((ROOT / lock).read_bytes() for lock in LOCKS)).hexdigest()[:16]
    return _kept(f"wheels-{key}", _download)


def programs(swarm: Swarm, name: str, names: Iterable[str], uid: int, folders: Iterable[str] = ()) -> None:
    """Have an image of programs of this machine, each with its libraries, and a busybox for the rest.

    Args:
        swarm: the engine.
        name: the name of the image.
        names: the programs, which get the same places there.
        uid: who owns the folders.
        folders: directories to be made.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for folder in ("tmp", "etc", *(folder.strip("/") for folder in folders)):
            info = tarfile.TarInfo(folder)
            info.type, info.mode, info.uid, info.gid = tarfile.DIRTYPE, 0o777, uid, uid
            tar.addfile(info)
        files = {path for one in names for path in with_libraries(program(one))}
        for path in sorted(files | set(with_libraries(images.BUSYBOX)[1:])):
            tar.add(Path(path).resolve(), path.lstrip("/"))
        tar.add(images.BUSYBOX, "bin/busybox")
        for applet in APPLETS:
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    swarm.docker(
        "import",
        "--change",
        "ENV PATH=/usr/local/bin:/usr/sbin:/usr/bin:/bin",
        "-",
        name,
        stdin=buffer.getvalue(),
    )


def deploy(swarm: Swarm, stack: str, files: Iterable[Path], variables: Mapping[str, str]) -> None:
    """Deploy a stack; images that no registry has must be in the engine already.

    Args:
        swarm: the engine.
        stack: its name.
        files: stack files; the later ones add to the earlier ones.
        variables: what the files ask of the environment.
    """
    argv = [word for path in files for word in ("--compose-file", str(path))]
    _docker(swarm, "stack", "deploy", "--with-registry-auth", *argv, stack, **variables)


def _build(swarm: Swarm, context: Path, name: str, *options: str) -> None:
    argv = ["build", "--quiet", "--network", "none", "--build-arg", f"BASE={BASE}", "--tag", name]
    _docker(swarm, *argv, *options, str(context), DOCKER_BUILDKIT="1")


def _docker(swarm: Swarm, *argv: str, **variables: str) -> None:
    """Run Docker's client with variables of ours, which the engine's own method does not take."""
    env = {
        "PATH": PATH,
        "DOCKER_HOST": swarm.engine.socket,
        "DOCKER_CONFIG": str(swarm.engine.config),
        **variables,
    }
    done = subprocess.run([DOCKER, *argv], env=env, capture_output=True, text=True, timeout=600)
    if done.returncode:
        raise RuntimeError(f"docker {' '.join(argv)}: {done.stderr[-4000:]}")


def _save(swarm: Swarm, context: Path, path: Path, *options: str) -> None:
    name = f"lab/built:{_key(context, *options, PACKAGES)}"
    _build(swarm, context, name, *options)
    swarm.docker("save", "--output", str(path), name)


def _load(swarm: Swarm, path: Path, saved: str, name: str) -> None:
    if not _knows(swarm, saved):
        swarm.docker("load", "--quiet", "--input", str(path))
    swarm.docker("tag", saved, name)


def _knows(swarm: Swarm, name: str) -> bool:
    return bool(swarm.docker("image", "ls", "--quiet", name))


def sources(directory: Path) -> None:
    """Copy what the image is built from, with the wheels."""
    for name in SOURCES:
        shutil.copy(ROOT / name, directory)
    shutil.copytree(ROOT / "deployer", directory / "deployer", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(wheels(), directory / "wheels")


def _download(directory: Path) -> None:
    """Download the wheels of the lock files for the Python of the base, with the hashes checked."""
    directory.mkdir()
    locks = []
    for name in LOCKS:
        entries = re.split(r"(?m)^(?=\S+==)", (ROOT / name).read_text())
        (directory / name).write_text("".join(filter(None, map(_for_base, entries))))
        locks += ["-r", str(directory / name)]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
    only = ["--only-binary", ":all:", "--python-version", "3.11", "--require-hashes"]
    done = subprocess.run([*pip, *only, "--dest", str(directory), *locks], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"pip download: {done.stderr[-2000:]}")
    for name in LOCKS:
        (directory / name).unlink()


def _for_base(entry: str) -> str:
    """Return an entry of a lock file without its marker; empty if the base's Python does not need it."""
    found = re.match(r"(\S+==\S+) ; ([^\\]*)", entry)
    # pip would ask our own Python, which is another patch release.
    wanted = not found or Marker(found[2]).evaluate({"python_full_version": PYTHON, "python_version": "3.11"})
    return (f"{found[1]} {entry[found.end() :]}" if found else entry) if wanted else ""


def _debootstrap(path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent) as made:
        root = Path(made) / "root"
        argv = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", RELEASE, str(root)]
        subprocess.run(argv, check=True, capture_output=True)
        skipped = [f"--exclude={folder}*" for folder in NEVER_READ]
        tar = [
            "tar",
            "--numeric-owner",
            "--one-file-system",
            *skipped,
            "-C",
            str(root),
            "-cf",
            str(path),
            ".",
        ]
        subprocess.run(tar, check=True, capture_output=True)


def _key(directory: Path, *more: str) -> str:
    """Return a name for the content of a directory."""
    told = hashlib.sha256("\0".join(more).encode())
    for path in sorted(path for path in directory.rglob("*") if path.is_file()):
        told.update(f"{path.relative_to(directory)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return told.hexdigest()[:16]


def _kept(name: str, make: Callable[[Path], None]) -> Path:
    """Return a file or directory of the cache, made by one process at a time if it is missing."""
    path = CACHE / name
    with _locked(name.partition("-")[0]):
        if not path.exists():
            for old in CACHE.glob(f"{name.partition('-')[0]}-*"):
                shutil.rmtree(old) if old.is_dir() else old.unlink()
            fresh = CACHE / f".{name}"
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.unlink(missing_ok=True) if not fresh.is_dir() else None
            make(fresh)
            fresh.rename(path)
    return path


@contextmanager
def _locked(name: str) -> Iterator[None]:
    CACHE.mkdir(parents=True, exist_ok=True)
    handle = os.open(CACHE / f"{name}.lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
