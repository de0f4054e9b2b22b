"""`deployer ecs-deploy`: the flags and exit codes of silinternational's ecs-deploy, with true outcomes."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from typing import Any, TextIO

import click

from deployer.cli.ecs import deploy as native
from deployer.cli.exit_codes import ExitCode, exit_code
from deployer.cli.faults import plainly
from deployer.cli.options import Command
from deployer.errors import SettingsError, printable

TIMEOUT = 90  # seconds, as that one has it


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
@click.option(
    "--task-definition", "-d", "family", metavar="FAMILY", help="Instead of -n: a new revision of it."
)
@click.option("--task-definition-file", "file", type=click.File(), help="With -d: what to make it from.")
@_flag("--run-task", help="With -d: run one task of the new revision.")
@_flag("--wait-for-success", help="With --run-task: wait for its end; exit code 0 if its container has 0.")
@click.option("--launch-type", metavar="TYPE", help="Of --run-task: EC2, FARGATE or EXTERNAL.")
@click.option("--platform-version", metavar="VERSION", help="Of --run-task, on Fargate.")
@click.option(
    "--network-configuration",
    "network",
    metavar="JSON",
    help="Of --run-task: JSON, or the AWS CLI's short form.",
)
@_flag("--use-latest-task-def", "use_latest", help="Refuse where a newer revision than the service's exists.")
@click.option(
    "--tag-only-container-names",
    "--tag_only_container_names",
    "-toc",
    "only",
    metavar="NAMES",
    help="Refuse where -to would move other containers than these.",
)
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
    family: str | None,
    use_latest: bool,
    only: str | None,
    **others: Any,
) -> None:
    """Deploy with the arguments of silinternational/ecs-deploy: exit code 0 if it has converged, else 1.

    Unlike that one it says success only if the very deployment that it began has converged, touches no
    sidecar and loses no field of the task definition (docs/moving.md).
    """
    _check(cluster, service, family, bool(image or tag_only or tag_env_var), force, others)
    _use(profile, key, secret)
    where = _where(cluster or "default", region, role)
    wanted = _with_tag(image, native.tag_of(tag_env_var) if tag_env_var else tag_only)
    if family:
        raise SystemExit(_without_service(where, family, wanted, timeout, others))
    assert service is not None  # noqa: S101 - checked above
    _check_revision(where, service, use_latest, only)
    counts = {name: others.get(name) for name in ("desired", "least", "most")}
    report = native.deployed(
        service, where, wanted, force, timeout, enable_rollback, True, counts, max_definitions
    )
    if report is None:
        raise SystemExit(ExitCode.ERROR)
    click.echo(printable(f"{service}: {report.outcome}, {report.reason}"))
    raise SystemExit(ExitCode.OK if exit_code(report.outcome) is ExitCode.OK else ExitCode.ERROR)


def _check(
    cluster: str | None,
    service: str | None,
    family: str | None,
    image: bool,
    force: bool,
    others: dict[str, Any],
) -> None:
    """Check that the arguments go together.

    Raises:
        click.UsageError: they do not.
    """
    if bool(service) == bool(family):
        raise click.UsageError("give either -n SERVICE or -d FAMILY")
    if service and not cluster:
        raise click.UsageError("give -c CLUSTER with -n SERVICE")
    if not image and (family or not force):
        raise click.UsageError("give -i IMAGE (or -to TAG, or -e VARIABLE)")
    runs = others.get("run_task")
    if others.get("file") and not family:
        raise click.UsageError(
            "--task-definition-file goes with -d; a service keeps the revision that it runs"
        )
    if runs and not family:
        raise click.UsageError("--run-task goes with -d; for a service: deployer ecs run SERVICE -- COMMAND")
    for name in ("wait_for_success", "launch_type", "platform_version", "network"):
        if others.get(name) and not runs:
            given = "network-configuration" if name == "network" else name.replace("_", "-")
            raise click.UsageError(f"--{given} goes with --run-task")


def _without_service(
    where: str, family: str, wanted: str | None, timeout: float, others: dict[str, Any]
) -> ExitCode:
    """Register a new revision of a family, and run one task of it if that is asked for."""
    from deployer.cli.ecs import family as families
    from deployer.cli.ecs import here
    from deployer.cli.ecs.run import end_of
    from deployer.targets.ecs.names import last

    network = _network(others.get("network"))
    connected = here.connected(where)
    revision, container = families.registered(connected, family, str(wanted), _content(others.get("file")))
    click.echo(printable(f"{last(revision.arn)} is registered"))
    if not others.get("run_task"):
        return ExitCode.OK
    how = {"launchType": others.get("launch_type"), "platformVersion": others.get("platform_version")}
    place = connected.target.places[0]
    task = families.started(place, revision, **how, networkConfiguration=network)
    if not others.get("wait_for_success"):
        return ExitCode.OK
    ended = end_of(place.api, place.cluster.name, task, container, timeout)
    return ExitCode.OK if ended is ExitCode.OK else ExitCode.ERROR


def _content(file: TextIO | None) -> Mapping[str, Any] | None:
    """Return a task definition from a file: bare, or as `describe-task-definition` prints it.

    Raises:
        SettingsError: it is none.
    """
    if file is None:
        return None
    try:
        read = json.load(file)
    except ValueError as fault:
        raise SettingsError(f"--task-definition-file {file.name}: it is no JSON: {fault}") from fault
    found = read.get("taskDefinition", read) if isinstance(read, dict) else None
    if not isinstance(found, dict) or not found.get("containerDefinitions"):
        raise SettingsError(f"--task-definition-file {file.name}: it has no containerDefinitions")
    return found


def _network(text: str | None) -> Mapping[str, Any] | None:
    """Return a network configuration, from JSON or from the short form of the AWS CLI.

    Raises:
        SettingsError: it is neither.
    """
    if not text:
        return None
    try:
        read = json.loads(text) if text.lstrip().startswith("{") else _short_form(text)
    except ValueError:
        read = None
    if not isinstance(read, dict) or not isinstance(read.get("awsvpcConfiguration"), dict):
        example = "awsvpcConfiguration={subnets=[subnet-1],securityGroups=[sg-1],assignPublicIp=ENABLED}"
        raise SettingsError(f"--network-configuration {text[:60]!r} is not understood; for example {example}")
    return read


def _short_form(text: str) -> dict[str, Any]:
    """Return what the AWS CLI's short form says: `awsvpcConfiguration={subnets=[a,b],…}`."""
    members = re.fullmatch(r"awsvpcConfiguration=\{(.*)\}", "".join(text.split()))
    pairs = re.findall(r"(\w+)=(?:\[([^\]]*)\]|([\w-]+))", members[1]) if members else []
    return (
        {"awsvpcConfiguration": {name: word or several.split(",") for name, several, word in pairs}}
        if pairs
        else {}
    )


def _check_revision(where: str, service: str, use_latest: bool, only: str | None) -> None:
    """Check that the revision and the containers that are changed are those that are meant.

    Raises:
        SettingsError: they are not.
    """
    if not use_latest and not only:
        return
    from deployer.cli.ecs import here
    from deployer.targets.ecs.names import family_of, last

    connected = here.connected(where)
    found = connected.service(service)
    unit = found.native
    newest = connected.place(found).newest(family_of(unit.revision.arn)) if use_latest else None
    if newest and newest.arn != unit.revision.arn:
        text = (
            f"--use-latest-task-def: {last(newest.arn)} is newer than {last(unit.revision.arn)}, which runs"
        )
        raise SettingsError(f"{text}: point the service to it first, then a way back is known")
    named = set(filter(None, (only or "").split(",")))
    if named and named != set(unit.containers):
        mine = ", ".join(unit.containers)
        raise SettingsError(
            f"-toc {only}: {mine} run the service's image and move together; see deployer.containers"
        )


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
