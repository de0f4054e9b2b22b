"""Services of every kind that ECS has, and what may be asked of none."""

from collections import Counter
from datetime import timedelta

import pytest
from ecs_world import BREAKER, MANAGED, ONLY_BREAKS, REPOSITORY, EcsWorld, container, digest, pinned

from deployer.model.deployment import Again, Outcome, Request
from deployer.model.image import Image
from deployer.policies.labels import concerns
from deployer.reports.explain import explain
from deployer.rollouts.fleet.renewal import refresh
from deployer.targets.ecs.cluster import Cluster
from lab.ecs.operators import Operator

HOOK = {
    "targetType": "PAUSE",
    "lifecycleStages": ["POST_PRODUCTION_TRAFFIC_SHIFT"],
    "timeoutConfiguration": {"timeoutInMinutes": 14 * 24 * 60},
}


@pytest.fixture
def world():
    return EcsWorld()


def test_16_hundreds_of_services_in_three_clusters_are_all_found_ten_at_a_time(world):
    world.push(1)
    people = {name: Operator(world.api, name) for name in ("prod", "staging", "test")}
    for n in range(250):
        people[["prod", "staging", "test"][n % 3]].create(
            f"s{n}", container("app", f"{REPOSITORY}:latest", MANAGED), desired=0
        )
    world.clusters = [Cluster(name) for name in people]
    target = world.worker().target
    world.forget_calls()
    pushed = Image.parse(f"{REPOSITORY}:latest")
    found = target.services(keep=lambda service: concerns(service, pushed))
    assert sorted(one.name for one in found) == sorted(
        f"{['prod', 'staging', 'test'][n % 3]}/s{n}" for n in range(250)
    )
    sizes = [len(members["services"]) for members in world.fake.called("DescribeServices")]
    assert max(sizes) == 10
    assert len(sizes) == 27
    world.forget_calls()
    again = target.services()
    assert len(again) == 250
    assert world.counted("DescribeTaskDefinition") == 0  # what a revision says never changes
    some = target.read_all(found[:50], world.deployer.clock())
    assert [one.service.id for one in some] == [one.id for one in found[:50]]
    assert target.read(found[7].id, world.deployer.clock()).service.name == found[7].name
    assert target.read(found[7].name, world.deployer.clock()).service.id == found[7].id


def test_18_a_former_revision_that_is_out_of_use_is_replaced_by_a_copy():
    world = EcsWorld(rollout_timeout=60)
    world.create()
    world.push(2)
    world.deploy("two")
    world.push(3)
    world.deploy("three")
    world.api.call("DeregisterTaskDefinition", taskDefinition="web:2")
    report = world.deploy("back", trigger="rollback", rollback=True)
    assert (report.outcome, world.revision(), world.images()) == (Outcome.ROLLED_BACK, "web:4", [pinned(2)])
    assert world.deploy("again").outcome is Outcome.HELD


def test_18_so_is_one_whose_deployment_cannot_be_stopped():
    world = EcsWorld(rollout_timeout=60)
    world.create()
    world.push(2)
    world.deploy("two")
    world.api.call("DeregisterTaskDefinition", taskDefinition="web:2")
    world.fake.faults.refuse("StopServiceDeployment", "UnsupportedFeatureException", times=9)
    world.push(3, behaviour="crash")
    report = world.deploy("bad")
    assert (report.outcome, world.revision(), world.images()) == (Outcome.ROLLED_BACK, "web:4", [pinned(2)])


@pytest.mark.parametrize("launch", ["FARGATE", "EC2"])
def test_19_an_image_without_the_platform_of_the_definition_fails_before_anything_is_registered(
    world, launch
):
    world.push(1)
    app = container("app", f"{REPOSITORY}:latest", MANAGED)
    arm = world.operator.register(
        "web", app, runtimePlatform={"cpuArchitecture": "ARM64"}, cpu="256", memory="512"
    )
    world.operator.create("web", definition=arm, launchType=launch)
    world.wait(30)
    world.push(2)
    world.platforms = [{"os": "linux", "architecture": "amd64"}]
    report = world.deploy()
    assert report.outcome is Outcome.FAILED
    assert "asks for: linux/ARM64 (the image has linux/X86_64)" in report.reason
    assert world.counted("RegisterTaskDefinition") == 1
    world.platforms.append({"os": "linux", "architecture": "arm64"})
    assert world.deploy("both").outcome is Outcome.UPDATED


