"""Cases that lie close together and end differently: one fact more or less, one second, one digest."""

import json
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest
from in_memory import HOST, WEB, Runs, digest, pinned

from deployer.errors import AccessDeniedError, StaleVersionError, TemporaryError
from deployer.model.deployment import Again, Outcome, Request, RolloutMemory
from deployer.model.image import Image
from deployer.model.service import Manifest, State
from deployer.model.snapshot import MOVED, Phase, Progress
from deployer.reports.explain import explain
from deployer.rollouts.decision import Found, Rules, Skip, Update, Wait
from deployer.rollouts.deployer import Deployer
from deployer.rollouts.facts import case_of
from deployer.rollouts.fleet import batch, renewal, survey
from deployer.rollouts.follow import Ended, follow
from deployer.rollouts.ledger import Hold, Ledger, failures, holds, set_hold
from deployer.rollouts.ledger.failures import Failure
from deployer.rollouts.ledger.loss import WatchedStore, contents
from deployer.rollouts.ledger.slots import Observer, slots_full, take_slot
from deployer.rollouts.ports import Credentials
from deployer.rollouts.rollback import gone_back, way_back, way_back_after
from deployer.rollouts.rules import decide
from deployer.testing import FakeSwarm


@pytest.fixture
def swarm():
    swarm = FakeSwarm()
    swarm.push(WEB, digest(1))
    swarm.create("web", pinned(1))
    swarm.push(WEB, digest(2))
    return swarm


def read(swarm, name="web"):
    return swarm.read(name, swarm.now)


# -- before the registry is asked ---------------------------------------------------------------------


@pytest.mark.parametrize(("seen", "outcome"), [(1, Outcome.UPDATED), (3, Outcome.SUPERSEDED)])
def test_what_a_person_saw_has_to_be_what_runs(swarm, seen, outcome):
    assert Runs(swarm).run(trigger="manual", seen=digest(seen)).outcome is outcome


def test_a_service_without_an_image_is_said_so_to_who_saw_something(swarm):
    swarm.raw["web"]["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"] = ""
    report = Runs(swarm).run(trigger="manual", seen=digest(1))
    assert (report.outcome, report.reason[:16]) == (Outcome.IGNORED, "it runs no image")


def test_a_service_that_is_turned_off_names_the_label(swarm):
    swarm.raw["web"]["Spec"]["Labels"]["deployer.enable"] = "false"
    assert Runs(swarm).run().reason == "label deployer.enable=false"


def test_a_service_whose_switch_cannot_be_read_says_what_is_wrong_with_it(swarm):
    swarm.raw["web"]["Spec"]["Labels"]["deployer.enable"] = "perhaps"
    assert Runs(swarm).run().reason.startswith("label deployer.enable='perhaps'")


def test_what_is_held_without_a_push_is_told_with_the_tag_that_is_followed(swarm):
    set_hold(swarm, "web", "audit")
    assert Runs(swarm).run(trigger="reconcile").image == pinned(1).partition("@")[0]
    assert Runs(swarm).run(pushed_digest=digest(2)).image == pinned(2)


def test_an_event_for_a_service_that_has_gone_names_the_event(swarm):
    assert Runs(swarm).run("gone", event="e1").event == "e1"


def test_what_is_pinned_to_a_digest_is_explained_by_the_rule_that_says_so(swarm):
    swarm.create("web", f"{HOST}/team/web@{digest(1)}")
    told = explain(Deployer(swarm, swarm, Rules(), clock=swarm.clock), "web")
    assert (told.outcome, told.rule) == ("ignored", "there is a tag or digest to deploy")


# -- after it has answered ----------------------------------------------------------------------------


def test_the_same_digest_under_another_tag_is_no_reason_for_a_restart_but_a_persons_word_is(swarm):
    swarm.raw["web"]["Spec"]["Labels"]["deployer.policy"] = "semver"
    swarm.create("web", f"{HOST}/team/web:1.0.0@{digest(1)}", labels={"deployer.policy": "minor"})
    swarm.push(f"{HOST}/team/web:1.1.0", digest(1))
    assert Runs(swarm).run().outcome is Outcome.UNCHANGED
    assert swarm.writes == []
    assert Runs(swarm).run(trigger="manual", image=f"{HOST}/team/web:1.1.0").outcome is Outcome.UPDATED
    assert swarm.image("web") == f"{HOST}/team/web:1.1.0@{digest(1)}"


