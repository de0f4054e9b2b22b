"""A job that runs the new image first, played to its end by deployments (label `deployer.pre-job`)."""

import pytest
from in_memory import HOST, WEB, Runs, digest, newest_task, pinned

from deployer.model.deployment import Again, Outcome
from deployer.rollouts.decision import Rules
from deployer.testing import FakeSwarm

ONE_TRY = {"Condition": "none"}


@pytest.fixture
def swarm():
    swarm = FakeSwarm()
    swarm.push(WEB, digest(1))
    swarm.create("migrate", pinned(1), mode="ReplicatedJob")
    swarm.raw["migrate"]["Spec"]["TaskTemplate"]["RestartPolicy"] = ONE_TRY
    swarm.create("web", pinned(1), labels={"deployer.pre-job": "migrate"})
    swarm.push(WEB, digest(2))
    return swarm


def test_the_service_waits_while_the_job_runs_and_follows_it(swarm):
    swarm.engine.images.exit_after[digest(2)] = 100.0
    runs = Runs(swarm, Rules(max_rollouts=1))
    first = runs.step(event="e1")
    assert (first.watch, first.pre_job) == (None, digest(2))
    assert swarm.writes == [("migrate", pinned(2))]
    swarm.tick(50)
    waits = runs.step(event="e1")
    assert isinstance(waits, Again)
    assert waits.watch is None
    assert waits.reason == "job migrate runs first (0/1 complete)"
    assert not any(name.startswith("deployer.slot.") for name in swarm.ledger().labels)
    swarm.tick(60)
    assert runs.run(event="e1").outcome is Outcome.UPDATED
    assert swarm.writes == [("migrate", pinned(2)), ("web", pinned(2))]


def test_the_job_remembers_who_had_it_run(swarm):
    Runs(swarm).step(deployment_id="t7", event="e7")
    state = swarm.service("migrate").state
    assert (state.by, state.task, state.event, state.previous) == ("pre-job", "t7", "e7", pinned(1))


def test_a_job_that_fails_ends_the_deployment_and_the_digest_is_not_tried_again(swarm):
    swarm.crashing = {digest(2)}
    report = Runs(swarm).run()
    assert report.outcome is Outcome.FAILED
    assert report.reason == "job migrate, which runs first: migrate.node-1: task: non-zero exit (1)"
    assert swarm.image("web") == pinned(1)
    assert swarm.ledger().failures("web")[digest(2)].reason == report.reason
    assert Runs(swarm).run(deployment_id="t2").outcome is Outcome.HELD


def test_a_job_of_another_repository_runs_nothing_first(swarm):
    swarm.create("migrate", f"{HOST}/team/other:1@{digest(1)}", mode="ReplicatedJob")
    report = Runs(swarm).run()
    assert report.outcome is Outcome.IGNORED
    assert "migrate is no job of the repository" in report.reason
    assert not swarm.writes


def test_a_run_of_the_job_that_has_been_forgotten_is_no_failure(swarm):
    Runs(swarm).step()
    swarm.tick(10)
    assert newest_task(swarm, "migrate").state == "complete"
    assert Runs(swarm).run(deployment_id="t2").outcome is Outcome.UPDATED
