"""The columns of `deployer history` mean one thing each (D8, F6)."""

import json

from in_memory import WEB, Runs, digest, pinned

from deployer.reports.history import PREFIX, recorded
from deployer.testing import FakeSwarm


class Redis:
    """Redis with the results of some reports."""

    def __init__(self, *results):
        self.results = [json.dumps(result).encode() for result in results]

    def scan_iter(self, *_, **__):
        return [f"{PREFIX}{n}" for n in range(len(self.results))]

    def mget(self, keys):
        return self.results if keys else []


def entry_of(report, **memory):
    result = {**vars(report), "outcome": str(report.outcome)}
    meta = {"name": "deployer.tasks.update_service", "args": ["web"], "result": result, "task_id": "t"}
    [entry] = recorded(Redis(meta | {"kwargs": {"deployment": memory}}))
    return entry


def test_the_image_is_what_was_tried_and_runs_is_what_was_left():
    """D8: IMAGE was the failed one for an automatic rollback, and the running one for a rollback by hand."""
    swarm = FakeSwarm()
    swarm.push(WEB, digest(1))
    swarm.create("web", pinned(1))
    swarm.push(WEB, digest(2))
    swarm.crashing = {digest(2)}
    failed = entry_of(Runs(swarm).run())
    assert (failed.outcome, failed.image, failed.runs) == ("rolled-back", pinned(2), pinned(1))
    swarm.push(WEB, digest(3))
    updated = entry_of(Runs(swarm).run(deployment_id="t2"))
    assert (updated.outcome, updated.image, updated.runs) == ("updated", pinned(3), pinned(3))
    back = entry_of(Runs(swarm).run(deployment_id="t3", trigger="rollback", rollback=True))
    assert (back.outcome, back.image, back.runs) == ("rolled-back", pinned(1), pinned(1))


def test_a_person_is_named():
    """F6: BY was `manual`, never a person."""
    swarm = FakeSwarm()
    swarm.push(WEB, digest(1))
    swarm.create("web", pinned(1))
    report = Runs(swarm).run(trigger="manual")
    assert entry_of(report, who="alice@bastion").who == "alice@bastion"
    assert entry_of(report).who is None
