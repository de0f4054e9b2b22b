"""Flower with a real worker on SQS: ten deployments of ten ends, shown as they were."""

import json
import urllib.error

import pytest
from flower_lab import Flower

from lab import HOST, wait_until

pytestmark = pytest.mark.real


def run(lab, queues, code):
    """Enqueue by Python, as a person would."""
    return lab.python(
        queues, "from deployer.tasks import update_service as update, rollback_service as rollback\n" + code
    )


def push(lab, queues, repository, text, **kind):
    digest = lab.push(f"{repository}:latest", text, **kind)
    lab.aws.send(queues.events, json.dumps(lab.event(f"{repository}:latest", digest)))
    return digest


def ended(flower, service, outcome, timeout=60):
    """The deployment of a service with this outcome, once Flower shows it."""

    def find():
        for task in flower.deployments():
            told = str(task["result"] if task["state"] == "SUCCESS" else task["exception"])
            if task["args"].startswith(service) and f"'outcome': '{outcome}'" in told:
                return task
        return None

    return wait_until(find, timeout, f"{service} {outcome} in Flower")


def test_ten_deployments_of_different_ends_are_shown_truthfully(lab, queues):
    flower, _, _ = Flower(lab, queues), lab.worker(queues), lab.bridge(queues)
    services = {
        "plain": (),
        "held": ("--label", "deployer.hold=audit"),
        "off": ("--label", "deployer.enable=false"),
        "bad": ("--label", "deployer.timeout=600"),
        "stays": ("--label", "deployer.rollback=false"),
    }
    old = {}
    for name, options in services.items():
        old[name] = lab.push(f"team/{name}:latest", "v1")
        lab.create(name, f"team/{name}:latest", "--update-monitor", "1s", *options)
    new = push(lab, queues, "team/plain", "v2")
    task = ended(flower, "plain", "updated")
    assert task["state"] == "SUCCESS"
    assert task["args"] == f"plain to {HOST}/team/plain:latest@{new}"
    assert task["kwargs"].startswith("by event ")
    for word in (new, old["plain"], "'reason': '1/1 running'", "'duration': "):
        assert word in task["result"]
    assert task["retries"] > 0
    assert task["exception"] is None

    push(lab, queues, "team/held", "v2")
    assert "audit" in ended(flower, "held", "held")["result"]
    push(lab, queues, "team/off", "v2")
    assert "deployer.enable=false" in ended(flower, "off", "ignored")["result"]
    broken = push(lab, queues, "team/bad", "v2", kind="crash")
    task = ended(flower, "bad", "rolled-back", 120)
    assert task["state"] == "FAILURE"
    assert broken in task["args"]
    push(lab, queues, "team/stays", "v2", kind="crash")
    assert ended(flower, "stays", "failed", 120)["state"] == "FAILURE"
    run(lab, queues, "update.delay('plain')")
    assert ended(flower, "plain", "unchanged")["kwargs"] == "by manual"
    run(lab, queues, "update.delay('plain', force=True)")
    wait_until(
        lambda: [t for t in flower.deployments("SUCCESS") if t["kwargs"] == "by manual, forced"], 60, "forced"
    )
    run(lab, queues, "rollback.delay('plain')")
    assert old["plain"] in ended(flower, "plain", "rolled-back")["result"]
    lab.aws.send(queues.events, json.dumps(lab.event("team/plain:latest", old["plain"])))
    lab.aws.send(queues.events, json.dumps(lab.event("team/held:latest", old["held"])))
    assert "rolled back by hand" in ended(flower, "plain", "held")["result"]
    run(lab, queues, "update.delay('nobody')")
    assert "no service" in ended(flower, "nobody", "failed")["exception"]
    assert len(flower.deployments()) == len(
        [t for t in flower.deployments() if t["state"] in {"SUCCESS", "FAILURE"}]
    )


def test_history_survives_restarts_of_flower_and_of_workers(lab, queues, tmp_path):
    lab.push("team/web:latest", "v1")
    lab.create("web", "team/web:latest")
    settings = {
        "FLOWER_PERSISTENT": "true",
        "FLOWER_DB": str(tmp_path / "flower"),
        "FLOWER_STATE_SAVE_INTERVAL": "500",
    }
    flower, worker = Flower(lab, queues, **settings), lab.worker(queues)
    run(lab, queues, "update.delay('web')")
    ended(flower, "web", "unchanged")
    wait_until(lambda: list(tmp_path.glob("flower*")), 10, "the saved history")
    worker.stop()
    flower.process.stop()
    lab.redis.restart()
    again = Flower(lab, queues, **settings)
    assert len(again.deployments("SUCCESS")) == 1


def test_nobody_gets_in_without_the_password(lab, queues):
    flower = Flower(lab, queues)
    for path in ("/", "/tasks", "/api/tasks", "/api/workers"):
        for login in (None, "operator:wrong"):
            with pytest.raises(urllib.error.HTTPError) as refused:
                flower.call(path, login=login)
            assert refused.value.code == 401


def test_without_a_password_it_listens_on_loopback_and_keeps_its_api_shut(lab, queues):
    flower = Flower(lab, queues, FLOWER_BASIC_AUTH="")
    with pytest.raises(urllib.error.HTTPError) as refused:
        flower.call("/api/tasks", login=None)
    assert refused.value.code == 401
    assert flower.address() == "127.0.0.1"


def test_it_is_read_only_until_told_otherwise_and_then_its_buttons_are_true(lab, queues):
    lab.push("team/web:latest", "v1")
    lab.create("web", "team/web:latest")
    worker = lab.worker(queues)
    flower = Flower(lab, queues)
    body = {"args": ["web"]}
    with pytest.raises(urllib.error.HTTPError) as refused:
        flower.call("/api/task/async-apply/deployer.tasks.update_service", data=body)
    assert refused.value.code == 403
    writable = Flower(lab, queues, FLOWER_READ_ONLY="false")
    wait_until(lambda: "worker-" in writable.call("/api/workers?refresh=1"), 20, "the worker")
    name = next(iter(json.loads(writable.call("/api/workers"))))
    writable.call("/api/task/async-apply/deployer.tasks.update_service", data=body)
    ended(writable, "web", "unchanged")
    assert "new rate limit" in writable.call(
        "/api/task/rate-limit/deployer.tasks.update_service", form={"workername": name, "ratelimit": "30/m"}
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        writable.call(f"/api/worker/queue/add-consumer/{name}?queue=other", form={})
    assert "add_consumer is off" in refused.value.read().decode()
    writable.call(f"/api/worker/shutdown/{name}", form={})
    worker.join(15)
