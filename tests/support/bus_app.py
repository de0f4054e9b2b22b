"""A small Celery application on the bus, for the workers of test_bus.py; its environment says which queue."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

from celery import Celery

from deployer.broker import channel
from deployer.broker.task import DurableTask

channel.register()
app = Celery("bus_app")
app.conf.update(
    broker_url=channel.BROKER_URL,
    broker_transport_options={
        "predefined_queues": {"tasks": {"url": os.environ["BUS_QUEUE"]}},
        "wait_time_seconds": int(os.environ.get("BUS_WAIT", "1")),
        "retry_backoff_max": 0.3,
        "poll_margin": 1,
    },
    broker_connection_retry_on_startup=True,
    task_default_queue="tasks",
    task_create_missing_queues=False,
    task_serializer="json",
    accept_content=["json"],
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    task_publish_retry_policy={"max_retries": 1, "interval_start": 0},
    worker_prefetch_multiplier=int(os.environ.get("BUS_PREFETCH", "1")),
    worker_enable_remote_control=False,
)


def note(**what: Any) -> None:
    """Append a line to the trace that the test reads."""
    with Path(os.environ["BUS_TRACE"]).open("a") as trace:
        trace.write(json.dumps({"at": time.time(), **what}) + "\n")


@app.task(base=DurableTask)
def run(name: str, seconds: float = 0) -> None:
    note(name=name, step="begun")
    time.sleep(seconds)
    note(name=name, step="ended")


@app.task(base=DurableTask, bind=True, max_retries=3)
def run_again(self: Any, name: str, countdown: float) -> None:
    note(name=name, step=f"try {self.request.retries}")
    if not self.request.retries:
        raise self.retry(countdown=countdown)


@app.task(base=DurableTask)
def die_once(name: str) -> None:
    again = os.environ["BUS_TRACE"] + name
    note(name=name, step="begun")
    if not Path(again).exists():
        Path(again).touch()
        os.kill(os.getpid(), signal.SIGKILL)
