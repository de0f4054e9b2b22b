"""Faults that were proved by trying, each named by its number; none may come back."""

from datetime import timedelta

import pytest
from world import REPOSITORY, WEB, World, digest

from deployer.model.deployment import Again, Outcome, Report, Request
from deployer.reports import doctor
from deployer.rollouts import ledger
from deployer.rollouts.fleet import renewal
from deployer.rollouts.ledger import Failure
from deployer.rollouts.ledger.slots import SLOT

HELD = {"deployer.hold": "audit"}


@pytest.fixture
def world():
    world = World()
    world.push(1)
    world.create(replicas=3)
    return world


def roll_out(world, n, **options):
    world.push(n, **options)
    return world.deploy(f"t{n}")


def operators_update_pauses(world):
    """An env change of an operator whose tasks crash: the engine pauses it."""
    world.operator.update("web", env={"CRASH": "0"})
    world.wait(60)
    assert world.status() == "paused"


# -- 1 ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["event", "reconcile", "release", "manual"])
def test_fault_1_an_operators_paused_update_is_not_taken_back(world, by):
    assert roll_out(world, 2).outcome is Outcome.UPDATED
    operators_update_pauses(world)
    writes = len(world.writes)
    assert world.deploy("again", trigger=by).outcome is Outcome.UNCHANGED
    assert world.deploy("t2", trigger="event").outcome is Outcome.SUPERSEDED  # its own event, once more
    assert (world.n(), len(world.writes), world.status()) == (2, writes, "paused")
    assert digest(2) not in world.ledger().failures("web")


@pytest.mark.parametrize("hold", ["hold", "freeze", "label"])
def test_fault_1_a_held_service_is_not_written_to(world, hold):
    roll_out(world, 2)
    operators_update_pauses(world)
    if hold == "hold":
        ledger.set_hold(world, "web", "audit")
    elif hold == "freeze":
        ledger.set_freeze(world, "audit")
    else:
        world.operator.update("web", labels=HELD)
        operators_update_pauses(world)
    writes = len(world.writes)
    assert roll_out(world, 3).outcome is Outcome.HELD
    assert (world.n(), len(world.writes)) == (2, writes)


def test_fault_1_a_hold_that_comes_in_mid_roll_out_is_a_hold(world):
    world.push(2, crashing=True)
    world.begin("t2")
    ledger.set_hold(world, "web", "audit")
    report = world.deploy("t2")
    assert (report.outcome, world.n(), world.writes) == (Outcome.FAILED, 2, [2])
    assert "held: audit" in report.reason
    assert digest(2) in world.ledger().failures("web")


# -- 2 ------------------------------------------------------------------------------------------------


def versions(world, lists_digests=True):
    world = World()
    world.lists_digests = lists_digests
    world.push(110, "1.1.0")
    world.create(110, tag="1.1.0", labels={"deployer.policy": "semver:*"}, replicas=2)
    return world


@pytest.mark.parametrize("lists_digests", [True, False])
def test_fault_2_and_28_versions_that_failed_never_come_back_however_many(world, lists_digests):
    world = versions(world, lists_digests)
    broken = list(range(200, 208))
    for n in broken:
        world.push(n, f"2.0.{n - 200}", crashing=True)
        assert world.deploy(f"t{n}").outcome is Outcome.ROLLED_BACK
    world.push(111, "1.1.1")
    assert world.deploy("hotfix").outcome is Outcome.UPDATED
    for _ in range(12):
        world.wait(900)
        assert world.reconcile() == []
    assert world.n() == 111
    assert [n for n in world.writes if n in broken] == broken


def test_fault_2_a_version_that_a_person_rolled_back_stays_away(world):
    world = versions(world)
    world.push(200, "2.0.0")
    world.deploy("t200")
    assert world.deploy("back", trigger="rollback", rollback=True).outcome is Outcome.ROLLED_BACK
    world.push(111, "1.1.1")
    assert world.deploy("hotfix").outcome is Outcome.UPDATED
    assert world.reconcile() == []
    assert (
        world.deploy("forced", trigger="manual", force=True, image=f"{REPOSITORY}:2.0.0").outcome
        is Outcome.UPDATED
    )


