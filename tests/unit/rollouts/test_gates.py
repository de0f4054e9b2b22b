"""Policies, windows, order and jobs, catching up and renewing: decided on the Swarm in memory."""

from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from in_memory import newest_task

from deployer.model.deployment import Again, Outcome, Report, Request
from deployer.model.image import Image
from deployer.policies.labels import concerns
from deployer.reports import doctor, status
from deployer.reports.explain import explain
from deployer.rollouts.decision import Rules
from deployer.rollouts.deployer import Deployer
from deployer.rollouts.fleet import renewal, survey
from deployer.rollouts.ledger import set_hold
from deployer.rollouts.ports import Credentials
from deployer.testing import FakeSwarm

HOST = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
WEB = f"{HOST}/team/web"


def digest(n):
    return f"sha256:{n:064x}"


def push(swarm, tag, n, repository=WEB):
    swarm.push(f"{repository}:{tag}", digest(n))
    return Image.parse(f"{repository}:{tag}")


class Swarm(FakeSwarm):
    """Its registry wants a password."""

    def credentials(self, image, login=None):
        return Credentials("AWS", "token", image.host)


@pytest.fixture
def swarm():
    made = Swarm()
    push(made, "1.2.0", 1)
    return made


def deployer(swarm, **rules):
    return Deployer(swarm, swarm, Rules(**rules), clock=swarm.clock)


def run(swarm, name="web", limit=100, **request):
    """A deployment, as the workers run it."""
    request = Request(**{"deployment_id": f"t{swarm.now.timestamp()}", "trigger": "event", **request})
    watch = None
    for _ in range(limit):
        step = deployer(swarm).advance(name, request, watch)
        if isinstance(step, Report):
            return step
        watch, request = step.watch, replace(request, waiting=step.waiting, pre_job=step.pre_job)
        swarm.tick()
    raise AssertionError(step)


def web(swarm, policy="minor", tag="1.2.0", n=1, name="web", **labels):
    swarm.create(name, f"{WEB}:{tag}@{digest(n)}", labels={"deployer.policy": policy, **labels})


def running(swarm, name="web"):
    image = swarm.service(name).image
    return image.tag, int(image.digest[7:], 16)


def test_a_push_of_a_higher_version_is_rolled_out_with_its_tag(swarm):
    web(swarm)
    assert concerns(swarm.service("web"), push(swarm, "1.10.0", 2))
    assert run(swarm).outcome is Outcome.UPDATED
    assert running(swarm) == ("1.10.0", 2)
    assert not concerns(swarm.service("web"), push(swarm, "1.9.0", 3))
    assert not concerns(swarm.service("web"), push(swarm, "2.0.0", 4))
    assert run(swarm).outcome is Outcome.UNCHANGED
    assert run(swarm, trigger="rollback", rollback=True).outcome is Outcome.ROLLED_BACK
    assert running(swarm) == ("1.2.0", 1)


def test_a_version_that_fails_is_passed_over_for_the_best_of_the_others(swarm):
    web(swarm)
    push(swarm, "1.4.0", 4)
    swarm.crashing.add(digest(4))
    assert run(swarm).outcome is Outcome.ROLLED_BACK
    assert run(swarm).outcome is Outcome.UNCHANGED
    push(swarm, "1.3.0", 3)
    assert run(swarm).outcome is Outcome.UPDATED
    assert running(swarm) == ("1.3.0", 3)


def test_several_tags_of_one_push_are_one_roll_out(swarm):
    web(swarm)
    for tag in ("1.3.0", "1.3", "1", "latest"):
        push(swarm, tag, 3)
    writes = len(swarm.writes)
    assert [run(swarm).outcome for _ in range(4)] == [Outcome.UPDATED, *[Outcome.UNCHANGED] * 3]
    assert len(swarm.writes) == writes + 1


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 12), st.integers(0, 3)),
        min_size=1,
        max_size=6,
        unique=True,
    ),
    st.randoms(),
    st.sampled_from(["patch", "minor", "major", "all", "semver:>=1.2", "glob:*", "regexp:^1"]),
)
def test_any_order_of_the_same_events_ends_at_the_same_image_and_never_below(versions, random, policy):
    ends = set()
    for _ in range(2):
        swarm = FakeSwarm()
        push(swarm, "1.2.0", 1)
        web(swarm, policy)
        pushed = []
        for n, version in enumerate(versions, 10):
            swarm.now += timedelta(seconds=1)
            pushed.append(push(swarm, ".".join(map(str, version)), n))
        random.shuffle(pushed)
        for image in pushed:
            if concerns(swarm.service("web"), image):
                run(swarm)
        ends.add(running(swarm))
        tag = running(swarm)[0]
        if not policy.startswith(("glob", "regexp")):
            assert tuple(map(int, tag.split("."))) >= (1, 2, 0)
    assert len(ends) == 1


