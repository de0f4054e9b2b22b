"""The broker, with real workers on a real SQS protocol that a proxy breaks in every way."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import celery
import pytest
from bus_lab import CREDENTIALS, Emulator, Proxy, Worker, free_port, wait_until
from celery import Celery
from kombu import Connection
from kombu.exceptions import OperationalError
from paths import ROOT

from deployer.aws.sqs import region_of
from deployer.broker import channel
from deployer.broker.task import DurableTask

pytestmark = pytest.mark.real
ALLOWED = {"ReceiveMessage", "SendMessage", "DeleteMessage", "ChangeMessageVisibility"}


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    started = Emulator(tmp_path_factory.mktemp("sqs"))
    yield started
    started.stop()


@pytest.fixture(scope="module")
def proxy(emulator: Emulator) -> Iterator[Proxy]:
    started = Proxy(emulator.port)
    yield started
    started.stop()


@pytest.fixture(autouse=True)
def healed(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "proxy" in request.fixturenames:
        request.getfixturevalue("proxy").heal()


@pytest.fixture
def start(proxy: Proxy, tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """Starts workers that end with the test."""
    started: list[Worker] = []

    def worker(queue: str, *options: str, **settings: int) -> Worker:
        root = tmp_path / str(len(started))
        started.append(Worker(root, proxy.url, queue, *options, **settings))
        return started[-1]

    yield worker
    for each in started:
        each.kill()


def client(endpoint: str, queue: str) -> Celery:
    """An application that sends; its names are those of bus_app."""
    channel.register()
    app = Celery("bus_app", broker=channel.BROKER_URL.replace("://", f"://test:test@{endpoint[7:]}"))
    app.conf.broker_transport_options = {
        "predefined_queues": {"tasks": {"url": queue}},
        "is_secure": False,
        "region": "eu-central-1",
        "wait_time_seconds": 1,
    }
    app.conf.update(task_default_queue="tasks", task_create_missing_queues=False)
    return app


@pytest.fixture
def send(emulator: Emulator) -> Callable[..., Any]:
    """Sends a task past the proxy."""

    def task(queue: str, name: str, *args: Any, **options: Any) -> None:
        client(emulator.url, queue).send_task(f"bus_app.{name}", args, **options)

    return task


# -- faults ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def queue(emulator: Emulator) -> str:
    return emulator.queue("faults")


@pytest.fixture(scope="module")
def worker(proxy: Proxy, queue: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """One worker that goes through all faults in turn."""
    started = Worker(tmp_path_factory.mktemp("w"), proxy.url, queue, "-P", "threads", "-c", "2")
    yield started
    started.kill()


@pytest.mark.parametrize(
    "fault",
    [
        "refuse",
        "hole",
        "cut",
        "error 500",
        "error 503",
        "throttled",
        "access denied",
        "expired credentials",
        "queue deleted",
        "wrong answer",
    ],
)
def test_a_fault_is_said_once_and_then_work_goes_on(
    fault: str, proxy: Proxy, worker: Worker, queue: str, emulator: Emulator, send: Callable[..., Any]
) -> None:
    before, polls = len(worker.log), proxy.requests["ReceiveMessage"]
    proxy.fault(fault)
    wait_until(lambda: worker.lines("WARNING", before), 6, "the fault is said")
    if fault not in ("refuse", "hole"):
        wait_until(lambda: proxy.requests["ReceiveMessage"] > polls + 3, what="it is tried again")
    proxy.heal()
    send(queue, "run", fault)
    worker.has_run(fault)
    wait_until(lambda: emulator.count(queue) == 0, what="the task's message is deleted")
    assert len(worker.lines("WARNING", before)) == 1
    assert len(worker.lines("INFO", before)) == 1
    assert "Queue tasks answers again" in worker.log[before:]
    assert "Traceback" not in worker.log[before:]
    assert "not-for-the-log" not in worker.log
    assert worker.process.poll() is None


def test_empty_answers_that_come_at_once_make_no_storm(proxy: Proxy, worker: Worker) -> None:
    proxy.fault("empty")
    before = proxy.requests["ReceiveMessage"]
    wait_until(lambda: proxy.requests["ReceiveMessage"] > before)
    begun, before = time.monotonic(), proxy.requests["ReceiveMessage"]
    wait_until(lambda: proxy.requests["ReceiveMessage"] >= before + 2)
    assert time.monotonic() - begun > 1.5


@pytest.mark.parametrize("fault", ["error 500", "cut", "hole"])
def test_tasks_run_on_and_once_while_nothing_can_be_deleted(
    fault: str, proxy: Proxy, worker: Worker, queue: str, emulator: Emulator, send: Callable[..., Any]
) -> None:
    names = [f"{fault} {number}" for number in range(5)]  # more than the worker may hold
    proxy.fault(fault, only="DeleteMessage")
    for name in names:
        send(queue, "run", name)
    for name in names:
        worker.has_run(name)
    assert emulator.count(queue) == len(names)
    proxy.heal()
    wait_until(lambda: emulator.count(queue) == 0, what="the messages are deleted")
    assert all(len(worker.steps(name)) == 2 for name in names)
    assert worker.process.poll() is None


def test_no_other_permission_is_used(proxy: Proxy, worker: Worker) -> None:
    assert set(proxy.requests) <= ALLOWED


# -- bodies that are no tasks ----------------------------------------------------------------------


def envelope(**changes: Any) -> str:
    """A task message as Celery sends it, with some parts replaced."""
    body = base64.b64encode(json.dumps([["poison"], {}, {}]).encode()).decode()
    message = {
        "body": body,
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"task": "bus_app.run", "id": "1", "lang": "py"},
        "properties": {"body_encoding": "base64", "delivery_info": {}, "delivery_tag": "x"},
    }
    return base64.b64encode(json.dumps(message | changes).encode()).decode()


POISON = {
    "text": "not base64, not JSON",
    "a number": "17",
    "binary": base64.b64encode(bytes(range(256))).decode(),
    "JSON": '{"detail": {"image-tag": "latest"}}',
    "empty envelope": '{"properties": {}}',
    "odd properties": '{"properties": []}',
    "headers are a list": envelope(headers=[1]),
    "task is a list": envelope(headers={"task": [], "id": "1"}),
    "no id": envelope(headers={"task": "bus_app.run"}),
    "unknown task": envelope(headers={"task": "bus_app.nothing", "id": "1"}),
    "pickle": envelope(**{"content-type": "application/x-python-serialize"}),
    "body is no JSON": envelope(body=base64.b64encode(b"{").decode()),
    "body is no base64": envelope(body="*"),
    "too few parts": envelope(body=base64.b64encode(b"[[]]").decode()),
    "arguments are a number": envelope(body=base64.b64encode(b"[1, {}, {}]").decode()),
    # Celery would take these, and lose a place of the pool with each.
    "title is a list": envelope(headers={"task": "bus_app.run", "id": "1", "shadow": ["x"]}),
    "stamps are a number": envelope(headers={"task": "bus_app.run", "id": "1", "stamped_headers": 5}),
    "what follows is a number": envelope(body=base64.b64encode(b"[[], {}, 5]").decode()),
    "the chain is a mapping": envelope(
        body=base64.b64encode(b'[["poison"], {}, {"chain": {"a": 1}}]').decode()
    ),
    "bad compression": envelope(
        headers={"task": "bus_app.run", "id": "1", "compression": "application/x-gzip"}
    ),
}


def test_what_is_no_task_reaches_the_dead_letters_and_stops_nobody(
    emulator: Emulator, start: Callable[..., Worker], send: Callable[..., Any]
) -> None:
    url = emulator.queue("poison", visibility=1, receives=2)
    for body in POISON.values():
        emulator.sqs.send_message(QueueUrl=url, MessageBody=body)
    send(url, "run", "good")
    worker = start(url, "-P", "threads", "-c", "2")
    worker.has_run("good")
    dead = emulator.sqs.get_queue_url(QueueName="poison-dead")["QueueUrl"]
    wait_until(lambda: emulator.count(dead) == len(POISON), what=lambda: emulator.count(dead))
    assert sorted(emulator.bodies(dead)) == sorted(POISON.values())
    assert worker.steps("poison") == []
    send(url, "run", "after")
    worker.has_run("after")


# -- the end of a worker ---------------------------------------------------------------------------


def test_a_stopped_worker_ends_its_task_and_gives_the_others_back_at_once(
    emulator: Emulator, start: Callable[..., Worker], send: Callable[..., Any]
) -> None:
    url = emulator.queue("stop")
    worker = start(url, "-P", "threads", "-c", "1", prefetch=4)
    send(url, "run", "slow", 1.5)
    wait_until(lambda: worker.steps("slow"))
    for number in range(3):
        send(url, "run", f"waiting {number}")
    wait_until(lambda: worker.log.count("received") == 4, what="all are held")
    assert worker.terminate() < 4
    worker.has_run("slow")
    assert len(emulator.bodies(url)) == 3
    assert emulator.count(url) == 3  # the slow one is deleted
    assert not any(worker.steps(f"waiting {number}") for number in range(3))


def test_what_a_poll_brings_after_the_stop_is_given_back_at_once(
    emulator: Emulator, proxy: Proxy, start: Callable[..., Worker], send: Callable[..., Any]
) -> None:
    url = emulator.queue("late")
    worker = start(url, "-P", "threads", "-c", "2", wait=20)
    send(url, "run", "slow", 3)
    wait_until(lambda: worker.steps("slow"))
    returns = proxy.requests["ChangeMessageVisibility"]
    worker.process.terminate()
    wait_until(lambda: "Warm shutdown" in worker.log)
    send(url, "run", "late")
    wait_until(lambda: proxy.requests["ChangeMessageVisibility"] > returns, 1.5, "it is given back")
    assert len(emulator.bodies(url)) == 1
    assert worker.process.poll() is None, "the slow task runs on"
    assert worker.process.wait(5) == 0, "its last poll has ended"
    worker.has_run("slow")
    assert worker.steps("late") == []


def polling(proxy: Proxy, start: Callable[..., Worker], url: str, wait: int = 20) -> Worker:
    """A worker of one thread whose first poll is under way."""
    before = proxy.requests["ReceiveMessage"]
    worker = start(url, "-P", "threads", "-c", "1", wait=wait)
    wait_until(lambda: proxy.requests["ReceiveMessage"] > before)
    return worker


def test_a_push_that_comes_while_a_worker_ends_is_taken_by_another_within_seconds(
    emulator: Emulator, proxy: Proxy, start: Callable[..., Worker], send: Callable[..., Any]
) -> None:
    """D18: it came back after the visibility timeout only."""
    url = emulator.queue("d18", visibility=120)
    workers = [polling(proxy, start, url) for _ in range(2)]
    taken: list[float] = []
    for number in range(10):
        name, ending = f"push {number}", workers.pop(0)
        ending.process.terminate()
        time.sleep(number * 0.13)
        sent = time.time()
        send(url, "run", name)
        wait_until(partial(workers[0].steps, name), 5, f"{name} is taken")
        taken.append(workers[0].steps(name)[0][0] - sent)
        assert ending.steps(name) == []
        workers.append(polling(proxy, start, url))
    print("taken after", [f"{seconds:.2f}" for seconds in taken])


def test_an_idle_worker_ends_with_its_last_poll_and_at_once_when_it_is_told_twice(
    emulator: Emulator, proxy: Proxy, start: Callable[..., Worker]
) -> None:
    url = emulator.queue("idle")
    assert polling(proxy, start, url, wait=2).terminate() < 4
    for number in (signal.SIGTERM, signal.SIGQUIT):
        for _ in range(3):  # the emulator answers a poll before its time now and then
            worker = polling(proxy, start, url)
            begun = time.monotonic()
            worker.process.terminate()
            time.sleep(1.5)
            if worker.process.poll() is None:
                break
        assert worker.process.poll() is None, "it waits for its poll"
        worker.process.send_signal(number)
        worker.process.wait(5)
        assert time.monotonic() - begun < 4


@pytest.mark.parametrize("fault", ["hole", "refuse", "error 500"])
def test_a_worker_without_sqs_stops_promptly(
    fault: str, emulator: Emulator, proxy: Proxy, start: Callable[..., Worker], send: Callable[..., Any]
) -> None:
    url = emulator.queue(f"stop-{fault.replace(' ', '-')}")
    worker = start(url, "-P", "threads", "-c", "1", prefetch=2)
    send(url, "run", "slow", 0.5)
    wait_until(lambda: worker.steps("slow"))
    proxy.fault(fault)
    assert worker.terminate() < 6
    worker.has_run("slow")


def test_a_pool_of_processes_works_too_and_a_lost_task_runs_again_at_once(
    emulator: Emulator, start: Callable[..., Worker], send: Callable[..., Any]
) -> None:
    url = emulator.queue("prefork")
    worker = start(url, "-P", "prefork", "-c", "1")
    send(url, "run_again", "again", 0)
    wait_until(lambda: [step for _, step in worker.steps("again")] == ["try 0", "try 1"])
    send(url, "die_once", "lost")
    wait_until(lambda: len(worker.steps("lost")) == 2, what="the task runs again")
    wait_until(lambda: emulator.count(url) == 0)
    worker.terminate()


# -- delays ----------------------------------------------------------------------------------------


def test_a_delay_longer_than_the_visibility_timeout_runs_once(
    emulator: Emulator, start: Callable[..., Worker], send: Callable[..., Any]
) -> None:
    url = emulator.queue("delay", visibility=1)
    worker = start(url, "-P", "threads", "-c", "2")
    send(url, "run_again", "twice", 2)
    first, second = wait_until(lambda: len(worker.steps("twice")) > 1 and worker.steps("twice"))
    assert second[0] - first[0] > 1.9
    wait_until(lambda: emulator.count(url) == 0, what="nothing is left to run")
    assert [step for _, step in worker.steps("twice")] == ["try 0", "try 1"]


def now() -> datetime:
    return datetime.now(UTC)


@pytest.mark.parametrize(
    ("options", "delay"),
    [
        pytest.param({}, None, id="none"),
        pytest.param({"countdown": 0}, 0, id="zero"),
        pytest.param({"countdown": 5}, 5, id="seconds"),
        pytest.param({"countdown": 0.2}, 1, id="never too early"),
        pytest.param({"countdown": -3}, 0, id="past"),
        pytest.param({"countdown": 86400}, 900, id="a day"),
        pytest.param({"eta": lambda: now() + timedelta(seconds=30)}, 30, id="eta"),
        pytest.param({"eta": lambda: (now() + timedelta(seconds=30)).isoformat()}, 30, id="eta as text"),
        pytest.param(
            {"eta": lambda: (now() + timedelta(seconds=30)).replace(tzinfo=None)}, 30, id="naive eta"
        ),
        pytest.param({"eta": lambda: now() - timedelta(days=1)}, 0, id="past eta"),
        pytest.param({"delay_seconds": 7}, 7, id="own word"),
        pytest.param({"delay_seconds": 7, "countdown": 180}, 7, id="own word rules"),
    ],
)
def test_every_delay_is_the_queues(
    options: dict[str, Any], delay: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: dict[str, Any] = {}
    monkeypatch.setattr(celery.Task, "apply_async", lambda self, args, kwargs, **o: sent.update(o))
    app = Celery("delays")

    @app.task(base=DurableTask)
    def task() -> None: ...

    task.apply_async(**{key: value() if callable(value) else value for key, value in options.items()})
    assert sent.get("delay_seconds") == delay
    assert not {"countdown", "eta"} & set(sent)


# -- senders and plain kombu -----------------------------------------------------------------------


def test_a_sender_hears_of_a_broker_that_is_away() -> None:
    app = client(f"http://127.0.0.1:{free_port()}", "http://127.0.0.1/000000000000/tasks")
    with pytest.raises(OperationalError):
        app.send_task("any", retry_policy={"max_retries": 1, "interval_start": 0})


def test_a_refusal_is_tried_again_and_then_the_senders_error(emulator: Emulator, proxy: Proxy) -> None:
    url = emulator.queue("send")
    app = client(proxy.url, url)
    proxy.fault("access denied")
    before = proxy.requests["SendMessage"]
    with pytest.raises(OperationalError):
        app.send_task("any", retry_policy={"max_retries": 1, "interval_start": 0})
    proxy.heal()
    assert proxy.requests["SendMessage"] == before + 2
    app.send_task("any")
    assert emulator.count(url) == 1


def test_kombu_without_an_event_loop(emulator: Emulator) -> None:
    app = client(emulator.url, emulator.queue("plain"))
    with Connection(app.conf.broker_url, transport_options=app.conf.broker_transport_options) as connection:
        queue = connection.SimpleQueue("tasks")
        queue.put({"hello": 1})
        message = queue.get(timeout=5)
        assert message.payload == {"hello": 1}
        message.ack()
    assert emulator.count(emulator.sqs.get_queue_url(QueueName="plain")["QueueUrl"]) == 0


def test_nothing_is_said_to_sqs_before_it_is_needed() -> None:
    command = "from bus_app import app; app.connection().connect()"
    environment = {"BUS_QUEUE": "http://192.0.2.1/tasks", "BUS_TRACE": "/dev/null"}
    paths = os.pathsep.join([str(ROOT / "tests" / "support"), str(ROOT)])
    environment |= {**CREDENTIALS, "PYTHONPATH": paths}
    subprocess.run([sys.executable, "-c", command], env=environment, check=True, timeout=20)


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://sqs.eu-central-1.amazonaws.com/123456789012/tasks", "eu-central-1"),
        ("https://sqs.cn-north-1.amazonaws.com.cn/123456789012/tasks", "cn-north-1"),
        ("https://sqs-fips.us-gov-west-1.amazonaws.com/123456789012/tasks", "us-gov-west-1"),
        ("https://sqs.eu-west-1.api.aws/123456789012/tasks", "eu-west-1"),
        ("https://vpce-0a1b-2c.sqs.ap-southeast-2.vpce.amazonaws.com/1/tasks", "ap-southeast-2"),
        ("http://127.0.0.1:4566/000000000000/eu-west-1.tasks", None),
        ("http://localhost:4566/000000000000/tasks", None),
    ],
)
def test_the_region_of_a_queue_is_in_its_url(url: str, region: str | None) -> None:
    assert region_of(url).get("region") == region
