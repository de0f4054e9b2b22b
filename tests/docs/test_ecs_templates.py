"""The deployer as services of ECS: what the template makes, and that it may do what the code does and no more."""

import ast
import re

import hcl2
import pytest
from cfnlint.api import ManualArgs, lint
from cloudformation_lab import ROOT, statements, template, words

from deployer import app
from deployer.reports import ecs_checks
from deployer.settings import Settings, load, variable
from lab import wait_until
from lab.aws import Aws

TEMPLATE = ROOT / "deploy" / "ecs" / "cloudformation.yml"
MODULE = ROOT / "deploy" / "ecs" / "terraform"
KINDS = {
    "AWS::DynamoDB::Table": "aws_dynamodb_table",
    "AWS::ECS::Service": "aws_ecs_service",
    "AWS::ECS::TaskDefinition": "aws_ecs_task_definition",
    "AWS::IAM::ManagedPolicy": "aws_iam_policy",
    "AWS::IAM::Role": "aws_iam_role",
    "AWS::Logs::LogGroup": "aws_cloudwatch_log_group",
}
SCHEDULES = "deployer/targets/ecs/wire/aws_schedules.py"
PARTS_OF_OTHERS = {"aws_iam_role_policy_attachment", "aws_iam_role_policy"}


def resources():
    return template(TEMPLATE)["Resources"]


def policy():
    return {one["Sid"]: one for _, one in statements(resources()["EcsPolicy"])}


def allowed():
    return set().union(*(words(one["Action"]) for one in policy().values()))


def calls_of_ecs():
    """The actions that the package's code names in `call("…")`."""
    found = set()
    for path in (ROOT / "deployer").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
                first = node.args[0]
                is_action = isinstance(first, ast.Constant) and re.fullmatch(
                    r"[A-Z][a-z]+[A-Za-z]+", str(first.value)
                )
                if node.func.attr in {"call", "_pages"} and is_action:
                    found.add(f"ecs:{first.value}")
    return found


def test_cfn_lint_has_no_complaints_and_no_partition_is_left_out():
    text = TEMPLATE.read_text()
    assert lint(text, config=ManualArgs(regions=["eu-central-1", "us-gov-west-1", "cn-north-1"])) == []
    assert "arn:aws:" not in text


def test_a_worker_may_do_what_the_code_does_and_what_doctor_tries_and_no_more():
    of_ecs = {action for action in allowed() if action.startswith("ecs:")}
    assert of_ecs == {f"ecs:{one.action}" for one in TRIALS}
    assert calls_of_ecs() <= of_ecs
    assert allowed() - of_ecs == {"iam:PassRole", "dynamodb:GetItem", "dynamodb:PutItem"}


def test_with_roles_of_schedules_a_worker_may_read_and_replace_them_and_no_more():
    found = resources()["SchedulesPolicy"]
    assert found["Condition"] == "HasSchedules"
    every = {one["Sid"]: one for _, one in statements(found)}
    asked = set(re.findall(r'_ask\("(\w+)", "(\w+)"', (ROOT / SCHEDULES).read_text()))
    actions = set().union(*(words(one["Action"]) for one in every.values()))
    assert actions == {f"{service}:{action}" for service, action in asked} | {"iam:PassRole"}
    assert every["PassScheduleRoles"]["Resource"] == {"Ref": "ScheduleRoleArns"}
    passed = every["PassScheduleRoles"]["Condition"]["StringEquals"]["iam:PassedToService"]
    assert passed == ["events.amazonaws.com", "scheduler.amazonaws.com"]
    text = (MODULE / "iam.tf").read_text().partition('"schedules_policy"')[2].partition("\n}\n")[0]
    assert actions == set(re.findall(r'"((?:events|scheduler|iam):\w+)"(?! =)', text))


class Nobody:
    region, account = "eu-central-1", "123456789012"

    def call(self, action, **members):
        return {}


TRIALS = list(ecs_checks.trials(ecs_checks.Place("prod", "prod", Nobody()), []))