@pytest.mark.parametrize(
    ("busy", "rolled_back", "by", "begins"),
    [
        (True, True, "event", False),
        (True, False, "rollback", False),
        (True, False, "event", True),
        (False, True, "rollback", True),
    ],
)
def test_a_rollback_that_is_under_way_is_not_begun_again(swarm, busy, rolled_back, by, begins):
    snapshot = read(swarm)
    snapshot = replace(
        snapshot,
        service=replace(snapshot.service, labels=State(by=by).labels()),
        progress=replace(snapshot.progress, engine_busy=busy),
        rolled_back=rolled_back,
    )
    request = Request("t2", trigger="rollback", rollback=True)
    found = Found(case_of(snapshot, request, Rules(), Ledger()), Image.parse(WEB), Manifest(digest(2)))
    decision = decide(found)
    assert isinstance(decision, Update) is begins
    assert begins or decision == Skip(Outcome.SUPERSEDED, "a rollback is under way already")


def test_a_push_while_a_service_goes_back_waits_for_the_end_of_it(swarm):
    snapshot = read(swarm)
    service = replace(snapshot.service, labels=State(by="rollback").labels(), rolling=True)
    busy = replace(snapshot, service=service, progress=replace(snapshot.progress, engine_busy=True))
    case = case_of(busy, Request("t2", trigger="event"), Rules(), Ledger())
    decision = decide(Found(case, Image.parse(WEB), Manifest(digest(2))))
    assert isinstance(decision, Wait)
    assert decision.reason.startswith("a roll-out is under way")


def test_tasks_of_a_lost_node_that_linger_keep_nobody_waiting(swarm):
    Runs(swarm).run()
    snapshot = read(swarm)
    assert snapshot.ours
    assert not snapshot.untouched
    lingering = replace(snapshot, progress=replace(snapshot.progress, leftovers=True))
    swarm.push(WEB, digest(3))
    step = Deployer(swarm, swarm, Rules(), clock=swarm.clock).step(lingering, Request("t2", trigger="event"))
    assert step.watch


def test_an_image_that_was_set_by_hand_stands(swarm):
    Runs(swarm).run()
    swarm.edit("web", Image=pinned(1))
    swarm.settle()
    swarm.edit("web", Env=["A=1"])  # after which the engine itself does not tell it any more
    swarm.settle()
    for task in list(swarm.engine.cluster.tasks["id-web"].values())[:-1]:
        del swarm.engine.cluster.tasks["id-web"][task.id]
    report = Runs(swarm).run(deployment_id="t2")
    assert report.outcome is Outcome.HELD
    assert MOVED in report.reason


def test_a_rollback_by_hand_does_not_wait_for_the_roll_out_that_it_ends(swarm):
    runs = Runs(swarm)
    runs.run()
    swarm.push(WEB, digest(3))
    runs.step(deployment_id="t2")
    swarm.tick()
    assert runs.step(deployment_id="t3", trigger="rollback", rollback=True).watch
    assert swarm.image("web") == pinned(2)


def test_what_comes_after_a_failure_is_a_recovery_and_what_comes_after_that_is_none(swarm):
    swarm.crashing = {digest(2)}
    runs = Runs(swarm)
    assert runs.run().outcome is Outcome.ROLLED_BACK
    recovered = []
    for number in (3, 4):
        swarm.push(WEB, digest(number))
        recovered.append(runs.run(deployment_id=f"t{number}").recovered)
    assert recovered == [True, False]


def test_a_stale_event_does_not_leave_a_paused_roll_out_as_it_is(swarm):
    swarm.crashing = {digest(2)}
    runs = Runs(swarm)
    runs.step(deployment_id="dead")
    swarm.settle()
    report = runs.run(deployment_id="t2", pushed_digest=digest(9))
    assert (report.outcome, swarm.image("web")) == (Outcome.ROLLED_BACK, pinned(1))


# -- while it is followed -----------------------------------------------------------------------------


def at_the_way_back(runs):
    step = runs.step()
    while not step.watch.going_back:
        runs.swarm.tick()
        step = runs.step(watch=step.watch)
    return step


def test_a_way_back_that_the_engine_has_not_taken_up_yet_has_not_failed(swarm):
    swarm.crashing = {digest(2)}
    runs = Runs(swarm)
    step = at_the_way_back(runs)
    assert step.watch.watched == 0
    again = runs.step(watch=step.watch)  # at once
    assert isinstance(again, Again)
    assert "gone back" in again.reason


def test_a_hold_by_label_leaves_the_engines_rollback_as_it_is(swarm):
    swarm.crashing = {digest(2)}
    swarm.create("web", pinned(1), failure_action="rollback")
    runs = Runs(swarm)
    step = runs.step()
    swarm.settle()
    swarm.raw["web"]["Spec"]["Labels"]["deployer.hold"] = "audit"
    report = runs.step(watch=step.watch)
    assert report.outcome is Outcome.ROLLED_BACK
    assert len(swarm.writes) == 1


