"""`deployer ecs`: deployments to Amazon ECS made by this very process, for pipelines: no queue, no worker."""

from __future__ import annotations

import click

from deployer.cli.ecs import deploy, revisions, run, scale
from deployer.cli.ecs.drop_in import ecs_deploy

__all__ = ["ecs", "ecs_deploy"]


@click.group(short_help="Deploy to Amazon ECS from a pipeline.")
def ecs() -> None:
    """Deploy to Amazon ECS from here, without queue and worker: for pipelines.

    The same rules hold as for workers: holds, memory of failure, policies. The exit code tells how it ended
    (docs/commands.md).
    """


for _command in (
    deploy.deploy,
    scale.scale,
    run.run,
    revisions.revisions,
    revisions.diff,
    revisions.prune,
):
    ecs.add_command(_command)
