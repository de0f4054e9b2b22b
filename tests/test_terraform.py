"""The Terraform module says what the CloudFormation template says.

As text always. Where `terraform` (or `tofu`) and the AWS provider's plugin are to be had
(TERRAFORM_PLUGINS, a directory for `terraform init -plugin-dir`), both are applied to the emulator, and what
they have made is compared.
"""

import itertools
import json
import os
import re
import shutil
import subprocess

import hcl2
import pytest
from cloudformation_lab import ROOT, StrictAws, statements, template, words

from lab import ACCOUNT, REGION

MODULE = ROOT / "deploy" / "terraform"
BINARY = shutil.which("terraform") or shutil.which("tofu")
PLUGINS = os.environ.get("TERRAFORM_PLUGINS")
KINDS = {
    "AWS::CloudWatch::Alarm": "aws_cloudwatch_metric_alarm",
    "AWS::Events::Rule": "aws_cloudwatch_event_rule",
    "AWS::IAM::InstanceProfile": "aws_iam_instance_profile",
    "AWS::IAM::ManagedPolicy": "aws_iam_policy",
    "AWS::IAM::Role": "aws_iam_role",
    "AWS::IAM::User": "aws_iam_user",
    "AWS::SNS::Subscription": "aws_sns_topic_subscription",
    "AWS::SNS::Topic": "aws_sns_topic",
    "AWS::SNS::TopicPolicy": "aws_sns_topic_policy",
    "AWS::SQS::Queue": "aws_sqs_queue",
    "AWS::SQS::QueuePolicy": "aws_sqs_queue_policy",
}
# CloudFormation has these inside other resources.
PARTS_OF_OTHERS = {
    "aws_cloudwatch_event_target",
    "aws_iam_role_policy_attachment",
    "aws_iam_user_policy_attachment",
}


def blocks(kind):
    """The module's blocks of one kind, as pairs of labels and body."""
    for path in sorted(MODULE.glob("*.tf")):
        for block in hcl2.loads(path.read_text()).get(kind, []):
            yield from ((label.strip('"'), body) for label, body in block.items())


def resources():
    return {
        (kind, label.strip('"'))
        for kind, body in blocks("resource")
        for label in body
        if label != "__is_block__"
    }


def snake(name):
    return re.sub("(?<=[a-z])(?=[A-Z])", "_", name).lower()


def test_every_resource_of_the_one_is_one_of_the_other():
    ours = {(kind, label) for kind, label in resources() if kind not in PARTS_OF_OTHERS}
    theirs = {(KINDS[one["Type"]], snake(name)) for name, one in template()["Resources"].items()}
    assert ours == theirs


def test_every_parameter_and_output_of_the_one_is_one_of_the_other():
    renamed = {"topic_arn": "topic", "cloud_trail": "cloudtrail"}
    parameters = {renamed.get(snake(name), snake(name)) for name in template()["Parameters"]}
    assert {name for name, _ in blocks("variable")} == parameters | {"name"}
    assert {name for name, _ in blocks("output")} == {snake(name) for name in template()["Outputs"]}


def test_policies_name_the_same_actions():
    text = (MODULE / "iam.tf").read_text()
    theirs = [one for one in template()["Resources"].values() if one["Type"] == "AWS::IAM::ManagedPolicy"]
    named = set(re.findall(r'"((?:sqs|ecr|kms|sts):\w+)"', text)) - {"kms:ViaService"}
    assert named == {
        action for policy in theirs for _, one in statements(policy) for action in words(one["Action"])
    }


@pytest.mark.skipif(not BINARY, reason="neither terraform nor tofu is installed")
def test_it_is_formatted():
    command = [BINARY, "fmt", "-check", "-recursive", "-list=true", str(MODULE)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment())
    assert (done.returncode, done.stdout) == (0, "")


def environment(**more):
    """No look for newer versions, no configuration of whoever runs the tests."""
    return {"PATH": os.environ["PATH"], "CHECKPOINT_DISABLE": "1", "TF_CLI_CONFIG_FILE": os.devnull, **more}


# -- applied ----------------------------------------------------------------------------------------------