# -- 3 ------------------------------------------------------------------------------------------------


def test_fault_3_a_change_that_the_engine_takes_back_leaves_the_roll_out_updated(world):
    world.operator.update("web", update={"FailureAction": "rollback"})
    world.push(2)
    world.begin("t2")
    world.wait(60)
    world.operator.update("web", env={"CRASH": "0"})
    world.wait(120)
    assert world.status() == "rollback_completed"
    report = world.deploy("t2")
    assert (report.outcome, world.n()) == (Outcome.UPDATED, 2)
    assert not world.ledger().failures("web")


# -- 6, 16 -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("then", ["scale", "env", "nothing", "short history"])
def test_fault_6_an_operators_rollback_is_never_undone(world, then):
    roll_out(world, 2)
    world.wait(3600)
    world.operator.roll_back("web")
    world.wait(60)
    if then == "scale":
        world.operator.scale("web", 5)
    elif then == "env":
        world.operator.update("web", env={"A": "1"})
    elif then == "short history":
        world.reconcile()
        for task in list(world.swarm.cluster.tasks[world.swarm.service("web")["ID"]].values()):
            if task.desired == "shutdown":
                del world.swarm.cluster.tasks[world.swarm.service("web")["ID"]][task.id]
        world.operator.scale("web", 4)
    world.wait(60)
    for _ in range(3):
        world.wait(900)
        world.reconcile()
    assert world.deploy("again").outcome is Outcome.HELD
    assert world.n() == 1
    world.push(3)
    assert world.deploy("t3").outcome is Outcome.UPDATED
    world.push(2)
    assert world.deploy("t2 again").outcome is Outcome.HELD


def test_fault_6_the_engines_rollback_whose_deployment_died_is_remembered(world):
    world.operator.update("web", update={"FailureAction": "rollback"})
    world.push(2, crashing=True)
    world.begin("t2")
    world.wait(300)
    assert world.n() == 1
    world.deploy("t2")  # the message comes again
    world.operator.scale("web", 4)
    world.wait(60)
    assert world.reconcile() == []
    assert world.n() == 1


# -- 7 ------------------------------------------------------------------------------------------------


def test_fault_7_a_rollback_of_the_engine_that_gets_stuck_has_an_end_and_gives_its_slot_back():
    world = World(max_rollouts=1)
    world.push(1)
    world.swarm.add_node("node-2")
    world.create(replicas=2, update={"FailureAction": "rollback"})
    world.push(2, crashing=True)
    world.begin("t2")
    world.swarm.set_node("node-1", availability="drain")
    world.swarm.set_node("node-2", availability="drain")
    report = world.deploy("t2")
    assert report.outcome is Outcome.FAILED
    assert report.duration <= 2100
    assert not [key for key in world.ledger().labels if key.startswith(SLOT)]


# -- 9 ------------------------------------------------------------------------------------------------


def test_fault_9_a_stack_deploy_makes_nobody_try_a_failed_digest_again(world):
    world = versions(world)
    world.push(120, "1.2.0")
    world.deploy("t120")
    world.push(200, "2.0.0", crashing=True)
    world.deploy("t200")
    stack = world.spec()
    stack["Labels"] = {"deployer.policy": "semver:*"}
    stack["TaskTemplate"]["ContainerSpec"]["Image"] = f"{REPOSITORY}:1.1.0"
    stack["TaskTemplate"]["ContainerSpec"]["Env"] = ["A=1"]
    world.operator.deploy_stack(stack)
    world.wait(60)
    assert [report.outcome for report in world.reconcile()] == [Outcome.UPDATED]
    assert world.n() == 120
    assert world.writes.count(200) == 1


