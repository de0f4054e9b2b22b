"""Whole deployments against the Swarm in memory: what a user sees at the end, and what was written."""

from dataclasses import replace
from datetime import timedelta

import pytest
from in_memory import HOST, WEB, Runs, digest, newest_task, pinned

from deployer.model.deployment import Again, Outcome, Report
from deployer.rollouts.decision import Rules
from deployer.rollouts.ledger import set_freeze, set_hold
from deployer.rollouts.pace import Pace
from deployer.testing import FakeSwarm


@pytest.fixture
def swarm():
    swarm = FakeSwarm()
    swarm.push(WEB, digest(1))
    swarm.create("web", pinned(1), replicas=3)
    return swarm


@pytest.fixture
def runs(swarm):
    return Runs(swarm)


def test_a_push_is_rolled_out_pinned_with_one_write(swarm, runs):
    swarm.push(WEB, digest(2))
    report = runs.run(pushed_digest=digest(2), event="e1")
    assert report.outcome is Outcome.UPDATED
    assert (report.image, report.previous, report.event) == (pinned(2), pinned(1), "e1")
    assert swarm.writes == [("web", pinned(2))]
    assert swarm.starts("web") == 6


def test_a_duplicate_and_a_late_event_write_nothing(swarm, runs):
    swarm.push(WEB, digest(2))
    runs.run()
    writes, version = list(swarm.writes), swarm.service("web").version
    assert runs.run(pushed_digest=digest(2), deployment_id="t2").outcome is Outcome.UNCHANGED
    late = runs.run(pushed_digest=digest(1), deployment_id="t3")
    assert late.outcome is Outcome.SUPERSEDED
    assert "stale" in late.reason
    assert (swarm.writes, swarm.service("web").version) == (writes, version)


def test_the_same_message_delivered_twice_reports_the_same_and_writes_once(swarm, runs):
    swarm.push(WEB, digest(2))
    first, second = runs.run(), runs.run()
    assert (first.outcome, second.outcome) == (Outcome.UPDATED, Outcome.UPDATED)
    assert len(swarm.writes) == 1


def test_a_repeat_long_after_does_not_take_a_lost_node_for_a_failed_roll_out(swarm, runs):
    swarm.push(WEB, digest(2))
    runs.run()
    swarm.now = swarm.now.replace(year=2027)
    task = newest_task(swarm)
    task.state, task.updated = "orphaned", swarm.now
    assert runs.run().outcome is Outcome.UPDATED
    assert len(swarm.writes) == 1


@pytest.mark.parametrize(
    ("labels", "rules", "outcome"),
    [
        ({"deployer.enable": "false"}, Rules(), Outcome.IGNORED),
        ({"deployer.enable": "flase"}, Rules(), Outcome.IGNORED),
        ({"deployer.enable": "true"}, Rules(), Outcome.UPDATED),
        ({}, Rules(filter_label="deploy"), Outcome.IGNORED),
        ({"deploy": "no"}, Rules(filter_label="deploy=yes"), Outcome.IGNORED),
        ({"deploy": "yes"}, Rules(filter_label="deploy=yes"), Outcome.UPDATED),
        ({"deployer.hold": "until monday"}, Rules(), Outcome.HELD),
        ({"deployer.hold": "false"}, Rules(), Outcome.UPDATED),
    ],
)
def test_labels_decide_whether_a_service_is_touched(swarm, labels, rules, outcome):
    swarm.create("labelled", pinned(1), labels=labels)
    swarm.push(WEB, digest(2))
    assert Runs(swarm, rules).run("labelled").outcome is outcome
    assert bool(swarm.writes) is (outcome is Outcome.UPDATED)


def test_a_service_that_runs_the_id_of_an_image_asks_no_registry(swarm, runs):
    swarm.create("local", digest(1))
    report = runs.run("local")
    assert report.outcome is Outcome.IGNORED
    assert "no valid reference" in report.reason


