"""The command line on ECS over HTTP: the emulator's ECS, DynamoDB, SQS and STS, and processes of their own."""

import os
import re
import subprocess

import pytest
from paths import ROOT

from lab.aws import Aws

pytestmark = pytest.mark.real
DEPLOYER = ROOT / ".venv" / "bin" / "deployer"
IMAGE = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/web:latest"


@pytest.fixture(scope="module")
def aws(tmp_path_factory):
    root = tmp_path_factory.mktemp("aws")
    found = Aws(root / "aws", root / "aws.log")
    found.start()
    ecs = found.client("ecs")
    ecs.create_cluster(clusterName="prod")
    app = {"name": "app", "image": IMAGE, "memory": 64, "dockerLabels": {"deployer.enable": "true"}}
    ecs.register_task_definition(family="web", containerDefinitions=[app])
    ecs.register_task_definition(family="theirs", containerDefinitions=[{**app, "dockerLabels": {}}])
    for name in ("web", "theirs"):
        ecs.create_service(cluster="prod", serviceName=name, taskDefinition=f"{name}:1", desiredCount=1)
    found.ledger_table("ledger")
    yield found
    found.kill()


@pytest.fixture
def run(aws):
    queues = aws.queues(visibility=120)

    def deployer(*argv, **settings):
        environment = {
            **os.environ,
            **aws.environment,
            "DEPLOYER_QUEUE": queues.events,
            "DEPLOYER_TASK_QUEUE": queues.tasks,
            "DEPLOYER_ECS_CLUSTERS": "prod",
            "DEPLOYER_ECS_LEDGER": "ledger",
            **settings,
        }
        return subprocess.run([DEPLOYER, *argv], env=environment, capture_output=True, text=True, timeout=120)

    return deployer


def test_doctor_finds_nothing_wrong_with_ecs_and_changes_nothing(aws, run):
    found = run("doctor").stdout
    assert "✓ ECS prod: 2 services" in found
    assert re.search(r"✓ ECS prod: permissions: all \d+ actions are allowed", found)
    assert "✓ ECS ledger: dynamodb:PutItem: allowed" in found
    assert "✗ ECS" not in found
    revisions = aws.client("ecs").list_task_definitions()["taskDefinitionArns"]
    assert sorted(arn.rpartition("/")[2] for arn in revisions) == ["theirs:1", "web:1"]
    assert not aws.client("dynamodb").scan(TableName="ledger")["Items"]


def test_only_services_that_say_so_are_ours(run):
    shown = run("status", "--offline").stdout
    assert "web:latest" in shown
    assert "theirs" not in shown
    assert "theirs" in run("status", "--offline", DEPLOYER_ECS_OPT_IN="false").stdout


def test_a_hold_is_kept_in_the_ledger_and_refused_without_one(aws, run):
    assert run("hold", "web", "--reason", "audit").returncode == 0
    assert "audit" in run("hold").stdout
    [item] = aws.client("dynamodb").scan(TableName="ledger")["Items"]
    assert item["id"] == {"S": "deployer.ledger"}
    assert list(item["labels"]["M"]) == ["deployer.hold.web"]
    refused = run("hold", "web", DEPLOYER_ECS_LEDGER="")
    assert refused.returncode
    assert "set DEPLOYER_ECS_LEDGER to the name of a DynamoDB table" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"DEPLOYER_ECS_CLUSTERS": "a/b"}, "DEPLOYER_ECS_CLUSTERS='a/b': 'a/b' is no cluster"),
        ({"DEPLOYER_ECS_LEDGER": "nothing"}, "DEPLOYER_ECS_LEDGER='nothing': there is no such table"),
    ],
)
def test_a_wrong_setting_is_one_line(run, settings, said):
    done = run("hold", **settings)
    assert done.returncode
    assert said in done.stderr
    assert "Traceback" not in done.stderr
