"""Tasks run by Celery's own tracer, on a Swarm in memory: what they send to SQS is caught."""

from contextlib import nullcontext
from types import SimpleNamespace

from celery.app.trace import build_tracer
from in_memory import HOST, digest

from deployer import settings, tasks
from deployer.rollouts.decision import Rules
from deployer.rollouts.deployer import Deployer
from deployer.rollouts.ledger.slots import Observer
from deployer.tasks import fan_out
from deployer.tasks.ending import ToldEnds

VARIABLES = {
    "AWS_REGION": "eu-central-1",
    "DEPLOYER_TASK_QUEUE": "https://sqs.eu-central-1.amazonaws.com/123456789012/tasks",
}


def push(n, event="11111111-1111-1111-1111-111111111111"):
    """ECR's event of a push to team/web:latest."""
    return {
        "version": "0",
        "id": event,
        "source": "aws.ecr",
        "detail-type": "ECR Image Action",
        "account": HOST[:12],
        "region": "eu-central-1",
        "time": "2026-01-01T00:00:20Z",
        "detail": {
            "result": "SUCCESS",
            "repository-name": "team/web",
            "image-digest": digest(n),
            "action-type": "PUSH",
            "image-tag": "latest",
        },
    }


class Worker:
    """A worker without a queue: `sent` has (task, args, kwargs, options) of what would be in it."""

    def __init__(self, monkeypatch, swarm, rules=None):
        for name, value in VARIABLES.items():
            monkeypatch.setenv(name, value)
        settings.load.cache_clear()
        self.sent, self.told = [], []
        observer = Observer(lambda: swarm.now.timestamp())
        self.deployer = Deployer(swarm, swarm, rules or Rules(), clock=swarm.clock, observer=observer)
        parcel = SimpleNamespace(gather=lambda key: nullcontext(), send=dict)
        for module in (tasks, fan_out):
            monkeypatch.setattr(module, "deployer", lambda: self.deployer)
        monkeypatch.setattr(fan_out, "SendBatch", lambda: parcel)
        notifier = SimpleNamespace(tell=lambda report, task: self.told.append(report))
        monkeypatch.setattr(tasks, "notifier", lambda: notifier)
        ends = ToldEnds()
        monkeypatch.setattr(tasks.worker, "told_ends", lambda: ends)
        monkeypatch.setattr(tasks.ReadableTask, "apply_async", self._catch)

    def _catch(self, args=None, kwargs=None, **options):
        self.sent.append((options.pop("task_name", None), list(args or ()), dict(kwargs or {}), options))

    def run(self, name, *args, task_id="id", **kwargs):
        """Run a task as a worker does; its state and its result or exception."""
        task = tasks.app.tasks[f"deployer.tasks.{name}"]
        request = {"id": task_id, "task": task.name, "args": list(args), "kwargs": kwargs}
        traced = build_tracer(task.name, task, app=tasks.app, propagate=False)
        done = traced(task_id, list(args), kwargs, request)
        return (done.info.state if done.info else "SUCCESS"), done.retval
