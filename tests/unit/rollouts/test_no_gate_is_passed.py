"""No message, event, command, label of another service or `--force` passes a gate; only what has run is free."""

import json
from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from world import REPOSITORY, WEB, World, digest

from deployer.errors import DeployerError
from deployer.model.deployment import Outcome, Request
from deployer.reports.explain import explain
from deployer.rollouts.fleet import batch, renewal, survey
from deployer.rollouts.ledger import approvals, sightings
from deployer.rollouts.ledger.approvals import Approval
from deployer.tasks.message import DeploymentMessage
from deployer.tasks.rollout import look

FOR_EVER = 1e9
GATES = ({"deployer.approve": "1"}, {"deployer.min-age": "90d"})
OTHERS = (
    {},
    {"deployer.replace": "true"},
    {"deployer.rollback": "false", "deployer.bake": "1m"},
    {"deployer.policy": "glob:*"},
    {"deployer.window": "mon-sun 00:00-24:00"},
)
THEIRS = ({}, {"deployer.after": "web"}, {"deployer.replace": "true", "deployer.approve": "1"})


def gated(labels, theirs):
    """A service at a gate, beside one that is at none or at its own, and a push that both follow."""
    world = World()
    world.create(1, labels=labels)
    world.create(1, name="other", labels=theirs)
    world.wait(60)
    world.push(2)
    return world


images = st.sampled_from([None, WEB, f"{REPOSITORY}@{digest(2)}", f"{WEB}@{digest(2)}"])
waits = st.dictionaries(
    st.sampled_from([f"{kind}{digest(2)}" for kind in ("settle ", "settle age ", "age ", "scan ", "")]),
    st.sampled_from([0.0, FOR_EVER]),
)
watches = st.none() | st.fixed_dictionaries(
    {
        "task": st.sampled_from(["t", "", "someone"]),
        "image": st.sampled_from([f"{WEB}@{digest(n)}" for n in (1, 2)]),
        "previous": st.sampled_from([None, f"{WEB}@{digest(2)}"]),
        "began_at": st.just("2026-01-01T00:00:00+00:00"),
        "looked_at": st.just("2026-01-01T00:00:00+00:00"),
        "watched": st.sampled_from([0.0, FOR_EVER]),
        "going_back": st.sampled_from([None, "it failed"]),
    }
)
bodies = st.fixed_dictionaries(
    {},
    optional={
        "by": st.sampled_from(["event", "reconcile", "release", "manual", "rollback", "pre-job", "anything"]),
        "act": st.just("approve"),
        "who": st.just("alice"),
        "hint": st.sampled_from([digest(1), digest(2)]),
        "image": images,
        "seen": st.just(digest(1)),
        "pre_job": st.just(digest(2)),
        "waiting": waits,
        "watch": watches,
    },
)
asked = st.fixed_dictionaries(
    {},
    optional={
        "force": st.booleans(),
        "image": images,
        "allow_repository_change": st.booleans(),
        "rollback": st.just(True),
        "trigger": st.sampled_from(["manual", "rollback", "release"]),
    },
)


def message(world, body, request):
    """A task for `web` with whatever somebody may have written into it."""
    read = DeploymentMessage.decode(body)
    look(world.deployer, "web", read.request("t", **request), read)


def part(world, body, request):
    """The first look at all services that follow a push."""
    services = [one for one in world.services() if one.name in {"web", "other"}]
    read = DeploymentMessage.decode({**body, "watch": None})
    batch.begin(world.deployer, services, [read.request(f"b-{one.name}", **request) for one in services])


def missed(world, body, request):
    """A look at all services, and what it sends."""
    for one in survey.survey(world.deployer, at_once=1).behind:
        if one.now:
            look(world.deployer, one.service, Request("r", "reconcile"), DeploymentMessage(by="reconcile"))


def renewed(world, body, request):
    """Fresh credentials for all."""
    renewal.refresh(world.deployer, timedelta(0))


def theirs(world, body, request):
    """The deployment of the other service."""
    request = {name: value for name, value in request.items() if name != "rollback"}
    world.deployer.advance("other", Request("o", **{"trigger": "event", **request}))


def for_another(world, body, request):
    """A person's word for another digest, and one for another service."""
    word = Approval("alice", world.deployer.clock().isoformat(timespec="seconds"))
    approvals.approve(world, "web", digest(7), word)
    approvals.approve(world, "other", digest(2), word)


def later(world, body, request):
    """A day goes by, in which the push is seen or not."""
    world.wait(3600)


