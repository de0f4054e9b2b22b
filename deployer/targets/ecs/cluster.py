"""The ECS clusters that a worker serves, as DEPLOYER_ECS_CLUSTERS names them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

EXAMPLE = "prod eu-north-1/staging 123456789012/eu-west-1/prod"

_NAME = r"[A-Za-z0-9_-]{1,255}"  # CreateCluster, `clusterName`
_REGION = r"[a-z]{2,}(?:-[a-z]+)+-[0-9]+"
_CLUSTER = re.compile(rf"(?:(?:(?P<account>[0-9]{{12}})/)?(?P<region>{_REGION})/)?(?P<name>{_NAME})")
_ARN = re.compile(
    rf"arn:aws[a-z-]*:ecs:(?P<region>{_REGION}):(?P<account>[0-9]{{12}}):cluster/(?P<name>{_NAME})"
)


@dataclass(frozen=True)
class Cluster:
    """A cluster by its name."""

    name: str
    region: str | None = None  # None: AWS_REGION
    account: str | None = None  # None: that of our own credentials

    @classmethod
    def parse(cls, text: str) -> Cluster:
        """Read `NAME`, `REGION/NAME`, `ACCOUNT/REGION/NAME` or the cluster's ARN.

        Raises:
            ValueError: it is none of them.
        """
        match = _CLUSTER.fullmatch(text) or _ARN.fullmatch(text)
        if not match:
            raise ValueError(f"{text[:80]!r} is no cluster; write them like {EXAMPLE!r}")
        return cls(match["name"], match["region"], match["account"])

    def __str__(self) -> str:
        return "/".join(part for part in (self.account, self.region, self.name) if part)


def parse_clusters(text: str) -> tuple[Cluster, ...]:
    """Read several clusters, separated by white space or commas.

    Raises:
        ValueError: one is malformed, or stands there twice.
    """
    found: dict[Cluster, None] = {}
    for word in re.split(r"[\s,]+", text.strip(" \t\r\n,")):
        cluster = Cluster.parse(word)
        if cluster in found:
            raise ValueError(f"{cluster} stands there twice")
        found[cluster] = None
    return tuple(found)


def short_names(clusters: Sequence[Cluster]) -> dict[Cluster, str]:
    """Return the shortest text by which each cluster is told from the others."""
    names: dict[Cluster, str] = {}
    for cluster in clusters:
        same = [other for other in clusters if other.name == cluster.name]
        names[cluster] = cluster.name if len(same) == 1 else str(cluster)
    return names
