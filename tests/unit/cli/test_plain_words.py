"""A wrong setting or option is told in our words: its name, the value that was given, and what it may be."""

import pytest
from botocore.exceptions import ClientError, NoCredentialsError

from deployer.aws import sqs
from deployer.aws.errors import translated
from deployer.cli import faults
from deployer.errors import SettingsError, TemporaryError
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


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("my queue", "it may be the name of a queue, such as my-queue, or its URL"),
        ("arn:aws:sqs:eu-central-1:123456789012:pushes", "that is an ARN; .* such as pushes, or its URL"),
    ],
)
def test_a_queue_that_is_neither_a_name_nor_a_url(load, value, said):
    for setting in ("QUEUE", "TASK_QUEUE"):
        with pytest.raises(SettingsError, match=f"DEPLOYER_{setting}=.*{said if setting == 'QUEUE' else ''}"):
            load(**{setting: value})


def test_a_time_that_is_none_names_both_forms(swarm, call):
    said = call("history", "--since", "yesterday").output
    assert "a duration such as 2h or 3d" in said
    assert "an ISO time such as 2026-01-31T08:00Z" in said


def test_a_task_queue_that_is_not_in_this_region(monkeypatch):
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    error = {"Error": {"Code": "AWS.SimpleQueueService.NonExistentQueue", "Message": "… this wsdl version."}}
    said = faults._of_a_library(ClientError(error, "SendMessage"))
    assert said.startswith("there is no such task queue (DEPLOYER_TASK_QUEUE")
    assert "AWS_REGION is not set" in said
    assert "wsdl" not in said


def test_no_aws_credentials(monkeypatch):
    assert "set AWS_PROFILE or AWS_SHARED_CREDENTIALS_FILE" in faults._of_a_library(NoCredentialsError())
    with pytest.raises(TemporaryError, match="set AWS_PROFILE or"), translated("ecs:ListServices", "in x"):
        raise NoCredentialsError


def test_a_registrys_words_are_said_once():
    answer = client.Answer(404, b'{"message": "manifest unknown: manifest unknown"}')
    said = str(client._error(answer, "web:v7 is not there", "registry.example"))
    assert said == "web:v7 is not there (manifest unknown)"
