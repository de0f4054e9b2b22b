"""When has a roll-out ended, and how? Tables of what the engine says and what it means."""

from datetime import UTC, datetime, timedelta

import pytest

from deployer.model.snapshot import MOVED, Phase
from deployer.targets.swarm.history import WENT_BACK
from deployer.targets.swarm.progress import assess, snapshot_of
from deployer.targets.swarm.service import read_service

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
NEW, OLD = "repo/web:latest@sha256:" + "2" * 64, "repo/web:latest@sha256:" + "1" * 64
REPLICATED = {"Replicated": {"Replicas": 2}}


def service(state=None, mode=None, message="", job_index=None):
    raw = {
        "ID": "abc",
        "Version": {"Index": 1},
        "Spec": {
            "Name": "web",
            "TaskTemplate": {"ContainerSpec": {"Image": NEW}},
            "Mode": mode or REPLICATED,
        },
    }
    if state:
        raw["UpdateStatus"] = {"State": state, "Message": message}
    if job_index is not None:
        raw["JobStatus"] = {"JobIteration": {"Index": job_index}}
    return read_service(raw)


def task(state, image=NEW, slot=1, desired=None, age=60, err="", force=0, job_index=None):
    stamp = (NOW - timedelta(seconds=age)).isoformat().replace("+00:00", "Z")
    made = {
        "ID": f"{slot}{state}{age}{image[-1]}",
        "Slot": slot,
        "CreatedAt": stamp,
        "Spec": {"ContainerSpec": {"Image": image}, "ForceUpdate": force},
        "DesiredState": desired or ("running" if state in {"running", "starting", "pending"} else "shutdown"),
        "Status": {"State": state, "Timestamp": stamp, "Err": err},
    }
    if job_index is not None:
        made["JobIteration"] = {"Index": job_index}
    return made


UP = [task("running", slot=1), task("running", slot=2)]


@pytest.mark.parametrize(
    ("state", "tasks", "phase", "ready"),
    [
        pytest.param("completed", UP, Phase.CONVERGED, 2, id="completed"),
        pytest.param(None, UP, Phase.CONVERGED, 2, id="no status, all up"),
        pytest.param("updating", UP, Phase.ROLLING, 2, id="engine still monitors"),
        pytest.param(None, [task("running", OLD), task("running", OLD, 2)], Phase.ROLLING, 0, id="not begun"),
        pytest.param(
            "completed", [*UP, task("running", OLD, 2)], Phase.ROLLING, 2, id="old task left (start-first)"
        ),
        pytest.param("completed", [task("running")], Phase.ROLLING, 1, id="one missing"),
        pytest.param(
            "completed", [task("running"), task("starting", slot=2)], Phase.ROLLING, 1, id="one starts"
        ),
        pytest.param(
            "completed",
            [task("running"), task("running", slot=2, age=2), task("failed", slot=2, age=5)],
            Phase.ROLLING,
            2,
            id="crash loop caught while up",
        ),
        pytest.param(
            "completed",
            [*UP, task("failed", slot=2, age=90)],
            Phase.CONVERGED,
            2,
            id="failed once, steady since",
        ),
        pytest.param("paused", [task("failed", err="boom")], Phase.PAUSED, 0, id="paused"),
        pytest.param("rollback_started", UP, Phase.ROLLING, 2, id="engine rolls back"),
        pytest.param("rollback_completed", UP, Phase.REVERTED, 2, id="engine rolled back"),
        pytest.param("rollback_paused", UP, Phase.PAUSED, 2, id="engine's rollback failed"),
        pytest.param(
            "completed", [task("running", force=1), UP[1]], Phase.ROLLING, 1, id="other restart counter"
        ),
    ],
)
def test_replicated(state, tasks, phase, ready):
    progress = assess(service(state), tasks, NOW)
    assert (progress.phase, progress.ready, progress.desired) == (phase, ready, 2)


def test_zero_replicas_have_converged():
    progress = assess(service(mode={"Replicated": {"Replicas": 0}}), [], NOW)
    assert (progress.phase, progress.desired) == (Phase.CONVERGED, 0)


def test_a_global_service_wants_a_task_where_the_engine_wants_one():
    down = {**task("running", slot=0, desired="shutdown"), "NodeID": "c"}
    up = [{**task("running", slot=0, age=age), "NodeID": node} for node, age in (("a", 60), ("b", 61))]
    one_node_down = [*up, down]
    progress = assess(service("completed", mode={"Global": {}}), one_node_down, NOW)
    assert (progress.phase, progress.ready, progress.desired) == (Phase.CONVERGED, 2, 2)


