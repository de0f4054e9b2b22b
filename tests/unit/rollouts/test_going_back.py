"""The way back of a roll-out that failed: lost messages, the engine's own rollback, and what cannot go back."""

from datetime import timedelta

import pytest
from in_memory import WEB, Runs, digest, newest_task, pinned

from deployer.model.deployment import Again, Outcome, Report, Request
from deployer.rollouts.decision import Rules
from deployer.testing import FakeSwarm


@pytest.fixture
def swarm():
    swarm = FakeSwarm()
    swarm.push(WEB, digest(2))
    return swarm


def until_it_goes_back(runs, name):
    """Run a deployment until it has turned back; what it remembered at the look before that."""
    request, watch = Request("t1", trigger="event"), None
    for _ in range(300):
        step = runs.deployer.advance(name, request, watch)
        assert isinstance(step, Again)
        if step.watch.going_back:
            return watch
        watch = step.watch
        runs.swarm.tick(step.seconds)
    raise AssertionError("it does not go back")


def test_a_worker_that_dies_as_it_turns_back_is_followed_by_one_that_sees_the_way_back_to_its_end(swarm):
    swarm.create("web", pinned(1), replicas=20, failure_action="continue")
    swarm.crashing = {digest(2)}
    runs = Runs(swarm, Rules(rollout_timeout=60))
    watch = until_it_goes_back(runs, "web")
    swarm.tick()
    step = runs.step(watch=watch)  # the message that it had taken comes again
    assert isinstance(step, Again)
    while isinstance(step, Again):
        swarm.tick()
        step = runs.step(watch=step.watch)
    assert step.outcome is Outcome.ROLLED_BACK
    assert "not converged after 60 s" in step.reason
    assert swarm.image("web") == pinned(1)


@pytest.mark.parametrize("state", ["completed", "updating"])
def test_a_crash_loop_is_no_update_although_the_worker_died_after_its_write(swarm, state):
    swarm.create("web", pinned(1), failure_action="continue")
    swarm.crashing = {digest(2)}
    runs = Runs(swarm, Rules(rollout_timeout=300))
    runs.step()
    swarm.settle(130)  # the queue's visibility timeout
    swarm.raw["web"]["UpdateStatus"]["State"] = state  # what the engine says depends on its monitor
    report = runs.run()
    assert (report.outcome, swarm.image("web")) == (Outcome.ROLLED_BACK, pinned(1))


def test_a_repeat_long_after_does_not_take_a_crash_of_today_for_a_failed_roll_out(swarm):
    swarm.create("web", pinned(1), failure_action="continue")
    runs = Runs(swarm)
    runs.run()
    swarm.now += timedelta(days=1)
    task = newest_task(swarm)
    task.state, task.desired, task.updated = "failed", "shutdown", swarm.now
    report = runs.step()
    assert isinstance(report, Report)
    assert (report.outcome, swarm.image("web")) == (Outcome.UPDATED, pinned(2))


@pytest.mark.parametrize("before", ["docker.io/library/web:1", "index.docker.io/library/web:1", "web:1"])
def test_the_engines_rollback_to_an_image_of_another_spelling_is_told(before):
    swarm = FakeSwarm()
    swarm.create("web", f"{before}@{digest(1)}", failure_action="rollback")
    swarm.push("web:1", digest(2))
    swarm.crashing = {digest(2)}
    report = Runs(swarm).run()
    assert report.outcome is Outcome.ROLLED_BACK
    assert swarm.image("web") == f"{before}@{digest(1)}"
    assert swarm.service("web").state.failed == digest(2)


@pytest.mark.parametrize("late", [False, True], ids=["both crash", "the old one crashes on the way back"])
def test_where_the_engine_takes_back_the_way_back_it_ends_as_failed(swarm, late):
    swarm.create("web", pinned(1), replicas=40 if late else 2, failure_action="rollback")
    swarm.crashing = {digest(1)} if late else {digest(1), digest(2)}
    report = Runs(swarm, Rules(rollout_timeout=20)).run(limit=300)
    assert report.outcome is Outcome.FAILED
    assert "the rollback failed as well" in report.reason
    assert len(swarm.writes) == 2


def test_a_rollback_by_hand_that_the_engine_takes_back_is_no_success(swarm):
    swarm.create("web", pinned(1), failure_action="rollback")
    runs = Runs(swarm)
    assert runs.run().outcome is Outcome.UPDATED
    swarm.crashing = {digest(1)}
    report = runs.run(deployment_id="t2", trigger="rollback", rollback=True)
    assert report.outcome is Outcome.FAILED
    assert "non-zero exit" in report.reason
    assert (swarm.image("web"), swarm.service("web").state.failures) == (pinned(2), (digest(1),))


@pytest.mark.parametrize(
    "wanted",
    [
        {"trigger": "rollback", "rollback": True},
        {"trigger": "manual", "image": pinned(1)},
        {"trigger": "manual", "force": True},
    ],
    ids=["rollback", "another image", "force"],
)
def test_what_a_person_asked_for_is_not_done_again_by_a_message_that_comes_twice(swarm, wanted):
    swarm.create("web", pinned(1))
    runs = Runs(swarm)
    runs.run(deployment_id="e2")
    first = runs.run(deployment_id="by hand", **wanted)
    assert first.outcome in {Outcome.UPDATED, Outcome.ROLLED_BACK}
    for number in (3, 4):
        swarm.push(WEB, digest(number))
        assert runs.run(deployment_id=f"e{number}").outcome is Outcome.UPDATED
    writes = len(swarm.writes)
    assert runs.run(deployment_id="by hand", **wanted).outcome is Outcome.SUPERSEDED
    assert (swarm.image("web"), len(swarm.writes)) == (pinned(4), writes)


def test_a_look_that_is_repeated_is_made_again(swarm):
    """Ids of the periodic look follow from the image: a tag that comes back has the one that it had."""
    swarm.create("web", pinned(1))
    runs = Runs(swarm)
    for number in (2, 3, 2):
        swarm.push(WEB, digest(number))
        assert runs.run(deployment_id=f"look-{number}", trigger="reconcile").outcome is Outcome.UPDATED
    assert swarm.image("web") == pinned(2)


def test_the_memory_of_deployments_does_not_grow(swarm):
    swarm.create("web", pinned(1))
    for number in range(2, 20):
        swarm.push(WEB, digest(number))
        Runs(swarm).run(deployment_id=f"t{number}")
    assert swarm.service("web").state.former_tasks == ("t18", "t17", "t16", "t15", "t14")


def test_a_job_whose_run_fails_has_failed_at_once_and_does_not_run_its_old_image_again(swarm):
    swarm.create("job", f"{WEB}@{digest(1)}", labels={"deployer.run-job": "true"}, mode="ReplicatedJob")
    swarm.raw["job"]["Spec"]["TaskTemplate"]["RestartPolicy"] = {"Condition": "none"}
    swarm.crashing.add(digest(2))
    swarm.push(WEB, digest(2))
    runs = Runs(swarm)
    begun = runs.step("job")
    swarm.tick(2)
    report = runs.step("job", watch=begun.watch)
    assert (report.outcome, "non-zero exit (1)" in report.reason) == (Outcome.FAILED, True)
    assert swarm.image("job").endswith(digest(2))