ACTS = (message, message, message, part, missed, renewed, theirs, for_another, later)
steps = st.lists(st.tuples(st.sampled_from(ACTS), bodies, asked), min_size=1, max_size=6)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(GATES), st.sampled_from(OTHERS), st.sampled_from(THEIRS), steps, st.booleans())
def test_nothing_passes_a_gate(gate, own, others, acts, tells_age):
    world = gated({**gate, **own}, others)
    world.tells_age = tells_age
    for act, body, request in acts:
        with suppress(DeployerError):
            act(world, body, request)
        world.wait(5)
    assert world.n() == 1, world.swarm.written


def test_what_has_run_is_free_of_them():
    """A person's rollback, a restart and the way back of a roll-out go through, at all gates at once."""
    world = World()
    world.create(1)
    world.push(2)
    assert world.deploy("first").outcome is Outcome.UPDATED
    world.operator.update("web", labels={name: text for gate in GATES for name, text in gate.items()})
    world.wait(60)
    restart = world.deployer.advance("web", Request("restart", "manual", force=True))
    assert restart.watch
    assert world.deploy("back", trigger="rollback", rollback=True).outcome is Outcome.ROLLED_BACK
    assert world.n() == 1


# -- a job that runs first has gates of its own ----------------------------------------------------------


@pytest.fixture
def jobs():
    world = World()
    world.create(1, name="migrate", mode="ReplicatedJob", labels={"deployer.approve": "1"})
    world.create(1, labels={"deployer.pre-job": "migrate"})
    world.wait(60)
    world.push(2)
    return world


def test_a_label_of_another_service_brings_no_job_past_its_gate(jobs):
    done = jobs.deploy("t", trigger="manual", force=True)
    asks = f"waits for approval of {digest(2)}: deployer approve migrate --reason …"
    assert (done.outcome, done.reason) == (Outcome.HELD, f"job migrate, which runs first: {asks}")
    assert explain(jobs.deployer, "web").verdict == f"held: {asks}"
    assert jobs.writes == []
    word = Approval("alice", jobs.deployer.clock().isoformat())
    approvals.approve(jobs, "migrate", digest(2), word)
    assert jobs.deploy("again", until=lambda step: step.pre_job).pre_job == digest(2)


# -- an age that no registry tells --------------------------------------------------------------------


@pytest.fixture
def young():
    return gated({"deployer.min-age": "1h"}, {"deployer.policy": "none"})


def test_an_age_counts_from_the_first_sight_whoever_asks_and_whatever_is_lost(young):
    assert young.deployer.advance("web", Request("lost", "event")).seconds == 900
    young.wait(3000)
    assert young.deployer.advance("web", Request("hand", "manual", force=True)).seconds == 600
    young.wait(601)
    assert young.deployer.advance("web", Request("other", "manual")).watch
    assert young.writes == [2]


def test_a_push_whose_event_never_came_goes_out_when_it_is_old_enough_and_piles_up_nothing(young):
    for _ in range(4):
        assert young.reconcile() == []  # nothing is enqueued that could only wait
        young.wait(900)
    [done] = young.reconcile()
    assert done.outcome is Outcome.UPDATED


def test_two_who_ask_for_different_digests_do_not_keep_each_other_young(young):
    young.push(3, tag="next")
    for _ in range(5):
        young.deployer.advance("web", Request("a", "event"))
        young.deployer.advance("web", Request("b", "manual", image=f"{REPOSITORY}:next"))
        young.wait(800)
    assert young.deployer.advance("web", Request("b", "manual", image=f"{REPOSITORY}:next")).watch


def test_a_ledger_that_somebody_has_written_into_lets_nothing_through(young):
    for text in ("", "x", f"{digest(2)} yesterday", f"{digest(2)} 2020-01-01T00:00:00", f"2020 {digest(2)}"):
        young.write_ledger(young.ledger(), {"deployer.seen.web": text, "deployer.approval.web": text})
        assert sightings.of(young.ledger(), "web") == {}
        assert young.deployer.advance("web", Request("t", "event")).watch is None
    word = json.dumps({"digest": digest(2), "people": [{"by": "eve", "at": "soon"}]})
    young.write_ledger(young.ledger(), {"deployer.approval.web": word})
    assert approvals.of(young.ledger(), "web") == approvals.Approvals()


def test_what_is_kept_is_bounded(young):
    for n in range(2, 30):
        sightings.note(young, "web", digest(n), young.deployer.clock())
    assert list(sightings.of(young.ledger(), "web")) == [digest(n) for n in range(29, 19, -1)]
