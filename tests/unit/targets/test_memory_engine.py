"""The Swarm in memory behaves as swarmkit does where a deployer can see it."""

import pytest

from deployer.errors import NotFoundError, PermanentError, StaleVersionError
from deployer.targets.swarm.memory import SECOND, MemoryEngine, Operator, service_spec

WEB = "registry.example.com/web:latest"
OLD, NEW, BAD = (f"sha256:{letter * 64}" for letter in "abc")


@pytest.fixture
def engine():
    engine = MemoryEngine()
    engine.images.crashing.add(BAD)
    return engine


@pytest.fixture
def operator(engine):
    return Operator(engine)


def create(engine, **options):
    engine.create_service(service_spec("web", f"{WEB}@{OLD}", **options), running=True)
    engine.timeline.advance(1)


def state(engine):
    return (engine.service("web").get("UpdateStatus") or {}).get("State")


def image(engine):
    return engine.service("web")["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"].partition("@")[2]


def running(engine):
    tasks = engine.tasks([engine.service("web")["ID"]])
    return [
        task["Spec"]["ContainerSpec"]["Image"].partition("@")[2]
        for task in tasks
        if task["Status"]["State"] == "running" and task["DesiredState"] == "running"
    ]


def test_an_update_replaces_slot_after_slot_and_says_when_it_is_done(engine, operator):
    create(engine, replicas=2)
    operator.update("web", image=f"{WEB}@{NEW}")
    assert state(engine) is None
    engine.timeline.advance(1)
    assert state(engine) == "updating"
    assert running(engine) == [NEW]
    engine.timeline.advance(2)
    assert (state(engine), running(engine)) == ("updating", [NEW, NEW])
    engine.timeline.advance(6)
    assert state(engine) == "completed"


def test_start_first_keeps_the_old_task_until_the_new_one_runs(engine, operator):
    create(engine, update={"Order": "start-first"})
    operator.update("web", image=f"{WEB}@{NEW}")
    engine.timeline.advance(0.4)
    assert running(engine) == [OLD]
    engine.timeline.advance(2)
    assert running(engine) == [NEW]


@pytest.mark.parametrize("change", [{"labels": {"a": "b"}}, {"replicas": 2}])
def test_a_change_beside_the_template_restarts_nothing_but_clears_the_status(engine, operator, change):
    create(engine)
    operator.update("web", image=f"{WEB}@{NEW}")
    engine.timeline.advance(10)
    before = engine.tasks(["id-web"])
    operator.update("web", **change)
    engine.timeline.advance(10)
    assert state(engine) is None
    assert set(running(engine)) == {NEW}
    assert [task["ID"] for task in before] == [
        task["ID"] for task in engine.tasks(["id-web"]) if task.get("Slot") == 1
    ]
    previous = engine.service("web")["PreviousSpec"]
    assert previous["TaskTemplate"]["ContainerSpec"]["Image"] == f"{WEB}@{NEW}"


def test_a_failing_update_pauses_and_the_task_goes_on_crashing(engine, operator):
    create(engine, replicas=3)
    operator.update("web", image=f"{WEB}@{BAD}")
    engine.timeline.advance(2)
    assert (state(engine), running(engine)) == ("paused", [OLD, OLD])
    engine.timeline.advance(60)
    assert state(engine) == "paused"
    failed = [task for task in engine.tasks(["id-web"]) if task["Status"]["State"] == "failed"]
    assert len(failed) == 4  # five are kept for the slot; one waits for its start
    assert image(engine) == BAD


def test_a_failing_update_rolls_back_and_leaves_no_former_spec(engine, operator):
    create(engine, replicas=2, update={"FailureAction": "rollback"})
    operator.update("web", image=f"{WEB}@{BAD}")
    engine.timeline.advance(2)
    assert state(engine) == "rollback_started"
    assert "PreviousSpec" not in engine.service("web")
    engine.timeline.advance(20)
    assert (state(engine), image(engine), running(engine)) == ("rollback_completed", OLD, [OLD, OLD])


def test_a_failing_update_goes_on_where_it_may(engine, operator):
    create(engine, replicas=2, update={"FailureAction": "continue"})
    operator.update("web", image=f"{WEB}@{BAD}")
    engine.timeline.advance(20)
    assert (state(engine), running(engine)) == ("completed", [])


def test_some_may_fail(engine, operator):
    create(engine, replicas=2, update={"MaxFailureRatio": 0.5})
    operator.update("web", env={"CRASH": "1"})
    engine.timeline.advance(1.5)
    assert state(engine) == "updating"
    engine.timeline.advance(5)
    assert state(engine) == "paused"


def test_a_task_that_fails_after_the_monitor_pauses_nothing(engine, operator):
    create(engine, update={"Monitor": SECOND})
    operator.update("web", env={"CRASH": "3"})
    engine.timeline.advance(10)
    assert state(engine) == "completed"


def test_an_operators_rollback_swaps_the_specs(engine, operator):
    create(engine)
    operator.update("web", image=f"{WEB}@{NEW}", labels={"a": "b"})
    engine.timeline.advance(10)
    operator.roll_back("web")
    service = engine.service("web")
    assert service["UpdateStatus"]["State"] == "rollback_started"
    assert service["UpdateStatus"]["Message"] == "manually requested rollback"
    assert service["PreviousSpec"]["Labels"] == {"a": "b"}
    assert (image(engine), service["Spec"]["Labels"]) == (OLD, {})
    engine.timeline.advance(10)
    assert (state(engine), running(engine)) == ("rollback_completed", [OLD])


