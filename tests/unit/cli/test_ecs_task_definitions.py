"""`deployer ecs-deploy -d`: a task definition without a service, as silinternational's pipelines have it."""

import json

import pytest
from ecs_world import MANAGED, REPOSITORY, container, digest, pinned
from test_ecs_in_process import quick, run, world

__all__ = ["quick", "run", "world"]

NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-1", "subnet-2"], "assignPublicIp": "ENABLED"}}
SHORT = "awsvpcConfiguration={subnets=[subnet-1, subnet-2],assignPublicIp=ENABLED}"


@pytest.fixture
def job(world):
    """A family that no service runs: its own image, a sidecar, and a member that nobody here knows."""
    world.push(1)
    world.push(7, tag="v7")
    members = {
        "family": "job",
        "containerDefinitions": [
            container("app", pinned(1), {}),
            container("proxy", f"{REPOSITORY}-proxy:1", {}),
        ],
        "networkMode": "awsvpc",
        "futureField": {"kept": True},
    }
    world.api.call("RegisterTaskDefinition", **members, tags=[{"key": "team", "value": "a"}])
    return world


def newest(world, family="job"):
    return world.api.call("DescribeTaskDefinition", taskDefinition=family, include=["TAGS"])


@pytest.mark.parametrize("argv", [("-i", f"{REPOSITORY}:v7"), ("-to", "v7"), ("-i", REPOSITORY, "-to", "v7")])
def test_29_a_new_revision_without_a_service(job, run, argv):
    done = run("ecs-deploy", "-d", "job", *argv)
    assert (done.exit_code, done.stdout) == (0, "job:2 is registered\n")
    got = newest(job)
    images = [one["image"] for one in got["taskDefinition"]["containerDefinitions"]]
    assert images == [pinned(7), f"{REPOSITORY}-proxy:1"]
    assert got["taskDefinition"]["futureField"] == {"kept": True}
    assert got["tags"] == [{"key": "team", "value": "a"}]
    assert not job.counted("UpdateService")


def test_29_the_same_image_again_registers_nothing(job, run):
    for _ in range(2):
        assert run("ecs-deploy", "-d", "job", "-to", "v7").stdout == "job:2 is registered\n"


def test_29_an_image_that_no_container_runs_is_no_success(job, run):
    job.push(9, tag="v9", name=f"{REPOSITORY}-next")
    done = run("ecs-deploy", "-d", "job", "-i", f"{REPOSITORY}-next:v9")
    assert done.exit_code == 1
    assert "no container of job runs web-next" in done.stderr
    assert newest(job)["taskDefinition"]["revision"] == 1


@pytest.mark.parametrize(("code", "ends"), [(0, 0), (2, 1)])
@pytest.mark.parametrize("network", [SHORT, json.dumps(NETWORK)])
def test_29_a_task_of_the_new_revision_and_its_exit_code(job, run, quick, code, ends, network):
    job.fake.image(pinned(7), "job", exit_code=code)
    more = ("--launch-type", "FARGATE", "--platform-version", "1.4.0", "--network-configuration", network)
    argv = ("-c", "prod", "-d", "job", "-i", f"{REPOSITORY}:v7", "--run-task", "--wait-for-success", *more)
    done = run("ecs-deploy", *argv)
    assert done.exit_code == ends, done.output
    [sent] = job.fake.called("RunTask")
    assert sent["networkConfiguration"] == NETWORK
    assert (sent["launchType"], sent["platformVersion"]) == ("FARGATE", "1.4.0")
    assert sent["taskDefinition"].endswith("job:2")


def test_29_from_a_file_for_a_family_that_there_is_not_yet(job, run, tmp_path):
    file = tmp_path / "new.json"
    made = {"family": "new", "containerDefinitions": [container("app", REPOSITORY, {})]}
    file.write_text(json.dumps({"taskDefinition": made}))
    assert (
        run("ecs-deploy", "-d", "new", "-i", f"{REPOSITORY}:v7", "--task-definition-file", file).exit_code
        == 0
    )
    assert digest(7) in newest(job, "new")["taskDefinition"]["containerDefinitions"][0]["image"]
    file.write_text("{")
    done = run("ecs-deploy", "-d", "new", "-i", f"{REPOSITORY}:v7", "--task-definition-file", file)
    assert done.exit_code == 1
    assert "it is no JSON" in done.stderr


def test_29_a_newer_revision_than_the_services_is_not_passed_over(world, run):
    world.create()
    world.push(7, tag="v7")
    argv = ("ecs-deploy", "-c", "prod", "-n", "web", "-to", "v7", "--use-latest-task-def")
    newer = {"family": "web", "containerDefinitions": [container("app", pinned(1), MANAGED)]}
    world.api.call("RegisterTaskDefinition", **newer, cpu="256")
    done = run(*argv)
    assert done.exit_code == 1
    assert "web:2 is newer than web:1, which runs" in done.stderr
    world.api.call("UpdateService", cluster="prod", service="web", taskDefinition="web:2")
    world.wait(60)
    assert run(*argv).exit_code == 0


@pytest.mark.parametrize(("names", "code"), [("app", 0), ("app,proxy", 1)])
def test_29_only_the_containers_that_are_named(world, run, names, code):
    world.create()
    world.push(7, tag="v7")
    done = run("ecs-deploy", "-c", "prod", "-n", "web", "-to", "v7", "-toc", names)
    assert done.exit_code == code
    assert code == 0 or "deployer.containers" in done.stderr


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("-c", "prod"), "either -n SERVICE or -d FAMILY"),
        (("-n", "web", "-d", "job", "-to", "v7"), "either -n SERVICE or -d FAMILY"),
        (("-n", "web", "-to", "v7"), "-c CLUSTER"),
        (("-c", "prod", "-n", "web"), "-i IMAGE"),
        (("-c", "prod", "-n", "web", "-to", "v7", "--run-task"), "--run-task goes with -d"),
        (("-d", "job", "-to", "v7", "--launch-type", "EC2"), "--launch-type goes with --run-task"),
        (("-d", "job", "-to", "v7", "--run-task", "--network-configuration", "subnets=a"), "for example"),
    ],
)
def test_29_what_does_not_go_together_is_said(job, run, argv, said):
    done = run("ecs-deploy", *argv)
    assert done.exit_code in {1, 2}
    assert said in done.stderr
    assert newest(job)["taskDefinition"]["revision"] == 1