@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: trial.action)
def test_the_statement_that_doctor_names_is_as_narrow_as_the_templates(trial):
    [statement] = [one for one in policy().values() if f"ecs:{trial.action}" in words(one["Action"])]
    theirs = statement["Resource"]
    theirs = theirs["Fn::Sub"] if isinstance(theirs, dict) else theirs
    ours = {
        "AWS::Partition": "aws",
        "AWS::Region": "eu-central-1",
        "AWS::AccountId": "123456789012",
        "ServedCluster": "prod",
        "FamilyPrefix": "",
    }
    resource = re.sub(r"\$\{([\w:]+)\}", lambda found: ours[found[1]], theirs)
    assert trial.resource == resource
    assert bool(trial.condition) == ("Condition" in statement)


def test_nothing_is_created_or_deleted_and_roles_are_passed_to_tasks_only():
    assert not [one for one in allowed() if "*" in one or "Create" in one or "Delete" in one]
    for sid in ("PassRoles", "PassOwnRoles"):
        assert policy()[sid]["Condition"] == {
            "StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}
        }
    assert [one["Sid"] for one in policy().values() if one["Resource"] == "*"] == ["Lists", "AnyRevision"]


def containers():
    for one in resources().values():
        if one["Type"] == "AWS::ECS::TaskDefinition":
            yield from one["Properties"]["ContainerDefinitions"]


def test_every_variable_is_a_setting_and_every_container_follows_the_deployers_image():
    known = {variable(name) for name in Settings.model_fields} | {"AWS_REGION"}
    names = {one["Name"]: {pair["Name"] for pair in one["Environment"]} for one in containers()}
    assert set(names) == {"worker", "bridge", "beat"}
    for name, given in names.items():
        assert given <= known, name
    assert {one["DockerLabels"]["deployer.enable"] for one in containers()} == {"true"}
    assert {one["Image"]["Ref"] for one in containers()} == {"Image"}


def test_one_beat_and_workers_that_a_bad_image_does_not_end():
    worker, beat = (resources()[name]["Properties"] for name in ("Worker", "Beat"))
    assert worker["DeploymentConfiguration"] == {
        "MinimumHealthyPercent": 100,
        "MaximumPercent": 200,
        "DeploymentCircuitBreaker": {"Enable": True, "Rollback": True},
    }
    assert (beat["DesiredCount"], beat["DeploymentConfiguration"]["MaximumPercent"]) == (1, 100)


def test_the_ledger_outlives_the_stack():
    ledger = resources()["Ledger"]
    assert ledger["DeletionPolicy"] == ledger["UpdateReplacePolicy"] == "Retain"
    assert ledger["Properties"]["KeySchema"] == [{"AttributeName": "id", "KeyType": "HASH"}]


# -- deployed ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def aws(tmp_path_factory):
    root = tmp_path_factory.mktemp("aws")
    found = Aws(root / "aws", root / "aws.log")
    found.start()
    found.client("ecs").create_cluster(clusterName="prod")
    yield found
    found.kill()


def stack(aws, name, text, parameters):
    """Create a stack and wait for it; its outputs."""
    given = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
    cloudformation = aws.client("cloudformation")
    cloudformation.create_stack(
        StackName=name, TemplateBody=text, Parameters=given, Capabilities=["CAPABILITY_IAM"]
    )

    def ended():
        [found] = cloudformation.describe_stacks(StackName=name)["Stacks"]
        return None if found["StackStatus"].endswith("IN_PROGRESS") else found

    found = wait_until(ended, 30, f"the stack {name}")
    assert found["StackStatus"] == "CREATE_COMPLETE", found.get("StackStatusReason")
    return {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}


