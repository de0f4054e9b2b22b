"""The last words of a failing task: only where they are asked for, masked, bounded, and in nobody's way."""

import pytest
from world import World

from deployer.errors import TemporaryError
from deployer.model.deployment import Outcome
from deployer.observability import notifications
from deployer.rollouts.proving.last_words import MAX_ALL, MAX_LINE, masked
from deployer.tasks.message import DeploymentMessage


def failing(**rules):
    world = World(**rules)
    world.create(1)
    world.wait(60)
    world.push(2, crashing=True)
    world.swarm.said = ["starting", "connecting to postgres://shop:hunter2@db/shop", "KeyError: 'REGION'"]
    return world


def test_they_are_in_the_report_with_secrets_masked():
    done = failing(task_logs=2).deploy("t", trigger="event")
    assert done.outcome is Outcome.ROLLED_BACK
    assert done.last_words == ("connecting to postgres://shop:***@db/shop", "KeyError: 'REGION'")
    line = notifications.template("$service: $last_words")
    assert notifications.message([(done, "t")], line)[1].endswith("KeyError: 'REGION'")


def test_nobody_reads_a_log_unasked():
    world = failing()
    world.swarm.task_logs = None
    assert world.deploy("t", trigger="event").last_words == ()


def test_a_log_that_cannot_be_read_keeps_nobody_from_going_back(caplog):
    world = failing(task_logs=5)

    def refuse(*_):
        raise TemporaryError("a socket proxy forbids it")

    world.swarm.task_logs = refuse
    assert world.deploy("t", trigger="event").outcome is Outcome.ROLLED_BACK
    assert "The last words of service web cannot be read: a socket proxy forbids it" in caplog.text


def test_they_travel_in_the_message_until_the_end():
    world = failing(task_logs=5)
    step = world.deploy("t", until=lambda step: step.watch and step.watch.last_words)
    body = DeploymentMessage(watch=step.watch).encode()
    assert DeploymentMessage.decode(body).watch.last_words == step.watch.last_words


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("DB_PASSWORD=hunter2 other=1", "DB_PASSWORD=*** other=1"),
        ('{"api_key": "abc def", "x": 1}', '{"api_key": ***, "x": 1}'),
        ("token: eyJhbGciOiJIUzI1NiJ9.e30.abc", "token: ***"),
        ("Authorization: Bearer abcdefgh12345678", "Authorization: Bearer ***"),
        ("key AKIAIOSFODNN7EXAMPLE was refused", "key *** was refused"),
        ("redis://:pass@cache:6379/0 is down", "redis://:***@cache:6379/0 is down"),
        ("pushed with ghp_abcdefghijklmnop", "pushed with ***"),
        ("the password is wrong", "the password is wrong"),
        ("\x1b[31mred\x1b[0m\a", None),
    ],
)
def test_what_looks_like_a_secret_is_masked(line, shown):
    [found] = masked([line])
    assert shown is None or found == shown
    assert "\x1b" not in found


def test_a_key_in_pem_is_masked_as_a_whole():
    lines = ["a", "-----BEGIN EC PRIVATE KEY-----", "MHcCAQEE", "x", "-----END EC PRIVATE KEY-----", "b"]
    assert masked(lines) == ("a", "***", "b")


def test_they_are_bounded_and_the_last_ones_count():
    found = masked([f"{number} {'x' * 1000}" for number in range(100)])
    assert all(len(line) <= MAX_LINE for line in found)
    assert sum(map(len, found)) <= MAX_ALL
    assert found[-1].startswith("99 ")
