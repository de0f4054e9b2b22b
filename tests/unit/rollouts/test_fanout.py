"""A push that many services follow: together it leads to what looks one by one lead to, and never to less care."""

from hypothesis import given
from hypothesis import strategies as st

from deployer.errors import TemporaryError
from deployer.model.deployment import Again, Outcome, Request
from deployer.model.service import Service
from deployer.rollouts.decision import Rules
from deployer.rollouts.deployer import Deployer
from deployer.rollouts.fleet import batch
from deployer.rollouts.fleet.batch import PART_SERVICES, PART_TASKS, begin, parts
from deployer.rollouts.ledger import set_freeze, trials
from deployer.targets.swarm.memory import Operator
from deployer.testing import FakeSwarm

REPO = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/team/api"
A, B, C = ("sha256:" + letter * 64 for letter in "abc")
KINDS = (
    {},
    {"deployer.hold": "audit"},
    {"deployer.enable": "false"},
    {"deployer.timeout": "never"},
    {"deployer.after": "web-0"},
    {"deployer.settle": "30"},
    {"deployer.policy": "semver:^1"},
)


def a_swarm(kinds, digest=A):
    swarm = FakeSwarm()
    swarm.push(f"{REPO}:latest", digest)
    for number, labels in enumerate(kinds):
        swarm.create(f"web-{number}", f"{REPO}:latest@{A}", labels=labels)
    swarm.push(f"{REPO}:latest", B)
    return swarm


def wanted(service, hint=B):
    return Request(deployment_id=f"task-{service.name}", trigger="event", event="e", pushed_digest=hint)


def go_together(swarm, deployer, services=None):
    services = swarm.services() if services is None else services
    return begin(deployer, services, [wanted(service) for service in services])


def end_all(swarm, deployer, looks):
    """As the tasks do: each deployment goes on from what its first look has left."""
    ends = {}
    for look in looks:
        step = look.step or deployer.advance(look.service.name, look.request)
        for _ in range(5):
            if not isinstance(step, Again):
                break
            swarm.tick(2)
            step = deployer.advance(look.service.name, look.request, step.watch)
        ends[look.service.name] = step.outcome if not isinstance(step, Again) else step.reason
    return ends


@given(st.lists(st.sampled_from(KINDS), max_size=8), st.sampled_from([0, 2]), st.booleans())
def test_together_leads_to_what_one_by_one_leads_to(kinds, width, frozen):
    results = []
    for together in (True, False):
        swarm = a_swarm(kinds)
        if frozen:
            set_freeze(swarm, "no")
        deployer = Deployer(swarm, swarm, Rules(max_rollouts=width), clock=swarm.clock)
        if together:
            looks = go_together(swarm, deployer)
        else:
            looks = [batch.FirstLook(s, wanted(s), None) for s in swarm.services()]
            looks = [
                batch.FirstLook(
                    look.service, look.request, step if isinstance(step, Again) and step.watch else None
                )
                for look in looks
                for step in [deployer.advance(look.service.name, look.request)]
            ]
        begun = {look.service.name for look in looks if look.step}
        results.append((swarm.writes, begun, end_all(swarm, deployer, looks)))
    assert results[0] == results[1]


def test_a_look_that_begins_no_rollout_is_left_to_its_own_task():
    swarm = a_swarm([{}, {"deployer.hold": "audit"}])
    looks = go_together(swarm, Deployer(swarm, swarm, Rules(), clock=swarm.clock))
    assert [bool(look.step) for look in looks] == [True, False]
    assert swarm.writes == [("web-0", f"{REPO}:latest@{B}")]


class Meddled(FakeSwarm):
    """Between the reading of services and the writing, somebody pushes and updates one of them."""

    def meddle(self):
        self.push(f"{REPO}:latest", C)
        self.edit("web-1", Image=f"{REPO}:latest@{C}")
        self.meddle = lambda: None

    def apply(self, service, change, credentials):
        if service.name == "web-1":
            self.meddle()
        super().apply(service, change, credentials)


