"""A wrong setting or option is told in our words: its name, the value that was given, and what it may be."""

import pytest
from botocore.exceptions import ClientError

from deployer.aws import sqs
from deployer.errors import SettingsError
from deployer.targets.swarm import client


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (
            ("history", "--outcome", "upd"),
            "Invalid value for '--outcome': 'upd' is none; did you mean updated?",
        ),
        (("history", "--since", "yesterday"), "Invalid value for '--since': 'yesterday': it may be"),
    ],
)
def test_an_option(swarm, call, argv, said):
    done = call(*argv)
    assert done.exit_code == 2
    assert said in done.output


def test_two_queues_with_a_space_between_them(load):
    with pytest.raises(
        SettingsError, match="DEPLOYER_TASK_QUEUE='https://a https://b': several queues have commas"
    ):
        load(TASK_QUEUE="https://a https://b")


def test_the_engine_by_the_address_that_was_given(monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nope.sock")
    assert client._where() == "DOCKER_HOST=unix:///nope.sock"
    monkeypatch.delenv("DOCKER_HOST")
    assert client._where() == "DOCKER_HOST is not set, so its socket is asked"


def test_a_region_that_is_none(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "eu central")
    with pytest.raises(
        SettingsError, match="AWS_REGION='eu central' is no region; it may be one such as eu-"
    ):
        sqs.queue_url("deployer-tasks")


def test_a_queue_that_there_is_not(monkeypatch):
    class Client:
        def get_queue_url(self, QueueName):
            error = {"Error": {"Code": "AWS.SimpleQueueService.NonExistentQueue", "Message": "no"}}
            raise ClientError(error, "GetQueueUrl")

    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "eu-central-1")
    monkeypatch.setattr(sqs, "client", Client)
    with pytest.raises(SettingsError, match="there is no queue 'tasks' in eu-central-1") as told:
        sqs.queue_url("tasks")
    assert "https://sqs.eu-central-1.amazonaws.com/123456789012/tasks" in str(told.value)
    assert "GetQueueUrl" not in str(told.value)
