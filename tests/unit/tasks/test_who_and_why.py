"""Each act of a person is one line of the audit log, with the name and the reason that they have told."""

import json
import logging

import pytest
from in_memory import WEB, digest, pinned
from tracer import Worker, push

from deployer.cli.views.history import history_lines
from deployer.reports.history import Entry, _entry
from deployer.testing import FakeSwarm


@pytest.fixture
def swarm():
    swarm = FakeSwarm()
    swarm.push(WEB, digest(1))
    swarm.create("web", pinned(1))
    swarm.push(WEB, digest(2))
    swarm.tick(60)
    return swarm


@pytest.fixture
def worker(monkeypatch, swarm):
    return Worker(monkeypatch, swarm)


@pytest.fixture
def audited(caplog):
    caplog.set_level(logging.INFO, "deployer.audit")
    return lambda: [json.loads(one.message) for one in caplog.records if one.name == "deployer.audit"]


@pytest.mark.parametrize(
    "told",
    [
        {"deployment": {"who": "alice@bastion", "why": "hot fix"}},
        {"by": "alice@bastion", "reason": "hot fix"},
    ],
)
def test_one_line_however_often_its_message_comes(worker, swarm, audited, told):
    assert worker.run("update_service", "web", task_id="t", **told)[0] == "RETRY"
    for _ in range(20):
        swarm.tick(2)
        _, args, kwargs, _ = worker.sent[-1]
        if worker.run("update_service", *args, task_id="t", **kwargs)[0] == "SUCCESS":
            break
    [line] = audited()
    assert line == {"act": "update_service", "service": "web", "by": "alice@bastion", "reason": "hot fix"}
    assert kwargs["deployment"]["why"] == "hot fix"


def test_a_rollback_too_and_nothing_that_nobody_has_asked_for(worker, swarm, audited):
    worker.run("image_pushed", push(2))
    [(_, args, kwargs, _)] = worker.sent
    worker.run("update_service", *args, task_id="event", **kwargs)
    assert audited() == []
    worker.run("rollback_service", "web", task_id="back", by="bob")
    assert audited() == [{"act": "rollback_service", "service": "web", "by": "bob"}]


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ({"by": "release", "who": "bob"}, {"act": "release"}),
        ({"by": "release", "who": "bob", "why": "over"}, {"act": "release", "reason": "over"}),
        (
            {"by": "release", "who": "bob", "act": "approve", "image": pinned(2)},
            {"act": "approve", "image": pinned(2)},
        ),
    ],
)
def test_a_release_and_an_approval_too(worker, audited, body, line):
    worker.run("update_service", "web", task_id="t", deployment=body)
    assert audited() == [{"service": "web", "by": "bob", **line}]


def test_history_shows_it():
    result = {"outcome": "updated", "reason": "1/1 running", "service": "web"}
    memory = {"deployment": {"who": "alice@bastion", "why": "hot fix"}}
    meta = {"name": "deployer.tasks.update_service", "args": ["web"], "kwargs": memory, "result": result}
    entry = _entry({**meta, "date_done": "2026-01-01T00:00:00+00:00", "task_id": "t"})
    assert isinstance(entry, Entry)
    assert (entry.who, entry.why) == ("alice@bastion", "hot fix")
    assert "1/1 running (asked for: hot fix)" in history_lines([entry], 80)[-1].plain