def test_a_service_at_zero_replicas_is_updated_and_stays_at_zero(swarm, runs):
    swarm.create("asleep", pinned(1), replicas=0)
    swarm.push(WEB, digest(2))
    assert runs.run("asleep").outcome is Outcome.UPDATED
    assert (swarm.image("asleep"), swarm.starts("asleep")) == (pinned(2), 0)


def test_a_failed_roll_out_goes_back_and_is_not_tried_again_by_itself(swarm, runs):
    swarm.push(WEB, digest(2))
    swarm.crashing = {digest(2)}
    report = runs.run()
    assert report.outcome is Outcome.ROLLED_BACK
    assert "non-zero exit (1)" in report.reason
    assert swarm.image("web") == pinned(1)
    again = runs.run(deployment_id="t2")
    assert again.outcome is Outcome.HELD
    assert "this digest failed before" in again.reason
    assert [image for _, image in swarm.writes] == [pinned(2), pinned(1)]


def test_a_failed_digest_is_tried_again_when_forced_and_forgotten_at_the_next_push(swarm, runs):
    swarm.push(WEB, digest(2))
    swarm.crashing = {digest(2)}
    runs.run()
    swarm.crashing = set()
    assert runs.run(deployment_id="t2", trigger="manual", force=True).outcome is Outcome.UPDATED
    swarm.push(WEB, digest(3))
    assert runs.run(deployment_id="t3").outcome is Outcome.UPDATED
    assert swarm.service("web").state.failed is None


def test_without_rollback_a_failed_roll_out_is_left_as_it_is(swarm):
    swarm.push(WEB, digest(2))
    swarm.crashing = {digest(2)}
    report = Runs(swarm, Rules(rollback=False)).run()
    assert report.outcome is Outcome.FAILED
    assert "left as it is" in report.reason
    assert swarm.image("web") == pinned(2)


def test_the_engines_own_rollback_is_noticed_and_remembered(swarm, runs):
    swarm.create("careful", pinned(1), failure_action="rollback")
    swarm.push(WEB, digest(2))
    swarm.crashing = {digest(2)}
    report = runs.run("careful")
    assert report.outcome is Outcome.ROLLED_BACK
    assert swarm.image("careful") == pinned(1)
    assert swarm.service("careful").state.failed == digest(2)
    assert runs.run("careful", deployment_id="t2").outcome is Outcome.HELD


def test_an_engine_rollback_seen_by_a_worker_that_knows_nothing_is_not_repeated(swarm, runs):
    swarm.create("careful", pinned(1), failure_action="rollback")
    swarm.push(WEB, digest(2))
    swarm.crashing = {digest(2)}
    runs.step("careful")  # and the worker dies before it can send itself back
    swarm.settle()
    assert runs.run("careful", deployment_id="t1").outcome is Outcome.HELD
    assert swarm.image("careful") == pinned(1)


def test_a_roll_out_that_crashes_for_ever_under_continue_times_out_and_goes_back(swarm):
    swarm.create("stubborn", pinned(1), failure_action="continue")
    swarm.push(WEB, digest(2))
    swarm.crashing = {digest(2)}
    report = Runs(swarm, Rules(rollout_timeout=60)).run("stubborn")
    assert report.outcome is Outcome.ROLLED_BACK
    assert "60 s" in report.reason
    assert swarm.image("stubborn") == pinned(1)


def test_a_first_roll_out_that_fails_has_nothing_to_go_back_to(swarm, runs):
    swarm.create("fresh", WEB)
    swarm.push(WEB, digest(2))
    swarm.crashing = {digest(2)}
    report = runs.run("fresh")
    assert report.outcome is Outcome.FAILED
    assert swarm.image("fresh") == pinned(2)


def test_rollback_by_hand_and_the_digest_it_left_stays_away(swarm, runs):
    swarm.push(WEB, digest(2))
    runs.run()
    back = runs.run(deployment_id="t2", trigger="rollback", rollback=True)
    assert back.outcome is Outcome.ROLLED_BACK
    assert swarm.image("web") == pinned(1)
    assert runs.run(deployment_id="t3", pushed_digest=digest(2)).outcome is Outcome.HELD


