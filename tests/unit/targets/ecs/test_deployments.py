"""Deployments of the real core on an ECS in memory: written once, followed by their own fate, taken back.

The number in a test's name is that of the scenario which it shows.
"""

import pytest
from ecs_world import BREAKER, MANAGED, ONLY_BREAKS, REPOSITORY, EcsWorld, container, digest, pinned

from deployer.model.deployment import Again, Outcome, Report, Request
from deployer.model.image import Image
from deployer.rollouts.fleet.survey import survey


@pytest.fixture
def world():
    return EcsWorld()


def test_1_a_push_becomes_one_revision_that_differs_in_the_digest_alone(world):
    world.create(
        memory="512", containers=[container("app", f"{REPOSITORY}:latest", MANAGED, futureField={"a": 1})]
    )
    before = world.operator.definition("web:1")
    world.push(2)
    report = world.deploy()
    assert (report.outcome, report.reason) == (Outcome.UPDATED, "2/2 running")
    after = world.operator.definition("web:2")
    assert after["containerDefinitions"][0].pop("image") == pinned(2)
    assert before["containerDefinitions"][0].pop("image") == f"{REPOSITORY}:latest"
    assert after["containerDefinitions"] == before["containerDefinitions"]
    assert {task["containers"][0]["imageDigest"] for task in world.operator.tasks("web")} == {digest(2)}


def test_what_a_service_runs_already_is_not_deployed_again_although_its_revision_names_a_tag_alone(world):
    world.create()
    assert world.deploy().outcome is Outcome.UNCHANGED
    assert survey(world.deployer).behind == ()
    assert world.revision() == "web:1"


def test_2_the_same_event_five_times_is_one_deployment(world):
    world.create()
    world.push(2)
    first = world.begin("e1")
    for n in range(2, 4):
        assert world.deploy(f"e{n}").outcome is Outcome.UNCHANGED  # while the first one is followed
    assert world.go_on("web", event("e1"), first.watch).outcome is Outcome.UPDATED
    for n in range(4, 6):
        assert world.deploy(f"e{n}").outcome is Outcome.UNCHANGED
    assert world.deploy("e1").outcome is Outcome.UPDATED  # the very message, again
    assert (world.counted("UpdateService"), world.revision()) == (1, "web:2")


def event(task):
    return Request(task, trigger="event")


CALLS = ["ListTaskDefinitions", "RegisterTaskDefinition", "UpdateService", "TagResource"]


@pytest.mark.parametrize("lose", ["lose_request", "lose_answer"])
@pytest.mark.parametrize("action", CALLS)
def test_3_a_worker_that_dies_between_any_two_calls_leaves_one_revision_and_one_deployment(
    world, action, lose
):
    world.create()
    world.operator.register("web-admin", container("app", "web-admin:1"))  # the family's name begins alike
    world.push(2)
    deployments = len(world.operator.service("web")["deployments"])
    getattr(world.fake.faults, lose)(action)
    report = world.deploy(worker=world.worker())
    assert report.outcome is Outcome.UPDATED
    assert world.revision() == "web:2"
    assert deployments == 1
    fates = world.api.call("ListServiceDeployments", cluster="prod", service="web")["serviceDeployments"]
    assert len(fates) == 2  # the service's first one, and ours


def test_4_ecs_takes_a_failed_deployment_back_and_its_digest_is_held_until_a_new_one_comes(world):
    world.create(deploymentConfiguration=BREAKER)
    world.push(2)
    world.deploy("good")
    world.push(3, behaviour="crash", exit_code=3)
    report = world.deploy("bad")
    assert report.outcome is Outcome.ROLLED_BACK
    assert "exited with code 3" in report.reason
    assert (world.revision(), world.images()) == ("web:2", [pinned(2)])
    again = world.deploy("again")
    assert (again.outcome, "exited with code 3" in again.reason) == (Outcome.HELD, True)
    assert world.reconcile() == []
    world.push(4)
    assert world.deploy("next").outcome is Outcome.UPDATED
    assert world.images() == [pinned(4)]


