"""Revisions and tags go round through the real core, and nothing is deployed that would lose something."""

import json

import pytest
from ecs_world import HOST, MANAGED, REPOSITORY, EcsWorld, container, digest, pinned

from deployer.model.deployment import Outcome
from deployer.targets.ecs.service import Options

ROLE = "arn:aws:iam::123456789012:role/web"
FULL = {
    "taskRoleArn": ROLE,
    "executionRoleArn": ROLE,
    "networkMode": "awsvpc",
    "volumes": [
        {"name": "data", "efsVolumeConfiguration": {"fileSystemId": "fs-1", "transitEncryption": "ENABLED"}}
    ],
    "placementConstraints": [],
    "requiresCompatibilities": ["FARGATE"],
    "cpu": "256",
    "memory": "512",
    "pidMode": "task",
    "ipcMode": "none",
    "proxyConfiguration": {
        "type": "APPMESH",
        "containerName": "envoy",
        "properties": [{"name": "a", "value": "b"}],
    },
    "inferenceAccelerators": [{"deviceName": "d", "deviceType": "eia2.medium"}],
    "ephemeralStorage": {"sizeInGiB": 30},
    "runtimePlatform": {"cpuArchitecture": "X86_64", "operatingSystemFamily": "LINUX"},
    "enableFaultInjection": True,
    "nextYears": {"deep": [{"member": 1.5}, None, "x"]},
}
RICH = {
    "cpu": 128,
    "memoryReservation": 64,
    "links": ["envoy"],
    "portMappings": [
        {"containerPort": 80, "hostPort": 80, "protocol": "tcp", "name": "http", "appProtocol": "http2"}
    ],
    "essential": True,
    "restartPolicy": {"enabled": True, "ignoredExitCodes": [0]},
    "entryPoint": ["/bin/sh", "-c"],
    "command": ["serve", "--port", "80"],
    "environment": [{"name": "B", "value": "2"}, {"name": "A", "value": ""}],
    "environmentFiles": [{"value": "arn:aws:s3:::x/y.env", "type": "s3"}],
    "mountPoints": [{"sourceVolume": "data", "containerPath": "/data", "readOnly": True}],
    "linuxParameters": {"initProcessEnabled": True, "capabilities": {"drop": ["ALL"]}},
    "secrets": [{"name": "S", "valueFrom": "arn:aws:ssm:eu-north-1:123456789012:parameter/s"}],
    "dependsOn": [{"containerName": "envoy", "condition": "HEALTHY"}],
    "startTimeout": 30,
    "stopTimeout": 20,
    "versionConsistency": "disabled",
    "ulimits": [{"name": "nofile", "softLimit": 1024, "hardLimit": 4096}],
    "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "web"}},
    "healthCheck": {"command": ["CMD-SHELL", "true"], "interval": 5},
    "systemControls": [{"namespace": "net.core.somaxconn", "value": "1024"}],
    "resourceRequirements": [{"type": "GPU", "value": "1"}],
    "firelensConfiguration": {"type": "fluentbit"},
    "credentialSpecs": ["credentialspec:x"],
    "nextYears": [{"field": True}],
}


@pytest.fixture
def world():
    return EcsWorld()


def full(world, **tags):
    world.push(1)
    app = container("app", f"{REPOSITORY}:latest", {**MANAGED, "other": "a (b), c"}, **RICH)
    definition = world.operator.register("web", app, container("envoy", "envoy:1"), tags=tags, **FULL)
    network = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
    world.operator.create(
        "web", definition=definition, desired=1, networkConfiguration=network, tags={"team": "a"}
    )
    world.wait(30)


def test_11_a_full_definition_goes_round_unchanged_but_for_the_image(world):
    full(world)
    before = world.operator.definition("web:1")
    world.push(2)
    assert world.deploy().outcome is Outcome.UPDATED
    after = world.operator.definition("web:2")
    old, new = json.dumps(before, sort_keys=True), json.dumps(after, sort_keys=True)
    for member in ("taskDefinitionArn", "revision", "registeredAt"):
        del before[member], after[member]
    assert after["containerDefinitions"][0]["image"] == pinned(2)
    after["containerDefinitions"][0]["image"] = f"{REPOSITORY}:latest"
    assert after == before
    assert old != new


@pytest.mark.parametrize(
    "member", ["pidMode", "nextYears", "ephemeralStorage", "secrets", "versionConsistency"]
)
def test_11_a_field_that_the_answer_lacks_stops_the_roll_out_before_the_service_is_touched(world, member):
    full(world)
    world.fake.region().definitions.dropped.add(member)
    world.push(2)
    report = world.deploy()
    assert report.outcome is Outcome.FAILED
    assert f"did not keep {member}" in report.reason or f".{member}" in report.reason
    assert world.counted("UpdateService") == 0
    assert world.operator.definition("web:2")["status"] == "INACTIVE"
    assert world.revision() == "web:1"