@pytest.mark.parametrize("resolve", ["changed", "never"])
def test_fault_9_nor_does_one_that_keeps_the_running_image(world, resolve):
    roll_out(world, 2, crashing=True)
    stack = world.spec()
    stack["Labels"] = {"com.docker.stack.image": WEB}
    stack["TaskTemplate"]["ContainerSpec"]["Image"] = WEB if resolve == "changed" else f"{WEB}@{digest(1)}"
    world.operator.update("web", labels={"com.docker.stack.image": WEB})
    world.operator.deploy_stack(stack, resolve)
    world.wait(60)
    assert world.reconcile() == []
    assert (world.n(), world.writes.count(2)) == (1, 1)


# -- 10, 16, 19 --------------------------------------------------------------------------------------


def test_fault_10_a_push_that_replaces_a_rollback_goes_back_one_version_and_not_two(world):
    roll_out(world, 2)
    world.operator.update("web", labels={"deployer.replace": "true"})
    world.push(3, crashing=True)
    world.deploy("t3", until=lambda step: step.watch and step.watch.going_back)
    world.push(4, crashing=True)
    assert world.deploy("t4").outcome is Outcome.ROLLED_BACK
    assert world.n() == 2


def test_fault_16_a_forced_restart_does_not_downgrade(world):
    roll_out(world, 2)
    world.swarm.images.crashing.add(digest(2))  # its database is away
    report = world.deploy("restart", trigger="manual", force=True)
    assert (report.outcome, world.n()) == (Outcome.FAILED, 2)
    assert "restart" in report.reason
    assert not world.ledger().failures("web")


# -- 11 ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "asked", [{"rollback": True, "trigger": "rollback"}, {"force": True, "trigger": "manual"}]
)
def test_fault_11_what_a_person_saw_goes_with_what_they_asked(world, asked):
    roll_out(world, 2)
    roll_out(world, 3)
    report = world.deploy("late", seen=digest(2), **asked)
    assert (report.outcome, world.n()) == (Outcome.SUPERSEDED, 3)
    assert digest(3) in report.reason


# -- 13, 17, 40 --------------------------------------------------------------------------------------


def test_fault_13_and_17_the_way_back_is_taken_where_only_the_nodes_have_the_image(world):
    world.push(2, crashing=True)
    world.begin("t2")
    world.swarm.images.lost.add(digest(1))
    report = world.deploy("t2")
    assert world.n() == 1
    assert report.outcome in {Outcome.ROLLED_BACK, Outcome.FAILED}


def test_fault_13_a_way_back_that_the_registry_refuses_for_a_while_is_tried_again(world, monkeypatch):
    from deployer.errors import AccessDeniedError

    world.push(2, crashing=True)
    world.begin("t2")
    asked = []

    def refuses(image, credentials):
        asked.append(image)
        if len(asked) < 5:
            raise AccessDeniedError("the role is being changed")
        return World.manifest(world, image, credentials)

    monkeypatch.setattr(world, "manifest", refuses)
    assert world.deploy("t2").outcome is Outcome.ROLLED_BACK
    assert world.n() == 1


@pytest.mark.parametrize("demanded", [True, False])
def test_fault_40_a_way_back_that_is_missing_is_known_before(world, demanded, caplog):
    if demanded:
        world.operator.update("web", labels={"deployer.require-way-back": "true"})
    world.swarm.images.lost.add(digest(1))
    report = roll_out(world, 2)
    assert report.outcome is (Outcome.HELD if demanded else Outcome.UPDATED)
    assert "way back" in (report.reason if demanded else caplog.text)


def test_fault_40_doctor_warns_of_a_way_back_that_is_gone(world):
    roll_out(world, 2)
    assert list(doctor.ways_back(world.deployer)) == []
    world.swarm.images.lost.add(digest(1))
    (finding,) = doctor.ways_back(world.deployer)
    assert (finding.check, finding.level) == ("way back of web", "warn")
    assert digest(1) in finding.found


def test_d3_doctor_knows_that_the_service_that_goes_first_is_missing(world):
    world.operator.update("web", labels={"deployer.after": "wep"})
    (finding,) = doctor.labels(world.deployer)
    assert "no such service" in finding.found


