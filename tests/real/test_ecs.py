"""From the push to the tasks of ECS: an emulator that runs them on a real engine, behind a strict front."""

import json

import pytest
from ecs_pushes import BREAKER, WEB, ended, ends, pinned, publish, revisions, runs

from lab import wait_until
from lab.ecs.lab import EcsLab, web
from lab.ecs.rules import READ_ONLY

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with EcsLab(tmp_path_factory.mktemp("ecs"), keep_logs=True) as started:
        yield started


@pytest.fixture(autouse=True)
def _clean(lab):
    lab.front.calls.clear()
    yield
    lab.end_processes()
    lab.clear()


@pytest.fixture
def worker(lab, queues):
    """A bridge and a worker."""
    lab.bridge(queues)
    return lab.worker(queues)


def content(lab, name):
    """Return a revision's content: what a request to register it would have."""
    found = lab.operator.definition(name)
    return {key: value for key, value in found.items() if key not in READ_ONLY}


# 1: a push of :latest becomes a revision that differs in the digest alone, and `updated`
def test_1_a_push_becomes_a_revision_a_deployment_and_an_end(lab, queues, worker):
    lab.push(WEB, "v1")
    made = lab.create_service("web", web(WEB, futureField={"deep": [1]}), tags={"team": "a"})
    before = content(lab, made["taskDefinition"])
    digest = publish(lab, queues)
    ended(worker, "web: updated")
    assert lab.running("web") == [digest]
    after = content(lab, lab.operator.service("web")["taskDefinition"])
    before["containerDefinitions"][0]["image"] = pinned(digest)
    assert after == before
    assert len(revisions(lab, "web")) == 2
    assert lab.operator.service("web")["tags"] == [{"key": "team", "value": "a"}]


# 2: the same event many times, and while the first is followed
def test_2_an_event_that_comes_five_times_deploys_once(lab, queues, worker):
    lab.push(WEB, "v1")
    lab.create_service("web", web(WEB))
    digest = lab.push(WEB, "v2")
    event = json.dumps(lab.event(WEB, digest))
    for _ in range(3):
        lab.aws.send(queues.events, event)
    wait_until(lambda: lab.front.called("UpdateService"), 40, "the update")
    for _ in range(2):
        lab.aws.send(queues.events, event)
    wait_until(lambda: not lab.aws.count(queues.events) and not lab.aws.count(queues.tasks), 60, "rest")
    assert ("web", "updated") in ends(worker)
    assert len(lab.front.called("UpdateService")) == 1
    assert len(revisions(lab, "web")) == 2
    assert lab.running("web") == [digest]


# 4: ECS's own circuit breaker is seen as the failure that it is, and remembered
def test_4_a_rollback_of_the_circuit_breaker_is_told_remembered_and_not_tried_again(lab, queues, worker):
    first = lab.push(WEB, "v1")
    lab.create_service("web", web(WEB), deploymentConfiguration=BREAKER)
    bad = publish(lab, queues, "bad", "crash")
    log = ended(worker, "web: rolled-back", timeout=90)
    assert "container web exited with code 7" in log
    runs(lab, "web", first)
    writes = len(lab.front.called("UpdateService"))
    lab.aws.send(queues.events, json.dumps(lab.event(WEB, bad)))
    ended(worker, "web: rolled-back", "web: held")
    assert len(lab.front.called("UpdateService")) == writes
    good = publish(lab, queues, "v3")
    ended(worker, "web: rolled-back", "web: held", "web: updated")
    assert lab.running("web") == [good]


# 5: no circuit breaker: ECS would try for ever; we take it back, and the old tasks serve all the time
def test_5_without_a_circuit_breaker_the_time_out_takes_back(lab, queues):
    first = lab.push(WEB, "v1")
    lab.create_service("web", web(WEB))
    lab.bridge(queues)
    worker = lab.worker(queues, ROLLOUT_TIMEOUT="12")
    publish(lab, queues, "bad", "crash")
    wait_until(lambda: lab.front.called("UpdateService"), 40, "the update")
    served = []
    wait_until(lambda: served.append(first in lab.running("web")) or ends(worker), 90, "the end")
    assert all(served)
    ended(worker, "web: rolled-back")
    runs(lab, "web", first)
    (stopped,) = lab.front.called("StopServiceDeployment")
    assert stopped["stopType"] == "ROLLBACK"
    for sent in lab.front.called("UpdateService"):
        assert sent.keys() == {"cluster", "service", "taskDefinition"}
