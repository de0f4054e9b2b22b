"""The Terraform module says what the CloudFormation template says, compared as text."""

import re

import hcl2
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