# -- 14, 25 ------------------------------------------------------------------------------------------


def test_fault_14_a_crash_loop_that_nobody_watched_is_not_updated(world):
    world.operator.update("web", update={"FailureAction": "continue"})
    world.push(2, crashing=True)
    world.begin("t2")
    world.wait(3600)  # all workers are away
    report = world.deploy("t2")
    assert (report.outcome, world.n()) == (Outcome.ROLLED_BACK, 1)


@pytest.mark.parametrize("remembers", [True, False])
def test_fault_25_a_message_that_comes_again_takes_nothing_back(world, remembers):
    world.swarm.add_node("node-2")
    world.push(2)
    watch = world.begin("t2").watch
    assert world.deploy("t2").outcome is Outcome.UPDATED
    world.wait(5 * 3600)
    world.swarm.set_node("node-1", up=False)
    world.swarm.set_node("node-2", availability="drain")
    world.wait(60)
    writes = len(world.writes)
    step = world.deployer.advance("web", Request("t2", trigger="event"), watch if remembers else None)
    for _ in range(400):
        if isinstance(step, Report):
            break
        world.wait(step.seconds)
        step = world.deployer.advance("web", Request("t2", trigger="event"), step.watch)
    assert (world.n(), len(world.writes)) == (2, writes)


# -- 15 ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("skew", [60.0, 300.0, -300.0])
def test_fault_15_clocks_of_two_workers_that_are_apart_time_nothing_out(skew):
    world = World(rollout_timeout=300)
    world.push(1)
    world.create(replicas=20, update={"Delay": 10_000_000_000})
    workers = [world.worker(), world.worker(skew)]
    world.push(2)
    step = workers[0].advance("web", Request("t2", trigger="event"))
    for look in range(200):
        if isinstance(step, Report):
            break
        world.wait(step.seconds)
        step = workers[look % 2].advance("web", Request("t2", trigger="event"), step.watch)
    assert (step.outcome, world.n()) == (Outcome.UPDATED, 2)


# -- 17 ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["event", "reconcile", "release"])
def test_fault_17_settle_holds_for_every_source(by):
    world = World(settle=600)
    world.push(1)
    world.create()
    world.push(2)
    begun = world.swarm.timeline.seconds
    world.deploy("t2", trigger=by, until=lambda step: step.watch)
    assert world.swarm.timeline.seconds - begun >= 600


# -- 18 ----------------------------------------------------------------------------------------------


def test_fault_18_a_global_service_whose_tasks_end_is_not_updated():
    world = World(rollout_timeout=60)
    world.push(1)
    world.swarm.add_node("node-2")
    world.create(mode="Global", restart={"Condition": "none"}, update={"FailureAction": "continue"})
    world.push(2, crashing=True)
    report = world.deploy("t2")
    assert report.outcome is not Outcome.UPDATED


# -- 27 ----------------------------------------------------------------------------------------------


def test_fault_27_after_a_service_of_another_tag_of_the_repository(world):
    world.push(9, "stable")
    world.create(9, "first", tag="stable")
    world.operator.update("web", labels={"deployer.after": "first"})
    world.wait(30)
    assert roll_out(world, 2).outcome is Outcome.UPDATED


# -- 32 ----------------------------------------------------------------------------------------------


def test_fault_32_a_report_tells_what_runs(world):
    world.push(2)
    watch = world.begin("t2").watch
    roll_out(world, 3)
    step = world.deployer.advance("web", Request("t2", trigger="event"), watch)
    assert not isinstance(step, Again)
    assert step.outcome is Outcome.SUPERSEDED
    assert step.runs == f"{WEB}@{digest(3)}"


# -- FIRST_DAY D6 -----------------------------------------------------------------------------------


