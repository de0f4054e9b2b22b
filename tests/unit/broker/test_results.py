"""A Redis that answers with an error, and what that does to a deployment: nothing."""

import logging

import pytest
from celery import Celery
from celery.app.trace import build_tracer
from redis import exceptions

FAULTS = [
    exceptions.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
    exceptions.ReadOnlyError("You can't write against a read only replica."),
    exceptions.ResponseError("MISCONF Redis is configured to save RDB snapshots, but unable to persist"),
    exceptions.NoPermissionError("this user has no permissions to run the 'setex' command"),
    exceptions.AuthenticationError("WRONGPASS invalid username-password pair"),
    exceptions.ConnectionError("refused"),
    exceptions.TimeoutError("slow"),
    ValueError("somebody else's bytes"),
]


@pytest.fixture
def app():
    app = Celery(
        set_as_current=False, backend="deployer.broker.results:OptionalRedisBackend+redis://127.0.0.1:1"
    )
    app.conf.task_track_started = True
    return app


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
def test_a_task_runs_whatever_redis_says(app, monkeypatch, caplog, fault):
    ran = []

    @app.task(name="deploy")
    def deploy():
        ran.append(1)
        return "done"

    def refuse(*_):
        raise fault

    monkeypatch.setattr(type(app.backend), "get", refuse)
    monkeypatch.setattr(type(app.backend), "set", refuse)
    trace = build_tracer("deploy", deploy, app=app)
    caplog.set_level(logging.WARNING)
    for count in (1, 2):
        assert trace(f"id-{count}", (), {}, {"id": f"id-{count}"}).retval == "done"
    assert len(ran) == 2
    assert [r.message for r in caplog.records if r.name == "deployer.broker.results"] == [
        f"Redis takes nothing, results are lost until it does ({type(fault).__name__})"
    ]


def test_a_task_is_sent_by_who_may_not_subscribe_to_its_result(app, monkeypatch):
    def refuse(*_):
        raise exceptions.NoPermissionError("this user has no permissions to access one of the channels")

    monkeypatch.setattr(app.backend.result_consumer, "consume_from", refuse)
    app.backend.on_task_call(None, "id-1")
