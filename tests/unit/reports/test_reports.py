"""What is told of deployments that end before they have begun."""

import pytest
from in_memory import WEB, Runs, digest, pinned

from deployer.model.deployment import Outcome, Report, Request
from deployer.testing import FakeSwarm


@pytest.fixture
def swarm():
    swarm = FakeSwarm()
    swarm.push(WEB, digest(1))
    swarm.create("web", pinned(1), labels={"deployer.notify": "team"})
    return swarm


@pytest.mark.parametrize(
    ("labels", "outcome"), [({}, Outcome.FAILED), ({"deployer.settle": "soon"}, Outcome.IGNORED)]
)
@pytest.mark.parametrize("name", ["web", "id-web"])
def test_who_hears_of_a_service_hears_of_its_faults_too(swarm, name, labels, outcome):
    if outcome is Outcome.FAILED:
        swarm.digests.clear()
    else:
        swarm.push(WEB, digest(2))
    swarm.raw["web"]["Spec"]["Labels"] |= labels
    report = Runs(swarm).step(name)
    assert isinstance(report, Report)
    assert report.outcome is outcome
    assert (report.notify, report.service, report.image) == ("team", "web", pinned(1))


@pytest.mark.parametrize("label", ["enable", "rollback", "replace", "timeout", "settle", "window", "policy"])
def test_nothing_is_written_to_a_service_with_a_label_that_nobody_understands(swarm, label):
    swarm.push(WEB, digest(2))
    swarm.raw["web"]["Spec"]["Labels"][f"deployer.{label}"] = "perhaps"
    for by in ("event", "reconcile", "manual"):
        report = Runs(swarm).step(trigger=by)
        assert isinstance(report, Report)
        assert (report.outcome, f"deployer.{label}" in report.reason) == (Outcome.IGNORED, True)
    assert swarm.writes == []


@pytest.mark.parametrize("crashes", [False, True])
@pytest.mark.parametrize("label", ["rollback", "timeout"])
def test_a_label_spoilt_in_mid_roll_out_does_not_hide_how_it_ends(swarm, label, crashes):
    swarm.push(WEB, digest(2))
    swarm.crashing = {digest(2)} if crashes else set()
    runs = Runs(swarm)
    step = runs.step()
    swarm.raw["web"]["Spec"]["Labels"][f"deployer.{label}"] = "perhaps"
    while not isinstance(step, Report):
        swarm.tick()
        step = runs.deployer.advance("web", Request("t1"), step.watch)
    left = label == "rollback"
    assert step.outcome is ((Outcome.FAILED if left else Outcome.ROLLED_BACK) if crashes else Outcome.UPDATED)
    assert swarm.image("web") == pinned(1 if crashes and not left else 2)


@pytest.mark.parametrize("label", ["after", "replace", "timeout", "settle", "window", "policy", "rollback"])
def test_no_label_stands_in_the_way_of_a_rollback_by_hand(swarm, label):
    swarm.push(WEB, digest(2))
    assert Runs(swarm).run().outcome is Outcome.UPDATED
    swarm.raw["web"]["Spec"]["Labels"][f"deployer.{label}"] = "perhaps"
    assert (
        Runs(swarm).run(deployment_id="t2", trigger="rollback", rollback=True).outcome is Outcome.ROLLED_BACK
    )


@pytest.mark.parametrize(
    ("by", "outcome"),
    [(by, Outcome.IGNORED) for by in ("event", "reconcile", "release")] + [("manual", Outcome.FAILED)],
)
def test_a_service_that_is_gone_is_a_fault_only_for_a_person(swarm, by, outcome):
    assert Runs(swarm).step("gone", trigger=by).outcome is outcome