@pytest.mark.parametrize(
    ("tasks", "phase"),
    [
        ([task("complete", job_index=2), task("complete", slot=2, job_index=2)], Phase.CONVERGED),
        ([task("complete", job_index=2), task("running", slot=2, job_index=2)], Phase.ROLLING),
        ([task("complete", job_index=1), task("complete", slot=2, job_index=1)], Phase.ROLLING),
        ([], Phase.ROLLING),
    ],
    ids=["done", "runs", "former run", "not begun"],
)
def test_a_job_has_converged_when_this_run_completed(tasks, phase):
    mode = {"ReplicatedJob": {"TotalCompletions": 2, "MaxConcurrent": 2}}
    assert assess(service(mode=mode, job_index=2), tasks, NOW).phase is phase


def test_the_reason_is_that_of_the_newest_failing_task():
    tasks = [
        task("failed", slot=1, age=50, err="first"),
        task("rejected", slot=2, age=10, err="No such image: x"),
    ]
    assert assess(service("paused"), tasks, NOW).reason == "web.2: No such image: x"


def test_a_task_that_finds_no_node_gives_the_reason():
    tasks = [task("pending", err="no suitable node (2 nodes not available for new tasks)")]
    assert "no suitable node" in assess(service("updating"), tasks, NOW).reason


def test_after_the_engines_rollback_the_reason_is_that_of_what_it_left():
    tasks = [*UP, task("failed", OLD, err="task: non-zero exit (3)")]
    assert assess(service("rollback_completed"), tasks, NOW).reason == "web.1: task: non-zero exit (3)"


def test_history_names_images_newest_first_without_those_that_only_failed():
    tasks = [ended(OLD, age=90), task("running", age=10), task("failed", "repo/web:bad", age=50)]
    assert snapshot_of(service(), tasks, NOW).former_images == (NEW, OLD)


def ended(image, container="84072afa", **more):
    """A task that was stopped, as the engine shows it; without a container, it had never run."""
    made = task("shutdown", image, **more)
    made["Status"]["ContainerStatus"] = {"ContainerID": container, "PID": 0, "ExitCode": 0}
    return made


@pytest.mark.parametrize(
    "never_ran",
    [
        *(task(state, OLD) for state in ("new", "pending", "assigned", "preparing", "ready", "rejected")),
        ended(OLD, container=""),  # told to stop while it pulled its image
        task("shutdown", OLD),  # told to stop before it had a node
    ],
    ids=lambda task: task["Status"]["State"],
)
def test_an_image_that_never_ran_is_no_way_back(never_ran):
    assert snapshot_of(service(), [*UP, never_ran], NOW).former_images == (NEW,)


A, B, C = (f"repo/web:latest@sha256:{digit * 64}" for digit in "abc")


def labelled(image, written_ago):
    """A service that runs what we did not write last; we wrote an image so many seconds ago."""
    raw = dict(service().native)
    at = (NOW - timedelta(seconds=written_ago)).isoformat()
    raw["Spec"] = raw["Spec"] | {
        "Labels": {"deployer.state.image": image, "deployer.state.task": "t", "deployer.state.at": at}
    }
    return read_service(raw)


def test_every_image_that_people_left_between_two_looks_is_known_by_its_tasks():
    never_ours = [ended(A, age=900), ended(B, age=800), task("failed", C, age=700), *UP]
    moved = snapshot_of(service(), never_ours, NOW).moved
    assert moved == {A[-71:]: MOVED, B[-71:]: MOVED, C[-71:]: WENT_BACK}
    ours = [ended(B, age=9000), ended(A, age=5000), ended(C, age=700), *UP]
    moved = snapshot_of(labelled(A, written_ago=5001), ours, NOW).moved
    assert moved == {C[-71:]: MOVED}, "what ran before our own write is none of it"


@pytest.mark.parametrize("ahead", [timedelta(minutes=20), timedelta(minutes=-20)])
def test_how_long_a_task_has_been_up_is_told_by_the_managers_clock(ahead):
    up = {"Timestamp": (NOW + ahead).isoformat(), "State": "running"}
    spec = {"ContainerSpec": {"Image": NEW}}
    crashed = {
        "ID": "a",
        "Spec": spec,
        "DesiredState": "shutdown",
        "Status": {"State": "failed", "Err": "once"},
    }
    since = NOW - timedelta(seconds=14)
    tasks = [
        crashed,
        {"ID": "b", "Spec": spec, "DesiredState": "running", "Status": up, "UpdatedAt": since.isoformat()},
    ]
    one = service(mode={"Replicated": {"Replicas": 1}})
    assert assess(one, tasks, NOW).phase is Phase.ROLLING
    assert assess(one, tasks, NOW + timedelta(seconds=1)).phase is Phase.CONVERGED
