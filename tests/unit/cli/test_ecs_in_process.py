"""`deployer ecs` and `deployer ecs-deploy`: the true end of a deployment as an exit code, on an ECS in memory."""

import json
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from ecs_world import BREAKER, MANAGED, REPOSITORY, EcsWorld, container, digest, pinned
from jsonschema import Draft202012Validator
from paths import ROOT

from deployer.cli import follow, main
from deployer.cli.ecs import here
from deployer.rollouts.decision import Rules
from deployer.targets.ecs.service import Options


@pytest.fixture
def world(monkeypatch, load):
    load()
    world = EcsWorld(options=Options(opt_in=False))
    world.asked = []

    def connected(cluster, *, timeout=None, rollback=None, repositories=()):
        world.asked.append((cluster, timeout, rollback))
        world.rules = Rules(
            rollback=rollback is not False, rollout_timeout=timeout or 900, allow_repositories=repositories
        )
        core = world.worker()
        return here.Here(core, core.target)

    clock = lambda: world.fake.clock.seconds  # noqa: E731
    monkeypatch.setattr(here, "connected", connected)
    monkeypatch.setattr(here.Steps.__init__, "__defaults__", (clock, True))
    monkeypatch.setattr(follow, "time", SimpleNamespace(monotonic=clock, sleep=lambda _: world.wait(1)))
    return world


@pytest.fixture
def run():
    def call(*argv, **environment):
        return CliRunner().invoke(main, [str(one) for one in argv], env=environment)

    return call


def test_what_the_tag_means_now_is_deployed_and_followed_to_its_end(world, run):
    world.create(labels={})
    world.push(2)
    done = run("ecs", "deploy", "web", "-c", "prod")
    assert done.exit_code == 0
    assert "web: updated, 2/2 running" in done.stdout
    assert world.images() == [pinned(2)]
    assert "0/2" in done.stderr or "1/2" in done.stderr or "2/2" in done.stderr


def test_nothing_new_is_no_new_deployment(world, run):
    world.create()
    done = run("ecs", "deploy", "web", "--json")
    assert done.exit_code == 0
    told = json.loads(done.stdout)
    assert (told["outcome"], told["service"]) == ("unchanged", "web")
    assert not world.counted("UpdateService")


@pytest.mark.parametrize(
    ("argv", "environment"),
    [(("-i", "v7"), {}), (("-i", f"{REPOSITORY}:v7"), {}), (("-e", "CI_TAG"), {"CI_TAG": "v7"})],
)
def test_another_tag(world, run, argv, environment):
    world.create()
    world.push(7, tag="v7")
    assert run("ecs", "deploy", "web", *argv, **environment).exit_code == 0
    assert world.images() == [pinned(7)]


def test_a_variable_that_is_not_set_deploys_nothing(world, run):
    world.create()
    done = run("ecs", "deploy", "web", "-e", "CI_TAG")
    assert done.exit_code == 2
    assert "CI_TAG is not set" in done.stderr
    assert not world.counted("UpdateService")


def test_a_circuit_breakers_rollback_is_no_success(world, run):
    world.create(deploymentConfiguration=BREAKER)
    world.push(2, behaviour="crash")
    done = run("ecs", "deploy", "web")
    assert done.exit_code == 4
    assert "exited with code 7" in done.stdout


def test_a_timeout_without_rollback_leaves_it_and_fails(world, run):
    world.create()
    world.push(2, behaviour="crash")
    done = run("ecs", "deploy", "web", "-t", "60", "--no-rollback")
    assert done.exit_code == 3
    assert world.images() == [pinned(2)]


def test_without_waiting_it_ends_when_the_roll_out_has_begun(world, run):
    world.create()
    world.push(2)
    done = run("ecs", "deploy", "web", "--no-wait")
    assert (done.exit_code, done.stdout) == (0, "web: begun\n")
    assert world.counted("UpdateService") == 1