def test_what_the_engine_went_back_from_is_in_the_ledger_too(swarm):
    swarm.crashing = {digest(2)}
    swarm.create("web", pinned(1), failure_action="rollback")
    Runs(swarm).run()
    assert digest(2) in swarm.ledger().failures("web")


def test_what_the_engine_went_back_from_is_known_by_the_deployment_where_the_engine_does_not_tell(swarm):
    swarm.crashing = {digest(2)}
    swarm.create("web", pinned(1), failure_action="rollback")
    runs = Runs(swarm)
    step = runs.step()
    swarm.settle()
    untold = replace(read(swarm), left=None)
    assert isinstance(runs.deployer.step(untold, Request("t1", trigger="event"), step.watch), Again)
    assert digest(2) in swarm.ledger().failures("web")


@pytest.mark.parametrize("label", ["rollback", "enable"])
def test_a_label_that_was_spoilt_in_mid_roll_out_leaves_a_failure_as_it_is(swarm, label):
    swarm.crashing = {digest(2)}
    runs = Runs(swarm)
    step = runs.step()
    swarm.raw["web"]["Spec"]["Labels"][f"deployer.{label}"] = "perhaps"
    while isinstance(step, Again):
        swarm.tick()
        step = runs.step(watch=step.watch)
    assert step.outcome is Outcome.FAILED
    assert f"left as it is: label deployer.{label}" in step.reason


class Refusing(FakeSwarm):
    """A registry that refuses one digest."""

    refused = None

    def manifest(self, image, credentials):
        if self.refused and image.digest == self.refused:
            raise AccessDeniedError("no")
        return super().manifest(image, credentials)


def test_a_way_back_that_stays_refused_has_an_end():
    swarm = Refusing()
    swarm.push(WEB, digest(1))
    swarm.create("web", pinned(1))
    swarm.push(WEB, digest(2))
    swarm.crashing = {digest(2)}
    runs = Runs(swarm)
    step = runs.step()
    swarm.refused = digest(1)
    begun = swarm.now
    while isinstance(step, Again):
        swarm.tick(step.seconds)
        step = runs.step(watch=step.watch)
        assert swarm.now - begun < timedelta(hours=1)
    assert (step.outcome, "; no way back: no" in step.reason) == (Outcome.FAILED, True)
    assert swarm.now - begun > timedelta(minutes=15)


def judged(swarm, watch, **facts):
    snapshot = replace(read(swarm), **facts)
    return follow(case_of(snapshot, Request("t1"), Rules(), Ledger()), watch)


def memory_of(swarm, image, previous=None):
    return RolloutMemory("t1", image, previous, swarm.now.isoformat(), swarm.now.isoformat())


def test_a_rollback_of_somebodys_change_to_our_image_is_no_failure_of_it(swarm):
    decision = judged(swarm, memory_of(swarm, pinned(1)), rolled_back=True)
    assert isinstance(decision, Ended)
    assert (decision.outcome, decision.failed) == (Outcome.SUPERSEDED, None)


@pytest.mark.parametrize(("previous", "failed"), [(pinned(1), digest(2)), (pinned(3), None)])
def test_a_service_that_is_back_at_what_it_had_before_has_left_our_digest(swarm, previous, failed):
    decision = judged(swarm, memory_of(swarm, pinned(2), previous), lag=0.0)
    assert (decision.outcome, decision.failed) == (Outcome.SUPERSEDED, failed)


def test_a_newer_deployment_that_brought_the_former_image_back_has_not_left_our_digest(swarm):
    service = read(swarm).service
    service = replace(service, labels=State(task="t2", done="t1").labels())
    decision = judged(swarm, memory_of(swarm, pinned(2), pinned(1)), service=service)
    assert decision.failed is None


@pytest.mark.parametrize(("ready", "ends"), [(1, True), (0, False)])
def test_a_target_that_took_something_back_has_ended_only_when_all_is_up(swarm, ready, ends):
    Runs(swarm).run()
    progress = Progress(Phase.REVERTED, ready, 1)
    decision = judged(swarm, memory_of(swarm, pinned(2), pinned(1)), progress=progress)
    assert isinstance(decision, Ended) is ends


def test_a_way_back_without_a_reason_has_one_in_words(swarm):
    service = replace(read(swarm).service, labels=State(task="t1", by="rollback").labels())
    decision = judged(swarm, memory_of(swarm, pinned(1)), service=service, ours=True)
    assert decision == Ended(Outcome.ROLLED_BACK, "rolled back")


