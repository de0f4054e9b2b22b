"""What test_cloudformation.py is run on: the template as data, and an AWS that refuses what policies do not allow."""

from __future__ import annotations

import ast
import http.client
import json
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import yaml
from botocore.config import Config
from paths import ROOT

from lab import ACCOUNT, REGION, Process, Queues, wait_until
from lab.aws import Aws

TEMPLATE = ROOT / "deploy" / "cloudformation.yml"
# It also takes port 443 of its address if that is free, so it has an address of its own.
ADDRESS = "127.0.0.3"


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms: `!Ref x` becomes {"Ref": "x"}."""


def _short_form(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt":
        value = value.split(".")
    return {suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_form)


@cache
def template(path: Path = TEMPLATE) -> dict[str, Any]:
    """The template, its short forms spelled out."""
    return yaml.load(path.read_text(), _Loader)


def statements(policy: Mapping[str, Any], under: str | None = None) -> Iterator[tuple[str | None, dict]]:
    """The statements of a policy, each with the condition that it depends on."""
    for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
        if "Fn::If" in statement:
            condition, yes, no = statement["Fn::If"]
            yield from ((condition, one) for one in (yes, no) if "Sid" in one)
        else:
            yield under, statement


def words(value: str | list[str]) -> set[str]:
    """IAM writes one as itself and several as a list."""
    return {value} if isinstance(value, str) else set(value)


@cache
def operations_of(service: str) -> dict[str, str]:
    """The operations of a service by the names of boto3's methods."""
    return dict(boto3.Session().client(service, region_name=REGION).meta.method_to_api_mapping)


def calls_in_source(services: tuple[str, ...]) -> dict[str, set[str]]:
    """The operations of AWS that each module of the package calls, by name: `sqs:ReceiveMessage`."""
    operations: dict[str, set[str]] = {}
    for service in services:
        for method, operation in operations_of(service).items():
            operations.setdefault(method, set()).add(f"{service}:{operation}")
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / "deployer").rglob("*.py")):
        tree = ast.parse(path.read_text())
        used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        # `getattr(sqs, "receive_message")`: a method may be named in a text too.
        used |= {
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and node.value in operations
        }
        called = set().union(*(operations[name] for name in used & set(operations)))
        if called:
            found[path.stem] = called
    return found


