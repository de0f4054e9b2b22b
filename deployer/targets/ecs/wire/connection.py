"""The clusters of the settings, connected: with their APIs, their ledger and the counters in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import boto3

from deployer.aws.accounts import Accounts
from deployer.errors import SettingsError
from deployer.targets.ecs.cluster import Cluster
from deployer.targets.ecs.schedules import Schedules
from deployer.targets.ecs.wire.api import Api
from deployer.targets.ecs.wire.aws_api import AwsApi
from deployer.targets.ecs.wire.aws_schedules import AwsSchedules
from deployer.targets.ecs.wire.ledger import DynamoLedger, NoLedger, UnitStore
from deployer.targets.ecs.wire.quotas import Buckets

Connected = tuple[tuple[Cluster, AwsApi], ...]


def connect(
    clusters: Sequence[Cluster],
    accounts: Accounts,
    buckets: Callable[[], Buckets] = Buckets,
) -> Connected:
    """Return each cluster with its API; those of one account and region share connections and quotas.

    Raises:
        SettingsError: a cluster has no region, and none is set for all.
    """
    ours = boto3.session.Session().region_name
    apis: dict[tuple[str, str | None], AwsApi] = {}
    found = []
    for cluster in clusters:
        region = cluster.region or ours
        if not region:
            raise SettingsError(
                f"DEPLOYER_ECS_CLUSTERS={cluster.name!r} names no region, and AWS_REGION is not set; "
                f"set it, or write the cluster as eu-west-1/{cluster.name}"
            )
        key = (region, cluster.account)
        if key not in apis:
            apis[key] = AwsApi(region, cluster.account, accounts, buckets())
        found.append((cluster, apis[key]))
    return tuple(found)


def schedules_of(accounts: Accounts) -> Callable[[Api], Schedules]:
    """Return what gives the schedules of an API's account and region."""
    return lambda api: AwsSchedules(api.region, api.account, accounts)


def ledger_of(
    table: str | None, connected: Connected, accounts: Accounts, max_rollouts: int = 0
) -> UnitStore:
    """Return the ledger that DEPLOYER_ECS_LEDGER names, or one for this process alone.

    Args:
        table: its name or ARN; by name it is in AWS_REGION, else in the region of the first cluster.
        connected: the clusters.
        accounts: credentials by account.
        max_rollouts: DEPLOYER_MAX_ROLLOUTS.

    Raises:
        SettingsError: a limit for all workers is set, and no ledger that they share.
    """
    if table is None:
        if max_rollouts:
            raise SettingsError(
                f"DEPLOYER_MAX_ROLLOUTS={max_rollouts} needs a ledger that all workers share: set "
                "DEPLOYER_ECS_LEDGER to the name of a DynamoDB table, such as deployer-ledger (docs/ecs.md)"
            )
        return NoLedger()
    region = table.split(":")[3] if table.startswith("arn:") else boto3.session.Session().region_name
    return DynamoLedger(table, region or connected[0][1].region, accounts)
