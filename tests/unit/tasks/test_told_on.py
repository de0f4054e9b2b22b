"""Other systems hear of a deployment: that it has begun, what it waits for, how it ended, each once."""

import pytest
from in_memory import WEB, digest, pinned
from tracer import Worker, push

from deployer import tasks
from deployer.observability.outbox import Outbox
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
def heard(monkeypatch):
    heard, outbox = [], Outbox({"it": lambda news: None})
    monkeypatch.setattr(outbox, "tell", heard.append)
    monkeypatch.setattr(tasks, "outbox", lambda: outbox)
    return heard


def follow(worker, swarm, *args, looks=40, **kwargs):
    for _ in range(looks):
        state, told = worker.run("update_service", *args, task_id="t1", **kwargs)
        if state != "RETRY":
            return told
        _, args, kwargs, again = worker.sent[-1]
        swarm.tick(max(1, int(again["countdown"])))
    return None


def test_begun_and_ended_with_who_and_why(monkeypatch, swarm, heard):
    worker = Worker(monkeypatch, swarm)
    follow(worker, swarm, "web", deployment={"who": "alice@bastion", "why": "a fix"})
    assert [(news.kind, news.task, news.service) for news in heard] == [
        ("begun", "t1", "web"),
        ("ended", "t1", "web"),
    ]
    assert [news.data["image"] for news in heard] == [pinned(2)] * 2
    assert (heard[1].data["outcome"], heard[1].data["previous"]) == ("updated", pinned(1))
    assert {(news.data["who"], news.data["why"]) for news in heard} == {("alice@bastion", "a fix")}


def test_a_push_that_many_services_follow_is_begun_too(monkeypatch, swarm, heard):
    worker = Worker(monkeypatch, swarm)
    worker.run("image_pushed", push(2))
    _, args, kwargs, _ = worker.sent[-1]
    swarm.tick(3)
    follow(worker, swarm, *args, **kwargs)
    assert [news.kind for news in heard] == ["begun", "ended"]
    assert heard[1].data["event"] == push(2)["id"]


def test_a_wait_is_told_once(monkeypatch, swarm, heard):
    swarm.raw["web"]["Spec"]["Labels"]["deployer.window"] = "sat 03:00-03:01"
    worker = Worker(monkeypatch, swarm)
    follow(worker, swarm, "web", looks=4, deployment={"by": "event"})
    [news] = heard
    assert (news.kind, "outside its window" in news.data["reason"]) == ("waiting", True)
