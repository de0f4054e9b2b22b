"""`deployer hold` and `deployer release`: what they do, and that they say it."""

from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from in_memory import WEB, digest, pinned

from deployer import app, tasks
from deployer.cli import holds, main
from deployer.rollouts.decision import Rules
from deployer.rollouts.deployer import Deployer
from deployer.testing import FakeSwarm


@pytest.fixture
def swarm(monkeypatch):
    swarm = FakeSwarm()
    swarm.push(WEB, digest(1))
    for name in ("web", "api"):
        swarm.create(name, pinned(1))
    monkeypatch.setattr(app, "deployer", lambda: Deployer(swarm, swarm, Rules()))
    monkeypatch.setattr(holds, "who", lambda: "alice")
    return swarm


@pytest.fixture
def sent(monkeypatch):
    sent = []
    task = SimpleNamespace(apply_async=lambda args, kwargs: sent.append(args[0]))
    monkeypatch.setattr(tasks, "update_service", task)
    return sent


def call(*argv):
    return CliRunner().invoke(main, argv)


@pytest.mark.parametrize("reason", ["", "  "])
def test_a_hold_without_a_reason_holds(swarm, reason):
    for argv in (("web",), ("--all",)):
        assert call("hold", *argv, "--reason", reason).exit_code == 0
        assert swarm.ledger().hold("web", "id-web", swarm.now)
        swarm.write_ledger(swarm.ledger(), {})


@pytest.mark.parametrize("command", ["hold", "release"])
def test_a_service_or_all_but_not_both(swarm, sent, command):
    done = call(command, "web", "--all")
    assert done.exit_code == 2
    assert swarm.ledger().labels == {}
    assert sent == []


def test_what_is_still_held_is_not_called_released(swarm, sent):
    call("hold", "api", "--reason", "audit")
    call("hold", "--all", "--reason", "night")
    told = call("release", "web").output
    assert told == "web: still held: night (by alice) (end it with `deployer release --all`)\n"
    told = call("release", "--all").output
    assert "web: released\n" in told
    assert "api: still held: audit (by alice) (end it with `deployer release api`)\n" in told
    assert sent == ["web"]
    assert call("release", "api").output == "api: released\n"
