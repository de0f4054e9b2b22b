"""Three managers, workers at two of them: the leader dies, a manager is cut off, the quorum is lost.

After each, every service is where the newest push says and no task is lost.
"""

import base64
import json
import uuid

import pytest

from lab import HOST, Lab, wait_until
from lab.cluster import Cluster

pytestmark = pytest.mark.real
WEB = "team/web:latest"
ASIDE, BACK = "takes no tasks until its engine is well", "takes tasks again"
SERVICES = ("one", "two", "three")


@pytest.fixture
def cluster():
    with Cluster() as cluster:
        first = cluster.managers[0]
        cluster.push(WEB, "v1")
        # Where manager 1 is, nothing runs: its death must not be what moves the tasks.
        me = first.docker("info", "--format", "{{.Swarm.NodeID}}")
        for name in SERVICES:
            options = ("--constraint", f"node.id!={me}", "--update-monitor", "3s", "--update-delay", "1s")
            first.create(name, WEB, *options, "--replicas", "2", wait=False)
        wait_until(lambda: all(first.is_up(name) for name in SERVICES), 60, "all services up")
        yield cluster


def push(cluster, queues, text):
    digest = cluster.push(WEB, text)
    cluster.aws.send(queues.tasks, task(Lab.event(WEB, digest)))
    return f"{HOST}/{WEB}@{digest}"


def task(event):
    """An `image_pushed` task as the bridge sends it."""
    number = str(uuid.uuid4())
    body = base64.b64encode(json.dumps([[event], {}, {}]).encode()).decode()
    properties = {
        "correlation_id": number,
        "delivery_mode": 2,
        "delivery_info": {"exchange": "", "routing_key": "tasks"},
        "body_encoding": "base64",
        "delivery_tag": number,
    }
    headers = {
        "lang": "py",
        "task": "deployer.tasks.image_pushed",
        "id": number,
        "root_id": number,
        "retries": 0,
    }
    return {
        "body": body,
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": headers,
        "properties": properties,
    }


def all_on(manager, image):
    try:
        return all(manager.image_of(name) == image and manager.is_up(name) for name in SERVICES)
    except (RuntimeError, OSError):
        return False  # no leader yet


def all_ended(cluster, queues):
    return not cluster.aws.count(queues.tasks)


def test_the_leader_dies_in_mid_roll_out(cluster):
    queues = cluster.aws.queues(visibility=40, max_receives=5)
    workers = [cluster.worker(2, queues), cluster.worker(3, queues)]
    image = push(cluster, queues, "v2")
    wait_until(lambda: any("Updated service" in worker.text for worker in workers), 60, "a first update")
    cluster.managers[0].engine.kill()
    wait_until(lambda: all_on(cluster.managers[1], image), 300, "all services on the newest push")
    wait_until(lambda: all_ended(cluster, queues), 300, "all tasks ended")
    logs = "".join(worker.text for worker in workers)
    assert logs.count("ended: updated") == len(SERVICES)
    assert cluster.aws.count(queues.tasks_dead) == 0


def test_a_manager_is_cut_off_and_returns(cluster):
    queues = cluster.aws.queues(visibility=40, max_receives=5)
    workers = [cluster.worker(2, queues), cluster.worker(3, queues)]
    cluster.pull_cable(3)
    image = push(cluster, queues, "v2")
    seen = ("Updated service", "Docker engine")
    wait_until(lambda: any(s in worker.text for worker in workers for s in seen), 90, "a worker at work")
    cluster.plug_cable(3)
    wait_until(lambda: all_on(cluster.managers[2], image), 300, "the same view at manager 3")
    wait_until(lambda: all_ended(cluster, queues), 300, "all tasks ended")
    assert all(worker.running for worker in workers)
    assert cluster.aws.count(queues.tasks_dead) == 0


def test_the_quorum_is_lost_and_regained(cluster):
    queues = cluster.aws.queues(visibility=40, max_receives=5)
    workers = [cluster.worker(2, queues), cluster.worker(3, queues)]
    cluster.managers[0].engine.kill()
    cluster.pull_cable(3)
    image = push(cluster, queues, "v2")
    says = "Docker engine"
    wait_until(lambda: any(says in worker.text for worker in workers), 90, "the workers' word")
    wait_until(lambda: any(ASIDE in worker.text for worker in workers), 90, "a worker that stands aside")
    aside = [worker for worker in workers if ASIDE in worker.text]
    cluster.plug_cable(3)
    cluster.managers[0].engine.start()
    wait_until(lambda: all_on(cluster.managers[1], image), 300, "all services on the newest push")
    wait_until(lambda: all_ended(cluster, queues), 300, "all tasks ended")
    assert all(worker.running for worker in workers)
    assert all(BACK in worker.text for worker in aside)


def test_a_manager_that_is_demoted_leaves_its_tasks_to_others(cluster):
    """D1: it took its share of the pushes, and ended them as failed."""
    queues = cluster.aws.queues(visibility=40, max_receives=5)
    demoted = cluster.worker(3, queues)
    node = cluster.managers[2].docker("info", "--format", "{{.Swarm.NodeID}}")
    cluster.managers[0].docker("node", "demote", node)
    image = push(cluster, queues, "v2")
    wait_until(lambda: ASIDE in demoted.text, 90, "the demoted one's word")
    well = cluster.worker(2, queues)
    wait_until(lambda: all_on(cluster.managers[1], image), 300, "all services on the newest push")
    wait_until(lambda: all_ended(cluster, queues), 300, "all tasks ended")
    assert well.text.count("ended: updated") == len(SERVICES)
    assert "ended: failed" not in demoted.text
    assert demoted.running
    with pytest.raises(TimeoutError):  # it is never ready
        cluster.worker(3, queues)
    cluster.managers[0].docker("node", "promote", node)
    wait_until(lambda: BACK in demoted.text, 90, "a worker that takes tasks again")