def test_an_unknown_service_and_no_image_of_this_name(world, run):
    world.create()
    assert run("ecs", "deploy", "wob").exit_code == 1
    done = run("ecs", "deploy", "web", "-i", "v99")
    assert done.exit_code == 3
    assert "v99" in done.stdout


def test_count_and_percents_are_set_first_and_the_circuit_breaker_stays(world, run):
    world.create(deploymentConfiguration=BREAKER)
    world.push(2)
    assert run("ecs", "deploy", "web", "-D", 3, "-m", 50, "-M", 150).exit_code == 0
    sent = world.fake.called("UpdateService")[0]
    assert sent["desiredCount"] == 3
    assert sent["deploymentConfiguration"]["minimumHealthyPercent"] == 50
    assert sent["deploymentConfiguration"]["deploymentCircuitBreaker"] == BREAKER["deploymentCircuitBreaker"]
    assert world.operator.service("web")["desiredCount"] == 3


def test_what_is_held_gets_no_other_count_either(world, run):
    world.create(labels={**MANAGED, "deployer.hold": "audit"})
    world.push(2)
    done = run("ecs", "deploy", "web", "-D", 5, "-m", 50)
    assert done.exit_code == 5
    assert not world.counted("UpdateService")
    assert world.operator.service("web")["desiredCount"] == 2


def test_an_image_that_does_not_exist_changes_no_count(world, run):
    world.create()
    assert run("ecs-deploy", "-c", "prod", "-n", "web", "-to", "v99", "-D", "5").exit_code == 1
    assert not world.counted("UpdateService")


def test_the_count_is_set_also_where_the_image_runs_already(world, run):
    world.create()
    assert run("ecs", "deploy", "web", "-D", 5).exit_code == 0
    assert world.operator.service("web")["desiredCount"] == 5


def test_a_misspelt_service_is_refused_with_a_suggestion(world, run):
    world.create()
    for argv in (("deploy", "wbe"), ("scale", "wbe", 3)):
        assert "did you mean web?" in run("ecs", *argv).stderr


def test_scale_sends_the_count_and_nothing_else(world, run):
    world.create()
    done = run("ecs", "scale", "web", 5)
    assert done.stdout == "web: 2 -> 5 tasks\n"
    assert world.fake.called("UpdateService") == [{"cluster": "prod", "service": "web", "desiredCount": 5}]


def test_no_cluster_is_said_with_the_way_out(load, run):
    load()
    done = run("ecs", "scale", "web", 5)
    assert done.exit_code == 1
    assert "give --cluster eu-west-1/prod, or set DEPLOYER_ECS_CLUSTERS=prod" in done.stderr
    assert run("ecs", "scale", "web", 5, "-c", "a/b").exit_code == 2


def test_an_unknown_profile_is_not_taken_for_a_fault_of_the_queue(load, run, monkeypatch, tmp_path):
    load()
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_PROFILE", "")
    done = run("ecs-deploy", "-c", "prod", "-n", "web", "-to", "v1", "-p", "nobody", "-r", "eu-west-1")
    assert done.exit_code == 1
    assert "The config profile (nobody) could not be found: correct AWS_PROFILE" in done.stderr
    assert "queue" not in done.stderr


# -- revisions ---------------------------------------------------------------------------------------------------


def rolled_out(world, run, last):
    world.create()
    for n in range(2, last + 1):
        world.push(n)
        assert run("ecs", "deploy", "web").exit_code == 0


def test_revisions_are_listed_with_what_runs(world, run):
    rolled_out(world, run, 3)
    lines = run("ecs", "revisions", "web").stdout.splitlines()
    assert lines == [
        f"* web:3  app={pinned(3)}",
        f"+ web:2  app={pinned(2)}",
        f"  web:1  app={REPOSITORY}:latest",
    ]


