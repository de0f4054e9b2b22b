"""What an operator sees: `status`, `explain`, `history`, `update --wait` and `doctor`, on the real parts."""

import json
import subprocess
import sys
from contextlib import ExitStack

import pytest
from bus_lab import Proxy

from lab import HOST, Lab, wait_until

pytestmark = pytest.mark.real
WEB = "team/web:latest"


def deployer(lab, queues, *words, **settings):
    """Run the command as an operator does, in a wide terminal."""
    theirs = {k: v for k, v in settings.items() if k.startswith("AWS_") or k == "DOCKER_HOST"}
    env = lab.environment(queues, **{k: v for k, v in settings.items() if k not in theirs})
    env |= theirs | {"COLUMNS": "220"}
    env = {key: value for key, value in env.items() if value}
    return subprocess.run(
        [sys.executable, "-m", "deployer", *words], env=env, capture_output=True, text=True, timeout=60
    )


def told(lab, queues, *words, **settings):
    return json.loads(deployer(lab, queues, *words, "--json", **settings).stdout)


def on(digest, image=WEB):
    return f"{HOST}/{image}@{digest}"


@pytest.fixture
def web(lab):
    old = lab.push(WEB, "v1")
    lab.create("web", WEB, "--update-monitor", "1s")
    return old


def test_status_and_explain_tell_what_is_newer_and_what_would_be_done(lab, queues, web):
    [before] = told(lab, queues, "status")
    assert (before["service"], before["digest"], before["newer"], before["state"]) == (
        "web",
        web,
        None,
        "converged",
    )
    new = lab.push(WEB, "v2")
    assert told(lab, queues, "status")[0]["newer"] == new
    assert told(lab, queues, "status", "--offline")[0]["newer"] is None
    explained = told(lab, queues, "explain", "web")["now"]
    assert (explained["outcome"], explained["reason"]) == ("updated", on(new))
    assert all(step["stop"] is None for step in explained["steps"])
    assert lab.image_of("web") == on(web)  # nothing was done
    deployer(lab, queues, "hold", "web", "--reason", "audit")
    assert told(lab, queues, "status")[0]["why"][0]["reason"].startswith("audit (by ")
    assert told(lab, queues, "explain", "web")["now"]["outcome"] == "held"
    other = told(lab, queues, "explain", "web", "team/other:latest")["now"]
    assert (other["outcome"], "another repository" in other["reason"]) == ("ignored", True)
    table = deployer(lab, queues, "status").stdout
    for word in ("web:latest", f"newer: {new[7:19]}", "held: audit", "converged 1/1, held"):
        assert word in table


def test_explain_says_what_the_deployment_then_does(lab, queues, web):
    lab.worker(queues)
    lab.push(WEB, "v2", kind="crash")
    failed = deployer(lab, queues, "update", "web", "--wait")
    assert failed.returncode == 4
    assert "0/1 updated" in failed.stderr
    assert "web: rolled-back, web.1: task: non-zero exit (7)" in failed.stdout
    expected = told(lab, queues, "explain", "web")["now"]
    again = deployer(lab, queues, "update", "web", "--wait")
    assert again.stdout.splitlines()[1].startswith(f"web: {expected['outcome']}, {expected['reason']}")
    [status] = told(lab, queues, "status")
    assert status["last"]["outcome"] == "rolled-back"
    assert status["last"]["reason"].startswith("web.1")
    assert len(status["failed"]) == 1


def test_wait_has_a_time_out_that_leaves_the_roll_out_alone(lab, queues, web):
    late = deployer(lab, queues, "update", "web", "--force", "--wait", "--timeout", "1")
    assert late.returncode == 124
    assert "the roll-out goes on" in late.stderr
    worker = lab.worker(queues)
    wait_until(lambda: "ended: updated" in worker.text, 40, "the roll-out")


def test_history_is_kept_by_redis_and_known_to_the_services_without_it(lab, queues, web):
    lab.redis.clear()
    lab.worker(queues)
    new = lab.push(WEB, "v2")
    deployer(lab, queues, "update", "web", "--wait")
    deployer(lab, queues, "update", "web", "--wait")
    unchanged, updated = told(lab, queues, "history", "web", "--all")
    assert (unchanged["outcome"], updated["outcome"]) == ("unchanged", "updated")
    assert (updated["image"], updated["previous"], updated["by"]) == (on(new), on(web), "manual")
    assert updated["duration"] > 0
    assert "no service 'nobody'" in deployer(lab, queues, "history", "nobody").stderr
    known = told(lab, queues, "history", "web", REDIS_URL="")
    assert (known[0]["outcome"], known[0]["image"], known[0]["previous"]) == ("updated", on(new), on(web))
    lab.redis.stop()
    said = deployer(lab, queues, "history", "web")
    assert "Redis does not answer" in said.stderr
    assert new[7:19] in said.stdout


POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": "*",
        }
    ],
}