def test_12_tags_of_revision_and_service_survive(world):
    full(world, team="a", cost="b c")
    world.push(2)
    world.deploy("two")
    world.push(3)
    world.deploy("three")
    tags = world.operator.tags_of("web:3")
    assert {key: value for key, value in tags.items() if not key.startswith("deployer.")} == {
        "team": "a",
        "cost": "b c",
    }
    assert {tag["key"]: tag["value"] for tag in world.operator.service("web")["tags"]} == {"team": "a"}


def test_12_a_definition_without_room_for_our_tags_is_left_alone_with_the_number(world):
    full(world, **{f"t{n}": "x" for n in range(50)})
    world.push(2)
    report = world.deploy()
    assert report.outcome is Outcome.FAILED
    assert "has 50 tags" in report.reason
    assert "ECS allows 50" in report.reason
    assert (world.counted("RegisterTaskDefinition"), world.revision()) == (1, "web:1")


def test_13_all_containers_of_the_repository_move_and_no_others(world):
    world.fake.push(f"{HOST}/web-admin:latest", digest(8))
    others = {
        "admin": f"{HOST}/web-admin:latest",
        "proxy": "localhost:5000/web:latest",
        "log": "fluent-bit:3",
    }
    world.create(
        containers=[
            container("app", f"{REPOSITORY}:latest", MANAGED),
            container("worker", f"{REPOSITORY}:latest"),
            *(container(name, image) for name, image in others.items()),
        ]
    )
    for n in (2, 3):
        world.push(n)
        assert world.deploy(f"t{n}").outcome is Outcome.UPDATED
        assert world.images() == [pinned(n), pinned(n), *others.values()]


def test_14_an_image_that_is_pinned_by_us_is_followed_by_its_tag(world):
    world.create()
    for n in (2, 3, 4):
        world.push(n)
        assert world.deploy(f"t{n}").outcome is Outcome.UPDATED
    assert world.images() == [pinned(4)]


def test_14_an_image_that_is_pinned_by_somebody_else_follows_nothing_and_that_is_said(world):
    world.create(image=pinned(1))
    world.push(2)
    report = world.deploy()
    assert report.outcome is Outcome.IGNORED
    assert "pinned to a digest and has no tag to follow" in report.reason


def test_15_services_that_share_a_family_have_each_a_revision_and_a_memory_of_its_own(world):
    world.create("web", family="shared", labels={**MANAGED, "deployer.settle": "0s"})
    world.operator.create("twin", definition="shared:1", desired=1)
    breaker = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
    world.operator.update("web", deploymentConfiguration=breaker)
    world.wait(30)
    world.push(2)
    assert world.deploy("a", "web").outcome is Outcome.UPDATED
    assert world.revision("twin") == "shared:1"
    assert world.deploy("b", "twin").outcome is Outcome.UPDATED
    assert (world.revision("web"), world.revision("twin")) == ("shared:2", "shared:3")
    world.push(3, behaviour="crash")
    assert world.deploy("bad", "web").outcome is Outcome.ROLLED_BACK
    assert world.snapshot("twin").service.state.failures == ()
    assert world.store.ledger().failures("twin") == {}
    assert world.deploy("held", "web").outcome is Outcome.HELD
    world.push(3)
    assert world.deploy("c", "twin").outcome is Outcome.UPDATED


def test_15_two_services_at_one_revision_of_their_owner_go_back_to_it_each_with_its_memory():
    world = EcsWorld(options=Options(opt_in=False))
    breaker = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
    world.create("web", family="shared", deploymentConfiguration=breaker)
    world.operator.create("twin", definition="shared:1", desired=1, deploymentConfiguration=breaker)
    world.wait(30)
    world.push(2, behaviour="crash")
    assert world.deploy("a", "web").outcome is Outcome.ROLLED_BACK
    assert world.deploy("b", "twin").outcome is Outcome.ROLLED_BACK
    for name in ("web", "twin"):
        assert world.deploy("again " + name, name).outcome is Outcome.HELD
        assert world.snapshot(name).service.state.failures == (digest(2),)
        assert world.revision(name) == "shared:1"  # without a restart


def test_a_further_unit_of_a_service_has_its_own_state_and_each_keeps_the_others(world):
    side = f"{HOST}/side"
    world.push(1, name=side)
    world.create(
        containers=[
            container("app", f"{REPOSITORY}:latest", MANAGED),
            container("side", f"{side}:latest", {"deployer.policy": "tag"}),
        ]
    )
    world.push(2)
    assert world.deploy("app 2", "web").outcome is Outcome.UPDATED
    world.push(5, name=side)
    assert world.deploy("side 5", "web#side").outcome is Outcome.UPDATED
    assert world.images() == [pinned(2), pinned(5, side)]
    app, other = world.snapshot("web"), world.snapshot("web#side")
    assert (app.ours, other.ours) == (True, True)
    assert (app.service.state.task, other.service.state.task) == ("app 2", "side 5")
    assert world.deploy("app again", "web").outcome is Outcome.UNCHANGED
    back = world.deploy("side back", "web#side", trigger="rollback", rollback=True)
    assert (back.outcome, world.images()) == (Outcome.ROLLED_BACK, [pinned(2), pinned(1, side)])