def test_diff_shows_what_differs_from_the_former_one(world, run):
    rolled_out(world, run, 3)
    path = "containerDefinitions[app].image"
    assert run("ecs", "diff", "web").stdout == f"{path}: {pinned(2)} -> {pinned(3)}\n"
    assert run("ecs", "diff", "web", "web:1").stdout == f"{path}: {REPOSITORY}:latest -> {pinned(3)}\n"


def test_30_prune_keeps_what_is_used_what_is_gone_back_to_and_what_is_not_ours(world, run):
    rolled_out(world, run, 5)
    world.operator.create("other", definition="web:2")
    assert run("ecs", "prune", "web", "--keep", 1, "--dry-run").stdout == "web:3\n"
    assert not world.counted("DeregisterTaskDefinition")
    assert run("ecs", "prune", "web", "--keep", 1).stdout == "web:3\n"
    assert run("ecs", "prune", "web", "--keep", 1, "--all").stdout == "web:1\n"
    assert [line.split()[-2] for line in run("ecs", "revisions", "web").stdout.splitlines()] == [
        "web:5",
        "web:4",
        "web:2",
    ]


def test_json_is_what_the_schema_says(world, run, quick):
    schema = json.loads((ROOT / "docs" / "commands.schema.json").read_text())
    rolled_out(world, run, 3)

    def told(definition, *argv):
        found = json.loads(run("ecs", *argv, "--json").stdout)
        Draft202012Validator({"$ref": f"#/$defs/{definition}", "$defs": schema["$defs"]}).validate(found)
        return found

    assert told("scaled", "scale", "web", 3) == {"service": "web", "from": 2, "to": 3}
    assert [one["runs"] for one in told("revisions", "revisions", "web")] == [True, False, False]
    [change] = told("difference", "diff", "web")["changes"]
    assert (change["from"], change["to"]) == (pinned(2), pinned(3))
    assert told("pruned", "prune", "web", "--keep", 1, "--all", "--dry-run")["revisions"] == ["web:1"]
    world.fake.command(["fails"], exit_code=2)
    argv = ("ecs", "run", "web", "--json", "fails")
    found = json.loads(run(*argv).stdout)
    assert (found["ended"], found["exit_code"], run(*argv).exit_code) == (True, 2, 3)


def test_deploy_keeps_so_many_revisions(world, run):
    rolled_out(world, run, 4)
    world.push(5)
    done = run("ecs", "deploy", "web", "--keep", 2)
    assert done.exit_code == 0
    assert "out of use: web:2" in done.stderr
    assert "web:4" not in done.stderr


def test_a_deployment_that_went_well_is_no_failure_where_old_revisions_cannot_be_looked_at(world, run):
    rolled_out(world, run, 3)
    world.push(4)
    world.fake.faults.denied.add("ecs:DeregisterTaskDefinition")
    done = run("ecs", "deploy", "web", "--keep", 2)
    assert "old revisions stay: AWS refuses ecs:DeregisterTaskDefinition" in done.stderr
    assert done.exit_code == 0


# -- tasks -------------------------------------------------------------------------------------------------------


@pytest.fixture
def quick(world, monkeypatch):
    from deployer.cli.ecs import run

    clock = world.fake.clock
    monkeypatch.setattr(run, "time", SimpleNamespace(monotonic=lambda: clock.seconds, sleep=world.wait))


@pytest.mark.parametrize(("code", "ends"), [(0, 0), (2, 3)])
def test_a_task_runs_as_the_services_own_and_its_exit_code_counts(world, run, quick, code, ends):
    network = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
    world.create(networkConfiguration=network)
    world.fake.command(["./migrate", "--all"], exit_code=code)
    done = run("ecs", "run", "web", "--", "./migrate", "--all")
    assert done.exit_code == ends
    [sent] = world.fake.called("RunTask")
    assert sent["overrides"]["containerOverrides"] == [{"name": "app", "command": ["./migrate", "--all"]}]
    assert (sent["networkConfiguration"], sent["taskDefinition"].rpartition("/")[2]) == (network, "web:1")
    assert sent["clientToken"]
    if code:
        assert "exited with code 2" in done.stdout