def test_4_memory_of_a_failure_restarts_nothing_and_outlives_the_ledger(world):
    world.create(deploymentConfiguration=BREAKER)
    world.push(2)
    world.deploy("good")
    world.push(3, behaviour="crash")
    world.deploy("bad")
    assert world.counted("UpdateService") == 2
    state = world.snapshot().service.state
    assert (state.failures, state.by) == ((digest(3),), "rollback")
    world.store.write_ledger(world.store.ledger(), {})
    assert world.deploy("again").outcome is Outcome.HELD
    fates = world.api.call("ListServiceDeployments", cluster="prod", service="web")["serviceDeployments"]
    assert len(fates) == 3


def test_4_what_ecs_took_back_while_nobody_looked_is_held(world):
    world.create(deploymentConfiguration=BREAKER)
    world.push(2, behaviour="crash")
    world.begin("bad")
    world.wait(600)
    again = world.deploy("again", worker=world.worker())
    assert again.outcome is Outcome.HELD
    assert world.counted("UpdateService") == 1


def test_4_a_first_deployment_that_fails_goes_back_to_the_revision_of_the_services_owner(world):
    world.create(deploymentConfiguration=BREAKER)
    world.push(2, behaviour="crash")
    report = world.deploy()
    assert (report.outcome, world.revision()) == (Outcome.ROLLED_BACK, "web:1")
    # ECS has resolved the tag when the service was made, and runs that digest again.
    assert {task["containers"][0]["imageDigest"] for task in world.operator.tasks("web")} == {digest(1)}
    assert world.deploy("again").outcome is Outcome.HELD


def test_5_without_a_circuit_breaker_the_time_out_ends_it_and_ecs_goes_back_by_our_word():
    world = EcsWorld(rollout_timeout=120)
    world.create()
    world.push(2)
    world.deploy("good")
    world.push(3, behaviour="crash")
    report = world.deploy("bad")
    assert report.outcome is Outcome.ROLLED_BACK
    assert "not converged after 120 s" in report.reason
    assert (world.revision(), world.images()) == ("web:2", [pinned(2)])
    assert world.counted("StopServiceDeployment") == 1
    assert world.counted("UpdateService") == 2
    assert len(world.operator.tasks("web")) == 2
    assert world.deploy("again").outcome is Outcome.HELD


def test_5_healthy_tasks_are_there_all_the_time():
    world = EcsWorld(rollout_timeout=120)
    world.create()
    world.push(2, behaviour="crash")
    up = []

    def watch(step):
        up.append(sum(task["lastStatus"] == "RUNNING" for task in world.operator.tasks("web")))

    assert world.deploy("bad", until=watch).outcome is Outcome.ROLLED_BACK
    assert min(up) == 2


def test_5_without_the_call_to_stop_a_deployment_the_service_is_pointed_to_its_former_revision():
    world = EcsWorld(rollout_timeout=60)
    world.create()
    world.push(2)
    world.deploy("good")
    world.push(3, behaviour="crash")
    world.fake.faults.refuse("StopServiceDeployment", "InvalidAction", times=5)
    report = world.deploy("bad")
    assert (report.outcome, world.revision()) == (Outcome.ROLLED_BACK, "web:2")
    assert world.deploy("again").outcome is Outcome.HELD


def test_6_a_breaker_that_only_breaks_is_followed_by_our_way_back(world):
    world.create(deploymentConfiguration=ONLY_BREAKS)
    world.push(2)
    world.deploy("good")
    world.push(3, behaviour="crash")
    report = world.deploy("bad")
    assert report.outcome is Outcome.ROLLED_BACK
    assert (world.revision(), world.images()) == ("web:2", [pinned(2)])
    assert world.deploy("again").outcome is Outcome.HELD


def test_7_our_way_back_does_not_hit_a_newer_deployment():
    world = EcsWorld(rollout_timeout=60)
    world.create()
    world.push(2)
    world.deploy("good")
    world.push(3, behaviour="crash")
    newer = []

    def somebody(members):
        newer.append(world.operator.deploy("web", {"app": f"{REPOSITORY}:stable"}))

    world.fake.push(f"{REPOSITORY}:stable", digest(9))
    world.fake.faults.before("StopServiceDeployment", somebody)
    report = world.deploy("bad")
    assert report.outcome is Outcome.SUPERSEDED
    world.wait(120)
    assert world.revision() == newer[0]
    assert world.images() == [f"{REPOSITORY}:stable"]


