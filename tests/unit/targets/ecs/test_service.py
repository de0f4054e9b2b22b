"""Services of ECS as units: which containers move together, and what their labels say."""

import pytest

from deployer.model.service import State
from deployer.targets.ecs import tags
from deployer.targets.ecs.cluster import Cluster
from deployer.targets.ecs.names import UnitId
from deployer.targets.ecs.service import Options, Revision, read_units
from deployer.targets.ecs.tags import Record

HOST = "123456789012.dkr.ecr.eu-north-1.amazonaws.com"
ARN = "arn:aws:ecs:eu-north-1:123456789012:service/prod/web"
MANAGED = {"deployer.enable": "true"}


def container(name, image, **more):
    return {"name": name, "image": image if "/" in image else f"{HOST}/{image}", **more}


def units(*containers, tagged=(), options=None, state=None, **service):
    marked = tags.encode(Record(state), UnitId(ARN).mark, None, f"{HOST}/web") if state else {}
    revision = Revision(
        "arn:aws:ecs:eu-north-1:1:task-definition/web:7", {"containerDefinitions": containers}, marked
    )
    raw = {"serviceArn": ARN, "desiredCount": 2, "tags": tags.write(dict(tagged)), **service}
    return read_units(Cluster("prod"), raw, revision, "prod/web", options or Options())


def moving(*containers, **more):
    return {unit.name: unit.native.containers for unit in units(*containers, **more)}


def test_all_containers_of_the_image_move_and_no_others():
    found = moving(
        container("log", "public.ecr.aws/fluent-bit:3"),
        container("app", "web:latest", dockerLabels=MANAGED),
        container("admin", "web-admin:latest"),
        container("proxy", "localhost:5000/web:latest"),
        container("worker", "web:latest", essential=False),
        container("other-tag", "web:php"),
    )
    assert found == {"prod/web": ("app", "worker")}


def test_a_sidecar_follows_only_with_a_policy_of_its_own():
    app = container("app", "web:latest", dockerLabels=MANAGED)
    assert list(moving(app, container("side", "side:1", dockerLabels={"deployer.enable": "true"}))) == [
        "prod/web"
    ]
    side = container("side", "side:1", dockerLabels={"deployer.policy": "minor"})
    assert moving(app, side) == {"prod/web": ("app",), "prod/web#side": ("side",)}
    assert units(app, side)[1].id == f"{ARN}#side"


@pytest.mark.parametrize(
    ("containers", "more", "lead"),
    [
        ([container("log", "log:1", firelensConfiguration={}), container("app", "web:1")], {}, "app"),
        ([container("init", "init:1", essential=False), container("app", "web:1")], {}, "app"),
        (
            [container("a", "a:1"), container("app", "web:1")],
            {"loadBalancers": [{"containerName": "app"}]},
            "app",
        ),
        (
            [container("a", "a:1"), container("app", "web:1")],
            {"tagged": {"deployer.containers": "app"}},
            "app",
        ),
        ([container("a", "a:1"), container("app", "web:1")], {}, "a"),
    ],
)
def test_the_first_unit_is_that_of_the_services_own_container(containers, more, lead):
    [unit] = units(*containers, **more)
    assert unit.native.containers == (lead,)


def test_a_label_names_the_containers_that_move():
    app = container("app", "web:1", dockerLabels={"deployer.containers": "app migrate"})
    found = units(app, container("migrate", "web:0"), container("extra", "web:1"))
    assert [one.native.containers for one in found] == [("app", "migrate")]
    assert found[0].untouchable is None
    [wrong] = units(app, container("migrat", "web:0"))
    assert "deployer.containers names migrate, which is no container of this repository" in wrong.untouchable


def test_a_tag_of_the_service_overrides_the_label_of_the_container_and_both_are_told_apart():
    app = container("app", "web:1", dockerLabels={"deployer.policy": "semver:^1.2", "deployer.settle": "5s"})
    [unit] = units(app, tagged={"deployer.policy": "minor"})
    assert unit.labels == {"deployer.policy": "minor", "deployer.settle": "5s"}
    assert unit.origins == {
        "deployer.policy": "tag of the service",
        "deployer.settle": "dockerLabels of container app",
    }


def test_a_default_policy_is_that_of_services_that_are_ours_and_have_none():
    glob = Options(policy="glob:*")
    assert units(container("app", "web:1"), options=glob)[0].labels == {}
    [unit] = units(container("app", "web:1", dockerLabels=MANAGED), options=glob)
    assert unit.labels["deployer.policy"] == "glob:*"
    assert unit.origins["deployer.policy"] == "DEPLOYER_POLICY"
    [unit] = units(container("app", "web:1"), options=Options(opt_in=False, policy="glob:*"))
    assert (unit.labels["deployer.policy"], unit.untouchable) == ("glob:*", None)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ({"deploymentController": {"type": "CODE_DEPLOY"}}, "CodeDeploy"),
        ({"deploymentController": {"type": "EXTERNAL"}}, "EXTERNAL"),
        ({"resourceManagementType": "ECS"}, "Express"),
        ({"status": "DRAINING"}, "DRAINING"),
    ],
)
def test_21_a_service_that_is_not_to_be_written_to_says_why(raw, why):
    assert why in units(container("app", "web:1", dockerLabels=MANAGED), **raw)[0].untouchable


def test_without_opt_in_a_service_is_left_alone():
    assert "DEPLOYER_ECS_OPT_IN" in units(container("app", "web:1"))[0].untouchable


D2 = "sha256:" + "2" * 64


def test_14_the_tag_that_a_pinned_image_follows_is_known_from_state():
    pinned = container("app", f"web@{D2}", dockerLabels=MANAGED)
    ours = State(image=f"{HOST}/web:latest@{D2}", task="t")
    assert units(pinned, state=ours)[0].image_text == f"{HOST}/web:latest@{D2}"
    assert units(pinned)[0].image_text == f"{HOST}/web@{D2}"
    other = container("app", "web:1.0", dockerLabels=MANAGED)
    assert units(other, state=ours)[0].image_text == f"{HOST}/web:1.0"


def test_a_service_of_another_controller_has_no_revision():
    raw = {"serviceArn": ARN, "deploymentController": {"type": "EXTERNAL"}}
    [unit] = read_units(Cluster("prod"), raw, None, "prod/web", Options())
    assert (unit.image_text, "EXTERNAL" in unit.untouchable) == (None, True)