def test_what_is_held_back_is_what_the_tag_means_and_not_what_a_late_event_spoke_of(swarm, runs):
    """D8: a bad push, a good one, a rollback, then the first one's event: the second one is held back."""
    swarm.push(WEB, digest(3))
    runs.run()
    runs.run(deployment_id="t2", trigger="rollback", rollback=True)
    late = runs.run(deployment_id="t3", trigger="event", pushed_digest=digest(2))
    assert (late.outcome, late.image) == (Outcome.HELD, pinned(3))
    by_hand = runs.run(deployment_id="t4", trigger="manual")
    assert (by_hand.outcome, by_hand.image) == (Outcome.HELD, pinned(3))


def test_under_a_hold_it_is_the_pushed_image_or_the_one_that_was_asked_for(swarm, runs):
    """D8: IMAGE was what runs for a request by hand, and what was pushed for an event."""
    swarm.create("kept", pinned(1), labels={"deployer.hold": "audit"})
    tagged = WEB.replace(":latest", ":v7")
    assert runs.run("kept", pushed_digest=digest(2)).image == pinned(2)
    assert runs.run("kept", trigger="manual", deployment_id="t2").image == WEB
    assert runs.run("kept", trigger="manual", deployment_id="t3", image=tagged).image == tagged


def test_rollback_finds_the_way_in_the_swarms_history_after_the_labels_were_reset(swarm, runs):
    swarm.push(WEB, digest(2))
    runs.run()
    swarm.raw["web"]["Spec"]["Labels"] = {}
    assert runs.run(deployment_id="t2", trigger="rollback", rollback=True).outcome is Outcome.ROLLED_BACK
    assert swarm.image("web") == pinned(1)


def test_rollback_without_a_former_image_says_so(swarm, runs):
    report = runs.run(trigger="rollback", rollback=True)
    assert report.outcome is Outcome.FAILED
    assert "no former image" in report.reason


def test_a_push_during_a_roll_out_waits_for_its_end(swarm, runs):
    swarm.push(WEB, digest(2))
    begun = runs.step()
    swarm.tick()
    swarm.push(WEB, digest(3))
    waiting = runs.step(deployment_id="t2", pushed_digest=digest(3))
    assert isinstance(waiting, Again)
    assert len(swarm.writes) == 1
    swarm.settle()
    assert runs.run(deployment_id="t2", pushed_digest=digest(3)).outcome is Outcome.UPDATED
    assert runs.step(watch=begun.watch).outcome is Outcome.SUPERSEDED
    assert [image for _, image in swarm.writes] == [pinned(2), pinned(3)]


def test_a_push_during_a_roll_out_replaces_it_where_the_label_says_so(swarm, runs):
    swarm.create("hasty", pinned(1), replicas=5, labels={"deployer.replace": "true"})
    swarm.push(WEB, digest(2))
    runs.step("hasty")
    swarm.tick()
    swarm.push(WEB, digest(3))
    runs.step("hasty", deployment_id="t2")
    assert [image for _, image in swarm.writes] == [pinned(2), pinned(3)]
    assert swarm.service("hasty").state.previous == pinned(1)


def test_a_push_settles_before_it_begins(swarm):
    runs = Runs(swarm, Rules(settle=30))
    swarm.push(WEB, digest(2))
    first = runs.step()
    assert isinstance(first, Again)
    assert first.seconds == 30
    swarm.tick(20)
    swarm.push(WEB, digest(3))
    second = runs.step(waiting=first.waiting)
    assert second.seconds == 30
    assert not swarm.writes
    assert runs.run().image == pinned(3)


def test_what_an_operator_moved_away_from_is_left_alone_until_the_next_push(swarm, runs):
    swarm.push(WEB, digest(2))
    runs.run()
    swarm.edit("web", Image=pinned(1))
    swarm.settle()
    assert runs.run(deployment_id="t2").outcome is Outcome.HELD
    swarm.push(WEB, digest(3))
    assert runs.run(deployment_id="t3").outcome is Outcome.UPDATED


