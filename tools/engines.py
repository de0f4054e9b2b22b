"""Run the tests that ask most of an engine on engines of later Debian releases, unpacked beside ours.

Usage: `python -m tools.engines [KIND …]`; the kinds are `here`, `trixie`, `sid` and `docker-29`, all if none
is named. Each engine comes with the client and the containerd of its release, but with the runc of this
machine, since a later one needs a later C library.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lab.container import CACHE
from lab.programs import PATH

ROOT = Path(__file__).parents[1]
PACKAGES = ("docker.io", "docker-cli", "docker-buildx", "containerd")
KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
TESTS = ("test_engine_facts", "test_lab", "test_full_spec", "test_ends", "test_end_to_end", "test_managers")


@dataclass(frozen=True)
class Kind:
    """An engine of a release (this machine's if there is none), and what else it is started with."""

    release: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)


KINDS = {
    "here": Kind(),
    "trixie": Kind("trixie"),
    "sid": Kind("sid"),
    # What Docker 29 does unless told otherwise.
    "docker-29": Kind(
        "sid", {"LAB_DOCKERD": "--feature=containerd-snapshotter=true", "DOCKER_MIN_API_VERSION": "1.44"}
    ),
}


def _mirror() -> str:
    """Return the address from which this machine's own apt takes Debian's packages."""
    asked = ["apt-get", "indextargets", "--format", "$(REPO_URI)"]
    told = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()
    return next(address for address in told if address.rstrip("/").endswith("/debian"))


def fetch(release: str) -> Path:
    """Return where the newest engine of a release is unpacked, after fetching it if it is not here yet."""
    place = CACHE / "engines" / release
    for folder in ("lists/partial", "cache/archives/partial"):
        (place / folder).mkdir(parents=True, exist_ok=True)
    (place / "sources.list").write_text(f"deb [signed-by={KEYS}] {_mirror()} {release} main\n")
    apt = [
        "apt-get", "--quiet=2", "-o", "APT::Sandbox::User=root",
        "-o", f"Dir::Etc::sourcelist={place}/sources.list", "-o", "Dir::Etc::sourceparts=-",
        "-o", f"Dir::State::lists={place}/lists", "-o", f"Dir::Cache={place}/cache",
    ]  # fmt: skip
    subprocess.run([*apt, "update"], check=True)
    told = subprocess.run(
        [*apt, "--print-uris", "download", *PACKAGES], capture_output=True, text=True, check=True
    )
    root = place / hashlib.sha256(told.stdout.encode()).hexdigest()[:16]
    if not root.exists():
        for old in (path for path in place.iterdir() if re.fullmatch("[0-9a-f]{16}", path.name)):
            shutil.rmtree(old)
        _unpack(apt, root)
    return root


def _unpack(apt: list[str], root: Path) -> None:
    fresh = root.with_suffix(".part")
    shutil.rmtree(fresh, ignore_errors=True)
    (fresh / "packages").mkdir(parents=True)
    subprocess.run([*apt, "download", *PACKAGES], cwd=fresh / "packages", check=True)
    for package in (fresh / "packages").iterdir():
        subprocess.run(["dpkg", "--extract", package, fresh], check=True)
    shutil.rmtree(fresh / "packages")
    # A link to a tini that needs a later C library too.
    (fresh / "usr/bin/docker-init").unlink(missing_ok=True)
    fresh.rename(root)


def environment(kind: Kind) -> dict[str, str]:
    """Return the environment in which the lab runs this engine."""
    found = {**os.environ, **kind.variables}
    if kind.release:
        root = fetch(kind.release)
        found["LAB_PATH"] = f"{root}/usr/bin:{root}/usr/sbin:{PATH}"
    return found


def run(name: str) -> bool:
    """Run the tests on one engine, and return whether all have passed."""
    env = environment(KINDS[name])
    dockerd = shutil.which("dockerd", path=env.get("LAB_PATH", PATH))
    version = subprocess.run([str(dockerd), "--version"], capture_output=True, text=True, check=True).stdout
    print(f"{name}: {version.strip()} {env.get('LAB_DOCKERD', '')}", flush=True)
    files = [str(ROOT / "tests" / "real" / f"{test}.py") for test in TESTS]
    pytest = [sys.executable, "-m", "pytest", "-n", "2", "--dist", "worksteal", *files]
    return subprocess.run(pytest, env=env, cwd=ROOT).returncode == 0


def main(names: list[str]) -> int:
    """Run the tests on each engine; the status is 1 if one has failed, 2 for a name that is none."""
    if unknown := set(names) - set(KINDS):
        print(f"no such engine: {', '.join(sorted(unknown))}; there are {', '.join(KINDS)}", file=sys.stderr)
        return 2
    passed = [run(name) for name in names or KINDS]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
