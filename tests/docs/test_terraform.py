"""The Terraform module says what the CloudFormation template says, compared as text."""

import re

import hcl2
import pytest
from cloudformation_lab import ROOT, statements, template, words

MODULE = ROOT / "deploy" / "terraform"
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


def variable(parameter):
    return {"TopicArn": "topic", "CloudTrail": "cloudtrail"}.get(parameter, snake(parameter))


def test_every_resource_of_the_one_is_one_of_the_other():
    ours = {(kind, label) for kind, label in resources() if kind not in PARTS_OF_OTHERS}
    theirs = {(KINDS[one["Type"]], snake(name)) for name, one in template()["Resources"].items()}
    assert ours == theirs


def test_every_parameter_and_output_of_the_one_is_one_of_the_other():
    parameters = {variable(name) for name in template()["Parameters"]}
    assert {name for name, _ in blocks("variable")} == parameters | {"name"}
    assert {name for name, _ in blocks("output")} == {snake(name) for name in template()["Outputs"]}


def test_every_variable_has_the_default_of_its_parameter():
    variables = dict(blocks("variable"))
    for name, parameter in template()["Parameters"].items():
        theirs = parameter["Default"]
        if parameter["Type"] == "CommaDelimitedList":
            theirs = []
        elif theirs in {"true", "false"}:
            theirs = theirs == "true"
        ours = variables[variable(name)]["default"]
        if name != "TopicArn":  # the one is a text, the other an object
            assert (ours.strip('"') if isinstance(ours, str) else ours) == theirs, name


def actions_by_statement(text):
    """The actions of each statement in the module's text, by its Sid."""
    found: dict[str, set[str]] = {}
    for sid, action in re.findall(r'Sid += "(\w+)"|[ \[]"((?:sqs|ecr|kms|sts):\w+)"', text):
        if sid:
            found[sid] = set()
        elif action != "kms:ViaService":
            found[list(found)[-1]].add(action)
    return found


@pytest.mark.parametrize("part", ["Bridge", "Worker", "Webhook", "Operator", "Doctor"])
def test_every_statement_of_a_policy_allows_the_same(part):
    text = (MODULE / "iam.tf").read_text()
    shared = actions_by_statement(text.partition("\n}\n")[0])
    body = text.partition(f'"aws_iam_policy" "{part.lower()}_policy"')[2].partition("\n}\n")[0]
    ours = actions_by_statement(body)
    for sid in shared:
        if f"local.{snake(sid)}" in body:
            ours[sid] = shared[sid]
    policy = template()["Resources"][f"{part}Policy"]
    assert ours == {one["Sid"]: words(one["Action"]) for _, one in statements(policy)}
