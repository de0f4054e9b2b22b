"""`deployer explain` shows the rules that can stop a push, and no others (F13)."""

from in_memory import WEB, Runs, digest, pinned

from deployer.reports.explain import explain
from deployer.rollouts.rules.before import OF_A_PERSON
from deployer.testing import FakeSwarm


def test_rules_about_what_a_person_saw_are_not_shown_for_a_push():
    swarm = FakeSwarm()
    swarm.push(WEB, digest(2))
    swarm.create("web", pinned(1))
    found = explain(Runs(swarm).deployer, "web")
    assert found.outcome == "updated"
    assert not OF_A_PERSON & {step.rule for step in found.steps}