class StrictAws(Aws):
    """The emulator, checking signatures, policies of users and policies of queues, and recording calls.

    Args:
        root: a directory of its own.
        log: where its output goes.
        tls: serve HTTPS, with a certificate of its own.
        host: the address that is in its URLs, for clients that cannot reach it at `ADDRESS`.
    """

    def __init__(self, root: Path, log: Path, tls: bool = True, host: str = ADDRESS) -> None:
        self.tls = tls
        self.host = host
        self.certificate = root / "certificate.pem"
        super().__init__(root, log)
        self.endpoint = f"http{'s' if tls else ''}://{ADDRESS}:{self.port}"
        self.environment["AWS_ENDPOINT_URL"] = self.endpoint
        if tls:
            self.environment["AWS_CA_BUNDLE"] = str(self.certificate)
            self._certify(root)

    def _certify(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        asked = (
            f"-subj /CN=aws -addext subjectAltName=IP:{ADDRESS},IP:{self.host} -days 2 -keyout {root}/key.pem"
        )
        command = f"openssl req -x509 -newkey rsa:2048 -nodes {asked} -out {self.certificate}"
        subprocess.run(command.split(), check=True, capture_output=True)

    def launch(self) -> Process:
        """Start the emulator."""
        settings = {
            "BIND_HOST": ADDRESS,
            "MINISTACK_HOST": self.host,
            "GATEWAY_PORT": str(self.port),
            "DOCKER_HOST": "unix:///nonexistent",
            "MINISTACK_ACCOUNT_ID": ACCOUNT,
            "MINISTACK_REGION": REGION,
            "TMPDIR": str(self._root),
            "LOG_LEVEL": "WARNING",
            "AUTH": "true",
            "CLOUDTRAIL_RECORDING": "1",
        }
        if self.tls:
            pair = {
                "MINISTACK_SSL_CERT": str(self.certificate),
                "MINISTACK_SSL_KEY": str(self._root / "key.pem"),
            }
            settings |= {"USE_SSL": "1", **pair}
        self._root.mkdir(parents=True, exist_ok=True)
        return Process([sys.executable, "-m", "ministack"], self._log, {**os.environ, **settings})

    def answers(self) -> bool:
        """Whether it says that it is well."""
        kind: type[http.client.HTTPConnection] = http.client.HTTPConnection
        options: dict[str, Any] = {}
        if self.tls:
            kind = http.client.HTTPSConnection
            options["context"] = ssl.create_default_context(cafile=str(self.certificate))
        connection = kind(ADDRESS, self.port, timeout=5, **options)
        try:
            connection.request("GET", "/_ministack/health")
            return connection.getresponse().status == 200
        except http.client.HTTPException as fault:
            raise OSError(f"{self.name} hung up") from fault
        finally:
            connection.close()

    def client(self, service: str, key: Mapping[str, str] | None = None) -> Any:
        """A boto3 client of the emulator, of its owner or of somebody's access key."""
        key = key or {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        session = boto3.Session(key["AWS_ACCESS_KEY_ID"], key["AWS_SECRET_ACCESS_KEY"], region_name=REGION)
        options = Config(connect_timeout=5, read_timeout=30, retries={"total_max_attempts": 1})
        endpoint = f"http{'s' if self.tls else ''}://{ADDRESS}:{self.port}"
        trust = str(self.certificate) if self.tls else None
        return session.client(service, endpoint_url=endpoint, verify=trust, config=options)  # type: ignore[call-overload]

    def deploy(self, stack: str, **parameters: str) -> dict[str, str]:
        """Create a stack of the template and wait for it; its outputs."""
        self.create(stack, parameters)
        return self.outputs(stack)

    def create(self, stack: str, parameters: Mapping[str, str]) -> None:
        """Ask for a stack of the template."""
        given = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
        self.client("cloudformation").create_stack(
            StackName=stack,
            TemplateBody=TEMPLATE.read_text(),
            Parameters=given,
            Capabilities=["CAPABILITY_IAM"],
        )

    def outputs(self, stack: str) -> dict[str, str]:
        """Wait for a stack; its outputs."""
        cloudformation = self.client("cloudformation")

        def ended() -> Any:
            found = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
            return None if found["StackStatus"].endswith("IN_PROGRESS") else found

        found = wait_until(ended, 30, f"the stack {stack}")
        assert found["StackStatus"] == "CREATE_COMPLETE", found.get("StackStatusReason")
        return {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}

    def resources(self, stack: str, kind: str) -> list[str]:
        """Physical names of a stack's resources of one type."""
        told = self.client("cloudformation").describe_stack_resources(StackName=stack)["StackResources"]
        return [one["PhysicalResourceId"] for one in told if one["ResourceType"] == kind]

    def left(self) -> list[str]:
        """Names of all that somebody has made here: stacks, queues, rules, users, policies, repositories."""
        stacks = self.client("cloudformation").describe_stacks()["Stacks"]
        iam = self.client("iam")
        return [
            *(one["StackName"] for one in stacks if one["StackStatus"] != "DELETE_COMPLETE"),
            *self.client("sqs").list_queues().get("QueueUrls", []),
            *(one["Name"] for one in self.client("events").list_rules()["Rules"]),
            *(one["UserName"] for one in iam.list_users()["Users"]),
            *(one["PolicyName"] for one in iam.list_policies(Scope="Local")["Policies"]),
            *(one["repositoryName"] for one in self.client("ecr").describe_repositories()["repositories"]),
        ]

    def key(self, user: str) -> dict[str, str]:
        """A new access key of a user, as environment variables."""
        made = self.client("iam").create_access_key(UserName=user)["AccessKey"]
        return {"AWS_ACCESS_KEY_ID": made["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": made["SecretAccessKey"]}

    def allow(self, user: str, actions: list[str]) -> None:
        """Allow a user more than the template does."""
        document = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}],
        }
        self.client("iam").put_user_policy(
            UserName=user, PolicyName="more", PolicyDocument=json.dumps(document)
        )

    def calls(self, key: Mapping[str, str]) -> set[str]:
        """The actions that the owner of an access key has asked for, as IAM names them."""
        trail = self.client("cloudtrail")
        owner = {"AttributeKey": "AccessKeyId", "AttributeValue": key["AWS_ACCESS_KEY_ID"]}
        events = trail.lookup_events(LookupAttributes=[owner], MaxResults=50)["Events"]
        # No more than the newest 50 are told at once, and polls are many: so each is asked for by name too.
        names = set().union(*(operations_of(service).values() for service in ("ecr", "sqs", "sts")))
        for name in sorted(names):
            named = {"AttributeKey": "EventName", "AttributeValue": name}
            events += trail.lookup_events(LookupAttributes=[owner, named], MaxResults=1)["Events"]
        return {
            # A batch needs the permission of the single call (SQS developer guide, "API permissions").
            f"{event['EventSource'].partition('.')[0]}:{event['EventName'].removesuffix('Batch')}"
            for event in events
        }


def queues_of(outputs: Mapping[str, str]) -> Queues:
    """A stack's queues."""
    return Queues(
        outputs["EventsQueueUrl"],
        outputs["EventsDeadLettersUrl"],
        outputs["TaskQueueUrl"],
        outputs["TaskDeadLettersUrl"],
    )
