"""The stack files: deployed on a real Swarm, scaled, updated by themselves and upgraded, while pushes flow."""

import json
import re
from functools import partial

import pytest
from stack_lab import OURS, Flow, Stack, flower

from lab import HOST, wait_until

pytestmark = pytest.mark.real
WEB = "team/web:latest"
# They get a push in turn.
FLOW = {"web": WEB, "api": "team/api:latest", "cron": "team/cron:latest"}
QUICK = ("--update-monitor", "1s")


@pytest.fixture
def queues(lab):
    # The emulator gives messages to the aborted long polls of workers that have ended.
    return lab.aws.queues(visibility=10, max_receives=50)


def another(lab, image, name):
    """The image with another label, under a name; its digest at the registry."""
    made = lab.docker("create", image)
    lab.docker("commit", "--change", f"LABEL generation={name}", made, name)
    lab.docker("rm", made)
    lab.docker("push", "--quiet", name)
    return re.search(r"sha256:\w+", lab.docker("image", "inspect", "--format", "{{.RepoDigests}}", name))[0]


def all_done(lab, queues):
    """Wait until nothing is under way."""
    wait_until(
        lambda: not lab.aws.count(queues.events) + lab.aws.count(queues.tasks), 90, "empty queues", every=0.5
    )
    assert lab.aws.bodies(queues.events_dead) == []
    assert lab.aws.bodies(queues.tasks_dead) == []


def nothing_was_lost(stack, flow, log):
    """Every push has come to an end, the last of each service runs, and none ran after a later one."""
    for service, image in flow.last().items():
        stack.rolled_out(service, image, 90)
    all_done(stack.lab, stack.queues)
    flow.look()
    assert {service: images[-1] for service, images in flow.seen.items()} == flow.last()
    assert flow.steps_back() == []
    # A result that Redis does not take at once is dropped: what history does not know stands in the log.
    told = json.loads(stack.execute("worker", "deployer", "history", "--all", "--json", "--limit", "100000"))
    ends = {(entry["event"], entry["service"]): entry["outcome"] for entry in told}
    for push in flow.pushes:
        said = rf"of service {push.service} ended: ([a-z-]+).*{push.event}|{push.event}.*of service {push.service} ended: ([a-z-]+)"
        if (push.event, push.service) not in ends and (found := re.search(said, log.text)):
            ends[push.event, push.service] = found[1] or found[2]
    lost = [push for push in flow.pushes if (push.event, push.service) not in ends]
    about_them = [line for line in log.text.splitlines() if any(push.event in line for push in lost)]
    assert lost == [], "\n".join(about_them)
    assert {ends[push.event, push.service] for push in flow.pushes} <= {"updated", "unchanged", "superseded"}
    for service in flow.seen:
        wait_until(partial(stack.lab.is_up, service), 30, f"{service} running")