def test_8_somebody_who_updates_in_between_has_the_last_word(world):
    world.create()
    world.push(2, start_seconds=60)
    world.begin()
    theirs = world.operator.deploy("web", {"app": f"{REPOSITORY}:theirs"})
    world.deploy()  # the message comes again, and nobody remembers the write
    world.wait(120)
    assert world.revision() == theirs


def test_8_a_follower_that_sees_anothers_revision_ends(world):
    world.create()
    world.push(2, start_seconds=60)
    first = world.begin()
    theirs = world.operator.deploy("web", {"app": f"{REPOSITORY}:theirs"})
    report = world.go_on("web", event("t"), first.watch)
    assert (report.outcome, world.revision()) == (Outcome.SUPERSEDED, theirs)
    assert "somebody else updated the service" in report.reason


def test_8_a_forced_deployment_of_our_revision_is_theirs(world):
    world.create()
    world.push(2)
    world.deploy("ours")
    world.operator.force("web")
    assert world.snapshot().ours is False
    world.wait(60)
    assert world.snapshot().ours is False
    world.push(3)
    assert world.deploy("next").outcome is Outcome.UPDATED


def test_8_a_write_between_reading_and_writing_is_seen_before_ours(world):
    world.create()
    world.push(2)
    world.fake.push(f"{REPOSITORY}:theirs", digest(9))
    world.fake.faults.after(
        "RegisterTaskDefinition",
        lambda members: world.operator.deploy("web", {"app": f"{REPOSITORY}:theirs"}),
    )
    report = world.deploy()
    assert report.outcome is not Outcome.FAILED
    assert world.images() == [f"{REPOSITORY}:theirs"]  # whose tag nobody has pushed since


def test_9_answers_that_lag_are_neither_somebody_elses_word_nor_a_reason_to_write_again(world):
    world.create()
    world.push(2)
    world.fake.answer_late(10)
    first = world.begin("e1")
    for n in range(2, 5):
        step = world.deploy(f"e{n}", until=lambda step: True, worker=world.worker())
        assert isinstance(step, Again)
    assert world.go_on("web", event("e1"), first.watch).outcome is Outcome.UPDATED
    assert (world.counted("UpdateService"), world.revision()) == (1, "web:2")


def test_9_a_failure_is_told_right_although_answers_lag():
    world = EcsWorld(rollout_timeout=60)
    world.create(deploymentConfiguration=ONLY_BREAKS)
    world.push(2)
    world.deploy("good")
    world.fake.answer_late(10)
    world.push(3, behaviour="crash")
    report = world.deploy("bad")
    assert report.outcome is Outcome.ROLLED_BACK
    assert world.images() == [pinned(2)]
    assert world.counted("UpdateService") == 3


def test_a_person_who_goes_back_by_hand_is_not_overruled(world):
    world.create()
    world.push(2)
    world.deploy("two")
    world.push(3)
    world.deploy("three")
    world.operator.point("web", "web:2")
    world.wait(60)
    report = world.deploy("again", worker=world.worker())
    assert report.outcome is Outcome.HELD
    assert world.reconcile() == []
    assert world.images() == [pinned(2)]
    world.push(4)
    assert world.deploy("four").outcome is Outcome.UPDATED


def test_a_rollback_by_hand_points_to_the_former_revision_and_is_remembered(world):
    world.create()
    world.push(2)
    world.deploy("two")
    world.push(3)
    world.deploy("three")
    report = world.deploy("back", trigger="rollback", rollback=True)
    assert (report.outcome, world.revision()) == (Outcome.ROLLED_BACK, "web:2")
    assert world.deploy("again").outcome is Outcome.HELD
    forced = world.deploy("force", trigger="manual", force=True)
    assert (forced.outcome, world.images()) == (Outcome.UPDATED, [pinned(3)])


def test_a_restart_by_hand_is_a_new_revision_of_the_same_image(world):
    world.create()
    world.push(2)
    world.deploy("two")
    report = world.deploy("again", trigger="manual", force=True)
    assert (report.outcome, world.images(), world.revision()) == (Outcome.UPDATED, [pinned(2)], "web:3")