def test_a_service_removed_in_mid_roll_out_ends_the_deployment(swarm, runs):
    swarm.push(WEB, digest(2))
    begun = runs.step()
    swarm.remove("web")
    report = runs.step(watch=begun.watch)
    assert report.outcome is Outcome.FAILED
    assert "no service" in report.reason


def test_another_image_only_of_the_same_repository(swarm, runs):
    other_tag, other_repository = f"{HOST}/team/web:v7", f"{HOST}/team/other:v7"
    swarm.push(other_tag, digest(7))
    swarm.push(other_repository, digest(8))
    assert runs.run(trigger="manual", image=other_tag).image == f"{other_tag}@{digest(7)}"
    refused = runs.run(trigger="manual", deployment_id="t2", image=other_repository)
    assert refused.outcome is Outcome.FAILED
    assert "allow_repository_change" in refused.reason


@pytest.mark.parametrize(
    ("wanted", "allowed"),
    [
        (f"{HOST}/team/other:v7", f"{HOST}/team/other"),
        (f"{HOST}/team/other:v7", f"{HOST}/team/*"),
        ("ghcr.io/team/web:latest", "ghcr.io/team/web"),
        ("redis:7", "docker.io/library/redis"),
    ],
)
def test_another_repository_needs_the_operators_consent(swarm, wanted, allowed):
    swarm.push(wanted, digest(9))
    for others in ((), ("evil.example.com/*", f"{HOST}/team/othe", "x" + allowed)):
        rules = Rules(allow_repositories=others)
        refused = Runs(swarm, rules).run(trigger="manual", image=wanted, allow_repository_change=True)
        assert refused.outcome is Outcome.FAILED
        assert "DEPLOYER_ALLOW_REPOSITORIES" in refused.reason
    assert not swarm.writes
    rules = Rules(allow_repositories=("x", allowed))
    report = Runs(swarm, rules).run(
        trigger="manual", deployment_id="t2", image=wanted, allow_repository_change=True
    )
    assert report.image == f"{wanted}@{digest(9)}"


@pytest.mark.parametrize(
    ("labels", "rules", "hold", "outcome"),
    [
        ({"deployer.enable": "false"}, Rules(), None, Outcome.IGNORED),
        ({"deployer.hold": "audit"}, Rules(), None, Outcome.HELD),
        ({}, Rules(), "audit", Outcome.HELD),
        ({}, Rules(filter_label="deploy"), None, Outcome.IGNORED),
    ],
)
def test_a_job_that_must_be_left_alone_keeps_what_comes_after_it_waiting(swarm, labels, rules, hold, outcome):
    swarm.create("migrate", f"{WEB}@{digest(1)}", labels=labels, mode="ReplicatedJob")
    swarm.raw["web"]["Spec"]["Labels"] = {"deployer.pre-job": "migrate", "deploy": "yes"}
    set_hold(swarm, "migrate", hold)
    swarm.push(WEB, digest(2))
    report = Runs(swarm, rules).run()
    assert report.outcome is outcome
    assert "job migrate, which runs first: " in report.reason
    assert not swarm.writes


def test_a_missing_tag_ends_the_deployment_with_a_clear_message(swarm, runs):
    report = runs.run(trigger="manual", image=f"{HOST}/team/web:nope")
    assert report.outcome is Outcome.FAILED
    assert "has no" in report.reason


def test_a_roll_out_whose_deployment_died_is_ended_in_its_name(swarm, runs):
    swarm.push(WEB, digest(2))
    swarm.crashing = {digest(2)}
    runs.step(deployment_id="dead")
    swarm.settle()
    report = runs.run(deployment_id="t2")
    assert report.outcome is Outcome.ROLLED_BACK
    assert swarm.service("web").state.task == "dead"


def test_force_restarts_on_the_same_digest_once(swarm, runs):
    report = runs.run(trigger="manual", force=True)
    assert report.outcome is Outcome.UPDATED
    assert swarm.starts("web") == 6
    assert runs.run(trigger="manual", force=True).outcome is Outcome.UPDATED
    assert swarm.starts("web") == 6


