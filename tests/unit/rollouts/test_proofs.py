"""The gates that ask for proofs: nothing begins that nobody has signed, or in which a scan has found too much."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from world import REPOSITORY, World, digest

from deployer.errors import AccessDeniedError, TemporaryError
from deployer.model.deployment import Again, Outcome, Request
from deployer.model.evidence import Scan, Scanned
from deployer.policies.labels import ServiceLabels
from deployer.policies.proofs import Findings, Verify
from deployer.reports.explain import explain

SIGNED, SCANNED = {"deployer.verify": "cosign:release"}, {"deployer.scan": "critical:0,high:5"}


def gated(labels, **rules):
    world = World(**rules)
    world.create(1, labels=labels)
    world.wait(60)
    return world


def clean(world, n, **counts):
    world.scans[digest(n)] = Scan(Scanned.DONE, counts)


def test_a_signature_may_come_a_little_later_than_its_image():
    world = gated(SIGNED)
    world.push(2)
    step = world.deployer.advance("web", Request("t", "event"))
    assert isinstance(step, Again)
    assert step.reason == "waits for a signature: cosign:release has not signed it"
    world.signed.add((digest(2), "release"))
    assert world.deploy("t", trigger="event").outcome is Outcome.UPDATED


def test_without_one_the_push_is_held_and_the_next_look_at_all_finds_it():
    world = gated(SIGNED)
    world.push(2)
    begun = world.deployer.clock()
    done = world.deploy("t", trigger="event")
    assert (done.outcome, done.reason) == (
        Outcome.HELD,
        "its signature is not proved: cosign:release has not signed it",
    )
    assert timedelta(minutes=10) <= world.deployer.clock() - begun < timedelta(minutes=20)
    assert world.reconcile() == []
    world.signed.add((digest(2), "release"))
    [done] = world.reconcile()
    assert (done.outcome, world.n()) == (Outcome.UPDATED, 2)


def test_the_setting_demands_it_of_all_and_no_label_takes_it_away():
    world = gated({"deployer.verify": "cosign:theirs"}, verify=Verify.parse("cosign:release"))
    world.push(2)
    world.signed.add((digest(2), "theirs"))
    assert world.deploy("t", trigger="event").outcome is Outcome.HELD
    world.signed.add((digest(2), "release"))
    assert world.deploy("u", trigger="event").outcome is Outcome.UPDATED


def test_what_only_a_person_mends_is_held_at_once_and_an_outage_is_not(monkeypatch):
    world = gated(SIGNED)
    world.push(2)

    def fails(fault):
        def ask(*_):
            raise fault

        monkeypatch.setattr(world, "unproved", ask)

    fails(AccessDeniedError("AWS refuses ecr:DescribeImageSigningStatus for team/web: AccessDenied"))
    step = world.deployer.advance("web", Request("t", "event"))
    assert (step.outcome, "AWS refuses" in step.reason) == (Outcome.HELD, True)
    fails(TemporaryError("registry does not answer"))
    with pytest.raises(TemporaryError):
        world.deployer.advance("web", Request("t", "event"))


def test_a_scan_is_waited_for_and_its_counts_decide():
    world = gated(SCANNED)
    world.push(2)
    step = world.deployer.advance("web", Request("t", "manual", force=True))
    assert step.reason == "waits for its scan: ECR has not scanned it yet"
    clean(world, 2, critical=1, high=6, low=100)
    done = world.deploy("t", trigger="event")
    assert (done.outcome, done.reason) == (
        Outcome.HELD,
        "its scan has found 1 critical (0 allowed), 6 high (5 allowed) (label deployer.scan)",
    )
    told = explain(world.deployer, "web")
    assert (told.outcome, told.rule) == ("held", "its scan has found no more than allowed")
    clean(world, 2, high=5)
    assert world.deploy("u", trigger="event").outcome is Outcome.UPDATED


@pytest.mark.parametrize("state", [Scanned.RUNNING, Scanned.IMPOSSIBLE])
def test_a_scan_that_does_not_end_is_held(state):
    world = gated(SCANNED)
    world.push(2)
    world.scans[digest(2)] = Scan(state, reason="its scan is under way")
    done = world.deploy("t", trigger="event")
    assert done.reason == "there is no result of a scan: its scan is under way (label deployer.scan)"
    waited = world.deployer.clock() - (world.pushed[digest(2)])
    assert (waited >= timedelta(minutes=30)) is (state is Scanned.RUNNING)


def test_what_has_run_needs_no_proof_and_asks_for_none():
    world = gated({**SIGNED, **SCANNED})
    world.push(2, crashing=True)
    world.signed.add((digest(2), "release"))
    clean(world, 2)
    assert world.deploy("t2", trigger="event").outcome is Outcome.ROLLED_BACK
    world.push(1)
    world.asked.clear()
    world.wait(60)
    assert world.deploy("same", trigger="event").outcome is Outcome.UNCHANGED
    assert world.deploy("restart", trigger="manual", force=True).outcome is Outcome.UPDATED
    assert world.asked == []


def test_nobody_is_asked_where_no_label_asks():
    world = gated({})
    world.push(2)
    assert world.deploy("t2", trigger="event").outcome is Outcome.UPDATED
    assert world.asked == []


@settings(max_examples=60)
@given(
    st.sampled_from(("event", "reconcile", "release", "manual", "retry", "start")),
    st.booleans(),
    st.sampled_from([None, ":latest", f"@{digest(2)}"]),
    st.sampled_from([SIGNED, SCANNED, {"deployer.verify": "aws-signer"}]),
    st.sampled_from(
        [{}, {"deployer.replace": "true"}, {"deployer.enable": "true"}, {"deployer.settle": "0"}]
    ),
)
def test_no_source_of_a_request_passes_a_proof(trigger, force, image, gate, others):
    world = gated({**gate, **others})
    world.create(1, "other", labels={})
    world.push(2)
    wanted = f"{REPOSITORY}{image}" if image else None
    look = world.deployer.advance("web", Request("t", trigger, wanted, force))
    assert getattr(look, "watch", None) is None, look
    assert world.writes == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("verify", "cosign"),
        ("verify", "gpg:me"),
        ("scan", "critical"),
        ("scan", "worst:1"),
        ("scan", "high:1,high:2"),
    ],
)
def test_a_demand_that_cannot_be_understood_stops_updates(name, text):
    problem = ServiceLabels.parse({f"deployer.{name}": text}).problem
    assert problem.startswith(f"label deployer.{name}={text!r}: it may be")


def test_demands_as_they_are_written():
    assert str(Verify.parse(" cosign:release, next ")) == "cosign:release,next"
    assert Verify.parse("aws-signer").names == ()
    assert Findings.parse("critical:0 high:5").exceeded({"critical": 0, "high": 5, "low": 9}) is None
