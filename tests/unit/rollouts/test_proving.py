"""A roll-out is proved after it has converged: by a smoke test, by alarms and queries that stay quiet."""

from datetime import timedelta

import pytest
from world import REPOSITORY, World, digest

from deployer.errors import PermanentError, TemporaryError
from deployer.model.deployment import Outcome, Request
from deployer.model.evidence import Signal, Signals
from deployer.policies.labels import ServiceLabels
from deployer.reports import status
from deployer.rollouts.proving.signals import Sources

ALARMS, QUERY = {"deployer.alarms": "errors, latency"}, {"deployer.query": "rate(errors[1m]) > 1"}
QUIET = Signal("alarm errors", Signals.QUIET)


class Proving(World):
    """A world with alarms and queries that a test sets."""

    def __init__(self, **rules):
        self.signals, self.asked_for = [QUIET], []
        super().__init__(**rules)

    def worker(self, skew=0.0):
        from dataclasses import replace

        def ask(what):
            self.asked_for.append(what)
            if isinstance(self.signals, Exception):
                raise self.signals
            return self.signals

        return replace(super().worker(skew), sources=Sources(ask, lambda query: ask(query)[0]))


def made(labels, **rules):
    world = Proving(**rules)
    world.create(1, labels=labels, replicas=2)
    world.wait(60)
    world.push(2)
    return world


def fires(world, since=None):
    return Signal("alarm errors", Signals.FIRES, "12 of 10", since or world.deployer.clock())


def test_alarms_are_asked_once_without_a_bake_and_all_the_time_with_one():
    world = made(ALARMS)
    assert world.deploy("t", trigger="event").outcome is Outcome.UPDATED
    assert world.asked_for == [("errors", "latency")]
    world = made({**ALARMS, "deployer.bake": "5m"})
    assert world.deploy("t", trigger="event").outcome is Outcome.UPDATED
    assert len(world.asked_for) > 10


@pytest.mark.parametrize("labels", [ALARMS, QUERY])
def test_one_that_fires_while_it_bakes_takes_it_back_and_is_remembered(labels):
    world = made({**labels, "deployer.bake": "5m"})
    step = world.deploy("t", trigger="event", until=lambda step: "s more" in step.reason)
    world.signals = [fires(world)]
    request = Request("t", "event")
    while hasattr(step, "watch"):
        world.wait(step.seconds)
        step = world.deployer.advance("web", request, step.watch)
    assert (step.outcome, step.reason) == (Outcome.ROLLED_BACK, "alarm errors fires: 12 of 10")
    assert world.n() == 1
    assert world.deploy("again", trigger="event").outcome is Outcome.HELD


def test_an_alarm_that_fired_before_does_not_stop_what_is_to_mend_it():
    world = made(ALARMS)
    world.signals = [fires(world, world.deployer.clock() - timedelta(hours=1))]
    assert world.deploy("t", trigger="event").outcome is Outcome.UPDATED


@pytest.mark.parametrize("silence", [[Signal("alarm errors", Signals.UNKNOWN)], PermanentError("no data")])
def test_silence_is_said_and_counts_as_a_failure_where_it_is_set(silence):
    world = made(ALARMS)
    world.signals = silence
    done = world.deploy("t", trigger="event")
    assert (done.outcome, "no data" in done.reason) == (Outcome.UPDATED, True)
    world = made(ALARMS, no_data_fails=True)
    world.signals = silence
    assert world.deploy("t", trigger="event").outcome is Outcome.ROLLED_BACK


def test_an_outage_of_who_is_asked_is_waited_out():
    world = made(ALARMS)
    world.signals = TemporaryError("CloudWatch does not answer")
    with pytest.raises(TemporaryError):
        world.deploy("t", trigger="event")
    assert world.n() == 2


def smoke(world, name="smoke", **options):
    world.create(1, name=name, mode="ReplicatedJob", **options)
    world.wait(60)


def test_a_smoke_test_runs_the_new_image_after_it_has_converged():
    world = made({"deployer.post-job": "smoke"})
    smoke(world)
    said = []
    done = world.deploy("t", trigger="event", until=lambda step: said.append(step.reason) or False)
    assert done.outcome is Outcome.UPDATED
    assert world.writes == [2, 2]
    assert any("job smoke runs after it" in one for one in said)
    assert f"{REPOSITORY}:latest@{digest(2)}" in str(world.spec("smoke"))
    world.wait(60)
    assert world.deploy("again", trigger="event").outcome is Outcome.UNCHANGED
    assert world.writes == [2, 2]


def test_a_smoke_test_that_fails_takes_it_back():
    world = made({"deployer.post-job": "smoke"})
    smoke(world)
    step = world.deploy("t", trigger="event", until=lambda step: "runs after it" in step.reason)
    [told] = status.survey(world.deployer, ("web",), ask=False)
    assert told.state == "baking"
    newer = world.deployer.advance("web", Request("u", "event", force=True))
    assert newer.reason == "the roll-out before bakes still"
    world.swarm.images.crashing.add(digest(2))
    world.operator.update("smoke", force=True)
    request = Request("t", "event")
    while hasattr(step, "watch"):
        world.wait(step.seconds)
        step = world.deployer.advance("web", request, step.watch)
    assert step.outcome is Outcome.ROLLED_BACK
    assert step.reason.startswith("job smoke, which runs after it: ")
    assert world.n() == 1


def test_a_smoke_test_that_is_none_is_found_before_anything_is_written():
    world = made({"deployer.post-job": "api"})
    world.create(1, name="api")
    done = world.deploy("t", trigger="event")
    assert (done.outcome, done.reason) == (
        Outcome.IGNORED,
        "label deployer.post-job: api is no job of the service's repository",
    )
    assert world.writes == []


def test_the_way_back_of_a_person_is_not_proved():
    world = made(ALARMS)
    assert world.deploy("t", trigger="event").outcome is Outcome.UPDATED
    world.wait(60)
    world.asked_for.clear()
    assert world.deploy("back", trigger="rollback", rollback=True).outcome is Outcome.ROLLED_BACK
    assert world.asked_for == []


def test_a_command_is_of_ecs():
    world = made({"deployer.post-command": "true"})
    done = world.deploy("t", trigger="event")
    assert (done.outcome, "runs a job after it (label deployer.post-job)" in done.reason) == (
        Outcome.FAILED,
        True,
    )


def test_labels_as_they_are_written():
    assert ServiceLabels.parse(ALARMS).alarms == ("errors", "latency")
    assert ServiceLabels.parse({"deployer.post-job": "smoke"}).missing_service({"web"})
    assert "up to 20" in ServiceLabels.parse({"deployer.alarms": ",".join(map(str, range(30)))}).problem
