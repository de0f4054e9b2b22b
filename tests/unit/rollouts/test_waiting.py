"""What a deployment waits for before it begins, and that it does not wait for ever or for nothing."""

from datetime import timedelta
from itertools import pairwise

import pytest
from in_memory import HOST, WEB, Runs, digest, pinned

from deployer.model.deployment import Again, Outcome, Report, Request
from deployer.rollouts.decision import Rules
from deployer.rollouts.ledger.slots import Observer, take_slot
from deployer.testing import FakeSwarm


@pytest.fixture
def swarm():
    swarm = FakeSwarm()
    swarm.push(WEB, digest(1))
    swarm.create("web", pinned(1))
    return swarm


def begins_after(runs, at_seconds, limit=600):
    """How many seconds pass until a push is written; `at_seconds` is what else happens, and when."""
    began, waiting = runs.swarm.now, {}
    while (passed := (runs.swarm.now - began).total_seconds()) < limit:
        step = runs.deployer.advance("web", Request("t1", trigger="event", waiting=waiting))
        assert isinstance(step, Again)
        if step.watch:
            return passed
        waiting = step.waiting
        for _ in range(max(1, int(step.seconds))):
            runs.swarm.tick()
            at_seconds.pop((runs.swarm.now - began).total_seconds(), lambda: None)()
    return None


@pytest.mark.parametrize("why", ["slot", "after", "roll-out"])
def test_a_wait_for_something_else_does_not_begin_the_quiet_time_anew(swarm, why):
    swarm.push(WEB, digest(2))
    runs = Runs(swarm, Rules(settle=60, max_rollouts=1))

    def free():
        if why == "slot":
            swarm.write_ledger(swarm.ledger(), {})
        elif why == "after":
            swarm.edit("first", Image=pinned(2))
        else:
            swarm.raw["web"]["UpdateStatus"]["State"] = "completed"

    if why == "slot":
        take_slot(swarm, "other", "theirs", set(), 1, Observer())
    elif why == "after":
        swarm.create("first", pinned(1))
        swarm.raw["web"]["Spec"]["Labels"]["deployer.after"] = "first"
    else:
        swarm.tick()
        swarm.raw["web"]["UpdateStatus"] = {"State": "updating", "StartedAt": swarm.now.isoformat()}
    assert 70 <= begins_after(runs, {70: free}) <= 76


@pytest.mark.parametrize("labels", [{}, {"deployer.timeout": "never"}])
def test_a_service_that_hangs_for_days_takes_no_slot(swarm, labels):
    swarm.create("stuck", pinned(1), labels=labels)
    since = swarm.now - timedelta(days=3)
    swarm.raw["stuck"]["UpdateStatus"] = {"State": "updating", "StartedAt": since.isoformat()}
    swarm.push(WEB, digest(2))
    assert Runs(swarm, Rules(max_rollouts=1)).step().watch
    swarm.raw["stuck"]["UpdateStatus"]["StartedAt"] = swarm.now.isoformat()
    swarm.create("other", pinned(1))
    assert (
        "services roll already" in Runs(swarm, Rules(max_rollouts=1)).step("other", deployment_id="t2").reason
    )


def test_what_was_taken_back_is_no_reason_to_wait(swarm):
    swarm.create("db", f"{HOST}/team/db:1@{digest(1)}")
    swarm.raw["db"]["UpdateStatus"] = {"State": "rollback_completed", "StartedAt": swarm.now.isoformat()}
    swarm.raw["web"]["Spec"]["Labels"]["deployer.after"] = "db"
    swarm.push(WEB, digest(2))
    assert Runs(swarm).run().outcome is Outcome.UPDATED


@pytest.mark.parametrize("names", [("b",), ("b", "c"), ("b", "c", "d")])
def test_services_that_wait_for_each_other_say_so(swarm, names):
    line = ("web", *names, "web")
    for name, first in pairwise(line):
        if name != "web":
            swarm.create(name, pinned(1))
        swarm.raw[name]["Spec"]["Labels"]["deployer.after"] = first
    swarm.push(WEB, digest(2))
    report = Runs(swarm).step()
    assert isinstance(report, Report)
    assert (report.outcome, " waits for ".join(line) in report.reason) == (Outcome.IGNORED, True)


def test_a_line_that_ends_in_somebody_elses_circle_or_in_nobody_is_waited_for(swarm):
    swarm.create("b", pinned(1), labels={"deployer.after": "c"})
    swarm.create("c", pinned(1), labels={"deployer.after": "b"})
    swarm.create("d", pinned(1), labels={"deployer.after": "nobody"})
    swarm.push(WEB, digest(2))
    for first in ("b", "d"):
        swarm.raw["web"]["Spec"]["Labels"]["deployer.after"] = first
        assert f"{first} goes first" in Runs(swarm).step().reason