applied = pytest.mark.skipif(not (BINARY and PLUGINS), reason="no terraform with the AWS provider's plugin")
NUMBERS = itertools.count(1)
VARIANTS = {
    "plain": ({}, {}),
    "everything": (
        {
            "Repositories": "team/web,team/api",
            "CloudTrail": "true",
            "AcceptReplication": "true",
            "AcceptPullThroughCache": "true",
            "Identities": "users",
            "QueueNames": "true",
            "KmsKeyArn": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "MaxReceives": "7",
            "OtherTaskQueueArns": f"arn:aws:sqs:{REGION}:{ACCOUNT}:x-tasks",
            "RegistryAccounts": "111122223333",
            "AssumeRoleArns": "arn:aws:iam::111122223333:role/pull",
            "AlarmTopicArn": f"arn:aws:sns:{REGION}:{ACCOUNT}:on-call",
        },
        {
            "repositories": ["team/web", "team/api"],
            "cloudtrail": True,
            "accept_replication": True,
            "accept_pull_through_cache": True,
            "identities": "users",
            "queue_names": True,
            "kms_key_arn": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "max_receives": 7,
            "other_task_queue_arns": [f"arn:aws:sqs:{REGION}:{ACCOUNT}:x-tasks"],
            "registry_accounts": ["111122223333"],
            "assume_role_arns": ["arn:aws:iam::111122223333:role/pull"],
            "alarm_topic_arn": f"arn:aws:sns:{REGION}:{ACCOUNT}:on-call",
        },
    ),
    "topic": (
        {"FanOut": "true", "TopicSubscribers": "111122223333", "Identities": "instance-role"},
        {"fan_out": True, "topic_subscribers": ["111122223333"], "identities": "instance-role"},
    ),
    "subscriber": (
        {"TopicArn": f"arn:aws:sns:{REGION}:{ACCOUNT}:theirs", "Alarms": "false"},
        {"topic": {"arn": f"arn:aws:sns:{REGION}:{ACCOUNT}:theirs"}, "alarms": False},
    ),
}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    root = tmp_path_factory.mktemp("cloud")
    emulator = StrictAws(root / "aws", root / "aws.log")
    emulator.start()
    emulator.client("sns").create_topic(Name="theirs")
    yield emulator
    emulator.kill()


