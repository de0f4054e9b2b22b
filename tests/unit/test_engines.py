"""`make engines` runs tests that exist, on engines that are unpacked in a place of their own."""

import subprocess

import pytest
from paths import TESTS

from tools import engines

APT = """#!/bin/sh
case "$*" in
  *indextargets*) echo "http://mirror.example.com/debian/" ;;
  *--print-uris*) echo "version of {release}" ;;
  *download*) for it in docker.io docker-cli; do echo "$it" >"$it.deb"; done; echo fetched >>{log} ;;
esac
"""
DPKG = '#!/bin/sh\nmkdir -p "$3/usr/bin"; cp "$2" "$3/usr/bin/$(cat "$2")"; ln -sf nowhere "$3/usr/bin/docker-init"\n'


@pytest.fixture
def debian(tmp_path, monkeypatch):
    """An apt-get and a dpkg of a Debian with two packages; what was fetched."""
    log = tmp_path / "log"

    def publish(release):
        for name, text in (("apt-get", APT.format(release=release, log=log)), ("dpkg", DPKG)):
            (tmp_path / name).write_text(text)
            (tmp_path / name).chmod(0o755)

    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(engines, "CACHE", tmp_path / "cache")
    publish("today")
    publish.fetched = lambda: log.read_text().count("fetched") if log.exists() else 0
    return publish


def test_the_tests_that_it_runs_exist():
    assert [test for test in engines.TESTS if not (TESTS / "real" / f"{test}.py").exists()] == []


def test_an_engine_is_fetched_once_and_again_when_its_release_has_another(debian):
    root = engines.fetch("trixie")
    assert sorted(path.name for path in (root / "usr/bin").iterdir()) == ["docker-cli", "docker.io"]
    assert engines.fetch("trixie") == root
    assert debian.fetched() == 1
    debian("tomorrow")
    assert engines.fetch("trixie") != root
    assert not root.exists()


def test_programs_of_the_release_come_before_those_of_the_machine(debian):
    env = engines.environment(engines.KINDS["docker-29"])
    first, *others = env["LAB_PATH"].split(":")
    assert first.endswith("/usr/bin")
    assert str(engines.CACHE) in first
    assert "/usr/bin" in others
    assert (env["LAB_DOCKERD"], env["DOCKER_MIN_API_VERSION"]) == (
        "--feature=containerd-snapshotter=true",
        "1.44",
    )


def test_a_fetch_that_was_cut_off_is_begun_again(debian, monkeypatch):
    whole = subprocess.run

    def cut(argv, **options):
        if argv[0] == "dpkg":
            raise KeyboardInterrupt
        return whole(argv, **options)

    monkeypatch.setattr(subprocess, "run", cut)
    with pytest.raises(KeyboardInterrupt):
        engines.fetch("sid")
    monkeypatch.setattr(subprocess, "run", whole)
    assert (engines.fetch("sid") / "usr/bin/docker-cli").exists()


def test_a_name_that_is_no_engine_is_refused(capsys):
    assert engines.main(["woody"]) == 2
    assert "no such engine: woody; there are here, trixie, sid, docker-29" in capsys.readouterr().err