def test_a_freeze_holds_every_service_and_its_end_lets_the_newest_go(swarm, runs):
    set_freeze(swarm, "christmas")
    swarm.push(WEB, digest(2))
    held = runs.run()
    assert (held.outcome, held.reason) == (Outcome.HELD, "held: christmas")
    swarm.push(WEB, digest(3))
    set_freeze(swarm, None)
    assert runs.run(deployment_id="t2", trigger="release").image == pinned(3)
    assert swarm.writes == [("web", pinned(3))]


def test_rollback_by_hand_works_on_a_held_service(swarm, runs):
    swarm.push(WEB, digest(2))
    runs.run()
    set_hold(swarm, "web", "being looked at")
    assert runs.run(deployment_id="t2", trigger="rollback", rollback=True).outcome is Outcome.ROLLED_BACK


def test_no_more_roll_outs_at_once_than_allowed(swarm):
    names = [f"web{n}" for n in range(6)]
    for name in names:
        swarm.create(name, pinned(1), replicas=2)
    swarm.push(WEB, digest(2))
    runs = Runs(swarm, Rules(max_rollouts=2))
    watches, ended, most = dict.fromkeys(names), set(), 0
    for _ in range(200):
        for name in names:
            if name in ended:
                continue
            step = runs.step(name, watches[name], deployment_id=f"t-{name}")
            if isinstance(step, Report):
                ended.add(name)
            else:
                watches[name] = step.watch
        swarm.tick()
        most = max(most, sum(s.rolling for s in swarm.services()))
    assert ended == set(names)
    assert most == 2
    assert not swarm.ledger().labels


def test_an_update_over_the_pace_waits_and_looks_do_not_count(swarm):
    swarm.create("other", pinned(1))
    swarm.push(WEB, digest(2))
    runs = Runs(swarm)
    runs.deployer = replace(runs.deployer, pace=Pace(per_second=1 / 60))
    for n in range(5):
        runs.step(deployment_id=f"look{n}") if n else runs.run()
    waiting = runs.step("other", deployment_id="t9")
    assert isinstance(waiting, Again)
    assert 0 < waiting.seconds <= 60
    assert runs.run("other", deployment_id="t9").outcome is Outcome.UPDATED


def test_a_roll_out_of_somebody_else_that_hangs_is_not_waited_for_for_ever(swarm):
    runs = Runs(swarm, Rules(rollout_timeout=60))
    swarm.raw["web"]["UpdateStatus"] = {"State": "updating", "StartedAt": swarm.now.isoformat()}
    swarm.push(WEB, digest(2))
    assert isinstance(runs.step(), Again)
    swarm.now += timedelta(seconds=61 + 600)  # the managers' clocks may be apart
    runs.step()
    assert swarm.image("web") == pinned(2)


def test_an_event_for_a_tag_that_is_gone_from_the_registry_is_a_failure_and_not_passed_over(swarm, runs):
    swarm.digests.clear()
    report = runs.run(pushed_digest=digest(2))
    assert report.outcome is Outcome.FAILED
    assert "has no" in report.reason


def test_an_event_for_a_service_that_is_gone_is_nobody_s_concern(swarm, runs):
    swarm.remove("web")
    assert runs.run().outcome is Outcome.IGNORED


def test_a_rollback_by_hand_keeps_in_mind_what_the_engine_has_just_left(swarm, runs):
    swarm.create("two", pinned(1), failure_action="rollback")
    swarm.push(WEB, digest(2))
    assert runs.run("two").outcome is Outcome.UPDATED
    swarm.push(WEB, digest(3))
    swarm.crashing.add(digest(3))
    runs.step("two", deployment_id="t3")
    swarm.settle()  # the engine goes back to 2, and takes our labels with it
    assert (
        runs.run("two", deployment_id="back", trigger="rollback", rollback=True).outcome
        is Outcome.ROLLED_BACK
    )
    assert swarm.service("two").image_text == pinned(1)
    assert runs.run("two", deployment_id="t4").outcome is Outcome.HELD
