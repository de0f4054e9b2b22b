"""Messages that are given back: how often they came, and when they come again."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from celery import beat
from kombu import Connection

from deployer.broker import channel as channel_module
from deployer.broker.app import MonitoredCelery
from deployer.broker.beat import RedisBeatPidbox, use_redis
from deployer.broker.settling import LONGEST_REQUEUE, receptions, requeue_delay


def received(times: object) -> dict[str, Any]:
    return {"Attributes": {"ApproximateReceiveCount": times}}


@pytest.mark.parametrize(
    ("message", "times"),
    [({}, 1), ({"Attributes": None}, 1), (received("1"), 1), (received("7"), 7), (received("-"), 1)],
)
def test_how_often_a_message_was_received(message: dict[str, Any], times: int) -> None:
    assert receptions(message) == times


def test_what_a_task_gives_back_comes_again_a_little_later_each_time() -> None:
    delays = [requeue_delay(received(str(times))) for times in range(1, 13)]
    assert delays[:5] == [1, 2, 4, 8, 16]
    assert delays == sorted(delays)
    assert requeue_delay(received("9" * 40)) == LONGEST_REQUEUE


def body() -> str:
    args = base64.b64encode(json.dumps([[], {}, {}]).encode()).decode()
    properties = {"body_encoding": "base64", "delivery_tag": "t", "delivery_info": {"routing_key": "q"}}
    headers = {"task": "work", "id": "1"}
    kinds = {"content-type": "application/json", "content-encoding": "utf-8"}
    return json.dumps({"body": args, "headers": headers, "properties": properties, **kinds})


def test_a_rejected_message_is_visible_again_after_the_delay_and_told_as_redelivered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It spun: 1,163 receptions in a run of Celery's own suite."""
    channel_module.register()
    options = {"predefined_queues": {"q": {"url": "https://sqs.example/1/q"}}}
    with Connection(channel_module.BROKER_URL, transport_options=options) as connection:
        channel: Any = connection.channel()
        asked: list[dict[str, Any]] = []
        client = SimpleNamespace(change_message_visibility=lambda **request: asked.append(request))
        monkeypatch.setattr(channel, "sqs", lambda queue=None: client)
        monkeypatch.setattr(channel, "_settle", lambda request: request())
        monkeypatch.setattr(channel, "_schedule_queue", lambda queue: None)
        channel._new_queue("q")

        def deliver(payload: Any) -> None:
            message = channel.Message(payload, channel=channel)
            channel.qos.append(message, message.delivery_tag)

        for times in ("1", "3"):
            message = {"MessageId": "m", "ReceiptHandle": f"h{times}", "Body": body(), **received(times)}
            channel._hand_over("q", message, deliver)
            assert channel._held[f"h{times}"].delivery_info["redelivered"] is (times != "1")
            channel.basic_reject(f"h{times}", requeue=True)
    assert [(one["ReceiptHandle"], one["VisibilityTimeout"]) for one in asked] == [("h1", 1), ("h3", 4)]


def test_beats_remote_control_listens_at_redis_or_is_refused_in_one_line() -> None:
    app = MonitoredCelery("t", set_as_current=False)
    service = SimpleNamespace(app=app, remote_control=True)
    with pytest.raises(SystemExit, match=r"beat_enable_remote_control: .* need Redis.*DEPLOYER_REDIS_URL"):
        use_redis(service)
    app.conf.monitoring_secret_url = "redis://127.0.0.1:1/0"
    own = beat.BeatPidbox
    try:
        use_redis(service)
        assert beat.BeatPidbox is RedisBeatPidbox
    finally:
        beat.BeatPidbox = own


@pytest.mark.parametrize("command", [["flower"], ["events", "--dump"]], ids=lambda words: words[0])
def test_without_redis_who_would_listen_to_events_is_told_so_in_one_line(command: list[str]) -> None:
    """First day, D19: Flower said once a second for ever that a queue must be defined."""
    done = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "deployer", *command],
        env={"DEPLOYER_TASK_QUEUE": "https://sqs.eu-central-1.amazonaws.com/1/tasks", "PATH": "/usr/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode
    assert "deployer: DEPLOYER_REDIS_URL is not set, and SQS carries no events for" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_worker_whose_queue_is_called_events_needs_no_redis() -> None:
    program = "import sys; sys.argv = ['celery', 'worker', '-Q', 'events']; from deployer import celery"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"DEPLOYER_TASK_QUEUE": "https://sqs.eu-central-1.amazonaws.com/1/events", "PATH": "/usr/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