def test_a_report_names_the_image_with_the_tag_that_is_followed(world):
    world.create()
    world.push(2)
    report = world.deploy()
    assert isinstance(report, Report)
    assert Image.parse(report.runs).tag == "latest"


def test_a_rollback_by_hand_during_a_roll_out_supersedes_it(world):
    world.create()
    world.push(2)
    world.deploy("two")
    world.push(3, start_seconds=60)
    first = world.begin("three")
    world.wait(5)
    back = world.begin("back", trigger="rollback", rollback=True)
    report = world.go_on("web", event("three"), first.watch)
    assert report.outcome is Outcome.SUPERSEDED
    assert "the service was rolled back" in report.reason
    report = world.go_on("web", Request("back", trigger="rollback", rollback=True), back.watch)
    assert (report.outcome, report.reason) == (Outcome.ROLLED_BACK, "rolled back by hand")
    assert world.counted("StopServiceDeployment") == 1


def test_a_revision_that_a_person_makes_from_ours_with_its_tags_is_theirs(world):
    world.create()
    world.push(2)
    world.deploy("two")
    raw, tags = world.operator.definition("web:2"), world.operator.tags_of("web:2")
    del tags["deployer.state.deployment"]
    app = {**raw["containerDefinitions"][0], "environment": [{"name": "NEW", "value": "1"}]}
    world.operator.point("web", world.operator.register("web", app, tags=tags))
    world.wait(60)
    assert world.snapshot().ours is False
    assert world.deploy("again").outcome is Outcome.UNCHANGED
    world.push(3)
    assert world.deploy("three").outcome is Outcome.UPDATED
    assert (
        world.operator.definition(world.revision())["containerDefinitions"][0]["environment"]
        == app["environment"]
    )


def test_what_a_tag_meant_before_somebody_forced_a_deployment_is_a_way_back():
    world = EcsWorld(rollout_timeout=60)
    world.create()
    world.push(2, behaviour="missing")
    world.operator.force("web")  # which takes the tag for what it means now
    world.wait(5)
    assert world.snapshot().service.image.digest == digest(2)
    world.push(3, behaviour="crash")
    report = world.deploy("three", limit=500)
    assert report.outcome is Outcome.ROLLED_BACK
    assert world.snapshot().service.image.digest == digest(1)
    assert {task["containers"][0]["imageDigest"] for task in world.operator.tasks("web")} == {digest(1)}


def test_9_a_way_back_that_the_service_does_not_show_yet_is_no_rollback_to_what_it_shows():
    world = EcsWorld(rollout_timeout=60)
    world.create()
    world.push(2)
    world.deploy("two")
    world.push(3, behaviour="crash")
    world.deploy("bad", until=lambda step: step.watch and step.watch.watched > 50)
    world.fake.answer_late(10)
    [newest, *_] = world.api.call("ListServiceDeployments", cluster="prod", service="web")[
        "serviceDeployments"
    ]
    world.api.call("StopServiceDeployment", serviceDeploymentArn=newest["serviceDeploymentArn"])
    late = world.snapshot()
    assert (late.service.image.digest, late.rolled_back, late.left) == (digest(3), False, None)
    assert late.progress.engine_busy
    world.wait(15)
    seen = world.snapshot()
    assert (seen.service.image.digest, seen.rolled_back) == (digest(2), True)
    assert seen.left.image.endswith(f":latest@{digest(3)}")


def test_9_a_description_that_never_shows_the_newest_deployment_blocks_nothing_for_long(world):
    world.create()
    world.push(2)
    world.deploy("two")
    answers = world.fake.region()._answers
    described = answers["DescribeServices"]

    def other(members):
        answer = described(members)
        for service in answer["services"]:
            service["currentServiceRevisions"] = [{"arn": "another"}]
        return answer

    answers["DescribeServices"] = other
    world.push(3)
    began = world.fake.clock.seconds
    assert world.deploy("three").outcome is Outcome.UPDATED
    assert 60 < world.fake.clock.seconds - began < 200