STRATEGIES = {
    "blue/green": {"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 10},
    "canary": {
        "strategy": "CANARY",
        "bakeTimeInMinutes": 10,
        "canaryConfiguration": {"canaryPercent": 5, "canaryBakeTimeInMinutes": 20},
    },
    "linear": {
        "strategy": "LINEAR",
        "linearConfiguration": {"stepPercent": 25, "stepBakeTimeInMinutes": 30},
    },
    "alarms": {"alarms": {"enable": True, "rollback": True, "alarmNames": ["a"]}},
}


@pytest.mark.parametrize("kind", STRATEGIES)
def test_20_a_deployment_that_takes_its_time_on_purpose_is_not_timed_out(kind):
    world = EcsWorld(rollout_timeout=120)
    world.create(deploymentConfiguration=STRATEGIES[kind])
    world.push(2)
    report = world.deploy()
    assert (report.outcome, world.images()) == (Outcome.UPDATED, [pinned(2)])
    assert report.duration > 120


def test_20_a_pause_of_two_days_is_waited_out_and_a_push_meanwhile_waits_too():
    world = EcsWorld(rollout_timeout=120)
    world.create(deploymentConfiguration={"strategy": "BLUE_GREEN", "lifecycleHooks": [HOOK]})
    world.push(2)
    first = world.deploy("two", until=lambda step: step.patient)
    assert "ECS pauses at POST_PRODUCTION_TRAFFIC_SHIFT" in first.reason
    watch = first.watch
    for _ in range(48):
        world.wait(3600)
        step = world.deployer.advance("web", Request("two", trigger="event"), watch)
        assert isinstance(step, Again)
        watch = step.watch
    world.push(3)
    waiting = world.deployer.advance("web", Request("three", trigger="event"))
    assert isinstance(waiting, Again)
    assert waiting.patient
    fate = world.api.call("ListServiceDeployments", cluster="prod", service="web")["serviceDeployments"][0]
    full = world.api.call("DescribeServiceDeployments", serviceDeploymentArns=[fate["serviceDeploymentArn"]])
    hook = full["serviceDeployments"][0]["lifecycleHookDetails"][0]["hookId"]
    world.api.call(
        "ContinueServiceDeployment", serviceDeploymentArn=fate["serviceDeploymentArn"], hookId=hook
    )
    report = world.go_on("web", Request("two", trigger="event"), watch)
    assert report.outcome is Outcome.UPDATED
    assert world.counted("UpdateService") == 1


def test_20_a_hook_that_refuses_is_a_rollback():
    world = EcsWorld()
    arn = "arn:aws:lambda:eu-north-1:123456789012:function:check"
    hook = {"targetType": "AWS_LAMBDA", "hookTargetArn": arn, "lifecycleStages": ["POST_SCALE_UP"]}
    world.fake.region().world.hooks[arn] = "FAILED"
    world.create(deploymentConfiguration={"strategy": "BLUE_GREEN", "lifecycleHooks": [hook]})
    world.push(2)
    report = world.deploy()
    assert report.outcome is Outcome.ROLLED_BACK
    assert "Lifecycle hook failed" in report.reason
    assert world.deploy("again").outcome is Outcome.HELD


WRITES = {"RegisterTaskDefinition", "UpdateService", "TagResource", "StopServiceDeployment"}


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"deploymentController": {"type": "CODE_DEPLOY"}}, "CodeDeploy"),
        ({"deploymentController": {"type": "EXTERNAL"}}, "EXTERNAL"),
        ({"resourceManagementType": "ECS"}, "Express"),
        (None, "DRAINING"),
    ],
)
@pytest.mark.parametrize("by", ["event", "manual"])
def test_21_a_service_that_is_not_ours_to_deploy_is_ignored_with_the_reason(world, more, why, by):
    world.create(**(more or {}))
    if more is None:
        world.push(1, behaviour="ok")
        world.api.call("DeleteService", cluster="prod", service="web", force=True)
    world.push(2)
    world.forget_calls()
    report = world.deploy(trigger=by)
    assert report.outcome is Outcome.IGNORED
    assert why in report.reason
    assert not WRITES & set(Counter(action for action, _ in world.fake.calls))