@pytest.fixture
def sound(lab):
    """Queues with nothing to find fault with."""
    queues = lab.aws.queues(visibility=120)
    lab.aws.sqs.set_queue_attributes(QueueUrl=queues.events, Attributes={"Policy": json.dumps(POLICY)})
    return queues


def failures(lab, queues, **settings):
    """What `deployer doctor` finds wrong, as `check: found → fix`, and its exit code."""
    done = deployer(lab, queues, "doctor", "--json", **settings)
    assert "Traceback" not in done.stderr, done.stderr
    found = json.loads(done.stdout) if done.stdout else []
    return [f"{f['check']}: {f['found']} → {f['fix']}" for f in found if f["level"] == "fail"], done


def test_the_doctor_finds_nothing_wrong_with_a_sound_set_up(lab, sound, web):
    lab.worker(sound)
    wrong, done = failures(lab, sound)
    assert wrong == []
    assert done.returncode == 0
    checks = {f["check"] for f in json.loads(done.stdout)}
    assert {"AWS identity", "Docker engine", "Redis", "workers", f"registry {HOST}"} <= checks


def _proxied(lab, fault, only=""):
    def begin(stack):
        proxy = Proxy(lab.aws.port)
        stack.callback(proxy.stop)
        proxy.fault(fault, only)
        return {"AWS_ENDPOINT_URL": proxy.url}

    return begin


def _settings(**settings):
    return lambda lab, queues, stack: settings


def _attribute(**attributes):
    def begin(lab, queues, stack):
        for url in (queues.events, queues.tasks):
            lab.aws.sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)
        return {}

    return begin


def _queue_without_redrive(lab, queues, stack):
    name = queues.tasks.rpartition("/")[2] + "-alone"
    made = lab.aws.sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "120"})
    return {"TASK_QUEUE": made["QueueUrl"]}


def _task_that_waits(lab, queues, stack):
    lab.aws.send(queues.tasks, "{}")
    return {}


def _label(*options):
    def begin(lab, queues, stack):
        lab.create("odd", WEB, *options)
        return {}

    return begin


BROKEN = {
    "expired credentials": (
        lambda lab, q, s: _proxied(lab, "expired credentials")(s),
        "AWS identity",
        "renew",
    ),
    "no credentials": (
        _settings(AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY=""),
        "AWS identity",
        "AWS_SHARED_CREDENTIALS_FILE",
    ),
    "no events queue": (lambda lab, q, s: {"QUEUE": q.events + "x"}, "events queue", "DEPLOYER_QUEUE"),
    "no task queue set": (_settings(TASK_QUEUE=""), "task queue", "queue's URL"),
    "nobody may send": (_attribute(Policy=""), "events queue: who may send", "events.amazonaws.com"),
    "no dead letters": (_queue_without_redrive, "task queue: dead-letter queue", "RedrivePolicy"),
    "short visibility": (_attribute(VisibilityTimeout="30"), "task queue: visibility timeout", "120"),
    "may not receive": (
        lambda lab, q, s: _proxied(lab, "access denied", "ReceiveMessage")(s),
        "task queue: sqs:ReceiveMessage",
        "allow sqs:ReceiveMessage",
    ),
    "no engine": (_settings(DOCKER_HOST="unix:///nonexistent.sock"), "Docker engine", "DOCKER_HOST"),
    "registry refuses": (lambda lab, q, s: lab.registry.accept("another") or {}, f"registry {HOST}", "login"),
    "registry is down": (
        lambda lab, q, s: (lab.registry.stop() and {}) or {},
        f"registry {HOST}",
        "reach the registry",
    ),
    "Redis is down": (lambda lab, q, s: (lab.redis.stop() and {}) or {}, "Redis", "DEPLOYER_REDIS_URL"),
    "nobody takes the tasks": (_task_that_waits, "workers", "celery -A deployer worker"),
    "label": (_label("--label", "deployer.timeout=soon"), "labels of odd", "correct the label"),
    "label of the container": (
        _label("--container-label", "deployer.enable=false"),
        "labels of odd",
        "deploy.labels",
    ),
    "notification": (_settings(NOTIFY_URLS="nonsense://s3cret@host"), "notifications", "correct the setting"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_the_doctor_names_what_is_broken_and_the_fix(lab, sound, web, name):
    breaks, check, fix = BROKEN[name]
    with ExitStack() as stack:
        wrong, done = failures(lab, sound, **breaks(lab, sound, stack))
    assert done.returncode == 1, done.stderr
    assert [line for line in wrong if line.startswith(f"{check}: ") and fix in line], wrong
    assert "s3cret" not in done.stdout + done.stderr


def test_the_doctor_knows_an_engine_that_is_no_manager(sound):
    with Lab() as own:
        own.docker("swarm", "leave", "--force")
        queues = own.aws.queues(visibility=120)
        wrong, _ = failures(own, queues)
    assert any(line.startswith("Docker engine: ") and "on managers" in line for line in wrong), wrong
