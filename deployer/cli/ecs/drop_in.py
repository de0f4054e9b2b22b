"""`deployer ecs-deploy`: the flags and exit codes of silinternational's ecs-deploy, with true outcomes."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import click

from deployer.cli.ecs import deploy as native
from deployer.cli.exit_codes import ExitCode, exit_code
from deployer.cli.faults import plainly
from deployer.cli.options import Command
from deployer.errors import SettingsError, printable

TIMEOUT = 90  # seconds, as that one has it
_NOT_YET = {
    "task_definition": "-d: deploy the service itself, with -c and -n",
    "task_definition_file": "--task-definition-file: register it with what you make it with",
    "use_latest": "--use-latest-task-def: the revision that the service runs is the one that is changed",
    "run_task": "--run-task: use `deployer ecs run SERVICE -- COMMAND`",
}


def _flag(*names: str, **more: Any) -> Callable[[Command], Command]:
    return click.option(*names, is_flag=True, **more)


@click.command("ecs-deploy", short_help="Deploy to ECS with silinternational's arguments.")
@click.option("--cluster", "-c", metavar="NAME", help="The cluster.")
@click.option("--service-name", "-n", "service", metavar="NAME", help="The service.")
@click.option("--image", "-i", metavar="IMAGE", help="The image with its tag.")
@click.option("--tag-env-var", "-e", metavar="VARIABLE", help="Take the tag from this variable.")
@click.option("--tag-only", "-to", "tag_only", metavar="TAG", help="Another tag of the service's image.")
@click.option("--timeout", "-t", type=float, default=TIMEOUT, help="Seconds to converge in.  [default: 90]")
@click.option("--desired-count", "-D", "desired", type=click.IntRange(0), help="Set the desired count.")
@click.option("--min", "-m", "least", type=click.IntRange(0), help="Set the minimum healthy percent.")
@click.option("--max", "-M", "most", type=click.IntRange(0), help="Set the maximum percent.")
@click.option("--max-definitions", type=click.IntRange(1), help="Keep so many revisions of the deployer's.")
@_flag("--enable-rollback", help="Go back if it fails.")
@_flag("--force-new-deployment", "force", help="Restart also on the same image.")
@_flag("--skip-deployments-check", help="Without effect: the deployment's own fate counts.")
@_flag("--copy-task-definition-tags", help="Without effect: tags are always kept.")
@_flag("--verbose", "-v", help="Without effect.")
@click.option("--region", "-r", metavar="REGION", help="The AWS region.")
@click.option("--profile", "-p", metavar="NAME", help="The profile of the AWS configuration.")
@click.option("--aws-access-key", "-k", "key", metavar="KEY", help="Better set AWS_ACCESS_KEY_ID.")
@click.option("--aws-secret-key", "-s", "secret", metavar="KEY", help="Better set AWS_SECRET_ACCESS_KEY.")
@click.option("--aws-assume-role", "-a", "role", metavar="ARN", help="A role to assume.")
@_flag("--aws-instance-profile", help="Without effect: it is used where nothing else is set.")
@click.option("--task-definition", "-d", metavar="NAME", hidden=True)
@click.option("--task-definition-file", metavar="PATH", hidden=True)
@_flag("--use-latest-task-def", "use_latest", hidden=True)
@_flag("--run-task", hidden=True)
@plainly
def ecs_deploy(
    cluster: str | None,
    service: str | None,
    image: str | None,
    tag_env_var: str | None,
    tag_only: str | None,
    timeout: float,
    max_definitions: int | None,
    enable_rollback: bool,
    force: bool,
    region: str | None,
    profile: str | None,
    key: str | None,
    secret: str | None,
    role: str | None,
    **others: Any,
) -> None:
    """Deploy with the arguments of silinternational/ecs-deploy: exit code 0 if it has converged, else 1.

    Unlike that one it says success only if the very deployment that it began has converged, touches no
    sidecar and loses no field of the task definition (docs/moving.md).
    """
    for name, why in _NOT_YET.items():
        if others.get(name):
            raise SettingsError(f"not supported: {why}")
    if not cluster or not service or not (image or tag_only or tag_env_var):
        raise click.UsageError("give -c CLUSTER, -n SERVICE and -i IMAGE (or -to TAG, or -e VARIABLE)")
    _use(profile, key, secret)
    where = _where(cluster, region, role)
    wanted = _with_tag(image, native.tag_of(tag_env_var) if tag_env_var else tag_only)
    counts = {name: others.get(name) for name in ("desired", "least", "most")}
    report = native.deployed(
        service, where, wanted, force, timeout, enable_rollback, True, counts, max_definitions
    )
    if report is None:
        raise SystemExit(ExitCode.ERROR)
    click.echo(printable(f"{service}: {report.outcome}, {report.reason}"))
    raise SystemExit(ExitCode.OK if exit_code(report.outcome) is ExitCode.OK else ExitCode.ERROR)


def _with_tag(image: str | None, tag: str | None) -> str:
    """Return the image that is meant: a tag that is given apart rules."""
    if not image:
        return str(tag)
    from deployer.model.image import Image

    return str(Image.parse(image).with_tag(tag)) if tag else image


def _use(profile: str | None, key: str | None, secret: str | None) -> None:
    given = {"AWS_PROFILE": profile, "AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}
    for name, value in given.items():
        if value:
            os.environ[name] = value
    if key or secret:
        text = "keys on a command line can be read by everybody on this machine: set AWS_ACCESS_KEY_ID and"
        click.echo(f"! {text} AWS_SECRET_ACCESS_KEY, or use a role", err=True)


def _where(cluster: str, region: str | None, role: str | None) -> str:
    """Return the cluster as our own commands name it, with the role's account if there is one."""
    name = (
        cluster if cluster.startswith("arn:") or "/" in cluster else "/".join(filter(None, (region, cluster)))
    )
    if role is None:
        return name
    account = role.split(":")[4] if role.count(":") >= 5 else ""
    where = region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    named = cluster.startswith("arn:")  # has account and region itself
    if not account or not (where or named):
        raise SettingsError(
            "-a needs the ARN of a role, arn:aws:iam::123456789012:role/deploy, and -r REGION"
        )
    os.environ["DEPLOYER_ASSUME_ROLES"] = f"{account}={role}"
    return cluster if named else f"{account}/{where}/{cluster.rpartition('/')[2]}"
