"""Every push, every tag: policies, pushes whose events are lost, stored credentials, windows and gates, for real."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from lab import HOST, wait_until
from lab.cluster import Cluster
from lab.lab import _write_logins

pytestmark = pytest.mark.real


def on(digest, image):
    return f"{HOST}/{image}@{digest}"


def publish(lab, queues, image, text, event=True, **kind):
    digest = lab.push(image, text, **kind)
    if event:
        lab.aws.send(queues.events, json.dumps(lab.event(image, digest)))
    return digest


def rolled_out(lab, service, image, timeout=30):
    wait_until(lambda: lab.image_of(service) == image, timeout, f"{service} on {image}")


def labels(**given):
    found = []
    for name, value in given.items():
        found += ["--label", f"deployer.{name.replace('_', '-')}={value}"]
    return found


@pytest.fixture
def deployer(lab, queues):
    return lab.bridge(queues), lab.worker(queues)


def test_a_push_of_a_new_version_is_deployed_by_policy(lab, queues, deployer):
    lab.push("policy/web:1.9.0", "v1")
    lab.create("minor", "policy/web:1.9.0", *labels(policy="minor"))
    lab.create("all", "policy/web:1.9.0", *labels(policy="all"))
    lab.create("tag", "policy/web:1.9.0")
    ten = publish(lab, queues, "policy/web:1.10.0", "v2")
    rolled_out(lab, "minor", on(ten, "policy/web:1.10.0"))
    rolled_out(lab, "all", on(ten, "policy/web:1.10.0"))
    two = publish(lab, queues, "policy/web:2.0.0", "v3")
    publish(lab, queues, "policy/web:1.9.9", "late")
    rolled_out(lab, "all", on(two, "policy/web:2.0.0"))
    wait_until(lambda: not lab.aws.count(queues.tasks), 30, "all tasks done")
    assert lab.image_of("minor") == on(ten, "policy/web:1.10.0")
    assert lab.image_of("tag").startswith(f"{HOST}/policy/web:1.9.0")


def test_a_push_without_an_event_is_found_by_beat_and_at_the_start(lab, queues):
    lab.push("lost/web:latest", "v1")
    lab.create("web", "lost/web:latest")
    lab.create("held", "lost/web:latest", *labels(hold="audit"))
    second = publish(lab, queues, "lost/web:latest", "v2", event=False)
    worker = lab.worker(queues, RECONCILE_INTERVAL="900")
    rolled_out(lab, "web", on(second, "lost/web:latest"), 40)  # found when the worker started
    wait_until(lambda: "of service web ended: updated" in worker.text, 30, "its end")
    third = publish(lab, queues, "lost/web:latest", "v3", event=False)
    listed = subprocess.run(
        [sys.executable, "-m", "deployer", "reconcile", "--dry-run"],
        env=lab.environment(queues) | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "1 push missed" in listed.stdout, listed.stderr
    assert "held: audit" in listed.stdout
    assert third[7:19] in listed.stdout
    env = lab.environment(queues, RECONCILE_INTERVAL="10")
    lab.spawn("beat", sys.executable, "-m", "celery", "-A", "deployer", "beat", env=env)
    rolled_out(lab, "web", on(third, "lost/web:latest"), 40)
    assert "1 pushes had been missed, 1 of 2 services are behind: web" in worker.text
    assert lab.image_of("held").startswith(f"{HOST}/lost/web:latest")
    assert third not in lab.image_of("held")


def test_a_window_that_opens_lets_the_newest_push_out(lab, queues, deployer):
    lab.push("window/web:latest", "v1")
    opens = datetime.now(UTC) + timedelta(seconds=75)
    window = f"{opens:%H:%M}-{opens + timedelta(hours=2):%H:%M}"
    lab.create("web", "window/web:latest", *labels(window=window))
    publish(lab, queues, "window/web:latest", "v2")
    newest = publish(lab, queues, "window/web:latest", "v3")
    wait_until(lambda: deployer[1].text.count("outside its window") >= 2, 30, "both pushes wait")
    assert "v1" in lab.image_of("web") or lab.image_of("web") != on(newest, "window/web:latest")
    rolled_out(lab, "web", on(newest, "window/web:latest"), 120)
    assert datetime.now(UTC) >= opens.replace(second=0, microsecond=0)


def test_a_service_waits_for_the_one_that_goes_first(lab, queues, deployer):
    lab.push("order/web:latest", "v1")
    lab.create("first", "order/web:latest", "--update-monitor", "1s")
    lab.create("second", "order/web:latest", *labels(after="first"))
    new = publish(lab, queues, "order/web:latest", "v2")
    rolled_out(lab, "second", on(new, "order/web:latest"), 60)
    wait_until(lambda: "of service second ended: updated" in deployer[1].text, 30, "its end")
    text = deployer[1].text
    assert text.index("of service first ended: updated") < text.index("of service second ended: updated")
    bad = publish(lab, queues, "order/web:latest", "v3", kind="crash")
    wait_until(lambda: "first, which goes first, failed with this digest" in deployer[1].text, 60, "held")
    assert lab.image_of("second") == on(new, "order/web:latest")
    assert bad not in lab.image_of("first")


def test_a_job_runs_the_new_image_before_the_service_does(lab, queues, deployer):
    lab.push("job/web:latest", "v1")
    job = ("--mode", "replicated-job", "--restart-condition", "none")
    lab.push("job/web:job", "v1", kind="job")
    lab.create("migrate", "job/web:job", *job, wait=False)
    lab.create("web", "job/web:latest", *labels(pre_job="migrate"))
    good = publish(lab, queues, "job/web:latest", "v2", kind="job", seconds=3)
    wait_until(lambda: "of service web ended: " in deployer[1].text, 60, "the deployment")
    assert lab.image_of("migrate") == on(good, "job/web:latest")
    text = deployer[1].text
    assert text.index(f"Job migrate runs {HOST}/job/web:latest@{good}") < text.index("Updated service")
    bad = publish(lab, queues, "job/web:latest", "v3", kind="crash")
    wait_until(lambda: "job migrate, which runs first: " in deployer[1].text, 60, "the failure")
    assert lab.image_of("migrate") == on(bad, "job/web:latest")
    assert bad not in lab.image_of("web")


def test_renewed_credentials_let_a_task_start_on_a_node_that_never_had_the_image():
    with Cluster() as cluster:
        first = cluster.managers[0]
        queues = cluster.aws.queues()
        password = cluster.aws.password()
        cluster.push("team/renewed:latest", "v1")
        cluster.push("team/control:latest", "another")
        cluster.registry.accept("token-of-yesterday")
        _write_logins(first.engine.config, {HOST: ("AWS", "token-of-yesterday")})
        me = first.docker("info", "--format", "{{.Swarm.NodeID}}")
        where = ("--constraint", f"node.id!={me}")
        long_ago = ("--label", "deployer.state.credentials-at=2020-01-01T00:00:00+00:00")
        first.create("renewed", "team/renewed:latest", *where, *long_ago)
        first.create("control", "team/control:latest", *where, "--label", "deployer.enable=false")
        cluster.registry.accept(password)  # yesterday's token is refused from now on
        tasks = {name: [task["ID"] for task in first.tasks(name)] for name in ("renewed", "control")}
        code = "from deployer.tasks import refresh_credentials as r; r.delay()"
        env = dict(cluster.environment(1, queues))
        worker = cluster.worker(1, queues)
        subprocess.run([sys.executable, "-c", code], env=env, check=True, timeout=60)
        wait_until(
            lambda: "Renewed the registry credentials of service renewed" in worker.text, 30, "the renewal"
        )
        assert tasks == {
            name: [task["ID"] for task in first.tasks(name)] for name in tasks
        }  # nothing restarted
        for name in tasks:
            node = first.tasks(name)[0]["NodeID"]
            first.docker("node", "update", "--availability", "drain", node)
            other = _elsewhere(first, name, node)
            first.docker("node", "update", "--availability", "active", node)
            assert other["Status"]["State"] == ("running" if name == "renewed" else "rejected"), other[
                "Status"
            ]


def _elsewhere(manager, service, node):
    """The first task of a service on another node that runs or was rejected."""

    def find():
        for task in manager.tasks(service):
            if task.get("NodeID") not in {node, None, ""} and task["Status"]["State"] in {
                "running",
                "rejected",
            }:
                return task
        return None

    return wait_until(find, 60, f"{service} elsewhere")


def test_what_waits_for_its_turn_does_not_pile_up(lab, queues):
    lab.push("turn/web:latest", "v1")
    lab.create("web", "turn/web:latest")
    lab.python(
        queues,
        "from deployer.app import swarm\nfrom deployer.rollouts.ledger.slots import Observer, take_slot\n"
        "take_slot(swarm(), 'another', 'theirs', set(), 1, Observer())",
    )
    new = publish(lab, queues, "turn/web:latest", "v2", event=False)
    worker = lab.worker(queues, RECONCILE_INTERVAL="10", MAX_ROLLOUTS="1")
    wait_until(lambda: "left to the next look: 1 services roll already" in worker.text, 40, "its end")
    assert lab.image_of("web") != on(new, "turn/web:latest")
    wait_until(lambda: not lab.aws.count(queues.tasks), 30, "the queue empty")
