"""What lab/setup.sh finds, what it has apt-get install, and that apt-get may never remove anything."""

import os
import shutil
import subprocess

import pytest
from paths import ROOT

SETUP = ROOT / "lab" / "setup.sh"
OTHERS = {
    "docker-registry",
    "redis-server",
    "iptables",
    "ip",
    "busybox",
    "curl",
    "openssl",
    "debootstrap",
    "haproxy",
    "prometheus",
}
# What the packages of each machine bring.
BOOKWORM = {"docker.io": {"dockerd": "", "docker": "20.10.24+dfsg1"}}
TRIXIE = {
    "docker.io": {"dockerd": ""},
    "docker-cli": {"docker": "26.1.5+dfsg1"},
    "docker-buildx": {"docker": "26.1.5+dfsg1 buildx"},
}
DOCKER_CE = {"docker-buildx-plugin": {"docker": "28.5.1 buildx"}, **TRIXIE}


class Machine:
    """A machine with these programs, whose apt-get knows these packages."""

    def __init__(self, root, packages, *programs, docker="", ce=False):
        self.root, self.packages = root, root / "packages"
        self.bin, self.tools = root / "bin", root / "tools"
        for folder in (root / "lab", root / ".venv", self.bin, self.tools, self.packages):
            folder.mkdir()
        shutil.copy(SETUP, root / "lab")
        (root / ".venv" / ".installed").touch()
        for name in programs:
            program(self.bin / name)
        if docker:
            program(self.bin / "docker", docker)
        for package, brings in packages.items():
            (self.packages / package).mkdir()
            for name, version in brings.items():
                program(self.packages / package / name, version)
        write(
            self.tools / "apt-get",
            f'echo "$*" >>{root}/asked; for it; do cp {self.packages}/"$it"/* {self.bin}; done; :',
        )
        write(self.tools / "apt-cache", f'[ -d {self.packages}/"$2" ] && echo "Package: $2"')
        # Debian 13's docker-cli conflicts with docker-ce-cli, so that dpkg knows it though it is not installed.
        write(self.tools / "dpkg-query", f"printf {'installed' if ce else 'not-installed'}")
        write(self.tools / "id", "echo 0")
        write(self.tools / "python3", "exit 0")

    def setup(self, goal="test"):
        """Run setup.sh; what it asked apt-get for."""
        policy = self.root / "policy-rc.d"
        env = {
            "PATH": f"{self.tools}:{os.environ['PATH']}",
            "LAB_PATH": str(self.bin),
            "LAB_POLICY": str(policy),
        }
        argv = [self.root / "lab" / "setup.sh", goal]
        self.done = subprocess.run(
            argv, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
        )
        assert not policy.exists()
        asked = self.root / "asked"
        return asked.read_text().splitlines() if asked.exists() else []

    def installs(self, goal="test"):
        """Run setup.sh to its end; the packages that it has installed, and nothing removed."""
        asked = self.setup(goal)
        assert self.done.returncode == 0, self.done.stderr
        assert asked[:1] in ([], ["update -qq"])
        assert all("--no-remove" in line.split() for line in asked[1:])
        return [word for line in asked[1:] for word in line.split()[1:] if not word.startswith("-")]


def write(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def program(path, version=""):
    buildx = "exit 0" if "buildx" in version else "exit 1"
    write(
        path,
        f'case $1 in --version) echo "Docker version {version.split(" ")[0]}, build 1";; buildx) {buildx};; esac',
    )


@pytest.fixture
def machine(tmp_path):
    return lambda *argv, **options: Machine(tmp_path, *argv, **options)


@pytest.mark.parametrize(
    ("packages", "goal", "installed"),
    [
        (BOOKWORM, "demo", ["docker.io"]),
        (BOOKWORM, "test", ["docker.io"]),
        (TRIXIE, "demo", ["docker.io", "docker-cli"]),
        (TRIXIE, "test", ["docker.io", "docker-cli", "docker-buildx"]),
    ],
)
def test_a_machine_without_docker_gets_engine_and_client_as_its_debian_packs_them(
    machine, packages, goal, installed
):
    bare = machine(packages, *OTHERS)
    assert bare.installs(goal) == installed
    assert bare.installs(goal) == installed  # the second run installs nothing more


@pytest.mark.parametrize(
    "docker", ["20.10.24+dfsg1", "26.1.5+dfsg1 buildx", "28.5.1 buildx", "29.0.0-rc.1 buildx"]
)
def test_an_engine_that_is_there_is_used_wherever_its_package_has_put_it(machine, docker):
    assert machine({}, "dockerd", *OTHERS, docker=docker).installs() == []


def test_an_engine_without_its_client_gets_the_client_alone(machine):
    assert machine(TRIXIE, "dockerd", *OTHERS).installs("demo") == ["docker-cli"]


@pytest.mark.parametrize(("ce", "installed"), [(False, "docker-buildx"), (True, "docker-buildx-plugin")])
def test_buildx_comes_from_where_the_client_came_from(machine, ce, installed):
    there = machine(DOCKER_CE, "dockerd", *OTHERS, docker="26.1.5", ce=ce)
    assert there.installs() == [installed]


def test_the_demo_builds_nothing_and_needs_no_buildx(machine):
    assert machine(TRIXIE, "dockerd", *OTHERS, docker="26.1.5").installs("demo") == []


def test_what_the_packages_have_not_brought_is_named(machine):
    broken = machine({"docker.io": {"dockerd": ""}}, *OTHERS)
    broken.setup("demo")
    assert broken.done.returncode == 1
    assert "docker-cli" in broken.done.stderr
    assert "has not brought" in broken.done.stderr


def test_a_refusal_of_apt_get_is_shown_and_ends_it(machine):
    refused = machine(TRIXIE, "docker", *OTHERS, docker="28.5.1 buildx", ce=True)
    write(refused.tools / "apt-get", '[ "$1" = update ] || { echo "E: remove is disabled."; exit 100; }')
    refused.setup("demo")
    assert refused.done.returncode == 1
    assert "E: remove is disabled." in refused.done.stderr
    assert "has removed nothing" in refused.done.stderr


def test_what_is_missing_is_only_listed_when_asked(machine):
    bare = machine(TRIXIE, *OTHERS - {"curl"}, docker="26.1.5")
    assert bare.setup("missing") == []
    assert [line.partition("|")[0] for line in bare.done.stdout.splitlines()] == ["docker.io", "curl"]
