"""A model test: any order of pushes, duplicates, losses, failures, holds, operators and worker deaths.

The tasks' messages are kept in a list, as SQS would: a step may take any of them, also twice, or lose the
worker between the write and the sending back.
"""

from dataclasses import replace
from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from deployer.model.deployment import Again, Outcome, Request
from deployer.rollouts.decision import Rules
from deployer.rollouts.deployer import Deployer
from deployer.rollouts.fleet import renewal, survey
from deployer.rollouts.ledger import set_freeze
from deployer.rollouts.ledger.slots import Observer
from deployer.rollouts.ports import Credentials
from deployer.testing import FakeSwarm

WEB = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/web:latest"
SERVICES = ("one", "two")


def digest(n):
    return f"sha256:{n:064x}"


class Swarm(FakeSwarm):
    def credentials(self, image, login=None):
        return Credentials("AWS", "token", image.host)


class Deployments(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.swarm = Swarm()
        self.swarm.push(WEB, digest(0))
        self.swarm.create("one", f"{WEB}@{digest(0)}", replicas=2)
        self.swarm.create("two", f"{WEB}@{digest(0)}", failure_action="rollback")
        rules = Rules(rollout_timeout=120, max_rollouts=1)
        observer = Observer(lambda: 0.0)  # no slot may wait for its lease to end
        self.deployer = Deployer(self.swarm, self.swarm, rules, self.swarm.clock, observer=observer)
        self.newest = 0
        self.messages = []  # (service, request, watch)
        self.tasks = 0
        self.by_hand = set()  # digests that a person may bring back
        self.frozen = False
        self.ended = {}

    # -- what happens in the world -------------------------------------------------------------------

    @rule(bad=st.booleans(), lost=st.booleans())
    def push(self, bad, lost):
        self.newest += 1
        self.swarm.push(WEB, digest(self.newest))
        if bad:
            self.swarm.crashing.add(digest(self.newest))
        if not lost:
            self.event(self.newest)

    @rule(back=st.integers(0, 3))
    def late_or_repeated_event(self, back):
        self.event(max(0, self.newest - back))

    def event(self, number):
        for service in SERVICES:
            request = Request(
                deployment_id=f"event-{number}-{service}", trigger="event", pushed_digest=digest(number)
            )
            self.messages.append((service, request, None))

    @rule(service=st.sampled_from(SERVICES))
    def redeploy_by_hand(self, service):
        self.tasks += 1
        self.messages.append((service, Request(deployment_id=f"hand-{self.tasks}"), None))

    @rule(service=st.sampled_from(SERVICES))
    def roll_back_by_hand(self, service):
        self.tasks += 1
        self.messages.append(
            (service, Request(deployment_id=f"back-{self.tasks}", trigger="rollback", rollback=True), None)
        )

    @rule()
    def freeze_or_thaw(self):
        self.frozen = not self.frozen
        set_freeze(self.swarm, "audit" if self.frozen else None)

    @rule(steps=st.integers(1, 10))
    def time_passes(self, steps):
        self.swarm.settle(steps)

    @rule()
    def renew_credentials(self):
        before = {name: self.swarm.service(name) for name in SERVICES}
        for name in renewal.refresh(self.deployer, timedelta()):
            after = self.swarm.service(name)
            assert after.image_text == before[name].image_text
            assert set(before[name].state.failures) <= set(after.state.failures)

    @rule()
    def catch_up(self):
        found = survey.survey(self.deployer)
        assert not self.frozen or not any(one.now for one in found.behind)
        for one in found.behind:
            if one.now:
                request = Request(deployment_id=f"late-{one.service}-{one.wanted}", trigger="reconcile")
                self.messages.append((one.service, request, None))

    # -- the workers -----------------------------------------------------------------------------------

    @precondition(lambda self: self.messages)
    @rule(data=st.data(), repeated=st.booleans(), dies=st.booleans())
    def work(self, data, repeated, dies):
        index = data.draw(st.integers(0, len(self.messages) - 1))
        message = self.messages[index] if repeated or dies else self.messages.pop(index)
        again = self.take(message)
        if again and not dies:
            self.messages.append(again)

    def take(self, message):
        service, request, watch = message
        before = self.swarm.service(service)
        writes = len(self.swarm.writes)
        step = self.deployer.advance(service, request, watch)
        self.check_write(service, request, before, writes)
        if isinstance(step, Again):
            return service, replace(request, waiting=step.waiting, pre_job=step.pre_job), step.watch
        self.ended[request.deployment_id] = step.outcome
        return None

    def check_write(self, service, request, before, writes):
        """At most one write; forward to the registry's newest, or back to a digest that ran before."""
        made = self.swarm.writes[writes:]
        assert len(made) <= 1
        if not made or made[0][1] == before.image_text:
            return
        state = self.swarm.service(service).state
        if state.by == "rollback":
            assert state.failed
            assert not made[0][1].endswith(state.failures)
        else:
            assert not self.frozen
            assert made[0][1].endswith(digest(self.newest))
            assert digest(self.newest) not in before.state.failures

    # -- what must hold --------------------------------------------------------------------------------

    @invariant()
    def no_service_rolls_beyond_the_width(self):
        ours = [s for s in self.swarm.services() if s.rolling]
        assert len(ours) <= 1

    def teardown(self):
        """In quiet times everything ends, on the newest digest unless that one failed or was left."""
        set_freeze(self.swarm, None)
        self.frozen = False
        self.event(self.newest)
        for _ in range(600):
            if not self.messages:
                break
            self.messages = [again for message in self.messages if (again := self.take(message))]
            self.swarm.tick(2)
        assert not self.messages, f"a task does not end: {self.messages[0]}, {self.swarm.ledger().labels}"
        self.swarm.settle()
        for service in SERVICES:
            self.check_end(service)

    def check_end(self, service):
        end = self.swarm.service(service)
        newest = digest(self.newest)
        if end.image.digest == newest and newest not in self.swarm.crashing:
            return
        assert newest in end.state.failures or newest in self.swarm.crashing, (end.image_text, end.state)
        writes = len(self.swarm.writes)
        outcome = self.deployer.advance(
            service, Request(deployment_id="late", trigger="event", pushed_digest=newest)
        ).outcome
        assert outcome in {Outcome.HELD, Outcome.UNCHANGED, Outcome.FAILED}
        assert len(self.swarm.writes) == writes


Deployments.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestDeployments = Deployments.TestCase
