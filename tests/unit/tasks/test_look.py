"""One look of a deployment, without Celery: what it remembers, when it gives up, and what it tells then."""

from dataclasses import replace
from datetime import timedelta

import pytest
from in_memory import WEB, digest, pinned

from deployer.errors import BusyError, TemporaryError
from deployer.model.deployment import Outcome
from deployer.observability.outage import LONGEST_BACKOFF
from deployer.rollouts.decision import Rules
from deployer.rollouts.deployer import Deployer
from deployer.tasks.message import DeploymentMessage
from deployer.tasks.rollout import Ended, SendBack, look
from deployer.testing import FakeSwarm

DAY = 24 * 3600.0
PUSH = DeploymentMessage(
    by="event", event="e-1", image=WEB, hint=digest(2), service_id="id-web", notify="ops"
)


class Down(FakeSwarm):
    """A Swarm whose engine can be away."""

    down = False

    def service(self, name):
        if self.down:
            raise TemporaryError("Docker engine does not answer")
        return super().service(name)


@pytest.fixture
def swarm():
    swarm = Down()
    swarm.push(WEB, digest(1))
    swarm.create("web", pinned(1), labels={"deployer.notify": "ops", "deployer.after": "api"})
    swarm.create("api", pinned(5, WEB.replace("web", "api")))
    swarm.push(WEB, digest(2))
    return swarm


def step(swarm, message=PUSH, rules=None, interval=timedelta(minutes=15)):
    deployer = Deployer(swarm, swarm, rules or Rules(), clock=swarm.clock)
    return look(deployer, "web", message.request("d-1"), message, interval)


def test_a_deployment_goes_through_its_messages_alone(swarm):
    """What travels as JSON between two workers is enough."""
    message = PUSH
    while isinstance(done := step(swarm, message), SendBack):
        message = DeploymentMessage.decode(done.message.encode())
        swarm.tick(done.seconds)
    assert (done.report.outcome, done.report.image) == (Outcome.UPDATED, pinned(2))


def test_a_quota_gives_each_its_turn_and_is_no_fault(swarm, monkeypatch):
    def busy(*_):
        raise BusyError("waits for ECS's quota", 42.0)

    monkeypatch.setattr(swarm, "apply", busy)
    swarm.remove("web")
    swarm.create("web", pinned(1))
    done = step(swarm, PUSH.model_copy(update={"faults": 3}))
    assert (done.seconds, done.reason, done.fault) == (42.0, "waits for ECS's quota", None)
    assert (done.message.faults, done.message.waited) == (3, 42.0)


def test_no_number_of_faults_is_an_error(swarm):
    """Faults 4: 2.0 ** 1024 overflows, after 4.5 hours without an engine."""
    swarm.down = True
    for faults in (1, 5, 1023, 10**6, -(10**6)):
        done = step(swarm, PUSH.model_copy(update={"faults": faults}))
        assert isinstance(done, SendBack)
        assert 0 <= done.seconds <= LONGEST_BACKOFF


def test_a_night_without_the_engine_is_waited_out_and_a_day_is_told(swarm):
    """Faults 4, 21 and 39: who gives up says so, to those who are to hear of this service."""
    swarm.down = True
    message, waited = PUSH, 0.0
    while isinstance(done := step(swarm, message), SendBack):
        message, waited = done.message, waited + done.seconds
    assert DAY <= waited < DAY + LONGEST_BACKOFF
    told = done.report
    assert (told.outcome, told.event, told.notify, told.service_id) == (
        Outcome.FAILED,
        "e-1",
        "ops",
        "id-web",
    )
    assert told.reason == "gave up waiting: Docker engine does not answer"


def test_who_gives_up_waiting_for_another_service_tells_all_about_it(swarm):
    swarm.create("api", pinned(5, WEB.replace("web", "api")), failure_action="pause")
    swarm.raw["api"]["UpdateStatus"] = {"State": "paused"}
    message = PUSH.model_copy(update={"waited": DAY, "notify": None, "service_id": None})
    done = step(swarm, message)
    assert isinstance(done, Ended)
    told = done.report
    assert (told.outcome, told.event, told.notify, told.service_id) == (
        Outcome.FAILED,
        "e-1",
        "ops",
        "id-web",
    )
    assert told.reason.startswith("gave up waiting: ")
    assert "api" in told.reason


def test_a_roll_out_that_has_begun_has_all_its_patience(swarm):
    """Faults 22: after 23:59 h of waiting the first hiccup of the engine left the roll-out unattended."""
    done = step(swarm, PUSH.model_copy(update={"waited": DAY - 60}))
    assert isinstance(done, SendBack)
    assert done.begun
    swarm.down = True
    for _ in range(50):
        done = step(swarm, done.message)
        assert isinstance(done, SendBack)
    swarm.down = False
    swarm.settle()
    done = step(swarm, done.message)
    assert isinstance(done, Ended)
    assert done.report.outcome is Outcome.UPDATED


def test_every_look_that_works_begins_the_patience_of_a_roll_out_anew(swarm):
    done = step(swarm)
    swarm.down = True
    done = step(swarm, done.message)
    assert done.message.waited > 0
    swarm.down = False
    assert step(swarm, done.message).message.waited == 0


def test_what_a_look_at_all_services_began_is_left_to_the_next_one(swarm):
    swarm.raw["api"]["UpdateStatus"] = {"State": "paused"}
    message = DeploymentMessage(by="reconcile", image=pinned(2))
    for _ in range(1000):
        done = step(swarm, message)
        if isinstance(done, Ended):
            break
        message = done.message
    assert done.report.outcome is Outcome.SUPERSEDED
    assert done.report.reason.startswith("left to the next look: ")
    assert 900 <= message.waited < 1000
    swarm.down = True
    assert step(swarm, message).report.outcome is Outcome.SUPERSEDED


def test_a_clock_that_jumps_ends_no_patience(swarm):
    swarm.raw["api"]["UpdateStatus"] = {"State": "paused"}
    done = step(swarm)
    swarm.now += timedelta(days=3)
    assert isinstance(step(swarm, done.message), SendBack)


def test_a_wait_that_may_last_is_waited_out(swarm):
    swarm.raw["web"]["Spec"]["Labels"]["deployer.window"] = "00:00-00:01 UTC"
    swarm.now += timedelta(hours=3)
    message = PUSH.model_copy(update={"waited": DAY})
    done = step(swarm, message)
    assert isinstance(done, SendBack), replace(done.report)
    assert done.message.waited == 0


@pytest.mark.parametrize(
    ("asked", "by"), [({"image": f"{WEB}t"}, "manual"), ({"rollback": True}, "rollback")]
)
def test_what_a_person_asks_for_and_cannot_have_is_refused(swarm, asked, by):
    message = DeploymentMessage()
    deployer = Deployer(swarm, swarm, Rules(), clock=swarm.clock)
    done = look(deployer, "web", message.request("d-1", trigger=by, **asked), message)
    assert isinstance(done, Ended)
    assert (done.report.outcome, done.report.refused) == (Outcome.FAILED, True)
    done = look(deployer, "nosuch", message.request("d-2", trigger=by, **asked), message)
    assert (done.report.outcome, done.report.refused) == (Outcome.FAILED, True)


def test_a_push_that_fails_is_not_refused(swarm):
    swarm.digests.clear()
    done = step(swarm)
    assert isinstance(done, Ended)
    assert (done.report.outcome, done.report.refused) == (Outcome.FAILED, False)
