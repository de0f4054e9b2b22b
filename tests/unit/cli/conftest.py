"""The command line over the Swarm in memory, with tasks that are noted rather than sent."""

from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from in_memory import WEB, digest, pinned

from deployer import app, tasks
from deployer.cli import act, follow, main
from deployer.rollouts.decision import Rules
from deployer.rollouts.deployer import Deployer
from deployer.testing import FakeSwarm

TASK = "11111111-2222-4333-8444-555555555555"


@pytest.fixture(autouse=True)
def settings(load):
    """No setting but those of the test."""
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


class Result:
    """What Celery gives for a task that was sent: how it stands at each look, and its end."""

    id = TASK

    def __init__(self, end=None, looks=()):
        self.end, self.looks = end, [*looks]
        self.backend = SimpleNamespace(get_task_meta=self._meta, READY_STATES={"SUCCESS", "FAILURE"})

    def _meta(self, task, cache):
        step = self.looks.pop(0) if self.looks else "SUCCESS"
        if isinstance(step, BaseException):
            raise step
        status, said = step if isinstance(step, tuple) else (step, None)
        return {"status": status, "result": said}

    def get(self):
        if isinstance(self.end, BaseException):
            raise self.end
        return self.end


class Sent(list):
    """The tasks that were sent: (task, service, arguments)."""

    def __init__(self):
        super().__init__()
        self.result = Result()

    def task(self, name):
        def send(args=(), kwargs=None):
            self.append((name, *args, kwargs or {}))
            return self.result

        return SimpleNamespace(apply_async=send, delay=lambda *args: send(args))


@pytest.fixture
def sent(monkeypatch):
    sent = Sent()
    monkeypatch.setattr(act, "who", lambda: "alice@bastion")
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
