"""DEPLOYER_POLICY on a Swarm: for services without a policy of their own, and never written to them."""

from datetime import UTC, datetime

from world import World

from deployer.model.label_names import POLICY
from deployer.rollouts.ports import Change
from deployer.targets.swarm.target import SwarmTarget

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_services_own_policy_is_stronger():
    world = World()
    world.push(1)
    world.create(name="web")
    world.create(name="api", labels={POLICY: "none"})
    target = SwarmTarget(world.swarm, policy="glob:*")
    assert {one.name: one.labels[POLICY] for one in target.services()} == {"web": "glob:*", "api": "none"}
    assert target.read("web", NOW).service.labels[POLICY] == "glob:*"
    service = target.service("web")
    target.apply(service, Change(service.state), None)
    assert POLICY not in SwarmTarget(world.swarm).service("web").labels
