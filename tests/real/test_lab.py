"""The lab itself: its parts do what the tests that build on them take for granted."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from paths import ROOT

from lab import HOST, OTHER_HOST, PLAIN_HOST, Lab, Queues, failing, faults, images, wait_until

pytestmark = pytest.mark.real


def test_a_push_can_be_run_and_a_second_push_replaces_it(lab):
    first = lab.push("team/web:latest", "v1")
    lab.create("web", "team/web:latest", "--replicas", "2")
    wait_until(lambda: lab.pages("web") == ["v1", "v1"], what="the pages of v1")

    second = lab.push("team/web:latest", "v2")
    assert second != first
    assert lab.push("team/same:latest", "v2") == second
    name = f"{HOST}/team/web:latest"
    lab.docker("service", "update", "-d", "-q", "--with-registry-auth", "--image", name, "web")
    wait_until(lambda: lab.pages("web") == ["v2", "v2"], what="the pages of v2")
    assert lab.image_of("web") == f"{name}@{second}"


def test_a_service_with_a_port_is_seen_inside_and_through_a_forwarded_port(lab):
    lab.push("team/web:latest", "port")
    lab.create("web", "team/web:latest", port=8081)
    wait_until(lambda: lab.page(8081) == "port", what="the page")
    with urllib.request.urlopen(f"http://127.0.0.1:{lab.forward(8081)}/") as answer:
        assert answer.read().strip() == b"port"


def test_an_index_with_an_attestation_can_be_run(lab):
    digest = lab.push_index("team/web:multi", "of an index")
    index = json.loads(
        lab.registry.request("GET", f"/v2/team/web/manifests/{digest}", accept=images.INDEX)[2]
    )
    assert [one["platform"]["os"] for one in index["manifests"]] == ["linux", "unknown"]
    lab.create("web", "team/web:multi")
    assert lab.image_of("web") == f"{HOST}/team/web:multi@{digest}"
    wait_until(lambda: lab.pages("web") == ["of an index"], what="the page")


def test_the_client_of_docker_pushes_too(lab):
    digest = lab.docker_push("team/pushed:latest", "by docker push")
    lab.forget_images()
    lab.create("web", f"team/pushed:latest@{digest}")
    wait_until(lambda: lab.pages("web") == ["by docker push"], what="the page")


@pytest.mark.parametrize("host", [OTHER_HOST, PLAIN_HOST])
def test_other_registries_are_there(lab, host):
    registry = lab.plain_registry if host == PLAIN_HOST else lab.registry
    registry.push("team/other", "latest", images.make("elsewhere"))
    lab.create("web", f"{host}/team/other:latest")
    wait_until(lambda: lab.pages("web") == ["elsewhere"], what="the page")


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("crash", "non-zero exit (7)"),
        ("crash-later", "non-zero exit (7)"),
        ("unhealthy", "unhealthy container"),
    ],
    ids=["crash", "crash-later", "unhealthy"],
)
def test_a_bad_image_fails_as_it_says(lab, kind, reason):
    lab.push("team/bad:latest", kind=kind, seconds=0.3)
    lab.create("bad", "team/bad:latest", wait=False)
    seen = lambda: [task["Status"].get("Err", "") for task in lab.tasks("bad")]  # noqa: E731
    wait_until(lambda: any(reason in error for error in seen()), what=f"a task that failed with {reason}")


def test_a_healthy_image_runs(lab):
    lab.push("team/well:latest", kind="healthy")
    lab.create("well", "team/well:latest")
    assert "(healthy)" in lab.docker("ps", "--format", "{{.Status}}")


def test_a_job_ends_well(lab):
    lab.push("team/job:latest", kind="job", seconds=0.1)
    lab.create("job", "team/job:latest", "--mode", "replicated-job", wait=False)
    wait_until(lambda: [task["Status"]["State"] for task in lab.tasks("job")] == ["complete"], what="its end")


def test_the_registry_takes_the_token_of_ecr_and_no_other(lab):
    digest = lab.push("team/web:latest")
    lab.docker("pull", "--quiet", f"{HOST}/team/web@{digest}")
    lab.registry.refuse()
    with pytest.raises(RuntimeError, match=r"no basic auth credentials|(?i:unauthorized)"):
        lab.docker("pull", "--quiet", f"{HOST}/team/web:latest")
    lab.registry.accept(lab.password)
    lab.docker("pull", "--quiet", f"{HOST}/team/web:latest")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        # With containerd's image store an engine asks by HEAD alone, and so sees no more than the status.
        (faults.UNAUTHORIZED, "no basic auth credentials|(?i:unauthorized)"),
        (faults.EXPIRED, "token has expired|403 Forbidden"),
        (faults.THROTTLED, "Rate exceeded|toomanyrequests|429 Too Many Requests"),
        (faults.BROKEN, "503 Service Unavailable"),
    ],
    ids=["unauthorized", "expired", "throttled", "broken"],
)
def test_the_registry_fails_as_long_as_it_is_told(lab, error, said):
    lab.push("team/web:latest")
    with failing(lab.registry, 1000, error) as told:
        for _ in range(2):
            with pytest.raises(RuntimeError, match=said):
                lab.docker("pull", "--quiet", f"{HOST}/team/web:latest")
        told.left = 0
        lab.docker("pull", "--quiet", f"{HOST}/team/web:latest")
    lab.docker("pull", "--quiet", f"{HOST}/team/web:latest")


def test_an_event_goes_through_sqs(lab, queues):
    event = lab.event("team/web:latest", "sha256:" + "0" * 64)
    lab.aws.send(queues.events, event)
    assert lab.aws.count(queues.events) == 1
    assert [json.loads(body) for body in lab.aws.bodies(queues.events)] == [event]
    assert lab.aws.count(queues.events) == 0


def test_a_message_received_too_often_is_a_dead_letter(lab):
    queues: Queues = lab.aws.queues(visibility=0, max_receives=2)
    lab.aws.send(queues.tasks, "poison")
    for _ in range(3):
        lab.aws.sqs.receive_message(QueueUrl=queues.tasks)
    assert lab.aws.bodies(queues.tasks_dead) == ["poison"]


def test_a_restart_of_sqs_keeps_the_messages(lab, queues):
    lab.aws.send(queues.events, "kept")
    lab.aws.stop()
    with pytest.raises(Exception, match="Could not connect"):
        lab.aws.count(queues.events)
    lab.aws.start()
    assert lab.aws.bodies(queues.events) == ["kept"]


def test_a_frozen_engine_takes_connections_and_does_not_answer(lab):
    lab.engine.freeze()
    with pytest.raises(Exception, match="timed out"):
        lab.engine.docker("ps", timeout=0.5)
    lab.engine.thaw()
    lab.docker("ps")


def test_a_killed_engine_comes_back_with_its_services(lab):
    lab.push("team/web:latest", "alive")
    lab.create("web", "team/web:latest", "--restart-delay", "100ms", port=8082)
    wait_until(lambda: lab.page(8082) == "alive", what="the page")
    before = lab.tasks_of("web")
    lab.engine.kill()
    assert lab.page(8082) == "alive"
    lab.engine.start()
    wait_until(lambda: lab.tasks_of("web") != before and lab.is_up("web"), what="a new task")
    wait_until(lambda: lab.page(8082) == "alive", what="the page after the restart")


def test_a_spawned_process_leaves_a_log(lab, queues):
    env = lab.environment(queues)
    process = lab.spawn("echo", "sh", "-c", "echo $DEPLOYER_QUEUE", env=env)
    wait_until(lambda: not process.running, what="the end of the process")
    assert process.text.strip() == queues.events


OWNER = """
import signal
# Ctrl-C is ignored by what a shell without job control starts in the background, and by its children.
signal.signal(signal.SIGINT, signal.default_int_handler)
import sys, time
from pathlib import Path
from lab import Lab
with Lab(Path(sys.argv[1])) as lab:
    lab.push("team/web:latest")
    lab.create("web", "team/web:latest", "--replicas", "2")
    lab.spawn("sleep", "sleep", "1000", env=lab.environment(lab.aws.queues()))
    print(lab.namespaces.cgroup, lab.namespaces.pid, lab.aws.process.pid, lab.processes[0].pid, flush=True)
    time.sleep(1000)