class Counted(FakeSwarm):
    """Counts the writes of the ledger."""

    ledger_writes = 0

    def write_ledger(self, read, labels):
        self.ledger_writes += 1
        super().write_ledger(read, labels)


def test_what_people_moved_many_services_away_from_is_remembered_in_one_write():
    swarm = Counted()
    swarm.push(f"{REPO}:latest", A)
    for number in range(8):
        swarm.create(f"web-{number}", f"{REPO}:latest@{A}")
        swarm.edit(f"web-{number}", Image=f"{REPO}:latest@{C}")
    swarm.push(f"{REPO}:latest", B)
    looks = go_together(swarm, Deployer(swarm, swarm, Rules(), clock=swarm.clock))
    assert all(look.step for look in looks)
    assert swarm.ledger_writes == 1
    assert [list(swarm.ledger().failures(f"web-{number}")) for number in range(8)] == [[A]] * 8


def without_tasks(labels=({},) * 8):
    """Services of which no task can tell that a write was taken back."""
    swarm = Counted()
    swarm.push(f"{REPO}:latest", A)
    for number, own in enumerate(labels):
        swarm.create(f"web-{number}", f"{REPO}:latest@{A}", replicas=0, labels=own)
    swarm.push(f"{REPO}:latest", B)
    return swarm, Deployer(swarm, swarm, Rules(), clock=swarm.clock)


def test_writes_of_which_nothing_else_tells_are_noted_in_one_write():
    swarm, deployer = without_tasks()
    looks = go_together(swarm, deployer)
    assert all(look.step for look in looks)
    assert swarm.ledger_writes == 1
    for number in range(8):
        Operator(swarm.engine).roll_back(f"web-{number}")
        Operator(swarm.engine).scale(f"web-{number}", 1)
    swarm.tick(60)
    later = [Request(deployment_id=f"later-{n}", trigger="reconcile") for n in range(8)]
    ends = [deployer.advance(f"web-{n}", request) for n, request in enumerate(later)]
    assert {end.outcome for end in ends} == {Outcome.HELD}


def test_the_parts_of_a_push_find_nothing_left_to_note():
    swarm, deployer = without_tasks()
    services = swarm.services()
    batch.remember(deployer, services, [wanted(service) for service in services])
    noted = swarm.ledger_writes
    for service in services:
        assert begin(deployer, [service], [wanted(service)])[0].step
    assert (noted, swarm.ledger_writes) == (1, 1)


def test_a_write_that_was_noted_and_not_made_is_no_failure():
    swarm, deployer = without_tasks([{}, {"deployer.settle": "30"}, {"deployer.hold": "audit"}])
    go_together(swarm, deployer)
    assert swarm.ledger_writes == 2  # noted, and forgotten
    assert not any("web-1" in key or "web-2" in key for key in swarm.ledger().labels)


def test_a_worker_that_dies_between_note_and_write_blames_nobody():
    swarm, deployer = without_tasks([{"deployer.hold": "audit"}])
    (service,) = swarm.services()
    trials.note(swarm, {"web-0": trials.Trial(B, service.version, "task-web-0")})
    assert deployer.advance("web-0", wanted(service)).outcome is Outcome.HELD
    Operator(swarm.engine).scale("web-0", 1)
    swarm.tick(60)
    assert not swarm.ledger().labels


def test_the_parts_of_a_push_find_nothing_left_to_remember():
    swarm = a_swarm([{}] * 6)
    deployer = Deployer(swarm, swarm, Rules(), clock=swarm.clock)
    end_all(swarm, deployer, go_together(swarm, deployer))
    for number in range(6):
        swarm.edit(f"web-{number}", Image=f"{REPO}:latest@{A}")
    swarm.push(f"{REPO}:latest", C)
    batch.remember(deployer, swarm.services(), [wanted(service, C) for service in swarm.services()])
    before = swarm.ledger().version
    for service in swarm.services():
        later = Request(deployment_id=f"later-{service.name}", trigger="event", event="f", pushed_digest=C)
        assert begin(deployer, [service], [later])[0].step
    assert swarm.ledger().version == before
    assert [list(swarm.ledger().failures(f"web-{number}")) for number in range(6)] == [[B]] * 6