def test_d6_a_rollback_that_a_waiting_push_runs_over_says_what_came(world):
    roll_out(world, 2)
    watch = world.begin("back", trigger="rollback", rollback=True).watch
    world.wait(60)
    world.push(3)
    world.deploy("t3", event="34e6da5c")
    step = world.deployer.advance("web", Request("back", trigger="rollback", rollback=True), watch)
    assert step.outcome is Outcome.SUPERSEDED
    assert "34e6da5c" in step.reason


def test_d6_a_stack_deploy_of_the_same_file_in_mid_roll_out_is_followed_to_its_end(world):
    world.operator.update("web", labels={"com.docker.stack.image": WEB})
    world.wait(30)
    world.push(2)
    watch = world.begin("t2").watch
    stack = world.spec()
    stack["Labels"] = {}
    stack["TaskTemplate"]["ContainerSpec"]["Image"] = WEB
    world.operator.deploy_stack(stack)
    step = world.deployer.advance("web", Request("t2", trigger="event"), watch)
    while isinstance(step, Again):
        world.wait(step.seconds)
        step = world.deployer.advance("web", Request("t2", trigger="event"), step.watch)
    assert step.outcome is Outcome.SUPERSEDED
    assert "3/3 running" in step.reason


# -- found by the simulation -------------------------------------------------------------------------


def test_an_image_that_an_operator_set_by_hand_stands_also_where_nothing_was_deployed_before(world):
    world.push(2)
    world.operator.update("web", image=WEB)  # while the tag meant 2
    world.wait(60)
    world.push(1)
    assert world.reconcile() == []
    assert world.n() == 2
    assert world.deploy("back", trigger="rollback", rollback=True).outcome is Outcome.ROLLED_BACK
    assert world.n() == 1


@pytest.mark.parametrize("then", ["env", "scale", "another image", "stack deploy"])
def test_an_image_that_an_operator_set_by_hand_stands_whatever_they_write_after_it(world, then):
    """Nothing was deployed before, and PreviousSpec tells of the last write only: the tasks know."""
    stack = world.spec()
    stack["TaskTemplate"]["ContainerSpec"]["Image"] = WEB
    world.operator.deploy_stack(stack)
    world.operator.update("web", image=f"{WEB}@{digest(2)}")
    world.wait(60)
    {
        "env": lambda: world.operator.update("web", env={"A": "1"}),
        "scale": lambda: world.operator.scale("web", 2),
        "another image": lambda: world.operator.update("web", image=f"{WEB}@{digest(3)}"),
        "stack deploy": lambda: world.operator.deploy_stack(stack, "changed"),
    }[then]()
    world.wait(60)
    runs = world.n()
    assert world.reconcile() == []
    for number in range(9):  # and what has been seen once is known when the tasks are gone
        world.operator.update("web", env={"A": str(number)})
        world.wait(60)
    assert world.reconcile() == []
    assert world.n() == runs
    world.push(4)
    assert [report.outcome for report in world.reconcile()] == [Outcome.UPDATED]


@pytest.mark.parametrize("replicas", [1, 3])
def test_a_rollback_by_hand_is_known_also_after_an_image_by_hand_a_second_later(world, replicas):
    world.operator.scale("web", replicas)
    world.wait(60)
    world.push(2)
    assert world.deploy("t2").outcome is Outcome.UPDATED
    world.operator.roll_back("web")
    world.wait(1)
    world.operator.update("web", image=f"{WEB}@{digest(7)}")
    world.wait(60)
    assert world.reconcile() == []
    assert world.n() == 7


@pytest.mark.parametrize("task", ["t2", "another"])
def test_a_failed_image_that_an_operator_puts_back_is_theirs_also_after_they_have_scaled(world, task):
    """Their rollback brings our labels of then back, and the scaling wipes out that it was a rollback."""
    world.push(2, crashing=True)
    assert world.deploy("t2").outcome is Outcome.ROLLED_BACK
    world.wait(3600)
    world.operator.roll_back("web")
    world.wait(5)
    world.operator.scale("web", 2)
    world.wait(60)
    assert (world.n(), world.status()) == (2, "paused")
    world.deploy(task, trigger="release")
    assert world.n() == 2
    world.push(3)
    assert world.deploy("t3").outcome is Outcome.UPDATED


