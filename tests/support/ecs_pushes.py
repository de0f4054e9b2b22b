"""Pushes to the registry of the lab with ECS, and what becomes of them on its cluster."""

import json

from lab import HOST, wait_until
from lab.ecs.lab import CLUSTER, web

BREAKER = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
ENDED = " ended: "


def pinned(digest, repository):
    return f"{HOST}/{repository}@{digest}"


def publish(lab, queues, repository, text="v2", kind="web"):
    """Push an image as `latest` and send ECR's event for it; its digest."""
    digest = lab.push(f"{repository}:latest", text, kind)
    again(lab, queues, repository, digest)
    return digest


def again(lab, queues, repository, digest):
    """Send ECR's event of a push."""
    lab.aws.send(queues.events, json.dumps(lab.event(f"{repository}:latest", digest)))


def ends(worker, *services):
    """Return the ends of services that a worker has told, each with its outcome, oldest first."""
    found = []
    for line in worker.text.splitlines():
        if "logger=deployer.tasks.ending" in line and ENDED in line:
            name = line.partition(" of service ")[2].partition(ENDED)[0]
            outcome = line.partition(ENDED)[2].partition(",")[0].partition('"')[0]
            if name in services:
                found.append(f"{name}: {outcome}")
    return found


def ended(worker, *wanted, timeout=60):
    """Wait until a worker has told these ends of these services, and return its log.

    Args:
        worker: the worker.
        wanted: each end as `service: outcome`, in any order.
        timeout: in seconds.
    """
    names = {one.partition(":")[0] for one in wanted}
    wait_until(
        lambda: sorted(ends(worker, *names)) == sorted(wanted),
        timeout,
        f"{wanted} of {worker.log}",
        every=0.2,
    )
    return worker.text


def runs(lab, name, *digests, timeout=40):
    """Wait until a service's tasks run these digests, one for each container."""
    wait_until(lambda: lab.running(name) == sorted(digests), timeout, f"{name} on {digests}")


def updates(lab, service):
    """Return the requests by which workers have pointed a service somewhere."""
    return [sent for sent in lab.front.called("UpdateService") if sent["service"].endswith(f"/{service}")]


def fates(lab, service):
    """Return how the service deployments of a service have ended, newest first."""
    listed = lab.front.call("ListServiceDeployments", cluster=CLUSTER, service=service)
    return [one["status"] for one in listed["serviceDeployments"]]


def revisions(lab, family):
    return lab.front.send("ListTaskDefinitions", {"familyPrefix": f"{family}"})["taskDefinitionArns"]


def created(lab, name, **more):
    """Create a service of this name whose image is `team/<name>:latest`; its repository and first digest."""
    repository = f"team/{name}"
    digest = lab.push(f"{repository}:latest", "v1")
    lab.create_service(name, web(f"{repository}:latest"), **more)
    return repository, digest