def test_the_stack_loses_no_push_while_it_is_scaled_and_updates_itself(lab, queues, image, servers, inward):
    lab.docker("push", "--quiet", image)
    for service, reference in FLOW.items():
        lab.push(reference, "v1")
        lab.create(service, reference, *QUICK, wait=False)
    stack = Stack(lab, queues, image, inward, "stack.yml", "stack.webhook.yml", "stack.prometheus.yml")
    log = stack.follow("worker")
    with Flow(stack, FLOW) as flow:
        lab.docker("service", "scale", "--detach", "deployer_worker=5")
        wait_until(lambda: len(stack.containers("worker")) == 5 and stack.is_up("worker"), 60, "five workers")
        flow.flowed(3)
        lab.docker("service", "scale", "--detach", "deployer_worker=2")
        wait_until(lambda: len(stack.containers("worker")) == 2, 60, "two workers")
        flow.flowed(3)

        # A push of its own image: every part of it is replaced, and it goes on.
        own = another(lab, image, image)
        workers = set(stack.containers("worker"))
        stack.publish("team/deployer:latest", own)
        for part in OURS:
            stack.rolled_out(f"deployer_{part}", f"{image}@{own}", 120)
        stack.updated(OURS)
        assert not set(stack.containers("worker")) & workers
        flow.flowed(3)
    nothing_was_lost(stack, flow, log)
    newest = flow.last()["web"].partition("@")[2]

    # Flower is behind its password and knows them; the bridge cannot reach the engine.
    assert flower(lab, "/api/tasks", login=None)[0] == 401

    def has_ended():
        told = json.loads(flower(lab, "/api/tasks")[1]).values()
        return any(
            newest in str(task["result"]) and "'outcome': 'updated'" in task["result"] for task in told
        )

    wait_until(has_ended, 60, "the last deployment in Flower", every=0.3)
    assert "web" in stack.execute("worker", "deployer", "history")
    reach = "import socket; socket.create_connection(('socket-proxy', 2375), 3)"
    assert stack.execute("worker", "python3", "-c", reach) == ""
    with pytest.raises(RuntimeError, match="Name or service not known|Temporary failure in name resolution"):
        stack.execute("bridge", "python3", "-c", reach)
    for part in OURS:
        status = dict(re.findall(r"(?m)^(\w+):\s*(\S+)", stack.execute(part, "cat", "/proc/self/status")))
        assert (status["Uid"], *(int(status[kind], 16) for kind in ("CapEff", "CapBnd"))) == ("10001", 0, 0)
        assert re.search(r"(?m)^\S+ / \S+ ro,", stack.execute(part, "cat", "/proc/self/mounts")), part

    # The optional parts: metrics where Prometheus asks for them, and a webhook.
    fetch = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1], timeout=5).read().decode())"
    page = partial(stack.execute, "worker", "python3", "-c", fetch)
    assert 'deployer_events_total{kind="push"}' in page("http://tasks.bridge:9808/metrics")
    assert "deployer_updates_total" in page("http://tasks.worker:9808/metrics")
    assert "healthy" in page("http://webhook:8080/healthz")


def test_an_upgrade_of_the_whole_stack_loses_no_push(lab, queues, image, servers, inward):
    first, second = (f"{HOST}/team/deployer:{number}" for number in (1, 2))
    for name in (first, second):
        another(lab, image, name)
    for service, reference in FLOW.items():
        lab.push(reference, "v1")
        lab.create(service, reference, *QUICK, wait=False)
    good = lab.push("team/other:latest", "v1")
    lab.create("other", "team/other:latest", *QUICK, wait=False)
    stack = Stack(lab, queues, first, inward, "stack.yml")
    workers = set(stack.containers("worker"))
    log = stack.follow("worker")
    with Flow(stack, FLOW) as flow:
        flow.flowed(3)
        bad = lab.push("team/other:latest", "v2", kind="crash")
        stack.publish("team/other:latest", bad)
        stack.rolled_out("other", f"{HOST}/team/other:latest@{bad}")
        stack.deploy(DEPLOYER_IMAGE=second, DEPLOYER_LOG_FORMAT="json")
        stack.updated(stack.ours, 120)
        flow.flowed(3)
    assert not set(stack.containers("worker")) & workers
    for part in stack.ours:
        assert lab.image_of(f"deployer_{part}").startswith(f"{second}@")
    # The setting has changed too, and the log of before is in the old form.
    logged = {json.loads(line)["level"] for line in log.text.splitlines() if line.startswith("{")}
    assert "info" in logged
    nothing_was_lost(stack, flow, log)
    # The broken image that was pushed in the midst of it has been taken back.
    other = lab.inspect("other")["Spec"]
    assert other["TaskTemplate"]["ContainerSpec"]["Image"] == f"{HOST}/team/other:latest@{good}"
    assert bad in other["Labels"]["deployer.state.failed"]


def test_the_plain_stack_needs_neither_proxy_nor_redis(lab, queues, image, inward):
    lab.docker("push", "--quiet", image)
    lab.push(WEB, "v1")
    lab.create("web", WEB)
    group = (lab.engine.root / "docker.sock").stat().st_gid
    stack = Stack(lab, queues, image, inward, "stack.plain.yml", DOCKER_GROUP=str(group))
    assert stack.parts == ["bridge", "worker", "beat"]
    stack.rolled_out("web", f"{HOST}/{WEB}@{stack.push(WEB, 'v2')}")
