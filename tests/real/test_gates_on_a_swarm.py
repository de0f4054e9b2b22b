"""Gates on a real Swarm: a digest waits for a person, and a roll-out is not over before it has baked."""

import json
import subprocess
import sys

import pytest
from pushes import WEB, on

from lab import HOST, wait_until

pytestmark = pytest.mark.real
FAST = ("--update-monitor", "2s", "--restart-delay", "1s")


def deployer(lab, queues, *argv):
    command = [sys.executable, "-m", "deployer", *argv]
    return subprocess.run(command, env=lab.environment(queues), capture_output=True, text=True, timeout=120)


def ended(lab, queues, outcome):
    """The deployments that history tells with this outcome."""
    every = json.loads(deployer(lab, queues, "history", "web", "--all", "--json").stdout)
    return [one for one in every if one["outcome"] == outcome]


def test_a_push_waits_for_a_person_and_then_goes_out(lab, queues):
    lab.worker(queues)
    lab.bridge(queues)
    lab.push(WEB, "v1")
    lab.create("web", WEB, *FAST, "--label", "deployer.approve=1", port=8101)
    digest = lab.push(WEB, "v2")
    lab.aws.send(queues.events, lab.event(WEB, digest))
    [held] = wait_until(lambda: ended(lab, queues, "held"), 30, "its end")
    assert (held["outcome"], held["reason"]) == (
        "held",
        f"waits for approval of {digest}: deployer approve web --reason …",
    )
    done = deployer(lab, queues, "update", "web", "--force", "--wait")
    assert (done.returncode, "waits for approval" in done.stdout) == (5, True)
    assert lab.page(8101) == "v1"
    done = deployer(lab, queues, "approve", "web", "--reason", "reviewed")
    assert (done.returncode, "it goes out" in done.stdout) == (0, True), done.stderr
    wait_until(lambda: lab.page(8101) == "v2", 60, "the approved page")
    # The next one is another digest.
    assert lab.push(WEB, "v3") != digest
    assert deployer(lab, queues, "update", "web", "--wait").returncode == 5
    assert lab.image_of("web") == f"{HOST}/{WEB}@{digest}"


def test_a_task_that_fails_while_it_bakes_takes_the_service_back(lab, queues):
    lab.worker(queues)
    good = lab.push(WEB, "v1")
    lab.create("web", WEB, *FAST, "--label", "deployer.bake=60s", port=8101)
    lab.push(WEB, "v2", kind="crash-later", seconds=12)
    sent = deployer(lab, queues, "update", "web")
    assert sent.returncode == 0, sent.stderr
    status = lambda: json.loads(deployer(lab, queues, "status", "web", "--json").stdout)[0]  # noqa: E731
    wait_until(lambda: status()["state"] == "baking", 30, "the bake")
    [end] = wait_until(lambda: ended(lab, queues, "rolled-back"), 60, "its end")
    assert end["reason"].startswith("while it baked: ")
    assert lab.image_of("web") == on(good)