"""
# A machine whose own containerd runs: our engine must not use it.
BESIDE_ANOTHER = """
mount -t tmpfs none /run
mkdir -p /run/containerd
touch /run/containerd/containerd.sock
exec "$@"
"""


def state_of_the_machine():
    places = [Path("/etc/docker"), Path("/run/docker"), Path("/run/containerd")]
    found = sorted(str(path) for place in places for path in place.rglob("*"))
    return found, Path("/etc/hosts").read_text()


def control_groups(name):
    return [*Path("/sys/fs/cgroup").glob(name), *Path("/sys/fs/cgroup").glob(f"*/{name}")]


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
def test_nothing_is_left_when_the_owner_dies(short_path, end):
    before = state_of_the_machine()
    place = short_path / "lab"
    owner = subprocess.Popen(
        ["unshare", "--mount", "sh", "-ec", BESIDE_ANOTHER, "sh", sys.executable, "-c", OWNER, str(place)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
    )
    try:
        name, *pids = owner.stdout.readline().split()
        assert control_groups(name)
        assert all(Path(f"/proc/{pid}").exists() for pid in pids)
        owner.send_signal(end)
        owner.wait(30)
    finally:
        owner.kill()
    wait_until(lambda: not place.exists(), what="the directory gone")
    wait_until(lambda: not [pid for pid in pids if Path(f"/proc/{pid}").exists()], what="no process left")
    assert not control_groups(name)
    assert state_of_the_machine() == before


def test_logs_and_what_was_there_before_are_kept(short_path):
    (short_path / "mine").write_text("mine")
    with Lab(short_path, keep_logs=True) as lab:
        assert "Swarm: active" in lab.docker("info")
    assert sorted(path.name for path in short_path.iterdir()) == ["logs", "mine"]
    assert "API listen on" in (short_path / "logs" / "dockerd.log").read_text()
