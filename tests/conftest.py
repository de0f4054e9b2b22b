"""The real parts for tests with the marker `real`: one lab per test process, fresh queues per test."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import hypothesis
import pytest

from deployer import settings
from lab import HOST, Lab, Queues, container
from lab.port_forward import PortForward, out_of

# How fast examples are made says something of the machine's load, and nothing of the code.
hypothesis.settings.register_profile(
    "patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("patient")


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., settings.Settings]]:
    """Reads settings from variables and files of secrets, and from nothing else."""

    def read(files: Mapping[str, str] | None = None, **variables: str) -> settings.Settings:
        for name, value in variables.items():
            monkeypatch.setenv(f"DEPLOYER_{name}", value)
        for name, text in (files or {}).items():
            (tmp_path / name).write_text(text)
        monkeypatch.setattr(settings, "SECRETS", tmp_path)
        settings.load.cache_clear()
        return settings.load()

    for name in list(os.environ):
        if name.startswith("DEPLOYER_"):
            monkeypatch.delenv(name)
    yield read
    settings.load.cache_clear()


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Engine, registry, SQS and Redis, shared by the tests of this process."""
    with Lab(tmp_path_factory.mktemp("lab"), keep_logs=True) as started:
        yield started


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A directory whose name leaves room for that of a Unix socket (108 bytes with it)."""
    with tempfile.TemporaryDirectory(prefix="lab-", ignore_cleanup_errors=True) as path:
        yield Path(path)


@pytest.fixture
def queues(lab: Lab) -> Queues:
    """A pair of empty queues that no other test uses."""
    return lab.aws.queues()


@pytest.fixture
def image(lab: Lab) -> str:
    """The name of the deployer's image, which is in the lab's engine."""
    name = f"{HOST}/team/deployer:latest"
    container.build(lab, name)
    return name


@pytest.fixture
def servers(lab: Lab) -> None:
    """The images of the stack's other servers, which are in the lab's engine."""
    container.programs(lab, "lab/redis", ["redis-server", "redis-cli"], 999, ["data"])
    container.programs(lab, "lab/haproxy", ["haproxy"], 0)


@pytest.fixture
def inward(lab: Lab) -> Iterator[Callable[[int], None]]:
    """Opens ports inside that lead to servers of ours; they are closed at the end."""
    opened: list[PortForward] = []
    yield lambda port: opened.append(out_of(lab.namespaces, port))
    for port in opened:
        port.close()


@pytest.fixture(autouse=True)
def _clean_lab(request: pytest.FixtureRequest) -> Iterator[None]:
    """End what a test spawned, bring back what it took down, and remove its services."""
    if "lab" not in request.fixturenames:
        yield
        return
    lab: Lab = request.getfixturevalue("lab")
    yield
    lab.end_processes()
    lab.restore()
    lab.clear()
