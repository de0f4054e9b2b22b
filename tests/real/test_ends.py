"""How deployments end on a real Swarm, and that what is said of it is true."""

import base64
import json
import re
import subprocess
import sys
from collections import Counter

import pytest
from pushes import WEB, drained, on, publish, rolled_out

from lab import HOST, wait_until

pytestmark = pytest.mark.real
FAST = ("--update-monitor", "2s", "--restart-delay", "1s")
DEPLOY = """
import json, sys
from deployer.errors import DeploymentFailedError
from deployer.tasks import update_service
try:
    print(json.dumps(update_service.delay(sys.argv[1]).get(timeout=90)))
except DeploymentFailedError as failure:
    print(json.dumps(failure.args[1]))
"""


def deploy(lab, queues, service="web"):
    """Redeploy from Python; the report, as AsyncResult gives it."""
    argv = [sys.executable, "-c", DEPLOY, service]
    done = subprocess.run(argv, env=lab.environment(queues), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def state(lab, service="web"):
    labels = lab.inspect(service)["Spec"]["Labels"]
    return {key.removeprefix("deployer.state."): value for key, value in labels.items()}


@pytest.mark.parametrize(
    ("kind", "options", "reason"),
    [
        pytest.param("crash", (), "non-zero exit (7)", id="crash"),
        pytest.param("unhealthy", (), "unhealthy", id="health check"),
        pytest.param(
            "crash", ("--update-failure-action", "rollback"), "non-zero exit (7)", id="engine rolls back"
        ),
        pytest.param("crash", ("--mode", "global"), "non-zero exit (7)", id="global"),
    ],
)
def test_a_roll_out_that_fails_is_rolled_back_and_not_repeated(lab, queues, kind, options, reason):
    lab.worker(queues)
    good = lab.push(WEB, "v1")
    lab.create("web", WEB, *FAST, *options, port=8101)
    bad = lab.push(WEB, "broken", kind=kind)
    report = deploy(lab, queues)
    assert report["outcome"] == "rolled-back"
    assert reason in report["reason"]
    assert (report["image"], report["duration"] > 0) == (on(bad), True)
    assert lab.image_of("web") == on(good)
    assert state(lab)["failed"] == bad
    wait_until(lambda: lab.page(8101) == "v1", what="the good page")
    tasks = lab.tasks_of("web")
    assert deploy(lab, queues)["outcome"] == "held"
    assert lab.tasks_of("web") == tasks
    lab.push(WEB, "v3")
    assert deploy(lab, queues)["outcome"] == "updated"
    assert state(lab)["failed"] == bad  # over the next update, too


def test_a_roll_out_with_start_first_that_fails_is_rolled_back(lab, queues):
    lab.worker(queues)
    # Two tasks run side by side for a while, so they must not want the same port.
    good = lab.push(WEB, "v1", kind="job", seconds=10_000)
    lab.create("web", WEB, *FAST, "--update-order", "start-first")
    lab.push(WEB, "broken", kind="crash")
    assert deploy(lab, queues)["outcome"] == "rolled-back"
    assert lab.image_of("web") == on(good)
    # The one that it takes the place of may take a moment to stop.
    kept = [task for task in lab.tasks("web") if task["DesiredState"] == "running"]
    assert [(task["Spec"]["ContainerSpec"]["Image"], task["Status"]["State"]) for task in kept] == [
        (on(good), "running")
    ]


def test_a_crash_loop_under_continue_times_out(lab, queues):
    lab.worker(queues, ROLLOUT_TIMEOUT="8")
    good = lab.push(WEB, "v1")
    lab.create("web", WEB, *FAST, "--update-failure-action", "continue", port=8101)
    lab.push(WEB, "broken", kind="crash")
    report = deploy(lab, queues)
    assert report["outcome"] == "rolled-back"
    # The task that crashes is up for a moment, and the last look may fall into it.
    assert re.search(
        r"not converged after 8 s \([01]/1\): web\.1: task: non-zero exit \(7\)", report["reason"]
    )
    assert lab.image_of("web") == on(good)


def test_a_task_that_finds_no_node_times_out_with_the_schedulers_reason(lab, queues):
    lab.worker(queues)
    lab.push(WEB, "v1")
    lab.create("web", WEB, "--label", "deployer.timeout=6", "--label", "deployer.rollback=false", port=8101)
    lab.docker("service", "update", "--detach", "--constraint-add", "node.labels.moon==full", "web")
    lab.push(WEB, "v2")
    report = deploy(lab, queues)
    assert report["outcome"] == "failed"
    assert "no suitable node" in report["reason"]
    assert "left as it is" in report["reason"]


def test_an_image_that_cannot_be_pulled_is_rolled_back(lab, queues):
    lab.worker(queues)
    good = lab.push(WEB, "v1")
    lab.create("web", WEB, *FAST, port=8101)
    broken = lab.push(WEB, "never pulled")
    manifest = json.loads(lab.registry.request("GET", f"/v2/team/web/manifests/{broken}")[2])
    lab.registry.request("DELETE", f"/v2/team/web/blobs/{manifest['config']['digest']}")
    report = deploy(lab, queues)
    assert report["outcome"] == "rolled-back"
    assert "No such image" in report["reason"]
    assert lab.image_of("web") == on(good)
    wait_until(lambda: lab.page(8101) == "v1", what="the good page")


def test_an_operator_who_updates_in_mid_roll_out_has_the_last_word(lab, queues):
    worker = lab.worker(queues)
    old = lab.push(WEB, "v1")
    lab.create("web", WEB, "--update-monitor", "10s", port=8101)
    lab.bridge(queues)
    new = publish(lab, queues)
    rolled_out(lab, "web", on(new))
    lab.docker("service", "update", "--detach", "--with-registry-auth", "--image", on(old), "web")
    wait_until(lambda: "ended: superseded, somebody else updated" in worker.text, what="the end")
    lab.aws.send(queues.events, json.dumps(lab.event(WEB, new)))
    wait_until(lambda: "somebody moved the service away" in worker.text, what="the duplicate left alone")
    assert lab.image_of("web") == on(old)


def test_a_service_scaled_in_mid_roll_out_is_followed_to_its_end(lab, queues):
    worker = lab.worker(queues)
    lab.push(WEB, "v1", kind="job", seconds=10_000)
    lab.create("web", WEB, "--update-monitor", "4s")
    lab.bridge(queues)
    new = publish(lab, queues, kind="job", seconds=10_000)
    rolled_out(lab, "web", on(new))
    lab.docker("service", "scale", "--detach", "web=3")
    wait_until(lambda: "ended: updated, 3/3 running" in worker.text, 40, "the end")


def test_a_service_removed_in_mid_roll_out_ends_as_failed(lab, queues):
    worker = lab.worker(queues)
    lab.push(WEB, "v1")
    lab.create("web", WEB, "--update-monitor", "20s", port=8101)
    lab.bridge(queues)
    new = publish(lab, queues)
    rolled_out(lab, "web", on(new))
    lab.docker("service", "rm", "web")
    wait_until(lambda: "ended: failed, no service 'web'" in worker.text, what="the end")
    drained(lab, queues)


def test_twenty_pushes_during_a_roll_out_lead_to_one_more(lab, queues):
    worker = lab.worker(queues)
    lab.bridge(queues)
    lab.push(WEB, "v0")
    lab.create("web", WEB, "--update-monitor", "6s", port=8101)
    first = publish(lab, queues, text="v1")
    rolled_out(lab, "web", on(first))
    for number in range(2, 22):
        newest = publish(lab, queues, text=f"v{number}")
    rolled_out(lab, "web", on(newest), 60)
    drained(lab, queues, 90)
    assert worker.text.count("Updated service") == 2
    ends = Counter(re.findall(r"ended: ([a-z-]+)", worker.text))
    # Whose task writes v21, and who of the others sees it in time to tell more than "unchanged", is chance.
    assert ends.total() == 21
    assert set(ends) <= {"updated", "superseded", "unchanged"}, ends
    assert ends["updated"]
    assert lab.page(8101) == "v21"


def test_a_backlog_leads_to_one_update(lab, queues):
    lab.push(WEB, "v0")
    lab.create("web", WEB, port=8101)
    for number in range(1, 31):
        newest = publish(lab, queues, text=f"v{number % 5 + 1}")
    worker = lab.worker(queues)
    lab.bridge(queues)
    rolled_out(lab, "web", on(newest))
    drained(lab, queues, 90)
    assert worker.text.count("Updated service") == 1


def test_no_more_services_roll_at_once_than_allowed_whatever_the_number_of_workers(lab, queues):
    lab.push(WEB, "v1")
    names = [f"web{number}" for number in range(10)]
    for number, name in enumerate(names):
        lab.create(name, WEB, "--update-monitor", "1s", port=8110 + number, wait=False)
    wait_until(lambda: all(lab.is_up(name) for name in names), 60, "all services up")
    for _ in range(3):
        lab.worker(queues, MAX_ROLLOUTS="2")
    lab.bridge(queues)
    new = publish(lab, queues)
    most = 0

    def all_done():
        nonlocal most
        services = [lab.inspect(name) for name in names]
        rolling = [s for s in services if (s.get("UpdateStatus") or {}).get("State") == "updating"]
        most = max(most, len(rolling))
        return all(s["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"] == on(new) for s in services)

    wait_until(all_done, 150, "all services on the new image")
    drained(lab, queues, 60)
    assert most == 2


def test_a_rollback_pulls_with_a_fresh_token_what_no_node_has(lab, queues):
    """The engine's own rollback would use the token that was stored with the old image."""
    lab.worker(queues)
    good = lab.push(WEB, "v1")
    logins = lab.engine.config / "config.json"
    valid = logins.read_text()
    lab.registry.accept("a token of yesterday")
    token = base64.b64encode(b"AWS:a token of yesterday").decode()
    logins.write_text(json.dumps({"auths": {HOST: {"auth": token}}}))
    try:
        lab.create("web", WEB, *FAST, port=8101)
    finally:
        logins.write_text(valid)
        lab.registry.accept(lab.password)
    lab.push(WEB, "v2")
    assert deploy(lab, queues)["outcome"] == "updated"
    lab.docker("container", "prune", "--force")
    lab.forget_images()
    done = subprocess.run(
        [sys.executable, "-m", "deployer", "rollback", "web", "--wait"],
        env=lab.environment(queues),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "web: rolled-back" in done.stdout, done.stderr
    assert lab.image_of("web") == on(good)
    wait_until(lambda: lab.page(8101) == "v1", what="the old page")
