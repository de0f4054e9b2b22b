"""One deployment has one end, however often its message comes and whoever takes it."""

from types import SimpleNamespace

import pytest
from in_memory import WEB, digest, pinned
from prometheus_client import REGISTRY
from redis.exceptions import ConnectionError as NoRedisError

from deployer.errors import DeploymentFailedError
from deployer.model.deployment import Outcome, Report, Request
from deployer.tasks.ending import ToldEnds, end, words

UPDATED = Report(Outcome.UPDATED, "1/1 running", "web", "id-web", image=pinned(2), duration=3.0, by="event")
LATER = Report(Outcome.UPDATED, "1/1 running", "web", "id-web", image=pinned(2), duration=18002.0, by="event")
PUSH = Request("d-1", trigger="event", event="e-1", pushed_digest=digest(2))


class Told(list):
    def tell(self, report, task):
        self.append(report)


class Redis(dict):
    """What workers share."""

    down = False

    def claim(self, key, value, seconds):
        if self.down:
            raise NoRedisError("away")
        assert seconds >= 24 * 3600
        if key in self:
            return self[key]
        self[key] = value
        return None


def count(outcome="updated", by="event"):
    return REGISTRY.get_sample_value("deployer_deployments_total", {"outcome": outcome, "by": by}) or 0


@pytest.fixture(params=["redis", "one process"])
def workers(request):
    """Two workers that share a Redis, or one without."""
    if request.param == "redis":
        shared = Redis()
        return [ToldEnds(shared.claim), ToldEnds(shared.claim)]
    alone = ToldEnds()
    return [alone, alone]


def test_a_message_that_comes_twice_has_one_end(workers, caplog):
    """Faults 23 and 24: a second `updated … 18002 s` in log, chat, histogram and history."""
    told, before = Told(), count()
    caplog.set_level("INFO")
    first = end("d-1", UPDATED, PUSH, workers[0], told)
    second = end("d-1", LATER, PUSH, workers[1], told)
    superseded = end("d-1", Report(Outcome.SUPERSEDED, "another push", "web"), PUSH, workers[1], told)
    assert first == second == superseded
    assert first["duration"] == 3.0
    assert told == [UPDATED]
    assert count() == before + 1
    assert len([line for line in caplog.messages if "ended" in line]) == 1


def test_a_failure_that_comes_twice_fails_twice_and_pages_once(workers):
    told, failed = Told(), Report(Outcome.ROLLED_BACK, "exit 1", "web", "id-web", duration=5.0, by="event")
    for worker in workers:
        with pytest.raises(DeploymentFailedError, match="web: rolled-back, exit 1") as raised:
            end("d-1", failed, PUSH, worker, told)
        assert raised.value.args[1]["duration"] == 5.0
    assert told == [failed]


def test_what_was_held_and_is_rolled_out_after_all_is_told(workers):
    told, held = Told(), Report(Outcome.HELD, "held: audit", "web", "id-web", by="event")
    for report in (held, held, UPDATED, UPDATED, held):
        end("d-1", report, PUSH, workers[0], told)
    assert told == [held, UPDATED]


def test_two_deployments_have_two_ends(workers):
    told = Told()
    for number in ("d-1", "d-2"):
        end(number, UPDATED, PUSH, workers[0], told)
    assert told == [UPDATED, UPDATED]


def test_what_fails_at_each_look_at_all_services_pages_once_a_day(workers):
    """Faults 26: a failed pre-job was 96 alarms a day."""
    told, failed = Told(), Report(Outcome.FAILED, "job migrate: exit 1", "web", "id-web", by="reconcile")
    before = count("failed", "reconcile")
    for number in range(96):
        with pytest.raises(DeploymentFailedError):
            end(f"d-{number}", failed, Request(f"d-{number}", trigger="reconcile"), workers[number % 2], told)
    assert told == [failed]
    assert count("failed", "reconcile") == before + 1


def test_redis_that_is_away_keeps_nothing_from_being_told():
    shared, told = Redis(), Told()
    shared.down = True
    ends = ToldEnds(shared.claim)
    for _ in range(2):
        assert end("d-1", UPDATED, PUSH, ends, told)["outcome"] == "updated"
    assert told == [UPDATED]


def test_another_mans_bytes_in_redis_are_no_error():
    ends = ToldEnds(lambda *_: "{nonsense")
    assert end("d-1", UPDATED, PUSH, ends, Told())["outcome"] == "updated"


def test_a_typo_is_no_failed_deployment_and_says_what_was_asked(caplog):
    """D12: it counted as failed, woke somebody, and named the image that runs."""
    told, before = Told(), (count("failed", "manual"), count("refused", "manual"))
    report = Report(Outcome.FAILED, "no such tag", "web", "id-web", image=pinned(1), refused=True)
    asked = Request("d-1", image=f"{WEB}t")
    caplog.set_level("INFO")
    with pytest.raises(DeploymentFailedError):
        end("d-1", report, asked, ToldEnds(), told)
    assert [one.image for one in told] == [f"{WEB}t"]
    assert (count("failed", "manual"), count("refused", "manual")) == (before[0], before[1] + 1)
    assert [record.levelname for record in caplog.records] == ["INFO"]


def test_an_outcome_is_said_once():
    """D24: held, held: held by hand."""
    assert words(Outcome.HELD, "held: audit") == "held, audit"
    assert words("failed", "exit 1") == "failed, exit 1"


def test_a_claim_asks_redis_once_for_all_workers(monkeypatch):
    from celery import Celery

    from deployer.broker.results import OptionalRedisBackend

    stored = {}

    def store(key, value, nx, ex):
        assert nx
        return stored.setdefault(key, value) is value

    backend = OptionalRedisBackend(url="redis://127.0.0.1:1", app=Celery(set_as_current=False))
    client = SimpleNamespace(set=store, get=lambda key: stored[key].encode())
    monkeypatch.setattr(OptionalRedisBackend, "client", client)
    assert backend.claim("k", "first", 60) is None
    assert backend.claim("k", "second", 60) == "first"
