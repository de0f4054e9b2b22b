"""Pushes to the registry of the lab with ECS, and what becomes of them on its cluster."""

import json

from lab import HOST, wait_until
from lab.ecs.lab import web

WEB = "team/web:latest"
BREAKER = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
ENDED = " ended: "


def pinned(digest, repository="team/web"):
    return f"{HOST}/{repository}@{digest}"


def publish(lab, queues, text="v2", kind="web", image=WEB):
    """Push an image and send ECR's event for it; its digest."""
    digest = lab.push(image, text, kind)
    lab.aws.send(queues.events, json.dumps(lab.event(image, digest)))
    return digest


def ends(worker):
    """Return the ends that a worker has told: service and outcome, oldest first."""
    found = []
    for line in worker.text.splitlines():
        if "logger=deployer.tasks.ending" in line and ENDED in line:
            name = line.partition(" of service ")[2].partition(ENDED)[0]
            found.append((name, line.partition(ENDED)[2].partition(",")[0].partition('"')[0]))
    return found


def ended(worker, *wanted, timeout=60):
    """Wait until a worker has told these ends, each `service: outcome`, and return its log."""
    expected = sorted(tuple(one.split(": ")) for one in wanted)
    wait_until(lambda: sorted(ends(worker)) == expected, timeout, f"{expected} of {worker.log}")
    return worker.text


def runs(lab, name, *digests, timeout=40):
    """Wait until a service's tasks run these digests, one for each container."""
    wait_until(lambda: lab.running(name) == sorted(digests), timeout, f"{name} on {digests}")


def revisions(lab, family):
    return lab.front.send("ListTaskDefinitions", {"familyPrefix": family})["taskDefinitionArns"]


__all__ = ["BREAKER", "WEB", "ended", "ends", "pinned", "publish", "revisions", "runs", "web"]
