"""The tutorial, and the steps of the installation that it goes through, run as they are printed."""

import time

import pytest
from console import commands, pattern
from paths import ROOT
from tutorial_lab import TutorialLab

from lab import HOST

TUTORIAL = ROOT / "docs" / "tutorial.md"

# -- what is not as it is for a reader; nothing else is -----------------------------------------------------

# There is no Docker Hub: its images are made of this machine's programs. The Python one also knows where the
# emulator of AWS is and whom it trusts; on the machine the variables AWS_ENDPOINT_URL and AWS_CA_BUNDLE say it.
# `doctor` asks the registries, so what the stack takes from Docker Hub is mirrored.
MIRROR = f"{HOST}/mirror"
IMAGES = {
    "python:3.11-slim-bookworm": "lab/python",
    "busybox:1.36": "lab/busybox",
    f"{MIRROR}/redis": "lab/redis",
    f"{MIRROR}/haproxy": "lab/haproxy",
}
VARIABLES = {
    "REDIS_IMAGE": f"{MIRROR}/redis",
    "SOCKET_PROXY_IMAGE": f"{MIRROR}/haproxy",
    "DOCKER_BUILDKIT": "1",  # as every Docker does since 23.0; with 20.10 it takes twice the time without
}
# The wheels of the image lie beside the Dockerfile, since there is no package index (see its head).
# ECR's pushes reach EventBridge's rules by way of `tutorial_lab.Pushes`.
# The queues' URLs are the emulator's; they are printed as
SQS = "https://sqs.eu-central-1.amazonaws.com"
# The person's credentials of AWS are in the environment, not in ~/.aws.
# AWS takes a batch for several single calls; the emulator has actions of its own for them.
BATCHES = [f"sqs:{call}MessageBatch" for call in ("Send", "Delete")] + ["sqs:ChangeMessageVisibilityBatch"]
# Where a reader looks again until it is as the page says.
LOOKED_AT_AGAIN = ("deployer history", "deployer status", "docker stack services")
PATIENCE = 120.0  # seconds


@pytest.fixture
def machine(tmp_path_factory):
    # A short name: there are Unix sockets below it.
    with TutorialLab(tmp_path_factory.mktemp("lab"), IMAGES, VARIABLES) as lab:
        yield lab


@pytest.mark.real
def test_every_command_does_what_the_page_says_and_nothing_stays(machine):
    shell = machine.terminal()
    try:
        for command in commands(TUTORIAL):
            follow(machine, shell, command)
            if command.text.startswith("aws cloudformation deploy"):
                for part in ("Bridge", "Worker", "Operator"):
                    machine.aws.allow(machine.aws.outputs("deployer")[f"{part}UserName"], BATCHES)
    finally:
        shell.close()
        (machine.logs / "tutorial.txt").write_text(shell.transcript)
    assert machine.aws.left() == []
    assert machine.docker("info", "--format", "{{.Swarm.LocalNodeState}}") == "inactive"
    assert machine.docker("volume", "ls", "--quiet") == ""
    assert machine.docker("ps", "--all", "--quiet") == ""


def follow(machine, shell, command):
    """Run a command, and look for what the page shows."""
    until = time.monotonic() + PATIENCE
    while True:
        status, printed = shell.run(command.text)
        printed = printed.replace(machine.endpoint, SQS)
        told = f"{command.where}: $ {command.text}"
        assert status == 0, f"{told}\nends with {status}:\n{printed}"
        if not command.shown or pattern(command.shown).fullmatch(printed):
            return
        again = command.text.startswith(LOOKED_AT_AGAIN) and time.monotonic() < until
        assert again, "\n".join([told, "shall print", *command.shown, "and prints", printed])
        time.sleep(1)


# -- the test's own parts -----------------------------------------------------------------------------------


def test_the_commands_of_both_pages_are_found_in_order():
    found = list(commands(TUTORIAL))
    text = [command.text.split("\n")[0] for command in found]
    assert text[0] == "export AWS_DEFAULT_REGION=eu-central-1"
    order = ["docker swarm init", "aws cloudformation deploy", "docker build", "docker stack deploy", "docker service create",
             "deployer rollback", "deployer hold", "docker stack rm", "aws cloudformation delete-stack", "docker swarm leave"]  # fmt: skip
    at = [next(n for n, line in enumerate(text) if wanted in line) for wanted in order]
    assert at == sorted(at)
    [loop] = [command.text for command in found if "create-access-key" in command.text]
    assert loop.endswith("done")


@pytest.mark.parametrize(
    ("shown", "printed", "fits"),
    [
        ("version 1", "version 1\n", True),
        ("version 1", "version 12\n", False),
        ("version 1", "a\nversion 1\n", False),
        ("…\nversion 1", "a\nb\nversion 1\n", True),
        ("…\nversion 1", "version 1\n", True),
        ("version 1", "version 1\nb\n", False),
        ("version 1\n…", "version 1\nb\n", True),
        ("web: rolled-back, … (… s)", "web: rolled-back, 1/1 running (7.0 s)\n", True),
        ("web: rolled-back, … (… s)", "web: failed, 1/1 running (7.0 s)\n", False),
        ("WHEN  SERVICE\n…     web", "WHEN         SERVICE   \n2026-01-01   web       \n", True),
        ("WHEN  SERVICE\n…     web", "WHEN         SERVICE   \n2026-01-01   api       \n", False),
        ("Done.", "Done?\n", False),
    ],
)
def test_what_a_page_shows_fits_what_is_printed_or_not(shown, printed, fits):
    assert bool(pattern(shown.split("\n")).fullmatch(printed)) == fits
