"""Days of a service on ECS as chance makes them: pushes good and bad, workers that die, lost and late answers.

Whatever happens, the newest good image runs in the end, no image that failed is deployed twice, and no
report says of a bad one that it was updated.
"""

import random
from collections import Counter
from contextlib import suppress
from dataclasses import replace

import pytest
from ecs_world import BREAKER, ONLY_BREAKS, EcsWorld, digest

from deployer.errors import TemporaryError
from deployer.model.deployment import Outcome, Report, Request

ACTIONS = [
    *(
        "ListTaskDefinitions",
        "RegisterTaskDefinition",
        "UpdateService",
        "TagResource",
        "StopServiceDeployment",
    ),
    *("DescribeServices", "DescribeTaskDefinition", "DescribeServiceRevisions", "ListTasks"),
    *("ListServiceDeployments", "DescribeServiceDeployments"),
]


class Day(EcsWorld):
    """A day, its messages, and how each deployment ended."""

    def __init__(self, seed):
        self.chance = random.Random(seed)
        super().__init__(rollout_timeout=self.chance.choice([40, 90]))
        settings = self.chance.choice([BREAKER, ONLY_BREAKS, {}])
        self.create(deploymentConfiguration=settings, desired=self.chance.choice([1, 2, 3]))
        self.workers = [self.worker(), self.worker()]
        self.messages, self.reports, self.good, self.newest = [], [], {1}, 1

    def send(self, task, trigger):
        self.messages.append([self.fake.clock.seconds, Request(task, trigger=trigger), None])

    def happens(self):
        chance, kind = self.chance, self.chance.random()
        if kind < 0.5:
            self.newest += 1
            ok = chance.random() < 0.5
            self.push(self.newest, behaviour="ok" if ok else chance.choice(["crash", "missing"]))
            self.good |= {self.newest} if ok else set()
            for _ in range(chance.choice([0, 1, 1, 1, 2])):
                self.send(f"e{self.newest}", "event")
        elif kind < 0.65:
            getattr(self.fake.faults, chance.choice(["lose_request", "lose_answer"]))(chance.choice(ACTIONS))
        elif kind < 0.75:
            self.fake.answer_late(chance.choice([0, 5, 12]))
        elif kind < 0.9:
            self.send(f"r{chance.random()}", "reconcile")
        else:
            with suppress(TemporaryError):
                self.operator.scale("web", chance.choice([1, 2, 3]))

    def pass_by(self, seconds):
        for _ in range(int(seconds)):
            for message in sorted(self.messages, key=lambda one: one[0]):
                if message[0] <= self.fake.clock.seconds:
                    self.look(message)
            self.wait(1)

    def look(self, message):
        _, request, memory = message
        try:
            step = self.chance.choice(self.workers).advance("web", request, memory)
        except TemporaryError:
            message[0] += 3
            return
        if isinstance(step, Report):
            self.messages.remove(message)
            self.reports.append(step)
        elif self.chance.random() < 0.08:  # the worker dies, and the message comes again as it was
            message[0] += self.chance.choice([1, 20, 40])
        else:
            message[:] = [message[0] + step.seconds, replace(request, waiting=step.waiting), step.watch]

    def end(self):
        self.fake.faults.forget()
        self.fake.answer_late(0)
        for n in range(3):
            self.send(f"last {n}", "reconcile")
            self.pass_by(600)
        assert self.messages == []

    def deployed(self):
        """How often each image was deployed, by its number."""
        listed = self.api.call("ListServiceDeployments", cluster="prod", service="web", maxResults=100)
        arns = [one["targetServiceRevisionArn"] for one in listed["serviceDeployments"]]
        found = Counter()
        for arn in arns:
            [revision] = self.api.call("DescribeServiceRevisions", serviceRevisionArns=[arn])[
                "serviceRevisions"
            ]
            image = self.operator.definition(revision["taskDefinition"])["containerDefinitions"][0]["image"]
            found[int(image[-64:], 16) if "@" in image else 1] += 1
        return found


@pytest.mark.parametrize("seed", [*range(20), 318, 529])  # the last two once ended badly
def test_a_day_ends_well(seed):
    day = Day(seed)
    for _ in range(day.chance.randint(4, 14)):
        day.happens()
        day.pass_by(day.chance.choice([0, 1, 3, 10, 30, 100, 300]))
    day.end()
    runs = day.snapshot().service.image.digest
    assert runs in {digest(n) for n in day.good}
    if day.newest in day.good:
        assert runs == digest(day.newest)
    twice = {n for n, times in day.deployed().items() if times > 1 and n not in day.good}
    assert twice == set()
    assert not [one for one in day.reports if one.outcome is Outcome.FAILED]