@pytest.mark.parametrize("dies", [True, False])
def test_what_the_engine_took_back_is_known_without_a_task_history(world, dies):
    """Nothing of the Swarm tells of the digest on trial, and the message comes after the rollback."""
    world.swarm.cluster.history_limit = 1
    spec = world.spec()
    spec["UpdateConfig"] = {"FailureAction": "rollback"}
    read = world.swarm.service("web")
    world.swarm.update_service(read["ID"], read["Version"]["Index"], spec, None)
    world.push(2, crashing=True)
    world.begin("t2")
    world.wait(120)
    assert (world.n(), world.status()) == (1, "rollback_completed")
    if dies:
        assert world.deploy("t2").outcome is Outcome.HELD
    world.operator.scale("web", 2)
    world.wait(600)
    assert world.reconcile() == []
    assert world.writes.count(2) == 1
    world.push(3)
    assert world.deploy("t3").outcome is Outcome.UPDATED


@pytest.mark.parametrize("then", ["image", "scale", "stack deploy"])
def test_a_rollback_by_hand_of_a_service_without_replicas_is_known(world, then):
    world.operator.scale("web", 0)
    world.wait(60)
    stack = world.spec()
    stack["TaskTemplate"]["ContainerSpec"]["Image"] = WEB
    world.push(2)
    assert world.deploy("t2").outcome is Outcome.UPDATED
    if then == "stack deploy":
        world.operator.deploy_stack(stack)  # the file says where to start anew, and means 2
        assert world.reconcile() == []
        world.push(3)
        assert [report.outcome for report in world.reconcile()] == [Outcome.UPDATED]
        return
    world.operator.roll_back("web")
    world.wait(1)
    if then == "image":
        world.operator.update("web", image=f"{WEB}@{digest(7)}")
    else:
        world.operator.scale("web", 1)
    world.wait(60)
    assert world.reconcile() == []
    assert world.n() == (7 if then == "image" else 1)


def test_a_version_that_was_left_by_hand_stays_away_after_a_newer_one_has_failed(world):
    world.push(1, tag="1.0.0")
    world.create(1, name="ver", tag="1.0.0", labels={"deployer.policy": "semver:*"})
    world.operator.update("ver", image=f"{REPOSITORY}:1.0.0@{digest(5)}")
    world.wait(60)
    world.operator.update("ver", env={"A": "1"})
    world.push(2, tag="1.1.0", crashing=True)
    world.deploy("t2", "ver")
    assert world.n("ver") == 5
    assert world.reconcile() == []
    assert world.n("ver") == 5


def test_an_image_left_for_a_newer_one_that_had_failed_stays_away_after_a_stack_deploy(world):
    """The service is up to date all the while, so that nothing but the rollback asks for a closer look."""
    world.create(1, name="ver", tag="1.0.0", labels={"deployer.policy": "semver:*"})
    stack = world.spec("ver")
    stack["TaskTemplate"]["ContainerSpec"]["Image"] = f"{REPOSITORY}:1.0.0"
    world.push(3, tag="2.2.3")
    assert world.deploy("t3", "ver").outcome is Outcome.UPDATED
    world.push(4, tag="2.3.9", crashing=True)
    assert world.deploy("t4", "ver").outcome is Outcome.ROLLED_BACK
    world.wait(3600)
    world.operator.roll_back("ver")
    assert world.n("ver") == 4
    world.wait(900)
    assert world.reconcile() == []
    world.operator.deploy_stack(stack, "never")
    world.wait(900)
    assert [report.outcome for report in world.reconcile() if report.outcome is Outcome.UPDATED] == []