def terraform(directory, cloud, *words):
    env = environment(TF_IN_AUTOMATION="1", TMPDIR=str(directory), **cloud.environment)
    done = subprocess.run(
        [BINARY, *words], cwd=directory, capture_output=True, text=True, env=env, timeout=180
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def apply(directory, cloud, main):
    """Apply a configuration that uses the module; its outputs."""
    shutil.copytree(MODULE, directory / "module")
    provider = {"aws": {"region": REGION, "skip_metadata_api_check": True}}
    (directory / "main.tf.json").write_text(json.dumps({"provider": provider, **main}))
    terraform(directory, cloud, "init", "-input=false", f"-plugin-dir={PLUGINS}")
    terraform(directory, cloud, "apply", "-input=false", "-auto-approve")
    told = json.loads(terraform(directory, cloud, "output", "-json"))
    return {name: output["value"] for name, output in told.items()}


def in_order(value):
    return json.dumps(value, sort_keys=True)


def plainly(value):
    """Without differences that mean nothing: order, a list of one, and numbers as texts."""
    if isinstance(value, dict):
        return {key: plainly(one) for key, one in value.items()}
    if isinstance(value, list):
        return plainly(value[0]) if len(value) == 1 else sorted((plainly(one) for one in value), key=in_order)
    return value if isinstance(value, bool) or not isinstance(value, int | float) else f"{value:g}"


def queues(cloud, name):
    for url in cloud.sqs.list_queues(QueueNamePrefix=f"{name}-")["QueueUrls"]:
        told = {key: value for key, value in cloud.attributes(url).items() if "Timestamp" not in key}
        del told["MaximumMessageSize"]  # the provider's default is 256 KiB, SQS's own is 1 MiB
        yield url, {key: json.loads(value) if value.startswith("{") else value for key, value in told.items()}


def rules(cloud, name):
    events = cloud.client("events")
    for rule in events.list_rules(NamePrefix=name)["Rules"]:
        targets = events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
        pattern = json.loads(rule["EventPattern"])
        yield rule["Arn"], [pattern, targets, rule["Description"], rule["State"]]


def identities(cloud, outputs):
    iam = cloud.client("iam")
    for part in ("bridge", "worker", "webhook", "operator", "doctor"):
        policy = iam.get_policy(PolicyArn=outputs[f"{part}_policy_arn"])["Policy"]
        version = iam.get_policy_version(PolicyArn=policy["Arn"], VersionId=policy["DefaultVersionId"])
        yield part, [version["PolicyVersion"]["Document"], policy["Description"]]
        if user := outputs.get(f"{part}_user_name"):
            attached = iam.list_attached_user_policies(UserName=user)["AttachedPolicies"]
            yield f"{part} user", [one["PolicyArn"] == policy["Arn"] for one in attached]
    if profile := outputs.get("instance_profile_name"):
        [role] = iam.get_instance_profile(InstanceProfileName=profile)["InstanceProfile"]["Roles"]
        attached = iam.list_attached_role_policies(RoleName=role["RoleName"])["AttachedPolicies"]
        arns = {one["PolicyArn"] for one in attached}
        yield "role", role["AssumeRolePolicyDocument"]
        yield "role's", arns == {outputs["bridge_policy_arn"], outputs["worker_policy_arn"]}


def topics(cloud, name, outputs):
    sns = cloud.client("sns")
    if topic := outputs.get("topic_arn"):
        told = sns.get_topic_attributes(TopicArn=topic)["Attributes"]
        yield "topic", [json.loads(told["Policy"]), told.get("KmsMasterKeyId")]
    for one in sns.list_subscriptions()["Subscriptions"]:
        if one["Endpoint"].endswith(f":{name}-events"):
            told = sns.get_subscription_attributes(SubscriptionArn=one["SubscriptionArn"])["Attributes"]
            same = [told.get(key) for key in ("RawMessageDelivery", "RedrivePolicy")]
            yield "subscription", [one["Protocol"], one["TopicArn"], *same]


def alarms(cloud, name):
    own = {"AlarmName", "AlarmArn"}
    for alarm in cloud.client("cloudwatch").describe_alarms(AlarmNamePrefix=f"{name}-")["MetricAlarms"]:
        kept = {key: str(value) for key, value in alarm.items() if key not in own and "State" not in key}
        yield (
            alarm["AlarmDescription"],
            {key: value for key, value in kept.items() if "Timestamp" not in key and value != "[]"},
        )


def made(cloud, name, outputs):
    """All that a stack or module of this name has made, without the names that differ."""
    found = [
        *queues(cloud, name),
        *identities(cloud, outputs),
        *topics(cloud, name, outputs),
        *alarms(cloud, name),
    ]
    text = in_order(dict(found) | dict(rules(cloud, name)))
    for arn, (pattern, *_) in rules(cloud, name):
        text = text.replace(arn, f"the rule of {pattern['detail-type'][0]}")
    return plainly(json.loads(text.replace(name, "NAME")))


@pytest.mark.real
@applied
@pytest.mark.parametrize("variant", VARIANTS)
def test_both_make_the_same(cloud, tmp_path, variant):
    parameters, variables = VARIANTS[variant]
    stack, module = f"stack{next(NUMBERS)}", f"module{next(NUMBERS)}"
    outputs = {snake(key): value for key, value in cloud.deploy(stack, **parameters).items()}
    names = [name for name, _ in blocks("output")]
    main = {
        "module": {"deployer": {"source": "./module", "name": module, **variables}},
        "output": {name: {"value": f"${{module.deployer.{name}}}"} for name in names},
    }
    told = apply(tmp_path, cloud, main)
    assert told["environment"].strip().replace(module, "NAME") == outputs["environment"].strip().replace(
        stack, "NAME"
    )
    assert {name for name, value in told.items() if value} == set(outputs)
    assert made(cloud, module, told) == made(cloud, stack, outputs)
    again = terraform(tmp_path, cloud, "plan", "-input=false", "-no-color")
    # The emulator tells the provider less of alarms than it knows, as the comparison above shows.
    assert {line.split(".")[2] for line in re.findall("# .+ will be .+", again)} <= {
        "aws_cloudwatch_metric_alarm"
    }


@pytest.mark.real
@applied
@pytest.mark.parametrize("example", sorted(path.name for path in (MODULE / "examples").iterdir()))
def test_the_examples_can_be_applied(cloud, tmp_path, example):
    shutil.copytree(MODULE, tmp_path / "module")
    directory = tmp_path / "module" / "examples" / example
    terraform(directory, cloud, "init", "-input=false", f"-plugin-dir={PLUGINS}")
    terraform(directory, cloud, "validate")
    assert "DEPLOYER_TASK_QUEUE=" in terraform(directory, cloud, "apply", "-input=false", "-auto-approve")
