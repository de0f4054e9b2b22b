"""`status` and `explain` say why nothing happens, with the rules that decide (F5, F13, D3, D9, D22, D23)."""

import pytest
from in_memory import HOST, WEB, Runs, digest, pinned

from deployer.errors import NotFoundError
from deployer.model.image import Image
from deployer.reports.explain import explain
from deployer.reports.status import survey
from deployer.rollouts.ledger import Hold, set_hold
from deployer.testing import FakeSwarm


@pytest.fixture
def swarm():
    swarm = FakeSwarm()
    swarm.push(WEB, digest(1))
    swarm.create("web", pinned(1), replicas=3)
    return swarm


def status(swarm, **options):
    [found] = survey(Runs(swarm).deployer, ["web"], **options)
    return found


def label(swarm, name, value):
    swarm.raw["web"]["Spec"]["Labels"][name] = value


def kinds(found):
    return [why.kind for why in found.why]


@pytest.mark.parametrize(
    ("name", "value", "kind", "says"),
    [
        ("deployer.hold", "audit", "held", "audit"),
        ("deployer.window", "Sun 03:00-03:01", "waiting", "outside its window"),
        ("deployer.after", "apii", "label", "no service 'apii'"),
        ("deployer.polcy", "tag", "label", "did you mean deployer.policy?"),
        ("deployer.enable", "false", "ignored", "deployer.enable=false"),
        ("deployer.policy", "none", "ignored", "deployer.policy=none"),
    ],
)
def test_why_a_newer_image_is_not_deployed(swarm, name, value, kind, says):
    """D3, F5: it said `newer: …` and nothing else, for ever."""
    swarm.push(WEB, digest(2))
    label(swarm, name, value)
    found = status(swarm)
    assert kinds(found) == [kind]
    assert says in found.why[0].reason
    told = explain(Runs(swarm).deployer, "web")
    assert told.steps[-1].stop or told.outcome == "ignored"
    assert says in told.reason
    assert told.verdict.startswith(f"{told.outcome}: ")


def test_a_hold_by_command_tells_who(swarm):
    set_hold(swarm, "web", Hold("audit", "alice@bastion"))
    assert status(swarm).why[0].reason == "audit (by alice@bastion)"


def test_nothing_is_said_where_nothing_is_wrong(swarm):
    found = status(swarm)
    assert (found.registry, found.state, found.why, found.last) == ("up-to-date", "converged", (), None)
    assert explain(Runs(swarm).deployer, "web").verdict == "nothing to do: the service has this digest"


def test_no_worker_is_a_reason_and_is_asked_only_if_it_matters(swarm):
    asked = []

    def nobody():
        asked.append(1)
        return False

    assert status(swarm, worker_answers=nobody).why == ()
    assert asked == []
    swarm.push(WEB, digest(2))
    assert kinds(status(swarm, worker_answers=nobody)) == ["no-worker"]
    assert status(swarm, worker_answers=lambda: True).why == ()


def test_a_digest_that_failed_says_so(swarm):
    swarm.push(WEB, digest(2))
    swarm.crashing = {digest(2)}
    assert Runs(swarm).run().outcome == "rolled-back"
    found = status(swarm)
    assert found.failed == (digest(2),)
    assert kinds(found) == ["held"]
    assert (found.last.outcome, found.state) == ("rolled-back", "converged")


def test_going_back_is_a_state_of_its_own(swarm):
    """D23: it said `rolling 3/4 updated` and `rolled-back 4 s ago` at once."""
    swarm.push(WEB, digest(2))
    assert Runs(swarm).run().outcome == "updated"
    Runs(swarm).step(deployment_id="t2", trigger="rollback", rollback=True)
    found = status(swarm)
    assert (found.state, found.last.outcome) == ("going-back", "going-back")
    swarm.settle()
    found = status(swarm)
    assert (found.state, found.last.outcome) == ("converged", "rolled-back")


@pytest.mark.parametrize(
    ("pushed", "says"),
    [
        (f"{HOST}/team/web:v2.0.0", "tag v2.0.0 is outside of semver:^1.0"),
        ("ghcr.io/else:v1.1.0", "it is a push of another repository"),
    ],
)
def test_a_push_outside_of_the_policy_is_told_with_the_policy(swarm, pushed, says):
    """D9: `the push is of its image: it follows …:v1.2.0 / nothing: the push is not for this service`."""
    swarm.push(f"{HOST}/team/web:v1.0.0", digest(1))
    swarm.create(
        "versioned", f"{HOST}/team/web:v1.0.0@{digest(1)}", labels={"deployer.policy": "semver:^1.0"}
    )
    told = explain(Runs(swarm).deployer, "versioned", Image.parse(pushed))
    assert told.outcome == "ignored"
    assert says in told.reason
    assert told.rule == "the push is of what it follows"
    assert "semver:^1.0" in told.follows


def test_the_rule_that_says_no_is_the_last_one(swarm):
    """D22: with a bad label the failing rule came first, and seven that passed below it."""
    label(swarm, "deployer.settle", "soon")
    told = explain(Runs(swarm).deployer, "web")
    assert [bool(step.stop) for step in told.steps].index(True) == len(told.steps) - 1
    assert told.rule == told.steps[-1].rule


@pytest.mark.parametrize("demanded", [False, True])
def test_an_update_without_a_way_back_says_so(swarm, demanded, monkeypatch):
    """Issue 12, class 4: in `status` and `explain`, before it begins."""

    def manifest(image, credentials):
        if image.digest == digest(1):
            raise NotFoundError("the registry keeps no old images")
        return ask(image, credentials)

    ask = swarm.manifest
    monkeypatch.setattr(swarm, "manifest", manifest)
    swarm.push(WEB, digest(2))
    if demanded:
        label(swarm, "deployer.require-way-back", "true")
    found = status(swarm)
    assert kinds(found) == ["held" if demanded else "no-way-back"]
    told = explain(Runs(swarm).deployer, "web")
    assert told.outcome == ("held" if demanded else "updated")
    assert any("no way back" in (step.stop or step.note) for step in told.steps)
    assert Runs(swarm).run().outcome == told.outcome
