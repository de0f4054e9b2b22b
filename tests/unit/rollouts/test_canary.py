"""A small service as the canary of a large one: `deployer.after` together with bake and approval."""

from datetime import timedelta

import pytest
from world import World, digest

from deployer.model.deployment import Outcome, Request
from deployer.reports import status
from deployer.reports.explain import explain
from deployer.rollouts.ledger import approvals
from deployer.rollouts.ledger.approvals import Approval


@pytest.fixture
def world():
    """What docs/gates.md shows."""
    world = World()
    world.create(1, name="canary", labels={"deployer.bake": "10m"})
    world.create(1, replicas=3, labels={"deployer.after": "canary", "deployer.approve": "1"})
    world.wait(60)
    world.push(2)
    return world


def approve(world):
    now = world.deployer.clock().isoformat()
    approvals.approve(world, "web", digest(2), Approval("alice", now))


def stands(world):
    """What `deployer status` tells of each service: its state, and why nothing happens."""
    every = status.survey(world.deployer)
    return {one.service: (one.state, [why.reason for why in one.why]) for one in every}


def web(world, trigger="event"):
    """One look of a deployment of `web`."""
    return world.deployer.advance("web", Request(f"w{len(world.writes)}", trigger))


def canary(world, until):
    """Its deployment, up to a look after which a condition holds."""
    return world.deploy("c", "canary", until=until)


def test_each_step_is_seen_in_status_and_the_large_one_goes_last(world):
    asks = f"waits for approval of {digest(2)}: deployer approve web --reason …"
    assert stands(world)["web"] == ("converged", [asks])
    canary(world, until=lambda step: step.watch)
    assert stands(world)["canary"][0] == "rolling"
    approve(world)  # at once: it does not help against the canary
    assert stands(world)["web"] == ("converged", ["canary goes first, and is rolling"])
    step = canary(world, until=lambda step: step.watch and step.watch.baking_from is not None)
    told = stands(world)
    assert told["canary"] == (
        "baking",
        ["it has converged and is being proved (bake, smoke test, alarms, query)"],
    )
    assert told["web"] == ("converged", ["canary goes first, and bakes"])
    assert explain(world.deployer, "web").verdict == "waiting: canary goes first, and bakes"
    assert world.deployer.advance("canary", Request("c", "event"), step.watch).watch  # its next look
    assert world.deploy("c", "canary").outcome is Outcome.UPDATED
    assert stands(world)["canary"] == ("converged", [])
    assert world.deploy("w").outcome is Outcome.UPDATED
    assert world.writes == [2, 2]


def test_not_even_the_moment_between_its_convergence_and_the_next_look_lets_the_large_one_begin(world):
    approve(world)
    canary(world, until=lambda step: step.watch)
    for _ in range(60):
        world.wait(5)  # it converges, and nobody looks
        assert web(world).reason.startswith("canary goes first, and ")
    assert stands(world)["canary"][0] == "baking"


def test_a_canary_that_fails_while_it_bakes_stops_the_large_one(world):
    approve(world)
    baking = canary(world, until=lambda step: step.watch and step.watch.baking_from is not None)
    world.swarm.images.crashing.add(digest(2))
    world.operator.scale("canary", 2)
    world.wait(5)
    while hasattr(baking, "watch"):
        baking = world.deployer.advance("canary", Request("c", "event"), baking.watch)
        world.wait(getattr(baking, "seconds", 0))
    assert baking.outcome is Outcome.ROLLED_BACK
    done = web(world)
    assert (done.outcome, done.reason) == (Outcome.HELD, "canary, which goes first, failed with this digest")
    assert world.n() == 1


def test_a_canary_whose_deployment_is_lost_holds_nobody_up_for_ever(world):
    approve(world)
    canary(world, until=lambda step: step.watch)
    begun = world.deployer.clock()
    assert world.deploy("w").outcome is Outcome.UPDATED
    assert timedelta(minutes=25) <= world.deployer.clock() - begun < timedelta(minutes=60)


def test_a_person_may_have_the_large_one_first_but_only_what_is_approved(world):
    assert web(world, "manual").outcome is Outcome.HELD
    approve(world)
    assert web(world, "manual").watch
