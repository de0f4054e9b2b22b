"""The periodic look at all services: each question once, several registries side by side."""

import threading

from in_memory import digest

from deployer.errors import TemporaryError
from deployer.reports import status
from deployer.rollouts.decision import Rules
from deployer.rollouts.deployer import Deployer
from deployer.rollouts.fleet import survey
from deployer.testing import FakeSwarm


class Slow(FakeSwarm):
    """A Swarm whose registries answer when eight of them have been asked."""

    def __init__(self):
        super().__init__()
        self.barrier = threading.Barrier(8, timeout=20)
        self.asked, self.lists = [], []

    def manifest(self, image, credentials):
        if image.digest:  # the way back
            return super().manifest(image, credentials)
        self.asked.append(str(image))
        self.barrier.wait()
        if "h3." in image.host:
            raise TemporaryError("no route to host")
        return super().manifest(image, credentials)


def crowd(services_each):
    swarm = Slow()
    for host in range(8):
        image = f"h{host}.example.com/web:1"
        for number in range(services_each):
            swarm.create(f"web-{host}-{number}", f"{image}@{digest(1)}")
        swarm.push(image, digest(2))
    return swarm, Deployer(swarm, swarm, Rules(), clock=swarm.clock)


def test_eight_registries_are_asked_side_by_side_and_each_image_once():
    swarm, deployer = crowd(5)
    found = survey.survey(deployer)
    assert sorted(swarm.asked) == [f"h{host}.example.com/web:1" for host in range(8)]
    assert (found.services, found.images, len(found.behind)) == (40, 8, 35)
    assert {name for name, _ in found.faults} == {f"web-3-{number}" for number in range(5)}


def test_status_asks_as_the_periodic_look_does():
    swarm, deployer = crowd(5)
    found = status.survey(deployer)
    assert len(swarm.asked) == 8
    assert [one.service for one in found if one.registry == "unknown"] == [f"web-3-{n}" for n in range(5)]
