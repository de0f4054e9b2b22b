locals {
  has_rules = var.topic == null
  has_topic = local.has_rules && var.fan_out
  target    = local.has_topic ? one(aws_sns_topic.topic[*].arn) : aws_sqs_queue.events_queue.arn
  by_name   = length(var.repositories) == 0 ? {} : { "repository-name" = var.repositories }
  rule_arns = concat(
    aws_cloudwatch_event_rule.push_rule[*].arn,
    aws_cloudwatch_event_rule.replication_rule[*].arn,
    aws_cloudwatch_event_rule.pull_through_cache_rule[*].arn,
    aws_cloudwatch_event_rule.cloud_trail_rule[*].arn,
  )
}

# -- ECR's events ------------------------------------------------------------------------------------------

resource "aws_cloudwatch_event_rule" "push_rule" {
  count       = local.has_rules ? 1 : 0
  name        = "${var.name}-push"
  description = "Images that were pushed to ECR"
  event_pattern = jsonencode({
    source        = ["aws.ecr"]
    "detail-type" = ["ECR Image Action"]
    detail        = merge({ "action-type" = ["PUSH"], result = ["SUCCESS"] }, local.by_name)
  })
}

resource "aws_cloudwatch_event_target" "push_rule" {
  count     = local.has_rules ? 1 : 0
  rule      = aws_cloudwatch_event_rule.push_rule[0].name
  target_id = "deployer"
  arn       = local.target

  dead_letter_config {
    arn = aws_sqs_queue.undelivered.arn
  }
}

resource "aws_cloudwatch_event_rule" "replication_rule" {
  count       = local.has_rules && var.accept_replication ? 1 : 0
  name        = "${var.name}-replication"
  description = "Images that ECR has replicated into this region"
  event_pattern = jsonencode({
    source        = ["aws.ecr"]
    "detail-type" = ["ECR Replication Action"]
    detail        = merge({ "action-type" = ["REPLICATE"], result = ["SUCCESS"] }, local.by_name)
  })
}

resource "aws_cloudwatch_event_target" "replication_rule" {
  count     = local.has_rules && var.accept_replication ? 1 : 0
  rule      = aws_cloudwatch_event_rule.replication_rule[0].name
  target_id = "deployer"
  arn       = local.target

  dead_letter_config {
    arn = aws_sqs_queue.undelivered.arn
  }
}

resource "aws_cloudwatch_event_rule" "pull_through_cache_rule" {
  count       = local.has_rules && var.accept_pull_through_cache ? 1 : 0
  name        = "${var.name}-pull-through-cache"
  description = "Images that a pull-through cache of ECR has brought"
  event_pattern = jsonencode({
    source        = ["aws.ecr"]
    "detail-type" = ["ECR Pull Through Cache Action"]
    detail        = merge({ "sync-status" = ["SUCCESS"] }, local.by_name)
  })
}

resource "aws_cloudwatch_event_target" "pull_through_cache_rule" {
  count     = local.has_rules && var.accept_pull_through_cache ? 1 : 0
  rule      = aws_cloudwatch_event_rule.pull_through_cache_rule[0].name
  target_id = "deployer"
  arn       = local.target

  dead_letter_config {
    arn = aws_sqs_queue.undelivered.arn
  }
}

resource "aws_cloudwatch_event_rule" "cloud_trail_rule" {
  count       = local.has_rules && var.cloudtrail ? 1 : 0
  name        = "${var.name}-cloudtrail"
  description = "Pushes to ECR as CloudTrail records them"
  event_pattern = jsonencode({
    source        = ["aws.ecr"] # ECR Public has a source of its own
    "detail-type" = ["AWS API Call via CloudTrail"]
    detail = merge(
      { eventName = ["PutImage"], errorCode = [{ exists = false }] },
      length(var.repositories) == 0 ? {} : { requestParameters = { repositoryName = var.repositories } },
    )
  })
}

resource "aws_cloudwatch_event_target" "cloud_trail_rule" {
  count     = local.has_rules && var.cloudtrail ? 1 : 0
  rule      = aws_cloudwatch_event_rule.cloud_trail_rule[0].name
  target_id = "deployer"
  arn       = local.target

  dead_letter_config {
    arn = aws_sqs_queue.undelivered.arn
  }
}

# -- many Swarms: rules -> topic -> a queue of each module --------------------------------------------------

resource "aws_sns_topic" "topic" {
  count             = local.has_topic ? 1 : 0
  name              = "${var.name}-events"
  kms_master_key_id = local.own_key ? var.kms_key_arn : null
}

resource "aws_sns_topic_policy" "topic_policy" {
  count = local.has_topic ? 1 : 0
  arn   = aws_sns_topic.topic[0].arn
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat([
      {
        Sid       = "DenyWithoutTls"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.topic[0].arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
      {
        Sid       = "AllowRules"
        Effect    = "Allow"
        Principal = { Service = "events.amazonaws.com" }
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.topic[0].arn
        Condition = { ArnEquals = { "aws:SourceArn" = local.rule_arns } }
      },
      ], [
      for accounts in [var.topic_subscribers] : {
        Sid       = "AllowSubscribers"
        Effect    = "Allow"
        Principal = { AWS = accounts }
        Action    = "sns:Subscribe"
        Resource  = aws_sns_topic.topic[0].arn
        Condition = { StringEquals = { "sns:Protocol" = "sqs" } }
      } if length(accounts) > 0
    ])
  })
}

# A topic of another region needs a provider of that region: see docs/aws.md.
resource "aws_sns_topic_subscription" "subscription" {
  count                = local.via_topic ? 1 : 0
  topic_arn            = local.source
  protocol             = "sqs"
  endpoint             = aws_sqs_queue.events_queue.arn
  raw_message_delivery = true
  redrive_policy       = jsonencode({ deadLetterTargetArn = aws_sqs_queue.undelivered.arn })
  depends_on           = [aws_sqs_queue_policy.events_queue_policy]

  lifecycle {
    precondition {
      condition     = var.topic == null || !(var.fan_out || var.cloudtrail)
      error_message = "A module that takes events from another one's topic has none of its own (fan_out, cloudtrail)."
    }
  }
}
