"""The clusters of DEPLOYER_ECS_CLUSTERS."""

import pytest

from deployer.targets.ecs.cluster import EXAMPLE, Cluster, parse_clusters, short_names

PROD, STAGING = Cluster("prod"), Cluster("staging", "eu-north-1")
OTHERS = Cluster("prod", "eu-west-1", "123456789012")


@pytest.mark.parametrize("text", [EXAMPLE, EXAMPLE.replace(" ", ","), f" {EXAMPLE.replace(' ', ' , ')}\n"])
def test_the_example(text):
    assert parse_clusters(text) == (PROD, STAGING, OTHERS)


@pytest.mark.parametrize("cluster", [PROD, STAGING, OTHERS])
def test_its_text_is_that_of_the_setting(cluster):
    assert Cluster.parse(str(cluster)) == cluster


def test_an_arn():
    assert Cluster.parse("arn:aws-cn:ecs:cn-north-1:123456789012:cluster/prod") == Cluster(
        "prod", "cn-north-1", "123456789012"
    )


@pytest.mark.parametrize(
    "text", ["eu-west-1/", "123456789012/prod", "web/prod", "prod!", "12/eu-west-1/prod", "a" * 256, ""]
)
def test_no_cluster(text):
    with pytest.raises(ValueError, match="write them like 'prod eu-north-1/staging"):
        Cluster.parse(text)


def test_twice():
    with pytest.raises(ValueError, match="eu-north-1/staging stands there twice"):
        parse_clusters("prod eu-north-1/staging eu-north-1/staging")


def test_names_are_as_short_as_they_can_be():
    assert short_names([PROD, STAGING, OTHERS]) == {
        PROD: "prod",
        STAGING: "staging",
        OTHERS: "123456789012/eu-west-1/prod",
    }
