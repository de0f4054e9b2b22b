"""Policies, holds, order and limits on ECS: the words that they have on a Swarm."""

import pytest
from ecs_world import HOST, MANAGED, REPOSITORY, EcsWorld, container, digest, pinned

from deployer.model.deployment import Again, Outcome, Request
from deployer.rollouts.ledger import set_freeze, set_hold
from deployer.targets.ecs.service import Options
from deployer.targets.ecs.wire.api import Refused


def labels(**more):
    return {**MANAGED, **{f"deployer.{name.replace('_', '-')}": value for name, value in more.items()}}


def test_24_any_new_tag_is_deployed_where_a_label_of_the_container_says_so():
    world = EcsWorld()
    world.push(1, tag="v1")
    world.create(image=f"{REPOSITORY}:v1", labels=labels(policy="glob:*", ignore_tags="latest"))
    world.push(2, tag="anything-2")
    world.wait(60)
    world.push(3)
    report = world.deploy()
    assert (report.outcome, world.images()) == (Outcome.UPDATED, [pinned(2)])
    assert world.snapshot().service.image.tag == "anything-2"


def test_24_a_default_policy_makes_it_ecr_deploys_place():
    world = EcsWorld(options=Options(opt_in=False, policy="glob:*"))
    world.push(1, tag="v1")
    world.create(image=f"{REPOSITORY}:v1", labels=None)
    world.push(2, tag="v2")
    assert world.deploy().outcome is Outcome.UPDATED
    assert world.snapshot().service.image.tag == "v2"


def test_24_ecs_refuses_such_a_policy_as_a_tag_of_the_service():
    world = EcsWorld()
    world.create()
    arn = world.operator.service("web")["serviceArn"]
    with pytest.raises(Refused):
        world.operator.tag(arn, {"deployer.policy": "glob:*"})
    world.operator.tag(arn, {"deployer.policy": "minor"})
    assert world.snapshot().service.labels["deployer.policy"] == "minor"


def test_26_a_hold_and_a_freeze_hold_and_their_end_deploys():
    world = EcsWorld()
    world.create()
    world.push(2)
    set_hold(world.store, "web", "until monday")
    assert world.deploy("one").reason == "held: until monday"
    set_hold(world.store, "web", None)
    set_freeze(world.store, "audit")
    assert world.deploy("two").reason == "held: audit"
    set_freeze(world.store, None)
    assert world.deploy("three").outcome is Outcome.UPDATED


def test_26_a_label_holds_too_and_a_tag_of_the_service_ends_it():
    world = EcsWorld()
    world.create(labels=labels(hold="not now"))
    world.push(2)
    assert world.deploy("one").reason == "held: not now"
    world.operator.tag(world.operator.service("web")["serviceArn"], {"deployer.hold": "false"})
    assert world.deploy("two").outcome is Outcome.UPDATED


def test_26_a_window_is_waited_for():
    world = EcsWorld()
    world.create(labels=labels(window="03:00-04:00 UTC"))  # it is midnight
    world.push(2)
    step = world.deployer.advance("web", Request("t", trigger="event"))
    assert isinstance(step, Again)
    assert step.patient
    assert "outside its window" in step.reason
    assert world.deploy().outcome is Outcome.UPDATED
    assert 3 <= world.fake.clock.now.hour < 4


def test_26_a_tag_has_to_be_quiet_for_a_while():
    world = EcsWorld(settle=60)
    world.create()
    world.push(2)
    began = world.fake.clock.seconds
    assert world.deploy().outcome is Outcome.UPDATED
    assert world.fake.clock.seconds - began >= 60


def test_26_one_service_goes_after_another_and_not_where_that_one_failed():
    world = EcsWorld(rollout_timeout=60)
    world.create("first")
    world.create("second", labels=labels(after="first"))
    world.push(2)
    waiting = world.deployer.advance("second", Request("s2", trigger="event"))
    assert isinstance(waiting, Again)
    assert "first goes first" in waiting.reason
    assert world.deploy("f2", "first").outcome is Outcome.UPDATED
    assert world.deploy("s2", "second").outcome is Outcome.UPDATED
    world.push(3, behaviour="crash")
    assert world.deploy("f3", "first").outcome is Outcome.ROLLED_BACK
    held = world.deploy("s3", "second")
    assert (held.outcome, held.reason) == (Outcome.HELD, "first, which goes first, failed with this digest")
    assert world.images("second") == [pinned(2)]


def test_26_no_more_services_roll_at_once_than_there_are_slots():
    world = EcsWorld(max_rollouts=1)
    world.create("one")
    world.create("two")
    world.push(2, start_seconds=30)
    first = world.deploy("a", "one", until=lambda step: step.watch)
    step = world.deployer.advance("two", Request("b", trigger="event"))
    assert isinstance(step, Again)
    assert "DEPLOYER_MAX_ROLLOUTS" in step.reason
    assert world.go_on("one", Request("a", trigger="event"), first.watch).outcome is Outcome.UPDATED
    assert world.deploy("b", "two").outcome is Outcome.UPDATED


def test_26_without_a_way_back_that_is_demanded_nothing_begins():
    world = EcsWorld()
    world.create(labels=labels(require_way_back="true"))
    world.push(2)
    world.missing.add(digest(1))
    report = world.deploy()
    assert report.outcome is Outcome.HELD
    assert "deployer.require-way-back" in report.reason
    assert world.counted("UpdateService") == 0


def test_26_a_failed_roll_out_is_left_as_it_is_where_a_label_says_so():
    world = EcsWorld(rollout_timeout=60)
    world.create(labels=labels(rollback="false"))
    world.push(2, behaviour="crash")
    report = world.deploy()
    assert (report.outcome, world.images()) == (Outcome.FAILED, [pinned(2)])
    assert "left as it is" in report.reason


def test_a_repository_elsewhere_is_asked_by_its_own_name():
    world = EcsWorld()
    name = "registry.example.com:5000/team/web"
    world.push(1, name=name)
    world.create(
        containers=[container("app", f"{name}:latest", MANAGED), container("other", f"{HOST}/other:1")]
    )
    world.push(2, name=name)
    assert world.deploy().outcome is Outcome.UPDATED
    assert world.images() == [pinned(2, name), f"{HOST}/other:1"]
