"""`make aws-contract`: the hardest promises about ECS, tried on an AWS account that a person lends for it.

Everything else is tried on an emulator behind a strict front, and on an ECS in memory. What AWS itself does
can be seen on AWS only. A service of one small Fargate task is created, deployed to a few times, and deleted.
Whatever happens, service and revisions are taken away again at the end.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from deployer.errors import DeployerError
from deployer.targets.ecs.wire.api import Api

NEEDED = {
    "CONTRACT_CLUSTER": "an ECS cluster with Fargate, in AWS_REGION: contract",
    "CONTRACT_REPOSITORY": "an ECR repository that docker may push to: HOST/contract",
    "CONTRACT_SUBNETS": "subnets with a way to ECR, with commas between them: subnet-1,subnet-2",
    "CONTRACT_SECURITY_GROUPS": "security groups that let HTTPS out: sg-1",
    "CONTRACT_EXECUTION_ROLE": "the ARN of a role with AmazonECSTaskExecutionRolePolicy",
}
OPTIONAL = {"CONTRACT_PUBLIC_IP": "ENABLED in subnets without NAT", "DEPLOYER_ECS_LEDGER": "a DynamoDB table"}
BREAKER = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
BASE = "public.ecr.aws/docker/library/busybox:1.36"
COMMANDS = {"web": "sleep 100000", "crash": "exit 7"}
STEADY = 600.0  # seconds until a new service runs


@dataclass
class Account:
    """A place to try things in.

    Args:
        call: one request of ECS's API, raw.
        push: pushes an image that is of the kind `web` or `crash` under a tag.
        run: runs `deployer` with arguments; its exit code and what it printed.
        repository: with the host.
        cluster: its name.
        service: members of CreateService and RegisterTaskDefinition, as the place needs them.
        definition: the latter.
        sleep: between two looks.
    """

    call: Callable[..., Mapping[str, Any]]
    push: Callable[[str, str], object]
    run: Callable[..., tuple[int, str]]
    repository: str
    cluster: str
    service: Mapping[str, Any] = field(default_factory=dict)
    definition: Mapping[str, Any] = field(default_factory=dict)
    sleep: float = 5.0
    timeout: float = 90.0  # seconds, of a roll-out that nothing but the deployer ends
    name: str = field(default_factory=lambda: f"contract-{uuid.uuid4().hex[:8]}")

    def deploy(self, *argv: str) -> tuple[int, dict[str, Any]]:
        """Run `deployer ecs deploy` on the service; the exit code, and the JSON."""
        code, text = self.run("ecs", "deploy", self.name, "--cluster", self.cluster, "--json", *argv)
        return code, json.loads(text or "{}")

    def described(self) -> Mapping[str, Any]:
        """Return the service."""
        found = self.call("DescribeServices", cluster=self.cluster, services=[self.name])["services"]
        return dict(found[0])

    def revision(self) -> Mapping[str, Any]:
        """Return the answer about the revision that the service points to, with its tags."""
        arn = self.described()["taskDefinition"]
        return self.call("DescribeTaskDefinition", taskDefinition=arn, include=["TAGS"])

    def image(self) -> str:
        """Return the image of that revision."""
        return str(self.revision()["taskDefinition"]["containerDefinitions"][0]["image"])

    def primary(self) -> str:
        """Return the id of the deployment that the service is on."""
        return next(str(d["id"]) for d in self.described()["deployments"] if d["status"] == "PRIMARY")

    def create(self) -> None:
        """Create the service with version 1, and wait until it runs."""
        container = {
            "name": "app",
            "image": f"{self.repository}:v1",
            "dockerLabels": {"deployer.policy": "glob:*"},
            "environment": [{"name": "KEPT", "value": "as it is"}],
        }
        members = {"family": self.name, "containerDefinitions": [container], **self.definition}
        self.call("RegisterTaskDefinition", **members, tags=[{"key": "team", "value": "contract"}])
        wanted = {"cluster": self.cluster, "serviceName": self.name, "taskDefinition": self.name}
        self.call("CreateService", **wanted, desiredCount=1, deploymentConfiguration=BREAKER, **self.service)
        until = time.monotonic() + STEADY
        while self.described().get("runningCount") != 1:
            assert time.monotonic() < until, "the new service does not run"
            time.sleep(self.sleep)

    def remove(self) -> None:
        """Delete the service, and take its revisions out of use."""
        gone = {"cluster": self.cluster, "service": self.name}
        for action, members in (
            ("UpdateService", {**gone, "desiredCount": 0}),
            ("DeleteService", {**gone, "force": True}),
        ):
            try:
                self.call(action, **members)
            except DeployerError as fault:
                print(f"! {action}: {fault}", file=sys.stderr)
        found = self.call("ListTaskDefinitions", familyPrefix=self.name).get("taskDefinitionArns") or ()
        for arn in found:
            self.call("DeregisterTaskDefinition", taskDefinition=arn)


def a_push_is_rolled_out_pinned_and_loses_nothing(at: Account) -> None:
    """Scenario 1: a new tag becomes a revision that differs in its image alone."""
    before = at.revision()
    at.push("v2", "web")
    code, told = at.deploy("-i", "v2")
    assert (code, told["outcome"]) == (0, "updated"), told
    after = at.revision()
    assert at.image().startswith(f"{at.repository}@sha256:"), at.image()
    old, new = (dict(one["taskDefinition"]["containerDefinitions"][0]) for one in (before, after))
    assert {**old, "image": ""} == {**new, "image": ""}
    assert {"key": "team", "value": "contract"} in after["tags"]


def the_same_again_deploys_nothing(at: Account) -> None:
    """Scenario 2: what runs already is unchanged."""
    before = at.primary()
    code, told = at.deploy("-i", "v2")
    assert (code, told["outcome"], at.primary()) == (0, "unchanged", before), told


def a_circuit_breakers_rollback_is_a_failure_that_is_remembered(at: Account) -> None:
    """Scenarios 3 and 4: the exit code says so, the service is back, and the digest is held."""
    good = at.image()
    at.push("v3", "crash")
    code, told = at.deploy("-i", "v3")
    assert (code, told["outcome"]) == (4, "rolled-back"), told
    assert at.image() == good
    code, told = at.deploy("-i", "v3")
    assert (code, told["outcome"]) == (5, "held"), told


def without_a_circuit_breaker_the_deployer_goes_back(at: Account) -> None:
    """Scenario 5: by StopServiceDeployment or the former revision, when its own time-out is over."""
    good = at.image()
    off = {"deploymentCircuitBreaker": {"enable": False, "rollback": False}}
    at.call("UpdateService", cluster=at.cluster, service=at.name, deploymentConfiguration=off)
    at.push("v4", "crash")
    code, told = at.deploy("-i", "v4", "-t", str(at.timeout))
    assert (code, told["outcome"]) == (4, "rolled-back"), told
    assert at.image() == good


def a_forced_restart_is_no_new_revision(at: Account) -> None:
    """Scenario 8: the same revision, another deployment."""
    revision, before = at.described()["taskDefinition"], at.primary()
    code, told = at.deploy("--force", "-i", "v2")
    assert code == 0, told
    assert at.primary() != before
    assert at.described()["taskDefinition"] == revision or at.image() == told["image"].replace(":v2@", "@")


SCENARIOS = (
    a_push_is_rolled_out_pinned_and_loses_nothing,
    the_same_again_deploys_nothing,
    a_circuit_breakers_rollback_is_a_failure_that_is_remembered,
    without_a_circuit_breaker_the_deployer_goes_back,
    a_forced_restart_is_no_new_revision,
)


def play(at: Account) -> list[str]:
    """Play every scenario, and return what went wrong; the service is deleted in any case."""
    wrong = []
    at.push("v1", "web")
    try:
        at.create()
        for scenario in SCENARIOS:
            title = scenario.__name__.replace("_", " ")
            try:
                scenario(at)
            except (AssertionError, DeployerError, KeyError, ValueError) as fault:
                wrong.append(f"{title}: {fault!r}")
            print(f"{'wrong' if wrong and wrong[-1].startswith(title) else 'ok':6} {title}", flush=True)
    finally:
        at.remove()
    return wrong


def main() -> int:
    """Play it on the account of the environment."""
    missing = {name: what for name, what in NEEDED.items() if not os.environ.get(name)}
    if missing or not os.environ.get("AWS_REGION"):
        lines = [f"  {name:26} {what}" for name, what in {"AWS_REGION": "of all of it", **NEEDED}.items()]
        lines += [f"  {name:26} (optional) {what}" for name, what in OPTIONAL.items()]
        print("This creates and deletes an ECS service on a real account. Set:", *lines, sep="\n")
        print("Missing:", ", ".join(missing) or "AWS_REGION", file=sys.stderr)
        return 2
    wrong = play(_account())
    print(*wrong, sep="\n", file=sys.stderr)
    return 1 if wrong else 0


def _account() -> Account:
    from deployer.aws.accounts import Accounts
    from deployer.targets.ecs.wire.aws_api import AwsApi

    env = os.environ
    api: Api = AwsApi(env["AWS_REGION"], None, Accounts(()))
    public = env.get("CONTRACT_PUBLIC_IP", "DISABLED")
    network = {
        "subnets": env["CONTRACT_SUBNETS"].split(","),
        "securityGroups": env["CONTRACT_SECURITY_GROUPS"].split(","),
        "assignPublicIp": public,
    }
    repository = env["CONTRACT_REPOSITORY"]
    size = {"cpu": "256", "memory": "512", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"]}
    return Account(
        api.call,
        lambda tag, kind: _push(f"{repository}:{tag}", kind),
        _run,
        repository,
        env["CONTRACT_CLUSTER"],
        {"launchType": "FARGATE", "networkConfiguration": {"awsvpcConfiguration": network}},
        {**size, "executionRoleArn": env["CONTRACT_EXECUTION_ROLE"]},
    )


def _push(image: str, kind: str) -> None:
    file = f'FROM {BASE}\nLABEL contract="{uuid.uuid4()}"\nCMD {COMMANDS[kind]}\n'
    build = ["docker", "build", "--platform", "linux/amd64", "-t", image, "-"]
    subprocess.run(build, input=file, text=True, check=True, capture_output=True)
    subprocess.run(["docker", "push", "--quiet", image], check=True, capture_output=True)


def _run(*argv: str) -> tuple[int, str]:
    done = subprocess.run([sys.executable, "-m", "deployer", *argv], stdout=subprocess.PIPE, text=True)
    return done.returncode, done.stdout


if __name__ == "__main__":
    sys.exit(main())