def test_a_service_that_has_changed_is_not_written_to_and_left_to_a_look_of_its_own():
    """Otherwise the older answer of the registry would be written over the newer image."""
    swarm = Meddled()
    swarm.push(f"{REPO}:latest", A)
    for number in range(4):
        swarm.create(f"web-{number}", f"{REPO}:latest@{A}")
    swarm.push(f"{REPO}:latest", B)
    looks = go_together(swarm, Deployer(swarm, swarm, Rules(), clock=swarm.clock))
    assert [swarm.image(f"web-{n}")[-1] for n in range(4)] == ["b", "c", "b", "b"]
    assert [bool(look.step) for look in looks] == [True, False, True, True]


def test_a_deployment_that_died_between_write_and_message_goes_on():
    swarm = a_swarm([{}])
    deployer = Deployer(swarm, swarm, Rules(), clock=swarm.clock)
    go_together(swarm, deployer)
    (again,) = go_together(swarm, deployer)
    assert again.step is not None
    assert len(swarm.writes) == 1
    assert end_all(swarm, deployer, [again]) == {"web-0": Outcome.UPDATED}


class Down(FakeSwarm):
    """The registry cannot be asked."""

    asked = 0

    def manifest(self, image, credentials):
        self.asked += 1
        raise TemporaryError("no answer")


def test_what_does_not_answer_is_asked_once_for_all():
    swarm = Down()
    swarm.push(f"{REPO}:latest", B)
    for number in range(5):
        swarm.create(f"web-{number}", f"{REPO}:latest@{A}")
    looks = go_together(swarm, Deployer(swarm, swarm, Rules(), clock=swarm.clock))
    assert [look.step for look in looks] == [None] * 5
    assert swarm.asked == 1


class Counting(FakeSwarm):
    """Counts what is read."""

    def __init__(self):
        super().__init__()
        self.read = []

    def __getattribute__(self, name):
        if name in {"service", "read_all", "manifest", "ledger"}:
            object.__getattribute__(self, "read").append(name)
        return super().__getattribute__(name)


def test_what_services_have_in_common_is_read_once():
    swarm = Counting()
    swarm.push(f"{REPO}:latest", B)
    for number in range(20):
        swarm.create(f"web-{number}", f"{REPO}:latest@{A}")
    go_together(swarm, Deployer(swarm, swarm, Rules(), clock=swarm.clock))
    assert len(swarm.writes) == 20
    assert sorted(swarm.read) == ["ledger", "manifest", "manifest", "read_all"]  # the way back, too


def test_a_service_that_nobody_can_look_at_takes_no_other_with_it(monkeypatch):
    swarm = a_swarm([{}] * 3)
    looked = Deployer.step

    def step(self, snapshot, request, watch=None):
        if snapshot.service.name == "web-1":
            raise ZeroDivisionError("a fault of ours")
        return looked(self, snapshot, request, watch)

    monkeypatch.setattr(Deployer, "step", step)
    begun = go_together(swarm, Deployer(swarm, swarm, Rules(), clock=swarm.clock))
    assert [look.step is not None for look in begun] == [True, False, True]


def test_no_service_leads_to_no_request():
    swarm = Counting()
    assert go_together(swarm, Deployer(swarm, swarm, Rules())) == []
    assert swarm.read == []


def a_service(number, replicas):
    return Service(f"id-{number}", f"s{number}", 1, "web:1", desired=replicas)


@given(st.lists(st.none() | st.integers(0, 300), max_size=150))
def test_parts_hold_every_service_once_in_order_and_are_not_too_big(replicas):
    services = [a_service(number, count) for number, count in enumerate(replicas)]
    found = parts(services)
    assert [one for part in found for one in part] == services
    assert all(found) or found == [[]]
    for part in found:
        assert len(part) <= PART_SERVICES
        assert len(part) == 1 or sum(s.desired if s.desired is not None else 10 for s in part) <= PART_TASKS
