"""The tasks as a worker runs them: Celery's own tracer around them, a Swarm in memory below."""

import pytest
from in_memory import WEB, digest, pinned
from prometheus_client import REGISTRY
from tracer import Worker, push

from deployer import tasks
from deployer.errors import BusyError, PermanentError, TemporaryError
from deployer.testing import FakeSwarm


@pytest.fixture
def swarm():
    swarm = FakeSwarm()
    swarm.push(WEB, digest(1))
    swarm.create("web", pinned(1), labels={"deployer.notify": "ops"})
    swarm.push(WEB, digest(2))
    swarm.tick(60)
    return swarm


@pytest.fixture
def worker(monkeypatch, swarm):
    return Worker(monkeypatch, swarm)


def test_a_push_is_followed_to_its_end_by_the_messages_alone(worker, swarm):
    assert worker.run("image_pushed", push(2))[0] == "SUCCESS"
    [(_, args, kwargs, options)] = worker.sent
    for _ in range(20):
        swarm.tick(2)
        state, told = worker.run("update_service", *args, task_id=options["task_id"], **kwargs)
        if state == "SUCCESS":
            break
        assert state == "RETRY"
        _, args, kwargs, again = worker.sent[-1]
        assert again["countdown"] > 0
    assert (told["outcome"], told["image"], told["event"]) == ("updated", pinned(2), push(2)["id"])
    [report] = worker.told
    assert (report.service, report.notify, report.service_id) == ("web", "ops", "id-web")


@pytest.mark.parametrize(
    ("name", "args"), [("image_pushed", [push(2)]), ("reconcile", []), ("refresh_credentials", [])]
)
@pytest.mark.parametrize(
    "fault", [PermanentError("forbidden, by a socket proxy"), TemporaryError("no leader")]
)
def test_no_refusal_of_the_engine_loses_what_is_for_many_services(worker, swarm, name, args, fault):
    """Faults 5: only what is called temporary was tried again, so a 403 of a proxy lost the push."""

    def services(*_, **__):
        raise fault

    swarm.services = services
    state, _ = worker.run(name, *args)
    assert state == "RETRY"
    [(_, again, kwargs, options)] = worker.sent
    assert again == args
    assert kwargs["deployment"]["faults"] == 1
    assert 0 <= options["countdown"] <= 30


def test_a_quota_that_is_used_up_is_no_fault_of_a_push(worker, swarm, caplog):
    def services(*_, **__):
        raise BusyError("waits for ECS's quota of DescribeServices", 7.0)

    swarm.services = services
    assert worker.run("image_pushed", push(2))[0] == "RETRY"
    [(_, _, kwargs, options)] = worker.sent
    assert options["countdown"] == 7
    assert "faults" not in kwargs["deployment"]
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_a_push_that_is_given_up_is_told(worker, swarm):
    """Faults 21 and 39."""

    def services(*_, **__):
        raise TemporaryError("no leader")

    swarm.services = services
    state, fault = worker.run("image_pushed", push(2), deployment={"waited": 24 * 3600.0})
    assert state == "FAILURE"
    [report] = worker.told
    assert (report.outcome, report.event, report.image) == ("failed", push(2)["id"], pinned(2))
    assert report.reason == "gave up waiting: no leader"
    assert "every service of" in str(fault.exception)


@pytest.mark.parametrize("name", ["reconcile", "refresh_credentials"])
def test_periodic_tasks_do_not_pile_up_while_the_engine_is_away(worker, swarm, name):
    def services(*_, **__):
        raise TemporaryError("no leader")

    swarm.services = services
    assert worker.run(name, deployment={"waited": 100.0})[0] == "RETRY"
    assert worker.run(name, deployment={"waited": 900.0})[0] == "FAILURE"
    assert worker.told == []


def test_missed_pushes_are_counted_once(worker, swarm):
    before = REGISTRY.get_sample_value("deployer_missed_pushes_total")
    for number in range(3):
        worker.run("reconcile", task_id=f"r-{number}")
    assert REGISTRY.get_sample_value("deployer_missed_pushes_total") == before + 1
    assert len({options["task_id"] for _, _, _, options in worker.sent}) == 3


def test_a_message_of_a_newer_worker_is_no_error(worker, swarm):
    worker.run("image_pushed", push(2))
    [(_, args, kwargs, options)] = worker.sent
    kwargs["deployment"]["watch"]["mood"] = "fine"
    kwargs["deployment"] |= {"approvals": ["ann"], "watch_later": {"hue": 1}}
    swarm.settle()
    state, told = worker.run("update_service", *args, task_id=options["task_id"], **kwargs)
    assert (state, told["outcome"]) == ("SUCCESS", "updated")


def test_people_read_what_a_task_is_about(worker):
    worker.run("image_pushed", push(2))
    [(_, args, kwargs, _)] = worker.sent
    shown = tasks.describe(args, kwargs)
    assert shown == (f"web to {pinned(2)}", f"by event {push(2)['id']}")
    assert tasks.describe([push(2)], {}) == (f"push of {pinned(2)}", f"event {push(2)['id']}")
    assert tasks.describe(["web"], {"image": "v2", "force": True}) == ("web to v2", "by manual, forced")


def test_workers_that_start_together_look_once(worker, swarm):
    """Faults 24: each of N workers enqueued the same updates, and each of those told an end."""
    for number in range(5):
        worker.run("reconcile", task_id=f"r-{number}", deployment={"turn": ""})
    assert [args for _, args, _, _ in worker.sent] == [["web"]]
    again = worker.run("reconcile", task_id="r-0", deployment={"turn": ""})  # its worker has died
    assert "skipped" not in again[1]
    assert "skipped" not in worker.run("reconcile", task_id="beat")[1]
