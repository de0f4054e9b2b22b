"""The real parts for tests with the marker `real`: one lab per test process, fresh queues per test."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import Lab, Queues


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