@pytest.mark.parametrize("policy", ["semvr", "semver:", "regexp:(", "minor:1"])
def test_a_policy_that_cannot_be_understood_turns_updates_off_and_says_so(swarm, policy, caplog):
    web(swarm, policy)
    pushed = push(swarm, "1.3.0", 3)
    assert concerns(swarm.service("web"), pushed)
    assert run(swarm).outcome is Outcome.IGNORED
    run(swarm)
    assert len([r for r in caplog.records if "deployer.policy" in r.getMessage()]) == 1
    (why,) = status.survey(deployer(swarm))[0].why
    assert (why.kind, "deployer.policy" in why.reason) == ("label", True)
    assert "deployer.policy" in explain(deployer(swarm), "web").verdict
    assert survey.survey(deployer(swarm)).behind == ()


def test_labels_of_the_container_are_noticed(swarm):
    web(swarm, "tag")
    swarm.raw["web"]["Spec"]["TaskTemplate"]["ContainerSpec"]["Labels"] = {"deployer.policy": "minor"}
    (standing,) = status.survey(deployer(swarm))
    assert [("deploy.labels" in why.reason, why.kind) for why in standing.why] == [(True, "label")]
    assert [f.level for f in doctor.labels(deployer(swarm)) if "deploy.labels" in f.found] == ["fail"]
    assert any("deploy.labels" in step.note for step in explain(deployer(swarm), "web").steps)


def test_status_tells_of_the_tag_that_the_policy_would_choose(swarm):
    web(swarm, "minor")
    swarm.push(f"{WEB}:1.3.0", digest(3))
    (standing,) = status.survey(deployer(swarm))
    assert standing.newer == digest(3)
    assert [one.wanted for one in survey.survey(deployer(swarm)).behind] == [f"{WEB}:1.3.0@{digest(3)}"]


def test_explain_asks_the_job_that_runs_first(swarm):
    held = {"deployer.hold": "audit"}
    swarm.create("migrate", f"{WEB}:1.2.0@{digest(1)}", labels=held, mode="ReplicatedJob")
    web(swarm, "tag")
    swarm.raw["web"]["Spec"]["Labels"]["deployer.pre-job"] = "migrate"
    swarm.push(f"{WEB}:1.2.0", digest(3))
    assert explain(deployer(swarm), "web").verdict == "held: audit"
    swarm.raw["migrate"]["Spec"]["Labels"].clear()
    assert "job migrate runs first" in explain(deployer(swarm), "web").verdict
    assert not swarm.writes


def test_policy_none_follows_nothing_but_a_person(swarm):
    web(swarm, "none")
    push(swarm, "1.2.0", 2)
    assert run(swarm).outcome is Outcome.IGNORED
    assert run(swarm, trigger="manual", image=f"{WEB}:1.2.0").outcome is Outcome.UPDATED


def test_outside_its_window_a_push_waits_and_the_newest_goes_out_when_it_opens(swarm):
    swarm.now = datetime(2026, 11, 21, 12, tzinfo=UTC)  # a Saturday
    web(swarm, "tag", **{"deployer.window": "mon-fri 09:00-17:00 Europe/Stockholm"})
    push(swarm, "1.2.0", 2)
    step = deployer(swarm).advance("web", Request("t1", trigger="event"))
    assert isinstance(step, Again)
    assert (step.seconds, step.patient) == (900, True)
    assert "2026-11-23 08:00 UTC" in step.reason
    push(swarm, "1.2.0", 3)
    assert running(swarm) == ("1.2.0", 1)
    swarm.now = datetime(2026, 11, 23, 8, 0, 1, tzinfo=UTC)
    assert run(swarm, deployment_id="t1").outcome is Outcome.UPDATED
    assert running(swarm) == ("1.2.0", 3)


def test_a_person_is_not_kept_waiting_by_a_window(swarm):
    swarm.now = datetime(2026, 11, 21, 12, tzinfo=UTC)
    web(swarm, "tag", **{"deployer.window": "mon-fri 09:00-17:00"})
    push(swarm, "1.2.0", 2)
    assert run(swarm, trigger="manual").outcome is Outcome.UPDATED