@pytest.mark.parametrize("together", [True, False])
def test_a_write_between_the_reading_of_a_service_and_of_its_tasks_is_no_rollback(world, together):
    """Else the newest image would count as one that somebody went back from, for good."""
    world.push(5)
    assert world.deploy("t5").outcome is Outcome.UPDATED
    world.wait(100)
    world.push(2)
    tasks, written = world.swarm.tasks, []

    def another_worker_writes(service_ids):
        if not written:
            written.append("t2")
            world.begin("t2")
            world.wait(1)
        return tasks(service_ids)

    world.swarm.tasks = another_worker_writes
    services = [world.service("web")]
    now = world.deployer.clock()
    snapshot = world.read_all(services, now)[0] if together else world.read("web", now)
    assert written
    assert (snapshot.left, snapshot.moved) == (None, {})
    assert world.deploy("late").outcome is Outcome.UNCHANGED
    assert not [key for key in world.ledger().labels if key.startswith("deployer.failed.")]


def test_a_write_that_was_refused_is_no_trial(world):
    world.operator.scale("web", 0)
    world.wait(60)
    world.push(2)
    apply, refused = world.apply, []

    def once(service, change, credentials):
        if not refused:
            refused.append(service)
            world.operator.update("web", env={"A": "1"})
        apply(service, change, credentials)

    world.apply = once
    assert world.deploy("t2").outcome is Outcome.UPDATED
    assert world.n() == 2
    assert refused


def test_a_message_that_comes_after_the_way_back_names_the_image_that_failed(world):
    world.push(2, crashing=True)
    first = world.deploy("t2")
    world.wait(3600)
    again = world.deploy("t2")
    assert (first.outcome, again.outcome) == (Outcome.ROLLED_BACK, Outcome.ROLLED_BACK)
    assert digest(2) in first.image
    assert digest(2) in again.image


def test_a_service_that_waits_for_one_that_failed_is_not_asked_for_at_each_look():
    world = World(settle=60)
    world.push(1)
    world.create()
    world.create(name="api", labels={"deployer.after": "web"})
    world.push(2, crashing=True)
    assert world.deploy("t2").outcome is Outcome.ROLLED_BACK
    assert world.reconcile() == []


def test_fault_6_a_rollback_by_hand_of_a_held_service_is_remembered_by_the_periodic_look(world):
    roll_out(world, 2)
    ledger.set_hold(world, "web", "audit")
    world.operator.roll_back("web")
    world.wait(60)
    assert world.reconcile() == []
    assert list(world.ledger().failures("web")) == [digest(2)]
    world.operator.scale("web", 4)
    world.wait(60)
    ledger.set_hold(world, "web", None)
    assert [report.outcome for report in world.reconcile()] == []
    assert world.n() == 1


def test_fault_6_a_rollback_by_hand_outlives_a_renewal_after_many_failures(world):
    before = {digest(n): Failure(digest(n), None, "crashed", None) for n in range(10, 20)}
    ledger.remember(world, {"web": before})
    roll_out(world, 2)
    world.operator.roll_back("web")
    world.wait(60)
    assert renewal.refresh(world.deployer, timedelta(0)) == ["web"]
    assert set(world.ledger().failures("web")) == {digest(2), *before}
    world.operator.scale("web", 4)
    world.wait(60)
    assert world.reconcile() == []
    assert world.n() == 1


def test_a_slot_is_given_back_where_the_engine_took_back_all_that_told_of_the_write():
    world = World(max_rollouts=1)
    world.push(1)
    world.create(update={"FailureAction": "rollback"})
    world.push(2, crashing=True)
    world.begin("t2")  # its worker dies before it sends the message of the next look
    world.wait(300)
    assert world.deploy("t2").outcome is Outcome.HELD
    assert not [key for key in world.ledger().labels if key.startswith(SLOT)]


def test_who_waits_for_a_service_that_failed_and_was_left_as_it_is_waits_no_longer(world):
    """The simulation's seed 110: its failure stands in the ledger alone."""
    world.create(name="api", labels={"deployer.after": "web"})
    world.operator.update("web", labels={"deployer.rollback": "false"})
    world.push(2, crashing=True)
    assert world.deploy("t2").outcome is Outcome.FAILED
    assert world.deploy("t2-api", "api").outcome is Outcome.HELD
