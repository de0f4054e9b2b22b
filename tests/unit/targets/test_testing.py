"""The Swarm in memory that users test with: its services, its registry, its clock."""

from datetime import timedelta

import pytest

from deployer.errors import NoSuchServiceError, NotFoundError, StaleVersionError
from deployer.model.image import Image
from deployer.model.service import Manifest, State
from deployer.model.snapshot import Phase
from deployer.policies.ranking import Tag
from deployer.rollouts.ports import Change, Credentials, Registry
from deployer.testing import FakeSwarm

OLD, NEW = (f"sha256:{letter * 64}" for letter in "ab")
API = "registry.example.com/team/api"


def test_a_tag_has_the_time_when_its_digest_was_pushed_first():
    swarm = FakeSwarm()
    registry: Registry = swarm
    begun = swarm.now
    swarm.push(f"{API}:v1", OLD)
    swarm.push(f"{API}-more:v9", NEW)
    swarm.tick(60)
    later = swarm.now
    swarm.push(f"{API}:v2", NEW)
    swarm.tick(60)
    swarm.push(f"{API}:stable", OLD)
    found = registry.tags(Image.parse(f"{API}:latest"))
    assert set(found) == {Tag("v1", begun, OLD), Tag("v2", later, NEW), Tag("stable", begun, OLD)}
    with pytest.raises(NotFoundError):
        registry.tags(Image.parse("registry.example.com/team/other"))


def test_a_login_has_a_password():
    swarm, image = FakeSwarm(), Image.parse(API)
    assert swarm.credentials(image) is None
    assert swarm.credentials(image, "team-a") == Credentials("team-a", "password", "registry.example.com")


@pytest.fixture
def swarm():
    swarm = FakeSwarm()
    swarm.push(f"{API}:v1", OLD)
    swarm.create("api", f"{API}:v1@{OLD}", replicas=2, labels={"team": "a"})
    return swarm


def write(swarm, digest, name="api"):
    """Write another image as a deployer does, over the version that was read."""
    service = swarm.service(name)
    image = service.image.with_digest(digest)
    swarm.apply(service, Change(State(image=str(image)), image, Manifest(digest)), None)


def test_a_service_that_was_created_runs_and_has_converged(swarm):
    snapshot = swarm.read("api", swarm.now)
    assert (snapshot.progress.phase, snapshot.progress.ready, swarm.starts("api")) == (Phase.CONVERGED, 2, 2)
    assert snapshot.service.labels == {"team": "a"}
    swarm.settle()
    assert (swarm.starts("api"), swarm.writes) == (2, [])


def test_a_write_replaces_task_by_task_and_stands_in_writes_and_history(swarm):
    write(swarm, NEW)
    assert swarm.writes == [("api", f"{API}:v1@{NEW}")]
    swarm.tick(2)
    assert swarm.read("api", swarm.now).progress.phase is Phase.ROLLING
    swarm.settle()
    assert swarm.read("api", swarm.now).progress.phase is Phase.CONVERGED
    assert swarm.raw["api"]["UpdateStatus"]["State"] == "completed"
    images = [task["Spec"]["ContainerSpec"]["Image"] for task in swarm.history["api"]]
    assert images == [f"{API}:v1@{OLD}"] * 2 + [f"{API}:v1@{NEW}"] * 2
    assert swarm.starts("api") == 4


def test_what_was_read_before_somebody_else_wrote_cannot_be_written(swarm):
    service = swarm.service("api")
    swarm.edit("api", Env=["A=1"])
    with pytest.raises(StaleVersionError):
        swarm.apply(service, Change(State()), None)


@pytest.mark.parametrize(
    ("action", "image", "state"),
    [("pause", NEW, "paused"), ("rollback", OLD, "rollback_completed"), ("continue", NEW, "updating")],
)
def test_a_digest_that_crashes_does_what_the_failure_action_says(swarm, action, image, state):
    swarm.create("api", f"{API}:v1@{OLD}", failure_action=action)
    swarm.crashing = {NEW}
    write(swarm, NEW)
    swarm.settle(4)
    if action == "rollback":
        swarm.settle()
    assert (swarm.image("api"), swarm.raw["api"]["UpdateStatus"]["State"]) == (f"{API}:v1@{image}", state)


def test_a_service_is_created_in_the_place_of_another_and_removed(swarm):
    swarm.create("api", f"{API}:v1@{NEW}")
    assert (swarm.image("api"), swarm.starts("api"), len(swarm.services())) == (f"{API}:v1@{NEW}", 1, 1)
    swarm.remove("api")
    assert swarm.services() == []
    with pytest.raises(NoSuchServiceError):
        swarm.service("api")


def test_spec_and_status_can_be_changed_by_hand_and_nothing_else(swarm):
    swarm.raw["api"]["Spec"]["Labels"]["deployer.hold"] = "audit"
    swarm.raw["api"]["UpdateStatus"] = {"State": "paused"}
    assert swarm.service("api").labels["deployer.hold"] == "audit"
    assert swarm.read("api", swarm.now).progress.phase is Phase.PAUSED
    with pytest.raises(KeyError):
        swarm.raw["api"]["ID"] = "another"


def test_the_clock_can_be_set_without_the_engine_and_moves_on_from_there(swarm):
    write(swarm, NEW)
    swarm.now += timedelta(days=1)
    assert swarm.read("api", swarm.now).progress.ready == 0
    later = swarm.clock()
    swarm.tick(60)
    assert swarm.now == later + timedelta(seconds=60)
    assert swarm.read("api", swarm.now).progress.phase is Phase.CONVERGED


def test_the_registry_knows_what_was_pushed_and_nothing_else(swarm):
    assert swarm.manifest(Image.parse(f"{API}:v1"), None) == Manifest(OLD)
    assert swarm.manifest(Image.parse(f"{API}@{NEW}"), None) == Manifest(NEW)
    with pytest.raises(NotFoundError):
        swarm.manifest(Image.parse(f"{API}:v2"), None)


def test_the_ledger_is_written_over_what_was_read(swarm):
    read = swarm.ledger()
    swarm.write_ledger(read, {"a": "b"})
    assert swarm.ledger().labels == {"a": "b"}
    with pytest.raises(StaleVersionError):
        swarm.write_ledger(read, {})


def test_two_may_look_at_one_engine(swarm):
    other = FakeSwarm(swarm.engine)
    write(swarm, NEW)
    assert other.image("api") == f"{API}:v1@{NEW}"