def test_a_look_that_ends_at_once_has_taken_no_time(swarm):
    deployer = Deployer(swarm, swarm, Rules(), clock=swarm.clock)
    report = deployer.report(read(swarm), Request("t1"), Outcome.UPDATED, "", memory_of(swarm, pinned(1)))
    assert report.duration == 0.0


# -- the way back -------------------------------------------------------------------------------------


def test_a_service_without_an_image_has_no_way_back(swarm):
    snapshot = read(swarm)
    bare = replace(snapshot, service=replace(snapshot.service, image_text=None), former_images=(pinned(3),))
    assert way_back(bare, {}) is None


@pytest.mark.parametrize(("ready", "back"), [(1, pinned(1)), (0, pinned(7))])
def test_what_lost_a_node_is_a_way_back_and_what_does_not_run_at_all_is_none(swarm, ready, back):
    progress = Progress(Phase.ROLLING, ready, 2)
    snapshot = replace(read(swarm), progress=progress, former_images=(pinned(7),))
    assert way_back_after(snapshot, Image.parse(pinned(2)), {}) == back


def test_a_way_back_is_written_with_its_time_and_those_that_wrote_before(swarm):
    Runs(swarm).run(deployment_id="t1")
    swarm.tick(60)
    state = gone_back(read(swarm), "t2", pinned(1), digest(2), "it crashes")
    assert (state.at, state.done, state.task) == (
        swarm.now.isoformat(timespec="milliseconds"),
        "t1",
        "t2",
    )


# -- slots --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [TemporaryError("away"), StaleVersionError("written")])
def test_who_cannot_write_gives_its_slot_back(swarm, fault, monkeypatch):
    def refuse(*_):
        raise fault

    monkeypatch.setattr(swarm, "apply", refuse)
    with pytest.raises(type(fault)):
        Runs(swarm, Rules(max_rollouts=1)).step()
    assert swarm.ledger().labels == {}


def test_a_hold_takes_no_slot(swarm):
    set_hold(swarm, "other", "audit")
    assert not slots_full(swarm.ledger(), 1, "web", Observer())


def slots_of(swarm):
    return {key: text for key, text in swarm.ledger().labels.items() if key.startswith("deployer.slot.")}


def test_a_slot_is_renewed_while_its_roll_out_lasts_and_given_back_in_the_name_of_its_owner(swarm):
    swarm.engine.agents.start = 60.0
    swarm.crashing = {digest(2)}
    runs = Runs(swarm, Rules(max_rollouts=1))
    step = runs.step(deployment_id="dead")
    taken = slots_of(swarm)
    swarm.tick(30)
    runs.step(deployment_id="dead", watch=step.watch)
    assert slots_of(swarm) != taken
    assert slots_of(swarm).keys() == taken.keys()
    swarm.settle(100)
    assert runs.run(deployment_id="t2").outcome is Outcome.ROLLED_BACK
    assert slots_of(swarm) == {}


def test_who_waits_for_a_slot_begins_when_there_is_no_limit_any_more(swarm):
    limited = Runs(swarm, Rules(max_rollouts=1))
    set_slot(swarm, limited.deployer.observer)
    waits = limited.step()
    assert waits.watch is None
    assert Runs(swarm).step(waiting=waits.waiting).watch


def set_slot(swarm, observer):
    assert take_slot(swarm, "other", "theirs", set(), 1, observer)


# -- many services together ---------------------------------------------------------------------------


def sizes(*tasks):
    swarm = FakeSwarm()
    for number, count in enumerate(tasks):
        swarm.create(f"s{number:03}", pinned(1), replicas=count)
    return [len(part) for part in batch.parts(swarm.services())]


def test_a_part_has_fifty_services_or_a_hundred_tasks():
    assert sizes() == [0]
    assert sizes(*[1] * 51) == [50, 1]
    assert sizes(50, 50) == [2]
    assert sizes(50, 51) == [1, 1]
    assert sizes(200, 1) == [1, 1]


def test_the_tags_of_a_repository_are_listed_once_for_all():
    class Listing(FakeSwarm):
        lists = 0

        def tags(self, image, login=None):
            self.lists += 1
            return super().tags(image, login)

    swarm = Listing()
    for tag, number in (("1.0.0", 1), ("1.1.0", 2)):
        swarm.push(f"{HOST}/team/web:{tag}", digest(number))
    for name in "abc":
        swarm.create(name, f"{HOST}/team/web:1.0.0@{digest(1)}", labels={"deployer.policy": "minor"})
    services = swarm.services()
    requests = [Request(one.name, trigger="event") for one in services]
    looks = batch.begin(Deployer(swarm, swarm, Rules(), clock=swarm.clock), services, requests)
    assert (all(look.step for look in looks), swarm.lists) == (True, 1)


