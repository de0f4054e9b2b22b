"""Task definitions go round as raw JSON: nothing but the images differs, and what is lost is named."""

import copy

import pytest

from deployer.targets.ecs.definitions import (
    content,
    fingerprint,
    lacks_platform,
    lost,
    revise,
    same_content,
)

OLD = "123456789012.dkr.ecr.eu-north-1.amazonaws.com/web:1"
NEW = "123456789012.dkr.ecr.eu-north-1.amazonaws.com/web@sha256:" + "2" * 64
RAW = {
    "taskDefinitionArn": "arn:aws:ecs:eu-north-1:123456789012:task-definition/web:7",
    "family": "web",
    "revision": 7,
    "status": "ACTIVE",
    "requiresAttributes": [{"name": "com.amazonaws.ecs.capability.ecr-auth"}],
    "compatibilities": ["EC2", "FARGATE"],
    "registeredAt": 1.5,
    "registeredBy": "arn:aws:iam::123456789012:user/me",
    "networkMode": "awsvpc",
    "cpu": "256",
    "memory": "512",
    "pidMode": "task",
    "executionRoleArn": "arn:aws:iam::123456789012:role/exec",
    "futureMember": {"deep": [1, {"er": True}]},
    "volumes": [],
    "containerDefinitions": [
        {
            "name": "web",
            "image": OLD,
            "command": ["serve", "--now"],
            "environment": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
            "futureField": {"x": None},
        },
        {
            "name": "envoy",
            "image": "envoy:1",
            "ulimits": [{"name": "nofile", "softLimit": 1, "hardLimit": 2}],
        },
    ],
}


def test_a_new_revision_is_the_old_one_but_for_the_image():
    revised = revise(RAW, {"web"}, NEW)
    assert revised["containerDefinitions"][0].pop("image") == NEW
    expected = copy.deepcopy(RAW)
    del expected["containerDefinitions"][0]["image"]
    assert revised == {name: expected[name] for name in content(RAW)}
    assert "revision" not in revised
    assert "registeredBy" not in revised
    assert revised["futureMember"] == {"deep": [1, {"er": True}]}
    assert RAW["containerDefinitions"][0]["image"] == OLD


@pytest.mark.parametrize(
    ("path", "spoil"),
    [
        ("pidMode", lambda raw: raw.pop("pidMode")),
        ("futureMember.deep", lambda raw: raw["futureMember"].update(deep=[1])),
        ("containerDefinitions[web].image", lambda raw: raw["containerDefinitions"][0].update(image=OLD)),
        (
            "containerDefinitions[web].command",
            lambda raw: raw["containerDefinitions"][0]["command"].reverse(),
        ),
        (
            "containerDefinitions[web].environment",
            lambda raw: raw["containerDefinitions"][0]["environment"].pop(),
        ),
        (
            "containerDefinitions[envoy].ulimits[nofile].hardLimit",
            lambda raw: raw["containerDefinitions"][1]["ulimits"][0].pop("hardLimit"),
        ),
        ("containerDefinitions", lambda raw: raw["containerDefinitions"].pop()),
    ],
)
def test_a_member_that_an_answer_lacks_is_named(path, spoil):
    sent = revise(RAW, {"web"}, NEW)
    answer = copy.deepcopy(sent)
    spoil(answer)
    assert lost(sent, answer) == [path]


def test_what_ecs_adds_or_orders_otherwise_is_no_loss():
    sent = revise(RAW, {"web"}, NEW)
    answer = copy.deepcopy(sent) | {"revision": 8, "enableFaultInjection": False}
    answer["containerDefinitions"][0]["environment"].reverse()
    answer["containerDefinitions"].reverse()
    del answer["volumes"]
    assert lost(sent, answer) == []


def test_revisions_are_the_same_by_what_a_person_wrote():
    other = {**copy.deepcopy(RAW), "revision": 9, "status": "INACTIVE"}
    assert same_content(RAW, other)
    assert fingerprint(RAW) == fingerprint(other)
    other["cpu"] = "512"
    assert not same_content(RAW, other)
    assert fingerprint(RAW) != fingerprint(other)


ARM, INTEL = {"os": "linux", "architecture": "arm64"}, {"os": "linux", "architecture": "amd64"}
WINDOWS = {"os": "windows", "architecture": "amd64"}


@pytest.mark.parametrize(
    ("runtime", "platforms", "fargate", "lacking"),
    [
        ({"cpuArchitecture": "ARM64"}, [INTEL], True, "linux/ARM64 (the image has linux/X86_64)"),
        ({"cpuArchitecture": "ARM64"}, [INTEL, ARM], True, None),
        (None, [ARM], True, "linux/X86_64 (the image has linux/ARM64)"),
        (None, [ARM], False, None),  # of container instances nobody knows
        (None, [WINDOWS], False, "linux/any (the image has windows/X86_64)"),
        ({"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"}, [WINDOWS], True, None),
        ({"cpuArchitecture": "ARM64"}, [], True, None),
        ({"cpuArchitecture": "ARM64"}, [{"os": "unknown", "architecture": "unknown"}, ARM], True, None),
        ({"cpuArchitecture": "ARM64"}, [{"os": "unknown", "architecture": "unknown"}], True, None),
    ],
)
def test_the_platform_that_a_revision_wants_is_among_those_of_the_image(runtime, platforms, fargate, lacking):
    raw = {**RAW, **({"runtimePlatform": runtime} if runtime else {})}
    assert lacks_platform(raw, platforms, fargate=fargate) == lacking
