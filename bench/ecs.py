"""Amazon ECS: from the event to the deployment it has created, and many services beside its quotas."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from bench.place import QUIET, VISIBILITY, Place, scatter
from bench.stats import Row, Spread
from lab import HOST, Queues, wait_until
from lab.ecs.front import JSON, TARGET
from lab.ecs.lab import CLUSTER, EcsLab, web
from lab.ecs.rules import READ_ONLY
from lab.images import MANIFEST

IMAGE = "bench/one:latest"
BURST, RATE = 20, 1  # registrations at once, and a second, by ECS's published limits


class Bare:
    """The calls that a deployment needs, over one kept connection, with nothing around them."""

    def __init__(self, lab: EcsLab) -> None:
        self._lab = lab
        self._connection = http.client.HTTPConnection("127.0.0.1", lab.front.port, timeout=60)
        self._connection.connect()

    def ask(self, action: str, **members: Any) -> Mapping[str, Any]:
        """Send one request; its answer."""
        headers = {"X-Amz-Target": f"{TARGET}.{action}", "Content-Type": JSON}
        self._connection.request("POST", "/", json.dumps(members), headers)
        answer: Mapping[str, Any] = json.loads(self._connection.getresponse().read())
        return answer

    def deploy(self, url: str, ready: threading.Event) -> None:
        """Receive one event, find its services, resolve the tag, register and update."""
        ready.set()
        message = self._lab.aws.client("sqs").receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"][0]
        detail = json.loads(message["Body"])["detail"]
        path = f"/v2/{detail['repository-name']}/manifests/{detail['image-tag']}"
        arns = self.ask("ListServices", cluster=CLUSTER)["serviceArns"]
        for service in self.ask("DescribeServices", cluster=CLUSTER, services=arns)["services"]:
            read = self.ask("DescribeTaskDefinition", taskDefinition=service["taskDefinition"])
            wanted = {k: v for k, v in read["taskDefinition"].items() if k not in READ_ONLY}
            digest = self._lab.registry.request("HEAD", path, accept=MANIFEST)[1]["Docker-Content-Digest"]
            wanted["containerDefinitions"][0]["image"] = f"{HOST}/{IMAGE}@{digest}"
            made = self.ask("RegisterTaskDefinition", **wanted)["taskDefinition"]["taskDefinitionArn"]
            self.ask("UpdateService", cluster=CLUSTER, service=service["serviceArn"], taskDefinition=made)


def timed(lab: EcsLab, url: str, updates: int = 1) -> float:
    """Push, send the event, and return the seconds until so many updates have been accepted."""
    accepted: list[float] = []
    lab.front.strict.faults.after("UpdateService", lambda _: accepted.append(time.time()), updates)
    digest = lab.push(IMAGE, f"{time.time()}")
    scatter()
    begun = time.time()
    lab.aws.send(url, lab.event(IMAGE, digest))
    wait_until(lambda: len(accepted) == updates, 600, "the updates", every=0.002)
    return accepted[-1] - begun


def floor(lab: EcsLab) -> float:
    """Do the same by hand."""
    url, ready = lab.aws.queues(VISIBILITY, 100).events, threading.Event()
    thread = threading.Thread(target=Bare(lab).deploy, args=(url, ready))
    thread.start()
    ready.wait()
    time.sleep(0.1)  # the poll is under way
    took = timed(lab, url)
    thread.join()
    return took


@contextmanager
def deploying(lab: EcsLab) -> Iterator[Queues]:
    """Run a bridge and a worker."""
    pair = lab.aws.queues(VISIBILITY, 100)
    lab.bridge(pair, **QUIET)
    lab.worker(pair, **QUIET)
    time.sleep(0.3)  # their first polls are under way
    yield pair
    wait_until(lambda: not lab.aws.count(pair.tasks), 120, "an empty queue", every=0.1)
    lab.end_processes()


def latency(lab: EcsLab, count: int) -> list[Row]:
    """Send events one after another, to the deployer and by hand in turn."""
    lab.push(IMAGE)
    lab.create_service("one", web(IMAGE), desired=0)
    ours, floors = [], []
    with deploying(lab) as pair:
        for number in range(count + 1):
            one = timed(lab, pair.events)
            wait_until(lambda: not lab.aws.count(pair.tasks), 120, "the end", every=0.1)
            other = floor(lab)
            if number:  # the first connects, and asks for tokens
                ours.append(one * 1000)
                floors.append(other * 1000)
    note = "floor: ReceiveMessage, list, describe ×2, manifest, register, update"
    what = "ECS: event sent → deployment created"
    return [Row("ecs-latency", what, "ms", Spread.of(ours), Spread.of(floors), note=note)]


def many(lab: EcsLab, count: int) -> list[Row]:
    """Deploy to many services of one image, with ECS's limits on requests enforced."""
    lab.clear()
    lab.push(IMAGE)
    made = lab.create_service("many-0", web(IMAGE), desired=0)
    for number in range(1, count):
        lab.create_service(f"many-{number}", definition=made["taskDefinition"], desired=0, wait=False)
    with deploying(lab) as pair:
        lab.front.strict.quotas = True
        took = timed(lab, pair.events, count)
        lab.front.strict.quotas = False
    own = (count - BURST) / RATE
    what = f"ECS: {count} services of one image, all begun"
    note = "floor: the quota's own time, 20 registrations at once, then one a second"
    return [Row("ecs-many", what, "s", Spread.of([took]), Spread.of([own]), note=note)]


def run(place: Place) -> list[Row]:
    """Measure in a lab of its own, whose emulator has the engine's containers."""
    with EcsLab() as lab:
        return [*latency(lab, place.size(30, 4)), *many(lab, place.size(200, 30))]
