"""Faults that broke the promise to operators, tried on a real Swarm; each is named by its number."""

import json
import subprocess
import sys

import pytest
from pushes import WEB, on, publish, rolled_out

from lab import HOST, wait_until

pytestmark = pytest.mark.real
FAST = ("--update-monitor", "2s", "--restart-delay", "1s", "--update-delay", "0s")
CALL = """
import json, sys
from deployer.errors import DeploymentFailedError
from deployer import tasks
name, kwargs = sys.argv[1], json.loads(sys.argv[2])
try:
    print(json.dumps(getattr(tasks, name).delay("web", **kwargs).get(timeout=120)))
except DeploymentFailedError as failure:
    print(json.dumps(failure.args[1]))
"""


def call(lab, queues, task="update_service", **kwargs):
    argv = [sys.executable, "-c", CALL, task, json.dumps(kwargs)]
    done = subprocess.run(argv, env=lab.environment(queues), capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def status(lab):
    return (lab.inspect("web").get("UpdateStatus") or {}).get("State")


def index(lab):
    return lab.inspect("web")["Version"]["Index"]


@pytest.fixture
def old(lab, queues):
    """A service of three tasks on its first image."""
    first = lab.push(WEB, "v1")
    lab.worker(queues)
    lab.create("web", WEB, *FAST, "--replicas", "3")
    return first


def updated(lab, queues, text="v2"):
    new = lab.push(WEB, text)
    assert call(lab, queues)["outcome"] == "updated"
    return new


def test_fault_1_an_operators_paused_update_is_left_alone(lab, queues, old):
    new = updated(lab, queues)
    lab.docker("service", "update", "--detach", "--update-failure-action", "pause", "web")
    lab.docker("service", "update", "--detach", "--health-cmd", "false", "--health-interval", "500ms",
               "--health-retries", "1", "web")  # fmt: skip
    wait_until(lambda: status(lab) == "paused", 60, "the operator's update paused")
    before = index(lab)
    assert call(lab, queues)["outcome"] == "unchanged"
    assert (lab.image_of("web"), index(lab)) == (on(new), before)
    lab.docker("service", "update", "--detach", "--label-add", "deployer.hold=audit", "web")
    wait_until(lambda: status(lab) == "paused", 60, "paused again")
    before = index(lab)
    lab.push(WEB, "v3")
    assert call(lab, queues)["outcome"] == "held"
    assert index(lab) == before


def test_fault_2_versions_that_failed_do_not_come_back(lab, queues):
    lab.worker(queues)
    good = lab.push("team/web:1.1.0", "v1")
    lab.create("web", "team/web:1.1.0", *FAST, "--label", "deployer.policy=semver:*")
    for version in ("2.0.0", "2.0.1"):
        lab.push(f"team/web:{version}", f"broken {version}", kind="crash")
        assert call(lab, queues)["outcome"] == "rolled-back"
    before = index(lab)
    for _ in range(3):
        assert call(lab, queues)["outcome"] in {"held", "unchanged"}
    assert (lab.image_of("web"), index(lab)) == (on(good, "team/web:1.1.0"), before)
    hotfix = lab.push("team/web:1.1.1", "hotfix")
    assert call(lab, queues)["outcome"] == "updated"
    assert call(lab, queues)["outcome"] == "unchanged"
    assert lab.image_of("web") == on(hotfix, "team/web:1.1.1")


def test_fault_3_a_change_that_the_engine_takes_back_leaves_the_image(lab, queues, old):
    lab.docker("service", "update", "--detach", "--update-failure-action", "rollback", "web")
    new = updated(lab, queues)
    lab.docker("service", "update", "--detach", "--health-cmd", "false", "--health-interval", "500ms",
               "--health-retries", "1", "web")  # fmt: skip
    wait_until(lambda: status(lab) == "rollback_completed", 90, "the engine's rollback")
    assert call(lab, queues)["outcome"] == "unchanged"
    assert lab.image_of("web") == on(new)


@pytest.mark.parametrize("then", ["scale", "env"])
def test_fault_6_docker_service_rollback_is_not_undone(lab, queues, old, then):
    updated(lab, queues)
    lab.docker("service", "rollback", "--detach", "web")
    wait_until(lambda: status(lab) == "rollback_completed", 60, "the operator's rollback")
    change = ("--replicas", "4") if then == "scale" else ("--env-add", "A=1")
    lab.docker("service", "update", "--detach", *change, "web")
    wait_until(lambda: status(lab) in {None, "completed"}, 60, "the operator's change")
    report = call(lab, queues, deployment={"by": "reconcile"})
    assert (report["outcome"], lab.image_of("web")) == ("held", on(old))


def test_fault_7_a_rollback_that_is_stuck_has_an_end(lab, queues, old):
    lab.docker("service", "update", "--detach", "--label-add", "deployer.timeout=15",
               "--update-failure-action", "rollback", "web")  # fmt: skip
    wait_until(lambda: status(lab) in {None, "completed"}, 60, "the operator's change")
    lab.push(WEB, "broken", kind="crash")
    (node,) = lab.docker("node", "ls", "--quiet").split()
    process = subprocess.Popen(
        [sys.executable, "-c", CALL, "update_service", "{}"],
        env=lab.environment(queues), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        wait_until(lambda: (status(lab) or "").startswith("rollback"), 60, "the engine's rollback")
        lab.docker("node", "update", "--availability", "drain", node)
        told, _ = process.communicate(timeout=120)
    finally:
        lab.docker("node", "update", "--availability", "active", node)
        process.kill()
    assert json.loads(told)["outcome"] in {"failed", "rolled-back"}


def test_fault_9_a_stack_deploy_brings_no_failed_digest_back(lab, queues, old):
    bad = lab.push(WEB, "broken", kind="crash")
    assert call(lab, queues)["outcome"] == "rolled-back"
    names = [name for name in lab.inspect("web")["Spec"]["Labels"] if name.startswith("deployer.")]
    lab.docker("service", "update", "--detach", *(f"--label-rm={name}" for name in names), "--env-add", "A=1",
               "web")  # fmt: skip
    wait_until(lambda: status(lab) in {None, "completed"}, 60, "the operator's change")
    report = call(lab, queues, deployment={"by": "reconcile"})
    assert (report["outcome"], lab.image_of("web")) == ("held", on(old))
    assert bad not in lab.image_of("web")


def test_fault_11_a_rollback_that_comes_late_is_of_what_the_person_saw(lab, queues, old):
    seen = updated(lab, queues, "v2")
    fix = updated(lab, queues, "v3")
    report = call(lab, queues, "rollback_service", seen=seen)
    assert (report["outcome"], lab.image_of("web")) == ("superseded", on(fix))
    assert f"{HOST}/{WEB}@{fix}" in (report["image"], report.get("runs"))


def test_fault_17_settle_holds_for_a_periodic_look_too(lab, queues, old):
    lab.docker("service", "update", "--detach", "--label-add", "deployer.settle=8", "web")
    wait_until(lambda: status(lab) in {None, "completed"}, 60, "the operator's change")
    new = publish(lab, queues, text="v2")
    before = index(lab)
    process = subprocess.Popen(
        [sys.executable, "-c", CALL, "update_service", '{"deployment": {"by": "reconcile"}}'],
        env=lab.environment(queues), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with pytest.raises(subprocess.TimeoutExpired):
        process.communicate(timeout=6)
    assert index(lab) == before
    told, _ = process.communicate(timeout=60)
    assert json.loads(told)["outcome"] == "updated"
    rolled_out(lab, "web", on(new))