def test_a_service_comes_after_another_one(swarm):
    web(swarm, "tag", name="first")
    web(swarm, "tag", name="web", **{"deployer.after": "first"})
    push(swarm, "1.2.0", 2)
    step = deployer(swarm).advance("web", Request("w", trigger="event"))
    assert isinstance(step, Again)
    assert "first goes first" in step.reason
    assert run(swarm, "first").outcome is Outcome.UPDATED
    assert run(swarm, "web").outcome is Outcome.UPDATED


def test_a_service_does_not_follow_one_that_failed(swarm):
    web(swarm, "tag", name="first")
    web(swarm, "tag", name="web", **{"deployer.after": "first"})
    push(swarm, "1.2.0", 2)
    swarm.crashing.add(digest(2))
    assert run(swarm, "first").outcome is Outcome.ROLLED_BACK
    assert run(swarm, "web").outcome is Outcome.HELD
    assert running(swarm) == ("1.2.0", 1)


@pytest.mark.parametrize("name", ["web", "nobody"])
def test_a_service_that_comes_after_itself_or_nobody_says_so(swarm, name):
    web(swarm, "tag", **{"deployer.after": name})
    push(swarm, "1.2.0", 2)
    report = run(swarm)
    assert report.outcome is Outcome.IGNORED
    assert "deployer.after" in report.reason


def test_catching_up_asks_each_image_once_and_lists_what_is_held(swarm):
    for n in range(5):
        web(swarm, "tag", name=f"web-{n}")
    web(swarm, "minor", name="versioned")
    web(swarm, "tag", name="held", **{"deployer.hold": "audit"})
    push(swarm, "1.2.0", 2)
    push(swarm, "1.3.0", 3)
    set_hold(swarm, "web-0", "mine")
    found = survey.survey(deployer(swarm))
    now = {one.service for one in found.behind if one.now}
    assert now == {"web-1", "web-2", "web-3", "web-4", "versioned"}
    assert {one.service: one.reason for one in found.behind if not one.now} == {
        "web-0": "held: mine",
        "held": "held: label deployer.hold",
    } | {"held": "held: audit"}
    assert (found.services, found.images, found.missed) == (7, 2, 2)
    assert not survey.survey(deployer(swarm, filter_label="team=other")).behind


def test_catching_up_leaves_a_digest_that_failed_alone(swarm):
    web(swarm, "tag")
    push(swarm, "1.2.0", 2)
    swarm.crashing.add(digest(2))
    run(swarm)
    found = survey.survey(deployer(swarm))
    assert [one.now for one in found.behind] == [False]
    assert found.missed == 0


def test_credentials_are_renewed_when_they_are_old_and_nothing_restarts(swarm):
    web(swarm, "tag")
    push(swarm, "1.2.0", 2)
    run(swarm)
    tasks = deepcopy(swarm.history["web"])
    six = timedelta(hours=6)
    assert renewal.refresh(deployer(swarm), six) == []
    swarm.now += timedelta(hours=7)
    assert renewal.refresh(deployer(swarm), six) == ["web"]
    assert swarm.history["web"] == tasks
    assert renewal.refresh(deployer(swarm), six) == []
    assert run(swarm, trigger="rollback", rollback=True).outcome is Outcome.ROLLED_BACK
    assert running(swarm) == ("1.2.0", 1)


def test_credentials_are_renewed_of_a_service_that_lacks_a_node_too(swarm):
    web(swarm, "tag")
    push(swarm, "1.2.0", 2)
    run(swarm)
    for _ in range(3):  # the first write clears UpdateStatus for good
        swarm.now += timedelta(hours=7)
        assert renewal.refresh(deployer(swarm), timedelta(hours=6)) == ["web"]
        newest_task(swarm).state, newest_task(swarm).err = "pending", "no suitable node"


def test_a_service_in_mid_roll_out_or_paused_or_a_failure_of_the_engine_is_not_lost(swarm):
    web(swarm, "tag")
    swarm.create("back", f"{WEB}:1.2.0@{digest(1)}", failure_action="rollback")
    push(swarm, "1.2.0", 2)
    swarm.crashing.add(digest(2))
    deployer(swarm).advance("web", Request("a", trigger="event"))
    swarm.now += timedelta(seconds=2)
    assert "web" not in renewal.refresh(deployer(swarm), timedelta(seconds=1))
    swarm.now += timedelta(hours=7)
    deployer(swarm).advance("back", Request("b", trigger="event"))
    swarm.settle(30)  # the engine pauses one and rolls back the other
    swarm.now += timedelta(hours=7)
    assert renewal.refresh(deployer(swarm), timedelta(hours=6)) == ["back"]
    assert run(swarm, "back", deployment_id="c").outcome is Outcome.HELD
