"""The floor of the worker: Celery with its own SQS transport and one task that does nothing.

The pool, acknowledgements and polls are as the deployer has them. `BENCH_QUEUE` is the queue's URL,
`BENCH_BROKER` host and port of SQS.
"""

import os

from celery import Celery

_url = os.environ["BENCH_QUEUE"]
_name = _url.rsplit("/", 1)[-1]
app = Celery("empty", broker=f"sqs://test:test@{os.environ['BENCH_BROKER']}")
app.conf.update(
    broker_transport_options={
        "predefined_queues": {_name: {"url": _url}},
        "wait_time_seconds": 20,
        "polling_interval": 0,
        "is_secure": False,
        "region": os.environ["AWS_REGION"],
    },
    task_create_missing_queues=False,
    task_default_queue=_name,
    task_acks_late=True,
    task_ignore_result=True,
    worker_pool="threads",
    worker_concurrency=4,
    worker_prefetch_multiplier=1,
    worker_enable_remote_control=False,
    broker_connection_retry_on_startup=True,
)


@app.task(name="bench.noop")
def noop() -> None:
    """Do nothing."""