def test_a_task_that_does_not_end_in_time(world, run, quick):
    world.create()
    world.fake.command(["sleep"], run_seconds=3600)
    done = run("ecs", "run", "web", "-t", "60", "sleep")
    assert done.exit_code == 124
    assert "the task goes on" in done.stderr
    assert run("ecs", "run", "web", "--no-wait", "sleep").exit_code == 0


# -- silinternational's flags ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "environment"),
    [
        (("-i", f"{REPOSITORY}:v7"), {}),
        (("-i", f"{REPOSITORY}:v1", "-to", "v7"), {}),
        (("-to", "v7"), {}),
        (("-i", REPOSITORY, "-e", "CI_TAG"), {"CI_TAG": "v7"}),
        (("-i", f"{REPOSITORY}:v7", "-t", "240", "-D", "3", "-m", "50", "-M", "100", "-v"), {}),
        (("--image", f"{REPOSITORY}:v7", "--enable-rollback", "--skip-deployments-check"), {}),
        (("-i", f"{REPOSITORY}:v7", "--max-definitions", "5", "--aws-instance-profile"), {}),
    ],
)
def test_29_the_arguments_of_the_original(world, run, argv, environment):
    world.create()
    world.push(7, tag="v7")
    done = run("ecs-deploy", "-c", "prod", "-n", "web", *argv, **environment)
    assert done.exit_code == 0, done.output
    assert world.images() == [pinned(7)]


def test_29_a_rollback_of_the_circuit_breaker_is_1(world, run):
    world.create(deploymentConfiguration=BREAKER)
    world.push(2, tag="v2", behaviour="crash")
    done = run("ecs-deploy", "-c", "prod", "-n", "web", "-i", f"{REPOSITORY}:v2")
    assert done.exit_code == 1
    assert "exited with code 7" in done.stdout


def test_29_a_pinned_image_is_replaced_and_sidecars_stay(world, run):
    sidecar = container("proxy", f"{REPOSITORY}-proxy:1", {})
    world.push(1)
    world.operator.create("web", container("app", pinned(1), MANAGED), sidecar, desired=2)
    world.wait(30)
    world.push(7, tag="v7")
    assert run("ecs-deploy", "-c", "prod", "-n", "web", "-i", f"{REPOSITORY}:v7").exit_code == 0
    assert world.images() == [pinned(7), f"{REPOSITORY}-proxy:1"]
    assert digest(7) in world.images()[0]


def test_29_another_repository_is_deployed_and_not_passed_over_in_silence(world, run):
    world.create()
    other = f"{REPOSITORY}-next"
    world.push(9, tag="v9", name=other)
    assert run("ecs-deploy", "-c", "prod", "-n", "web", "-i", f"{other}:v9").exit_code == 0
    assert world.images() == [pinned(9, other)]


def test_29_region_role_and_keys(world, run, monkeypatch):
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "DEPLOYER_ASSUME_ROLES"):
        monkeypatch.setenv(name, "")
    world.create()
    role = "arn:aws:iam::210987654321:role/deploy"
    argv = ("-c", "prod", "-n", "web", "-to", "latest", "-r", "eu-west-1")
    assert run("ecs-deploy", *argv).exit_code == 0
    done = run("ecs-deploy", *argv, "-a", role, "-k", "AKID", "-s", "hidden")
    assert done.exit_code == 0
    assert "keys on a command line can be read" in done.stderr
    assert "hidden" not in done.output
    assert [one[0] for one in world.asked] == ["eu-west-1/prod"] * 2 + ["210987654321/eu-west-1/prod"] * 2
    arn = "arn:aws:ecs:eu-west-1:210987654321:cluster/prod"
    assert run("ecs-deploy", "-c", arn, "-n", "web", "-to", "latest", "-a", role).exit_code == 0
    assert world.asked[-1][0] == arn
