"""Targets whose answers lag, which take their time on purpose, or which let nobody write: Amazon ECS, say."""

from dataclasses import replace

import pytest
from world import World

from deployer.model.deployment import Again, Outcome, Request
from deployer.model.snapshot import Phase


class Slow(World):
    """A target whose snapshots have further properties, and old answers for a while."""

    seen, lag, progress, untouchable, stale = None, 0.0, {}, None, False

    def read(self, name, now):
        snapshot = self.seen if self.stale else super().read(name, now)
        service = replace(snapshot.service, untouchable=self.untouchable)
        progress = replace(snapshot.progress, **self.progress)
        return replace(snapshot, service=service, progress=progress, lag=self.lag)


@pytest.fixture
def world():
    world = Slow(rollout_timeout=60)
    world.create()
    world.push(2)
    return world


def test_a_service_that_nobody_may_write_to_is_ignored_with_the_reason(world):
    world.untouchable = "another tool deploys it"
    report = world.deploy()
    assert (report.outcome, report.reason) == (Outcome.IGNORED, "another tool deploys it")
    assert world.deploy("by hand", trigger="manual", force=True).outcome is Outcome.IGNORED
    assert world.writes == []


def test_an_answer_that_is_older_than_the_write_is_no_word_of_somebody_else(world):
    world.lag, world.seen = 30.0, world.read("web", world.deployer.clock())
    step = world.begin()
    world.stale = True
    for _ in range(5):
        world.wait(step.seconds)
        step = world.deployer.advance("web", Request("t", trigger="event"), step.watch)
        assert isinstance(step, Again)
        assert "does not show the write yet" in step.reason
    world.stale = False
    assert world.deploy().outcome is Outcome.UPDATED
    assert world.writes == [2]


def test_what_is_still_seen_when_answers_lag_no_more_is_somebody_elses_word(world):
    world.lag = 30.0
    step = world.begin()
    world.operator.update(
        "web", image=f"{world.spec()['TaskTemplate']['ContainerSpec']['Image'].split('@')[0]}@sha256:{1:064x}"
    )
    world.wait(40)
    watch = replace(step.watch, asked=40.0)
    step = world.deployer.advance("web", Request("t", trigger="event"), watch)
    assert step.outcome is Outcome.SUPERSEDED


def test_a_pause_of_days_neither_fails_nor_takes_from_the_time_out(world):
    step = world.begin()
    world.progress = {"phase": Phase.ROLLING, "pause": "a person has to let it go on"}
    for _ in range(60):
        world.wait(3600)
        step = world.deployer.advance("web", Request("t", trigger="event"), step.watch)
        assert isinstance(step, Again)
        assert step.patient
        assert "a person has to let it go on" in step.reason
    world.progress = {}
    assert world.deployer.advance("web", Request("t", trigger="event"), step.watch).outcome is Outcome.UPDATED


def test_what_a_target_takes_on_purpose_comes_on_top_of_the_time_out(world):
    step = world.begin()
    world.progress = {"phase": Phase.ROLLING, "patience": 600.0}
    watch = replace(step.watch, watched=600.0)
    assert isinstance(world.deployer.advance("web", Request("t", trigger="event"), watch), Again)
    watch = replace(step.watch, watched=700.0)
    step = world.deployer.advance("web", Request("t", trigger="event"), watch)
    assert "not converged after 660 s" in step.reason


def test_a_swarm_runs_jobs_first_and_says_so_to_the_label_for_commands(world):
    world.operator.update("web", labels={"deployer.pre-command": "migrate"})
    report = world.deploy()
    assert report.outcome is Outcome.IGNORED
    assert "label deployer.pre-command" in report.reason
    assert "(label deployer.pre-job)" in report.reason
    assert world.n() == 1
