"""SQS, ECR's tokens and its list of images, from the emulator `ministack` over HTTP on loopback."""

from __future__ import annotations

import base64
import http.client
import itertools
import json
import os
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from lab.processes import Process, free_port
from lab.server import Server

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

ACCOUNT, REGION = "123456789012", "eu-central-1"
HOST = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"
# The policy of an events queue.
SENDERS = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": "*",
        }
    ],
}


@dataclass(frozen=True)
class Queues:
    """URLs of one pair of queues and of the dead-letter queue of each."""

    events: str
    events_dead: str
    tasks: str
    tasks_dead: str


class Aws(Server):
    """The emulator on a free port.

    A freeze, and a stop with a later start, keep the queues and what is in them: messages in flight, their
    receipts, delays and receive counts too. After `kill` it is as it was at the last stop.

    Args:
        root: a directory of its own.
        log: where its output goes.
    """

    def __init__(self, root: Path, log: Path) -> None:
        super().__init__("the AWS emulator")
        self._root = root
        self._log = log
        self._numbers = itertools.count(1)
        self.module = "ministack"  # what is run
        # It starts containers for some services; of an engine that is nowhere unless somebody says.
        self.containers = {"DOCKER_HOST": "unix:///nonexistent"}
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.environment = {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        self.sqs: SQSClient = self.client("sqs")

    @cached_property
    def _ecr(self) -> Any:
        return self.client("ecr")

    def client(self, service: str) -> Any:
        """Return a boto3 client of the emulator."""
        key = "test"
        session = boto3.Session(aws_access_key_id=key, aws_secret_access_key=key, region_name=REGION)
        options = Config(connect_timeout=5, read_timeout=30, retries={"total_max_attempts": 1})
        return session.client(service, endpoint_url=self.endpoint, config=options)  # type: ignore[call-overload]

    def launch(self) -> Process:
        """Start the emulator."""
        self._root.mkdir(parents=True, exist_ok=True)
        settings = {
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(self.port),
            **self.containers,
            "MINISTACK_ACCOUNT_ID": ACCOUNT,
            "MINISTACK_REGION": REGION,
            "PERSIST_STATE": "1",
            "STATE_DIR": str(self._root / "state"),
            "TMPDIR": str(self._root),
            "LOG_LEVEL": "WARNING",
        }
        return Process([sys.executable, "-m", self.module], self._log, {**os.environ, **settings})

    def answers(self) -> bool:
        """Return whether the emulator reports itself healthy."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/_ministack/health")
            return connection.getresponse().status == 200
        except http.client.HTTPException as fault:
            raise OSError(f"{self.name} hung up") from fault
        finally:
            connection.close()

    def password(self) -> str:
        """Return the password of the user AWS, as a token of ECR has it; the emulator gives everybody the
        same.
        """
        token = self.client("ecr").get_authorization_token()["authorizationData"][0]["authorizationToken"]
        return base64.b64decode(token).decode().split(":", 1)[1]

    def put_image(self, repository: str, tag: str, manifest: bytes, kind: str) -> None:
        """Tell ECR of a manifest that has been pushed; the repository is made if there is none."""
        image = {"imageManifest": manifest.decode(), "imageManifestMediaType": kind, "imageTag": tag}
        try:
            self._ecr.put_image(repositoryName=repository, **image)
        except self._ecr.exceptions.RepositoryNotFoundException:
            self._ecr.create_repository(repositoryName=repository)
            self._ecr.put_image(repositoryName=repository, **image)

    def ledger_table(self, name: str) -> None:
        """Create a table of DynamoDB as the ledger of ECS wants it."""
        self.client("dynamodb").create_table(
            TableName=name,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )

    def queues(self, visibility: int = 5, max_receives: int = 3) -> Queues:
        """Create a pair of queues, each with its dead-letter queue.

        Args:
            visibility: seconds that a received message stays invisible.
            max_receives: after so many receives a message goes to the dead-letter queue.
        """
        number = f"{os.getpid()}-{next(self._numbers)}"
        events, events_dead = self._pair(f"events-{number}", visibility, max_receives)
        self.sqs.set_queue_attributes(QueueUrl=events, Attributes={"Policy": json.dumps(SENDERS)})
        tasks, tasks_dead = self._pair(f"tasks-{number}", visibility, max_receives)
        return Queues(events, events_dead, tasks, tasks_dead)

    def _pair(self, name: str, visibility: int, max_receives: int) -> tuple[str, str]:
        dead = self.sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
        arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}-dead"
        redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": str(max_receives)})
        attributes = {"VisibilityTimeout": str(visibility), "RedrivePolicy": redrive}
        queue = self.sqs.create_queue(QueueName=name, Attributes=attributes)  # type: ignore[arg-type]
        return queue["QueueUrl"], dead

    def send(self, queue: str, body: object) -> str:
        """Send a message, anything but a text as JSON; its id."""
        text = body if isinstance(body, str) else json.dumps(body)
        return self.sqs.send_message(QueueUrl=queue, MessageBody=text)["MessageId"]

    def bodies(self, queue: str) -> list[str]:
        """Take all visible messages off a queue; their bodies."""
        bodies: list[str] = []
        while True:
            found = self.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
            if not found:
                return bodies
            for message in found:
                bodies.append(message["Body"])
                self.sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])

    def attributes(self, queue: str) -> dict[str, str]:
        """Return all attributes of a queue, as GetQueueAttributes names them."""
        found: Any = self.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
        return dict(found)

    def count(self, queue: str) -> int:
        """Return the number of messages in a queue: visible, in flight and delayed."""
        found = self.attributes(queue)
        return sum(int(found[f"ApproximateNumberOfMessages{kind}"]) for kind in ("", "NotVisible", "Delayed"))