@pytest.mark.real
def test_the_two_stacks_make_a_worker_whose_settings_are_right_and_which_updates_itself(aws, monkeypatch):
    queues = stack(aws, "deployer", (ROOT / "deploy" / "cloudformation.yml").read_text(), {})
    taken = {name: queues[name] for name in ("BridgePolicyArn", "WorkerPolicyArn", "OperatorPolicyArn")}
    for name in ("EventsQueueUrl", "TaskQueueUrl"):
        taken[name] = queues[name].replace("http:", "https:")
    others = {
        "ServedCluster": "prod",
        "HostCluster": "prod",
        "Image": "123456789012.dkr.ecr.eu-central-1.amazonaws.com/team/deployer:latest",
        "PassedRoleArns": "arn:aws:iam::123456789012:role/a,arn:aws:iam::123456789012:role/b",
        "Subnets": "subnet-1",
        "SecurityGroups": "sg-1",
    }
    # The emulator takes a number that is a parameter for a text.
    text = TEMPLATE.read_text().replace("DesiredCount: !Ref Workers", "DesiredCount: 1")
    outputs = stack(aws, "deployer-ecs", text, taken | others)
    ecs = aws.client("ecs")
    definition = ecs.describe_task_definition(taskDefinition="deployer-ecs-worker")["taskDefinition"]
    worker = next(one for one in definition["containerDefinitions"] if one["name"] == "worker")
    for pair in [*({"name": k, "value": v} for k, v in aws.environment.items()), *worker["environment"]]:
        monkeypatch.setenv(pair["name"], pair["value"])
    for cached in (load, app.ecs, app.deployer):
        cached.cache_clear()
    try:
        settings, found = load(), app.deployer().target.services()
        app.deployer().target.ledger()
    finally:
        for cached in (load, app.ecs, app.deployer):
            cached.cache_clear()
    assert settings.ecs_ledger == outputs["LedgerName"]
    assert {one.name: one.untouchable for one in found} == {
        "deployer-ecs-Worker": None,
        "deployer-ecs-Beat": None,
    }
    assert {len(one.native.containers) for one in found if one.name.endswith("Worker")} == {2}


# -- the Terraform module says the same ----------------------------------------------------------------------


def blocks(kind):
    for path in sorted(MODULE.glob("*.tf")):
        for block in hcl2.loads(path.read_text()).get(kind, []):
            yield from ((label.strip('"'), body) for label, body in block.items())


def snake(name):
    return re.sub("(?<=[a-z])(?=[A-Z])", "_", name).lower()


def test_every_resource_of_the_one_is_one_of_the_other():
    ours = {
        (kind, label.strip('"'))
        for kind, body in blocks("resource")
        for label in body
        if label != "__is_block__" and kind not in PARTS_OF_OTHERS
    }
    assert ours == {(KINDS[one["Type"]], snake(name)) for name, one in resources().items()}


def test_every_parameter_and_output_of_the_one_is_one_of_the_other():
    variables = dict(blocks("variable"))
    parameters = template(TEMPLATE)["Parameters"]
    assert set(variables) == {snake(name) for name in parameters} | {"name"}
    assert {name for name, _ in blocks("output")} == {snake(name) for name in template(TEMPLATE)["Outputs"]}
    for name, one in parameters.items():
        assert variables[snake(name)]["description"].strip('"') == one["Description"], name
        assert ("default" in variables[snake(name)]) == ("Default" in one), name


def test_every_statement_of_the_policy_allows_the_same():
    text = (MODULE / "iam.tf").read_text().partition('"aws_iam_policy" "ecs_policy"')[2].partition("\n}\n")[0]
    found: dict[str, set[str]] = {}
    for sid, action in re.findall(r'Sid += "(\w+)"|[ \[]"((?:ecs|iam|dynamodb):\w+)"', text):
        if sid:
            found[sid] = set()
        else:
            found[list(found)[-1]].add(action)
    assert found == {sid: words(one["Action"]) for sid, one in policy().items()}


def test_every_container_has_the_same_variables_and_command():
    text = (MODULE / "main.tf").read_text()
    for one in containers():
        assert re.sub(r", ", '", "', str(one["Command"])[2:-2].replace("'", "")) in text
        for pair in one["Environment"]:
            assert f'"{pair["Name"]}"' in text


# -- the guide says the same -----------------------------------------------------------------------------------


def table(name):
    """The cells of a table of the guide, line by line, without its head."""
    text = (ROOT / "docs" / "ecs.md").read_text()
    text = text.partition(f"<!-- {name} -->")[2].partition(f"<!-- /{name} -->")[0]
    rows = [line.strip("|").split(" | ") for line in text.strip().splitlines()[2:]]
    return [[cell.strip() for cell in row] for row in rows]


def test_the_guide_has_every_parameter_in_the_templates_words():
    assert table("parameters") == [
        [f"`{name}`", f"`{one['Default']}`" if one.get("Default") else "", one["Description"].rstrip(".")]
        for name, one in template(TEMPLATE)["Parameters"].items()
    ]


def test_the_guide_gives_a_reason_for_every_statement():
    told = {
        sid.strip("`"): set(re.findall(r"`([^`]+)`", actions))
        for sid, actions, _, why in table("permissions")
        if why
    }
    assert told == {sid: words(one["Action"]) for sid, one in policy().items()}
