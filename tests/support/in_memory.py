"""Deployments against the Swarm in memory, advanced by hand as the workers would."""

from dataclasses import replace

from deployer.model.deployment import Again, Report, Request
from deployer.rollouts.decision import Rules
from deployer.rollouts.deployer import Deployer
from deployer.rollouts.ledger.slots import Observer

HOST = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
WEB = f"{HOST}/team/web:latest"


def digest(n: int) -> str:
    return f"sha256:{n:064x}"


def pinned(n: int, image: str = WEB) -> str:
    return f"{image}@{digest(n)}"


def newest_task(swarm, name="web"):
    """The engine's own task, which a test may change."""
    return list(swarm.engine.cluster.tasks[swarm.engine.record(name).id].values())[-1]


class Runs:
    """Deployments that are advanced by hand, as the workers would."""

    def __init__(self, swarm, rules=None):
        self.swarm = swarm
        observer = Observer(lambda: swarm.now.timestamp())
        self.deployer = Deployer(swarm, swarm, rules or Rules(), clock=swarm.clock, observer=observer)

    def run(self, name="web", limit=400, **request) -> Report:
        request = Request(**{"deployment_id": "t1", "trigger": "event", **request})
        watch, waiting, pre_job = None, {}, None
        for _ in range(limit):
            step = self.deployer.advance(name, replace(request, waiting=waiting, pre_job=pre_job), watch)
            if isinstance(step, Report):
                return step
            watch, waiting, pre_job = step.watch, step.waiting, step.pre_job
            for _ in range(max(1, int(step.seconds))):
                self.swarm.tick()
        raise AssertionError(f"the deployment does not end: {step}")

    def step(self, name="web", watch=None, **request) -> Report | Again:
        return self.deployer.advance(
            name, Request(**{"deployment_id": "t1", "trigger": "event", **request}), watch
        )
