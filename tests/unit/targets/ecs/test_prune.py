"""Revisions that nobody needs are taken out of use, and no others."""

import pytest
from ecs_world import MANAGED, REPOSITORY, EcsWorld, container

from deployer.model.deployment import Outcome
from deployer.targets.ecs.names import last
from deployer.targets.ecs.writes.prune import prunable, prune


@pytest.fixture
def world():
    """The revisions web:2 to web:6 are ours, web:1 is its owner's."""
    world = EcsWorld()
    world.create()
    for n in range(2, 7):
        world.push(n)
        assert world.deploy(f"t{n}").outcome is Outcome.UPDATED
    return world


def pruned(world, keep=1, **options):
    target = world.deployer.target
    return prune(target.places, world.snapshot().service, keep, **options)


def active(world):
    answer = world.api.call("ListTaskDefinitions", familyPrefix="web", maxResults=100)
    return [last(arn) for arn in answer["taskDefinitionArns"]]


def test_30_what_we_registered_and_nothing_needs_goes_oldest_first(world):
    # web:6 runs, and web:5 is where it would go back to.
    assert pruned(world) == ["web:2", "web:3", "web:4"]
    assert active(world) == ["web:1", "web:5", "web:6"]
    assert world.deploy("back", trigger="rollback", rollback=True).outcome is Outcome.ROLLED_BACK
    assert world.revision() == "web:5"


def test_30_as_many_stay_as_are_to_be_kept(world):
    assert pruned(world, keep=4) == ["web:2"]
    assert pruned(world, keep=40) == []


def test_30_what_another_service_or_a_task_uses_stays(world):
    world.operator.create("idle", definition="web:2", desired=0)
    world.api.call("RunTask", cluster="prod", taskDefinition="web:3")
    world.wait(10)
    assert pruned(world) == ["web:4"]


def test_30_what_others_have_registered_goes_only_if_a_person_says_so(world):
    app = container("app", f"{REPOSITORY}:latest", MANAGED)
    world.operator.register("web", app)
    world.operator.register("web-admin", app)
    places, service = world.deployer.target.places, world.snapshot().service
    assert [last(arn) for arn in prunable(places, service, 1)] == ["web:2", "web:3", "web:4"]
    assert [last(arn) for arn in prunable(places, service, 1, every=True)] == [
        "web:1",
        "web:2",
        "web:3",
        "web:4",
    ]
    assert world.operator.definition("web-admin:1")["status"] == "ACTIVE"


def test_30_revisions_that_another_service_has_registered_in_the_family_stay(world):
    world.operator.create("twin", definition="web:1", desired=1, tags=MANAGED)
    world.wait(30)
    for n in (7, 8, 9):
        world.push(n)
        assert world.deploy(f"twin {n}", "twin").outcome is Outcome.UPDATED
    assert pruned(world) == ["web:2", "web:3", "web:4"]
    assert [one for one in active(world) if one in {"web:7", "web:8", "web:9"}] == ["web:7", "web:8", "web:9"]


def test_30_what_another_service_of_the_family_would_go_back_to_stays_whoever_asks_for_all(world):
    world.operator.create("twin", definition="web:1", desired=1, tags=MANAGED)
    world.wait(30)
    for n in (7, 8, 9):
        world.push(n)
        assert world.deploy(f"twin {n}", "twin").outcome is Outcome.UPDATED
    # twin runs web:9 and would go back to web:8, as web runs web:6 and would go back to web:5.
    assert pruned(world, every=True) == ["web:1", "web:2", "web:3", "web:4", "web:7"]
    assert active(world) == ["web:5", "web:6", "web:8", "web:9"]


def test_30_it_stops_where_the_quota_has_no_room(world):
    world.fake.faults.after("DeregisterTaskDefinition", lambda members: None)
    world.fake.faults.refuse("DeregisterTaskDefinition", "ThrottlingException", times=1)
    assert pruned(world) == []
    assert pruned(world) == ["web:2", "web:3", "web:4"]


def test_30_nothing_goes_while_a_roll_out_is_under_way(world):
    world.push(7, start_seconds=60)
    world.begin("t7")
    assert pruned(world) == []
