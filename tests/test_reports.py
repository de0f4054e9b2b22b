"""What is told of deployments that end before they have begun."""

import pytest
from test_rollout import WEB, Runs, digest, pinned

from deployer.cases import Outcome, Request
from deployer.core import Report
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


def test_a_label_spoilt_in_mid_roll_out_is_told_with_what_was_written(swarm):
    swarm.push(WEB, digest(2))
    runs = Runs(swarm)
    step = runs.step()
    swarm.raw["web"]["Spec"]["Labels"]["deployer.timeout"] = "later"
    report = runs.deployer.advance("web", Request("t1"), step.watch)
    assert isinstance(report, Report)
    assert (report.image, report.previous) == (pinned(2), pinned(1))


@pytest.mark.parametrize(
    ("by", "outcome"),
    [(by, Outcome.IGNORED) for by in ("event", "reconcile", "release")] + [("manual", Outcome.FAILED)],
)
def test_a_service_that_is_gone_is_a_fault_only_for_a_person(swarm, by, outcome):
    assert Runs(swarm).step("gone", by=by).outcome is outcome
