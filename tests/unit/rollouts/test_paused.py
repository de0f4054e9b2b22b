"""What becomes of a roll-out that the engine has paused, and of what comes after it."""

import pytest
from in_memory import WEB, Runs, digest, pinned

from deployer.model.deployment import Outcome
from deployer.rollouts.decision import Rules
from deployer.testing import FakeSwarm


@pytest.fixture
def swarm():
    """A service whose first roll-out failed: digest 2 is paused, and nothing is done about it."""
    swarm = FakeSwarm()
    swarm.push(WEB, digest(1))
    swarm.create("web", pinned(1), replicas=2, labels={"deployer.rollback": "false"})
    swarm.push(WEB, digest(2))
    swarm.crashing = {digest(2)}
    assert Runs(swarm).run(deployment_id="first").outcome is Outcome.FAILED
    assert swarm.raw["web"]["UpdateStatus"]["State"] == "paused"
    return swarm


@pytest.mark.parametrize("by", ["event", "reconcile", "release", "manual"])
def test_a_push_that_mends_it_is_rolled_out(swarm, by):
    swarm.push(WEB, digest(3))
    assert Runs(swarm).run(deployment_id="mended", trigger=by).outcome is Outcome.UPDATED
    assert (swarm.image("web"), swarm.service("web").state.previous) == (pinned(3), pinned(1))


def test_a_push_that_mends_a_first_roll_out_without_a_way_back_is_rolled_out():
    swarm = FakeSwarm()
    swarm.push(WEB, digest(1))
    swarm.create("web", WEB)
    swarm.crashing = {digest(1)}
    assert Runs(swarm).run(deployment_id="first").outcome is Outcome.FAILED
    swarm.push(WEB, digest(2))
    assert Runs(swarm).run(deployment_id="mended").outcome is Outcome.UPDATED


@pytest.mark.parametrize(
    ("wanted", "outcome", "image"),
    [
        ({"trigger": "rollback", "rollback": True}, Outcome.ROLLED_BACK, pinned(1)),
        ({"trigger": "manual", "image": pinned(1)}, Outcome.UPDATED, pinned(1)),
        ({"trigger": "manual", "force": True}, Outcome.UPDATED, pinned(2)),
    ],
    ids=["rollback", "another image", "force"],
)
def test_a_person_has_the_last_word(swarm, wanted, outcome, image):
    swarm.crashing = set()
    assert Runs(swarm).run(deployment_id="by hand", **wanted).outcome is outcome
    assert swarm.image("web") == image


def test_a_person_is_answered_what_was_asked(swarm):
    report = Runs(swarm).run(deployment_id="by hand", trigger="manual", image=f"{WEB}-absent")
    assert report.outcome is Outcome.FAILED
    assert "the registry has no" in report.reason


@pytest.mark.parametrize("by", ["event", "manual"])
def test_who_brings_nothing_new_ends_what_was_left(swarm, by):
    report = Runs(swarm, Rules()).run(deployment_id="again", trigger=by)
    assert (report.outcome, "left as it is" in report.reason) == (Outcome.FAILED, True)


@pytest.mark.parametrize("hinder", ["absent", "window"])
def test_what_cannot_go_out_does_not_keep_the_way_back_waiting(swarm, hinder):
    labels = swarm.raw["web"]["Spec"]["Labels"]
    del labels["deployer.rollback"]
    if hinder == "absent":
        swarm.digests.clear()
    else:
        swarm.push(WEB, digest(3))
        labels["deployer.window"] = "mon 03:00-03:01"
    report = Runs(swarm).run(deployment_id="next")
    assert report.outcome is Outcome.ROLLED_BACK
    assert swarm.image("web") == pinned(1)


def test_a_newer_push_takes_the_place_of_one_whose_deployment_died(swarm):
    del swarm.raw["web"]["Spec"]["Labels"]["deployer.rollback"]
    swarm.push(WEB, digest(3))
    assert Runs(swarm).run(deployment_id="newer").outcome is Outcome.UPDATED
    assert swarm.image("web") == pinned(3)
