"""Celery's events and remote control over Redis, with a real worker on SQS: as people use them."""

import json
import subprocess
import sys
import time

import pytest
from flower_lab import Flower

from lab import wait_until
from lab.processes import free_port

pytestmark = pytest.mark.real
WEB = "team/web:latest"


def celery(lab, queues, *words, **settings):
    """Run `celery -A deployer …` as somebody on another host would."""
    command = [sys.executable, "-m", "celery", "-A", "deployer", *words]
    env = lab.environment(queues, **settings)
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)


def asked(lab, queues, *words):
    said = celery(lab, queues, "inspect", *words, "--json")
    return json.loads(said.stdout or "{}")


def deploy(lab, queues, text):
    digest = lab.push(WEB, text)
    lab.aws.send(queues.events, json.dumps(lab.event(WEB, digest)))
    return digest


def test_inspect_and_control_from_another_process(lab, queues):
    one, two = lab.worker(queues), lab.worker(queues)
    pings = asked(lab, queues, "ping")
    assert len(pings) == 2
    assert all(answer == {"ok": "pong"} for answer in pings.values())
    first = min(pings)
    assert "deployer.tasks.update_service" in asked(lab, queues, "registered")[first]
    assert asked(lab, queues, "active") == {name: [] for name in pings}
    assert asked(lab, queues, "stats")[first]["pool"]["max-concurrency"] == 4
    limited = celery(lab, queues, "control", "rate_limit", "deployer.tasks.update_service", "10/m")
    assert limited.stdout.count("new rate limit set successfully") == 2, limited.stderr
    assert celery(lab, queues, "control", "shutdown", "-d", first).returncode == 0
    one.join(15)
    assert two.running
    assert list(asked(lab, queues, "ping")) == [max(pings)]


def test_commands_that_can_harm_are_refused_with_the_reason(lab, queues):
    worker = lab.worker(queues)
    for words in ("add_consumer x", "pool_restart", "autoscale 9 1", "cancel_consumer x", "pool_grow 9"):
        said = celery(lab, queues, "control", *words.split())
        assert f"{words.split()[0]} is off: " in said.stdout + said.stderr
    assert asked(lab, queues, "ping")
    assert worker.running


def test_a_revoked_deployment_is_not_run(lab, queues):
    lab.push(WEB, "v1")
    lab.create("web", WEB, port=8101)
    worker = lab.worker(queues)
    env = lab.environment(queues)
    code = (
        "from deployer.app import app; from deployer.tasks import update_service as u; import sys\n"
        "app.control.revoke(sys.argv[1]); u.apply_async(('web',), {'force': True}, task_id=sys.argv[1])"
    )
    subprocess.run([sys.executable, "-c", code, "revoked-one"], env=env, check=True, timeout=60)
    wait_until(lambda: not lab.aws.count(queues.tasks), 20, "the task taken")
    assert "revoked-one of service" not in worker.text
    assert lab.inspect("web")["Spec"]["TaskTemplate"].get("ForceUpdate", 0) == 0


def test_no_password_of_redis_is_told_to_who_inspects_a_worker(lab, queues):
    url = lab.redis.url.replace("redis://", "redis://robot:s3cret-of-redis@")
    lab.redis.command(b"ACL SETUSER robot on >s3cret-of-redis ~* &* +@all")
    lab.worker(queues, REDIS_URL=url)
    said = celery(lab, queues, "inspect", "conf", REDIS_URL=url)
    assert "task_default_queue" in said.stdout
    assert "s3cret" not in said.stdout + said.stderr
    said = celery(lab, queues, "inspect", "stats", REDIS_URL=url)
    assert "s3cret" not in said.stdout + said.stderr
    assert not [p.log for p in lab.processes if "s3cret" in p.text]


def test_redis_over_tls_with_the_certificate_checked(lab, queues, tmp_path):
    port, cert, key = free_port(), tmp_path / "cert.pem", tmp_path / "key.pem"
    made = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=redis -addext subjectAltName=IP:127.0.0.1"
    subprocess.run([*made.split(), "-keyout", key, "-out", cert], check=True, capture_output=True)
    options = (
        f"--port 0 --tls-port {port} --tls-cert-file {cert} --tls-key-file {key} --tls-auth-clients no --save"
    )
    redis = lab.spawn("redis-tls", "redis-server", *options.split(), "", env={})
    wait_until(lambda: "Ready to accept connections" in redis.text, 10, "Redis with TLS")
    url = f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={cert}"
    lab.push(WEB, "one")
    lab.create("web", WEB)
    worker = lab.worker(queues, REDIS_URL=url)
    done = subprocess.run(
        [sys.executable, "-m", "deployer", "update", "web", "--wait", "--force"],
        env=lab.environment(queues, REDIS_URL=url), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert "updated" in done.stdout, done.stderr
    assert "pong" in celery(lab, queues, "inspect", "ping", REDIS_URL=url).stdout
    # Without the authority's certificate nobody speaks to it, and work goes on.
    said = celery(lab, queues, "inspect", "ping", REDIS_URL=url.partition("?")[0])
    assert said.returncode
    assert "pong" not in said.stdout
    assert worker.running


def test_without_redis_the_commands_say_what_they_need(lab, queues):
    said = celery(lab, queues, "inspect", "ping", REDIS_URL="")
    assert said.returncode
    assert "need Redis" in said.stdout + said.stderr
    assert "Traceback" not in said.stdout + said.stderr


@pytest.mark.parametrize("fault", ["killed", "frozen", "absent at the start"])
def test_redis_may_vanish_and_everything_is_back_by_itself(lab, queues, fault):
    lab.push(WEB, "v1")
    lab.create("web", WEB, port=8101)
    if fault == "absent at the start":
        lab.redis.stop()
    flower, worker = Flower(lab, queues), lab.worker(queues)
    lab.bridge(queues)
    if fault != "absent at the start":
        wait_until(lambda: "worker-" in flower.call("/api/workers?status=1"), 20, "the worker in Flower")
        (lab.redis.kill if fault == "killed" else lab.redis.freeze)()
    begun = time.monotonic()
    digest = deploy(lab, queues, "v2")
    wait_until(lambda: "ended: updated" in worker.text, 40, "the deployment without Redis")
    took = time.monotonic() - begun
    lab.redis.restore()
    back = time.monotonic()
    wait_until(lambda: asked(lab, queues, "ping"), 20, "remote control")
    shown = wait_until(lambda: flower.deployments("SUCCESS"), 20, "the deployment of the outage in Flower")
    assert digest in shown[0]["result"]
    assert time.monotonic() - back < 15
    begun = time.monotonic()
    deploy(lab, queues, "v3")
    wait_until(lambda: worker.text.count("ended: updated") == 2, 40, "the deployment with Redis")
    # The same deployment with Redis is the floor; each of the two tasks may have waited a second.
    assert took < (time.monotonic() - begun) + 3
    wait_until(lambda: len(flower.deployments("SUCCESS")) == 2, 20, "the deployment after it in Flower")
