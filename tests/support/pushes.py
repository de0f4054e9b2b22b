"""Pushes to the lab's registry, and what becomes of them on its Swarm."""

import json

from lab import HOST, wait_until

WEB = "team/web:latest"


def on(digest, image=WEB):
    return f"{HOST}/{image}@{digest}"


def version(lab, service):
    return lab.inspect(service)["Version"]["Index"]


def publish(lab, queues, image=WEB, text="v2", **kind):
    """Push an image and send ECR's event for it; its digest."""
    digest = lab.push(image, text, **kind)
    lab.aws.send(queues.events, json.dumps(lab.event(image, digest)))
    return digest


def is_drained(lab, queues):
    return not lab.aws.count(queues.events) and not lab.aws.count(queues.tasks)


def drained(lab, queues, timeout=40):
    wait_until(lambda: is_drained(lab, queues), timeout, "both queues empty")


def rolled_out(lab, service, image, timeout=30):
    wait_until(lambda: lab.image_of(service) == image, timeout, f"{service} on {image}")