def test_a_hold_that_comes_while_a_part_is_looked_at_is_seen(swarm, monkeypatch):
    """Of services that a slow registry keeps busy."""
    for name in "bc":
        swarm.create(name, pinned(1))
    now = [0.0]
    monkeypatch.setattr(batch.time, "monotonic", lambda: now[0])
    apply = swarm.apply

    def slow(*args):
        apply(*args)
        now[0] += 1.0
        set_hold(swarm, "c", "stop")

    monkeypatch.setattr(swarm, "apply", slow)
    services = [swarm.service("b"), swarm.service("c")]
    looks = batch.begin(
        Deployer(swarm, swarm, Rules(), clock=swarm.clock), services, [Request(s.name) for s in services]
    )
    assert [bool(look.step) for look in looks] == [True, False]


def test_a_label_that_is_not_understood_is_no_fault_of_a_registry(swarm):
    swarm.create("odd", pinned(1), labels={"deployer.policy": "perhaps"})
    found = survey.survey(Deployer(swarm, swarm, Rules(), clock=swarm.clock))
    assert found.faults == ()


def test_a_service_that_is_turned_off_is_not_behind(swarm):
    swarm.create("off", pinned(1), labels={"deployer.enable": "false"})
    found = survey.survey(Deployer(swarm, swarm, Rules(), clock=swarm.clock))
    assert [one.service for one in found.behind] == ["web"]


def test_of_a_global_service_ten_tasks_are_taken_for_granted():
    swarm = FakeSwarm()
    for number in range(11):
        swarm.create(f"s{number:02}", pinned(1), mode="Global")
    assert [len(part) for part in batch.parts(swarm.services())] == [10, 1]


# -- renewal ------------------------------------------------------------------------------------------


class Ecr(FakeSwarm):
    def credentials(self, image, login=None):
        return Credentials("AWS", "token", image.host)


@pytest.mark.parametrize(("failed", "previous"), [(False, pinned(1)), (True, None)])
def test_a_renewal_keeps_the_way_back_but_not_to_what_failed(failed, previous):
    swarm = Ecr()
    swarm.push(WEB, digest(2))
    swarm.create("web", pinned(1))
    swarm.edit("web", Image=pinned(2))
    swarm.settle()
    if failed:
        Deployer(swarm, swarm, Rules(), clock=swarm.clock).remember_failure(read(swarm), digest(1), "bad")
        for task in list(swarm.engine.cluster.tasks["id-web"].values())[:-1]:
            del swarm.engine.cluster.tasks["id-web"][task.id]
    swarm.now += timedelta(hours=7)
    assert renewal.refresh(Deployer(swarm, swarm, Rules(), clock=swarm.clock), timedelta(hours=6)) == ["web"]
    assert swarm.service("web").state.previous == previous


def test_a_renewal_does_not_take_a_change_of_something_else_for_a_way_back():
    swarm = Ecr()
    swarm.push(WEB, digest(1))
    swarm.create("web", pinned(1))
    swarm.edit("web", Env=["A=1"])
    swarm.settle()
    swarm.now += timedelta(hours=7)
    assert renewal.refresh(Deployer(swarm, swarm, Rules(), clock=swarm.clock), timedelta(hours=6)) == ["web"]
    assert swarm.service("web").state.previous is None


# -- the ledger's texts -------------------------------------------------------------------------------


def test_a_hundred_failures_keep_their_reasons_and_the_oldest_does_not():
    text = failures.encode(Failure(digest(n), reason=f"reason {n}") for n in range(101))
    told = [failure.reason for failure in failures.decode(text).values()]
    assert told == [*(f"reason {n}" for n in range(100)), ""]


def test_a_hold_says_what_is_known_and_nothing_else():
    assert json.loads(holds.encode(Hold("audit", by="ann"))) == {"reason": "audit", "by": "ann"}


def test_an_empty_hold_is_not_told():
    assert (
        contents(Ledger({"deployer.hold.web": "", "deployer.hold.api": "audit"})) == "a hold of api (audit)"
    )


def test_a_reading_that_comes_late_is_no_loss():
    """Two threads read; the older answer arrives last."""
    lost = []
    kept = Ledger({"deployer.freeze": "x"}, "id", 1)
    answers = [kept, Ledger(), kept]
    store = WatchedStore(SimpleNamespace(ledger=lambda: answers.pop(0)), lambda: lost.append(1))
    assert [store.ledger(), store.ledger()] == [kept, kept]
    assert lost == []
