"""EventBridge and its scheduler over HTTP: what is read goes back whole but for the revision."""

import pytest

from deployer.aws.accounts import Accounts
from deployer.errors import NotFoundError, PermanentError
from deployer.targets.ecs.wire.aws_schedules import AwsSchedules
from lab.aws import Aws

pytestmark = pytest.mark.real
OLD, NEW = (f"arn:aws:ecs:eu-central-1:123456789012:task-definition/web:{n}" for n in (1, 2))
NETWORK = {"awsvpcConfiguration": {"Subnets": ["subnet-1"], "AssignPublicIp": "ENABLED"}}
ROLE = "arn:aws:iam::123456789012:role/events"
CLUSTER = "arn:aws:ecs:eu-central-1:123456789012:cluster/prod"


@pytest.fixture(scope="module")
def aws(tmp_path_factory):
    root = tmp_path_factory.mktemp("aws")
    found = Aws(root / "aws", root / "aws.log")
    found.start()
    yield found
    found.kill()


@pytest.fixture
def schedules(aws, monkeypatch):
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    return AwsSchedules("eu-central-1", None, Accounts(()))


def test_the_target_of_a_rule(aws, schedules):
    events = aws.client("events")
    events.put_rule(Name="nightly", ScheduleExpression="rate(1 day)")
    parameters = {"TaskDefinitionArn": OLD, "TaskCount": 2, "NetworkConfiguration": NETWORK}
    target = {"Id": "web", "Arn": CLUSTER, "RoleArn": ROLE, "Input": "{}", "EcsParameters": parameters}
    events.put_targets(Rule="nightly", Targets=[target])
    [read] = schedules.targets("nightly")
    assert read == target
    schedules.put_targets("nightly", [{**read, "EcsParameters": {**parameters, "TaskDefinitionArn": NEW}}])
    [now] = events.list_targets_by_rule(Rule="nightly")["Targets"]
    assert now == {**target, "EcsParameters": {**parameters, "TaskDefinitionArn": NEW}}
    with pytest.raises(PermanentError, match="members that this version does not know"):
        schedules.put_targets("nightly", [{**read, "NextYear": 1}])


def test_an_entry_of_the_scheduler(aws, schedules):
    client = aws.client("scheduler")
    target = {"Arn": CLUSTER, "RoleArn": ROLE, "EcsParameters": {"TaskDefinitionArn": OLD, "TaskCount": 1}}
    window = {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 5}
    asked = {"Name": "weekly", "ScheduleExpression": "rate(7 days)", "FlexibleTimeWindow": window}
    client.create_schedule(**asked, Target=target, Description="reports")
    read = schedules.schedule("default", "weekly")
    kept = {k: v for k, v in read.items() if k not in {"Arn", "CreationDate", "LastModificationDate"}}
    new = {**target, "EcsParameters": {"TaskDefinitionArn": NEW, "TaskCount": 1}}
    schedules.put_schedule({**kept, "Target": new})
    now = client.get_schedule(Name="weekly")
    assert now["Target"]["EcsParameters"]["TaskDefinitionArn"] == NEW
    assert (now["Description"], now["FlexibleTimeWindow"]) == ("reports", window)
    with pytest.raises(NotFoundError):
        schedules.schedule("default", "gone")
