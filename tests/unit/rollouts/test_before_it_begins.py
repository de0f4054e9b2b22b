"""The gates before a roll-out: approval of a digest, and its age; nothing passes them but what has run."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from world import REPOSITORY, World, digest

from deployer.model.deployment import Outcome, Request
from deployer.policies.labels import ServiceLabels
from deployer.reports.explain import explain
from deployer.rollouts.ledger import approvals, set_hold
from deployer.rollouts.ledger.approvals import Approval

TRIGGERS = ("event", "reconcile", "release", "manual", "retry")


def gated(labels):
    world = World()
    world.create(1, labels=labels)
    world.wait(60)
    return world


def word(world, n, by="alice", name="web", ago=0.0):
    at = world.deployer.clock() - timedelta(seconds=ago)
    approvals.approve(world, name, digest(n), Approval(by, at.isoformat(timespec="seconds")))


@pytest.fixture
def world():
    return gated({"deployer.approve": "1"})


def test_a_push_waits_until_its_digest_is_approved(world):
    world.push(2)
    done = world.deploy("t2", trigger="event")
    assert done.outcome is Outcome.HELD
    assert done.reason == f"waits for approval of {digest(2)}: deployer approve web --reason …"
    told = explain(world.deployer, "web")
    assert (told.outcome, told.rule) == ("held", "the digest is approved")
    word(world, 2)
    assert world.deploy("again", trigger="release").outcome is Outcome.UPDATED
    assert world.n() == 2


def test_a_newer_push_voids_it_for_good(world):
    world.push(2)
    word(world, 2)
    world.push(3)
    assert world.deploy("t3", trigger="event").outcome is Outcome.HELD
    world.push(2)  # the tag is moved back: that is another push
    assert world.deploy("t2", trigger="event").outcome is Outcome.HELD
    assert world.n() == 1


def test_so_many_people_each_once(world):
    world = gated({"deployer.approve": "2"})
    world.push(2)
    word(world, 2)
    word(world, 2)
    done = world.deploy("t2", trigger="event")
    assert (done.outcome, "1 of 2 given" in done.reason) == (Outcome.HELD, True)
    word(world, 2, by="bob")
    assert world.deploy("more", trigger="event").outcome is Outcome.UPDATED


def test_it_expires():
    world = gated({"deployer.approve": "1", "deployer.approve-within": "2h"})
    world.push(2)
    word(world, 2, ago=7300)
    assert world.deploy("t2", trigger="event").outcome is Outcome.HELD
    word(world, 2, ago=7000)
    assert world.deploy("t3", trigger="event").outcome is Outcome.UPDATED


def test_a_release_approves_nothing_and_an_approval_releases_nothing(world):
    world.push(2)
    assert world.deploy("t", trigger="release").outcome is Outcome.HELD
    word(world, 2)
    set_hold(world, "web", "audit")
    assert world.deploy("u", trigger="event").reason.startswith("held: audit")


def test_an_approval_of_another_service_is_none(world):
    world.push(2)
    word(world, 2, name="api")
    assert world.deploy("t", trigger="event").outcome is Outcome.HELD


def test_the_way_back_and_a_restart_need_none(world):
    world.push(2, crashing=True)
    word(world, 2)
    assert world.deploy("t2", trigger="event").outcome is Outcome.ROLLED_BACK
    world.wait(60)
    world.push(3)
    word(world, 3)
    assert world.deploy("t3", trigger="event").outcome is Outcome.UPDATED
    world.wait(60)
    assert world.deploy("restart", trigger="manual", force=True).outcome is Outcome.UPDATED
    assert world.deploy("back", trigger="rollback", rollback=True).outcome is Outcome.ROLLED_BACK
    assert world.n() == 1


@settings(max_examples=60)
@given(
    st.sampled_from(TRIGGERS),
    st.booleans(),
    st.sampled_from([None, "latest", f"@{digest(2)}"]),
    st.sampled_from([{"deployer.approve": "1"}, {"deployer.min-age": "90d"}]),
    st.sampled_from([{}, {"deployer.replace": "true"}, {"deployer.rollback": "false"}]),
)
def test_no_source_of_a_request_passes_a_gate(trigger, force, image, gate, others):
    world = gated({**gate, **others})
    world.push(2)
    wanted = f"{REPOSITORY}{image if image.startswith('@') else f':{image}'}" if image else None
    look = world.deployer.advance("web", Request("t", trigger, wanted, force))
    assert getattr(look, "watch", None) is None, look
    assert world.writes == []


def test_a_digest_has_to_be_of_age():
    world = gated({"deployer.min-age": "2h"})
    world.tells_age = True
    world.push(2)
    step = world.deployer.advance("web", Request("t", "manual"))
    assert step.reason == "the digest must be 2h old (label deployer.min-age)"
    assert (step.seconds, step.patient) == (900.0, True)
    begun = world.deployer.clock()
    assert world.deploy("t2", trigger="event").outcome is Outcome.UPDATED
    assert world.deployer.clock() - begun >= timedelta(hours=2)


def test_where_the_registry_tells_no_age_it_counts_from_the_first_look():
    world = gated({"deployer.min-age": "1h", "deployer.settle": "10m"})
    world.push(2)
    begun = world.deployer.clock()
    assert world.deploy("t2", trigger="event").outcome is Outcome.UPDATED
    assert timedelta(minutes=65) <= world.deployer.clock() - begun < timedelta(minutes=90)


@pytest.mark.parametrize(
    ("name", "text"), [("approve", "many"), ("approve", "-1"), ("approve-within", "1s"), ("min-age", "old")]
)
def test_a_gate_that_cannot_be_understood_stops_updates(name, text):
    problem = ServiceLabels.parse({f"deployer.{name}": text}).problem
    assert problem.startswith(f"label deployer.{name}={text!r}: it may be")


def test_a_canary_goes_first_and_a_person_lets_the_others_follow():
    world = gated({"deployer.after": "canary", "deployer.approve": "1"})
    world.create(1, name="canary")
    world.push(2)
    assert world.deploy("t", trigger="event").outcome is Outcome.HELD
    word(world, 2)
    step = world.deployer.advance("web", Request("u", "event"))
    assert step.reason == "canary goes first"
    assert world.deploy("c", "canary", trigger="event").outcome is Outcome.UPDATED
    assert world.deploy("v", trigger="release").outcome is Outcome.UPDATED


def test_a_canary_that_goes_back_stops_the_others_also_when_they_are_approved():
    world = gated({"deployer.after": "canary", "deployer.approve": "1"})
    world.create(1, name="canary")
    world.push(2, crashing=True)
    word(world, 2)
    assert world.deploy("c", "canary", trigger="event").outcome is Outcome.ROLLED_BACK
    done = world.deploy("t", trigger="event")
    assert (done.outcome, done.reason) == (Outcome.HELD, "canary, which goes first, failed with this digest")