def test_22_a_daemon_service_is_updated(world):
    world.create(schedulingStrategy="DAEMON", desired=None)
    world.push(2)
    report = world.deploy()
    assert (report.outcome, report.reason) == (Outcome.UPDATED, "2/2 running")
    assert world.images() == [pinned(2)]


def test_22_a_service_that_wants_no_tasks_is_updated_at_once(world):
    world.create(desired=0)
    world.push(2)
    report = world.deploy()
    assert (report.outcome, report.reason) == (Outcome.UPDATED, "0/0 running")


def test_23_only_the_revision_is_sent_and_what_autoscaling_does_meanwhile_stays(world):
    world.create(deploymentConfiguration={"maximumPercent": 150, "minimumHealthyPercent": 50})
    world.push(2, start_seconds=20)
    first = world.begin()
    world.operator.scale("web", 5)
    report = world.go_on("web", Request("t", trigger="event"), first.watch)
    assert (report.outcome, report.reason) == (Outcome.UPDATED, "5/5 running")
    assert world.operator.service("web")["desiredCount"] == 5
    ours = world.fake.called("UpdateService")[0]
    assert set(ours) == {"cluster", "service", "taskDefinition"}
    assert ours["taskDefinition"].endswith("/web:2")


def test_25_a_revision_that_somebody_registers_with_a_tag_is_taken_as_their_word_and_followed(world):
    world.create()
    world.push(2)
    world.deploy("two")
    world.push(7, tag="stable")
    theirs = world.operator.deploy("web", {"app": f"{REPOSITORY}:stable"})
    world.wait(30)
    world.push(3)
    assert world.deploy("latest").outcome is Outcome.UNCHANGED
    assert (world.revision(), world.reconcile()) == (theirs, [])
    world.push(8, tag="stable")
    report = world.deploy("stable")
    assert (report.outcome, world.images()) == (Outcome.UPDATED, [pinned(8)])
    assert world.snapshot().service.image.tag == "stable"
    assert world.snapshot().service.state.previous.endswith(f":stable@{digest(7)}")


def test_24_explain_tells_where_each_label_comes_from(world):
    labels = {"deployer.policy": "semver:^1.2", "deployer.settle": "1s"}
    world.create(image=f"{REPOSITORY}:1.2.0", labels=labels, tags={"deployer.settle": "2s", "team": "a"})
    told = explain(world.deployer, "web")
    assert told.follows.startswith("deployer.policy=semver:^1.2")
    [step] = [step for step in told.steps if step.rule == "its labels are where they are read"]
    assert step.note == (
        "deployer.policy=semver:^1.2: dockerLabels of container app; deployer.settle=2s: tag of the service"
    )


@pytest.mark.parametrize("settings", [BREAKER, ONLY_BREAKS, {}], ids=["breaker", "breaks only", "none"])
@pytest.mark.parametrize("lists", ["empty lists", "no such action"])
def test_without_service_deployments_the_list_in_the_services_description_has_to_do(settings, lists):
    world = EcsWorld(rollout_timeout=60)
    world.keep_no_service_deployments(refuse=lists == "no such action")
    world.create(deploymentConfiguration=settings)
    world.push(2)
    assert world.deploy("two").outcome is Outcome.UPDATED
    world.push(3, behaviour="crash")
    report = world.deploy("bad")
    assert report.outcome is Outcome.ROLLED_BACK
    assert "exited with code 7" in report.reason
    assert (world.images(), world.revision()) == ([pinned(2)], "web:2")
    world.store.write_ledger(world.store.ledger(), {})
    world.wait(300)
    assert world.deploy("again").outcome is Outcome.HELD
    world.push(4)
    assert world.deploy("four").outcome is Outcome.UPDATED


def test_a_look_at_a_service_that_stands_asks_ecs_three_things(world):
    world.create()
    world.push(2)
    world.deploy("two")
    world.snapshot()
    world.forget_calls()
    world.snapshot()
    assert sorted(action for action, _ in world.fake.calls) == [
        "DescribeServices",
        "DescribeTaskDefinition",
        "ListServiceDeployments",
    ]


def test_nothing_is_renewed_for_services_whose_execution_role_pulls(world):
    world.create()
    world.wait(20 * 3600)
    world.forget_calls()
    assert refresh(world.deployer, timedelta(hours=1)) == []
    assert not WRITES & {action for action, _ in world.fake.calls}
