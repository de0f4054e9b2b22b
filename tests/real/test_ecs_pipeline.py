"""Scenario 29, on a real engine: a pipeline deploys to ECS without queue and worker, and its exit code is true."""

import json

import pytest
from ecs_pushes import BREAKER, pinned

from lab.aws import HOST
from lab.ecs.lab import EcsLab, web
from tools import aws_contract

pytestmark = pytest.mark.real
REPOSITORY = "team/pipeline"
WEB = f"{REPOSITORY}:latest"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with EcsLab(tmp_path_factory.mktemp("ecs"), keep_logs=True) as started:
        yield started


@pytest.fixture(autouse=True)
def _clean(lab):
    lab.front.calls.clear()
    yield
    lab.end_processes()
    lab.clear()


@pytest.fixture
def run(lab, queues):
    return lambda *argv, **settings: lab.deployer(queues, *argv, **settings)


def test_29_a_good_image_is_0_and_a_crashing_one_is_not(lab, run):
    lab.push(WEB, "v1")
    lab.create_service("web", web(WEB), deploymentConfiguration=BREAKER)
    good = lab.push(f"{REPOSITORY}:v2", "v2")
    done = run("ecs", "deploy", "web", "--image", "v2", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["outcome"] == "updated"
    assert lab.running("web") == [good]
    lab.push(f"{REPOSITORY}:v3", "v3", "crash")
    done = run("ecs", "deploy", "web", "--image", "v3")
    assert done.returncode == 4, done.stdout + done.stderr
    assert "exited with code 7" in done.stdout
    definition = lab.operator.definition(lab.operator.service("web")["taskDefinition"])
    assert definition["containerDefinitions"][0]["image"] == pinned(good, REPOSITORY)


def test_29_silinternationals_arguments(lab, run):
    name = REPOSITORY
    lab.push(WEB, "v1")
    lab.create_service("web", web(WEB), deploymentConfiguration=BREAKER)
    good = lab.push(f"{name}:v2", "v2")
    argv = ("ecs-deploy", "-c", "prod", "-n", "web", "-t", "60")
    done = run(*argv, "-i", f"{HOST}/{name}:v2", "--enable-rollback")
    assert done.returncode == 0, done.stdout + done.stderr
    assert lab.running("web") == [good]
    lab.push(f"{name}:v3", "v3", "crash")
    assert run(*argv, "-to", "v3").returncode == 1
    assert run(*argv, "-to", "nothing").returncode == 1
    shown = run("ecs", "revisions", "web").stdout.splitlines()
    assert shown[-1].endswith(f"{HOST}/{WEB}")
    assert sum(line.startswith("*") for line in shown) == 1


def test_what_is_tried_on_aws_works_here(lab, run, capsys):
    """The script of `make aws-contract`, with the strict front in the place of AWS."""

    def deployer(*argv):
        done = run(*argv)
        return done.returncode, done.stdout

    at = aws_contract.Account(
        lab.front.call,
        lambda tag, kind: lab.push(f"{REPOSITORY}:{tag}", f"contract {tag}", kind),
        deployer,
        f"{HOST}/{REPOSITORY}",
        "prod",
        definition={"memory": "64"},
        sleep=0.2,
        timeout=15,
    )
    assert aws_contract.play(at) == []
    assert len(capsys.readouterr().out.splitlines()) == len(aws_contract.SCENARIOS)
    assert lab.front.call("ListServices", cluster="prod")["serviceArns"] == []


@pytest.mark.parametrize(("kind", "code"), [("job", 0), ("crash", 3)])
def test_a_task_runs_and_its_exit_code_counts(lab, run, kind, code):
    """The emulator knows no entry point but the image's own, so what runs is the image's."""
    image = f"{REPOSITORY}:{kind}"
    lab.push(image, "v1", kind)
    lab.create_service("web", web(image), desired=0)
    done = run("ecs", "run", "web")
    assert done.returncode == code, done.stdout + done.stderr
    assert ("exited with code 7" in done.stdout) is bool(code)
