locals {
  queue_arn = "arn:${data.aws_partition.current.partition}:sqs:${data.aws_region.current.id}:${data.aws_caller_identity.current.account_id}"
  own_key   = var.kms_key_arn != ""
  days      = 24 * 3600
}

# -- queues, each with its dead-letter queue; a message's age goes on counting there ----------------------

resource "aws_sqs_queue" "events_queue" {
  name                       = "${var.name}-events"
  visibility_timeout_seconds = var.visibility_timeout
  message_retention_seconds  = 4 * local.days # the dead-letter queue's must be longer
  sqs_managed_sse_enabled    = local.own_key ? null : true
  kms_master_key_id          = local.own_key ? var.kms_key_arn : null

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.events_dead_letters.arn
    maxReceiveCount     = var.max_receives
  })
}

resource "aws_sqs_queue" "events_dead_letters" {
  name                      = "${var.name}-events-dead"
  message_retention_seconds = 14 * local.days # SQS's longest
  sqs_managed_sse_enabled   = local.own_key ? null : true
  kms_master_key_id         = local.own_key ? var.kms_key_arn : null

  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = ["${local.queue_arn}:${var.name}-events"]
  })
}

resource "aws_sqs_queue" "task_queue" {
  name                       = "${var.name}-tasks"
  visibility_timeout_seconds = var.visibility_timeout
  message_retention_seconds  = 4 * local.days
  sqs_managed_sse_enabled    = local.own_key ? null : true
  kms_master_key_id          = local.own_key ? var.kms_key_arn : null

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.task_dead_letters.arn
    maxReceiveCount     = var.max_receives
  })
}

resource "aws_sqs_queue" "task_dead_letters" {
  name                      = "${var.name}-tasks-dead"
  message_retention_seconds = 14 * local.days
  sqs_managed_sse_enabled   = local.own_key ? null : true
  kms_master_key_id         = local.own_key ? var.kms_key_arn : null

  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = ["${local.queue_arn}:${var.name}-tasks"]
  })
}

# Events that EventBridge or SNS could not put on the events queue.
resource "aws_sqs_queue" "undelivered" {
  name                      = "${var.name}-undelivered"
  message_retention_seconds = 14 * local.days
  sqs_managed_sse_enabled   = local.own_key ? null : true
  kms_master_key_id         = local.own_key ? var.kms_key_arn : null
}

# -- who may send: our rules or our topic by name, and nobody without TLS ---------------------------------

locals {
  via_topic = var.topic != null || var.fan_out
  source    = local.has_topic ? one(aws_sns_topic.topic[*].arn) : try(var.topic.arn, null)

  deny_without_tls = {
    Sid       = "DenyWithoutTls"
    Effect    = "Deny"
    Principal = "*"
    Action    = "sqs:*"
    Condition = { Bool = { "aws:SecureTransport" = "false" } }
  }
  allow_topic = {
    Sid       = "AllowTopic"
    Effect    = "Allow"
    Principal = { Service = "sns.amazonaws.com" }
    Action    = "sqs:SendMessage"
    Condition = { ArnEquals = { "aws:SourceArn" = local.source } }
  }
  allow_rules = {
    Sid       = "AllowRules"
    Effect    = "Allow"
    Principal = { Service = "events.amazonaws.com" }
    Action    = "sqs:SendMessage"
    Condition = { ArnEquals = { "aws:SourceArn" = local.rule_arns } }
  }
}

resource "aws_sqs_queue_policy" "events_queue_policy" {
  queue_url = aws_sqs_queue.events_queue.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [merge(local.deny_without_tls, { Resource = aws_sqs_queue.events_queue.arn })],
      [for one in [local.allow_topic] : merge(one, { Resource = aws_sqs_queue.events_queue.arn }) if local.via_topic],
      [for one in [local.allow_rules] : merge(one, { Resource = aws_sqs_queue.events_queue.arn }) if !local.via_topic],
    )
  })
}

resource "aws_sqs_queue_policy" "undelivered_policy" {
  queue_url = aws_sqs_queue.undelivered.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [merge(local.deny_without_tls, { Resource = aws_sqs_queue.undelivered.arn })],
      [for one in [local.allow_topic] : merge(one, { Resource = aws_sqs_queue.undelivered.arn }) if local.via_topic],
      [for one in [local.allow_rules] : merge(one, { Resource = aws_sqs_queue.undelivered.arn }) if local.has_rules],
    )
  })
}

resource "aws_sqs_queue_policy" "task_queue_policy" {
  queue_url = aws_sqs_queue.task_queue.id
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [merge(local.deny_without_tls, { Resource = aws_sqs_queue.task_queue.arn })]
  })
}

resource "aws_sqs_queue_policy" "events_dead_letters_policy" {
  queue_url = aws_sqs_queue.events_dead_letters.id
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [merge(local.deny_without_tls, { Resource = aws_sqs_queue.events_dead_letters.arn })]
  })
}

resource "aws_sqs_queue_policy" "task_dead_letters_policy" {
  queue_url = aws_sqs_queue.task_dead_letters.id
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [merge(local.deny_without_tls, { Resource = aws_sqs_queue.task_dead_letters.arn })]
  })
}