def test_the_same_spec_written_twice_hides_the_update(engine, operator):
    create(engine)
    operator.update("web", image=f"{WEB}@{NEW}")
    engine.timeline.advance(0.5)
    operator.update("web", image=f"{WEB}@{NEW}")
    engine.timeline.advance(10)
    assert (state(engine), running(engine)) == (None, [NEW])


def test_a_stale_version_is_refused(engine):
    create(engine)
    read = engine.service("web")
    engine.update_service(read["ID"], read["Version"]["Index"], read["Spec"], None)
    with pytest.raises(StaleVersionError):
        engine.update_service(read["ID"], read["Version"]["Index"], read["Spec"], None)
    with pytest.raises(PermanentError):
        engine.create_service(read["Spec"])


def test_what_is_read_is_a_copy(engine):
    create(engine)
    engine.service("web")["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"] = "other"
    assert image(engine) == OLD


def test_a_stack_file_is_the_operators_word(engine, operator):
    engine.digests[WEB] = OLD
    file = service_spec("web", WEB)
    operator.deploy_stack(file)
    operator.update("web", image=f"{WEB}@{NEW}", labels={"deployer.state.task": "1"})
    engine.digests[WEB] = BAD
    operator.deploy_stack(file, "changed")
    assert (image(engine), "deployer.state.task" in engine.service("web")["Spec"]["Labels"]) == (NEW, False)
    operator.deploy_stack(file)
    assert image(engine) == BAD


def test_tasks_of_a_lost_node_move_and_those_without_a_node_wait(engine):
    create(engine)
    engine.set_node("node-1", up=False)
    engine.timeline.advance(10)
    pending = [task for task in engine.tasks(["id-web"]) if task["Status"]["State"] == "pending"]
    assert pending[0]["Status"]["Err"] == "no suitable node (1 node not available for new tasks)"
    engine.add_node("node-2")
    engine.timeline.advance(10)
    assert [task["NodeID"] for task in engine.tasks(["id-web"]) if task["DesiredState"] == "running"] == [
        "node-2"
    ]


def test_a_drained_node_gives_its_tasks_away_and_a_global_service_follows_the_nodes(engine):
    engine.add_node("node-2")
    create(engine, mode="Global")
    assert len(running(engine)) == 2
    engine.set_node("node-2", availability="drain")
    engine.timeline.advance(5)
    assert len(running(engine)) == 1
    engine.set_node("node-2", availability="active")
    engine.timeline.advance(5)
    assert len(running(engine)) == 2


def test_a_restart_condition_ends_a_service(engine, operator):
    create(engine, restart={"Condition": "on-failure", "MaxAttempts": 2, "Delay": 0})
    operator.update("web", env={"CRASH": "0"}, update={"FailureAction": "continue"})
    engine.timeline.advance(60)
    tasks = engine.tasks(["id-web"])
    assert sum(task["Status"]["State"] == "failed" for task in tasks) == 3
    assert not [task for task in tasks if task["DesiredState"] in {"running", "ready"}]


def test_any_write_runs_a_job_again(engine, operator):
    create(engine, mode="ReplicatedJob")
    operator.update("web", labels={"a": "b"})
    engine.timeline.advance(0.5)
    assert engine.service("web")["JobStatus"]["JobIteration"]["Index"] == 1
    engine.timeline.advance(5)
    states = {t["JobIteration"].get("Index", 0): t["Status"]["State"] for t in engine.tasks(["id-web"])}
    assert states == {0: "complete", 1: "complete"}


def test_the_history_is_as_short_as_the_limit_says(engine, operator):
    engine.cluster.history_limit = 1
    create(engine)
    for _ in range(3):
        operator.update("web", force=True)
        engine.timeline.advance(10)
    assert len(engine.tasks(["id-web"])) == 1


def test_a_digest_that_the_registry_lost_runs_where_a_node_has_it(engine, operator):
    create(engine)
    engine.images.lost.add(OLD)
    operator.update("web", force=True)
    engine.timeline.advance(10)
    assert running(engine) == [OLD]
    engine.images.lost.add(NEW)
    operator.update("web", image=f"{WEB}@{NEW}")
    engine.timeline.advance(10)
    assert state(engine) == "paused"
    with pytest.raises(NotFoundError):
        engine.distribution(f"{WEB}@{NEW}", None)


def test_the_leaders_clock_stamps_what_the_managers_write(engine, operator):
    create(engine)
    engine.cluster.leader_skew = 300
    operator.update("web", force=True)
    engine.timeline.advance(1)
    assert engine.service("web")["UpdatedAt"].startswith("2026-01-01T00:05:0")
    newest = engine.tasks(["id-web"])[-1]
    assert newest["UpdatedAt"].startswith("2026-01-01T00:05:0")
    assert newest["Status"]["Timestamp"].startswith("2026-01-01T00:00:0")


def test_a_service_of_a_removed_ones_name_is_another(engine):
    create(engine)
    engine.remove_service("web")
    create(engine)
    assert [service["ID"] for service in engine.services()] == ["id-web-2"]


def test_a_config_is_written_over_the_version_that_was_read(engine):
    engine.create_config({"Name": "ledger", "Labels": {}})
    with pytest.raises(StaleVersionError):
        engine.create_config({"Name": "ledger", "Labels": {}})
    read = engine.config("ledger")
    spec = {"Name": "ledger", "Labels": {"a": "b"}}
    engine.update_config(read["ID"], read["Version"]["Index"], spec)
    with pytest.raises(StaleVersionError):
        engine.update_config(read["ID"], read["Version"]["Index"], spec)
    engine.remove_config("ledger")
    assert engine.config("ledger") is None
