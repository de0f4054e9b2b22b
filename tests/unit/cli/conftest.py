"""The command line over the Swarm in memory, with tasks that are noted rather than sent."""

import pytest
from click.testing import CliRunner
from in_memory import WEB, digest, pinned
from sent_tasks import Sent

from deployer import app, tasks
from deployer.cli import act, approve, follow, holds, main, names
from deployer.rollouts.decision import Rules
from deployer.rollouts.deployer import Deployer
from deployer.testing import FakeSwarm


@pytest.fixture(autouse=True)
def settings(load, monkeypatch, tmp_path):
    """No setting but those of the test, and nobody's docker context."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    for module in (act, holds, approve, names):
        monkeypatch.setattr(module, "who", lambda: "alice@bastion")
    load()
    return load


@pytest.fixture
def swarm(monkeypatch):
    swarm = FakeSwarm()
    swarm.push(WEB, digest(1))
    for name in ("web", "shop_api"):
        swarm.create(name, pinned(1))
    monkeypatch.setattr(app, "swarm", lambda: swarm)
    monkeypatch.setattr(app, "deployer", lambda: Deployer(swarm, swarm, Rules(), clock=swarm.clock))
    return swarm


@pytest.fixture
def sent(monkeypatch):
    sent = Sent()
    for name in ("update_service", "rollback_service", "reconcile"):
        monkeypatch.setattr(tasks, name, sent.task(name))
    return sent


@pytest.fixture
def redis(monkeypatch):
    """A Redis that answers: what is waited for can be followed."""
    monkeypatch.setattr(follow, "require_redis", lambda: None)
    monkeypatch.setattr(follow, "POLL_SECONDS", 0.0)


@pytest.fixture
def call():
    def run(*argv, **options):
        return CliRunner().invoke(main, argv, **options)

    return run
