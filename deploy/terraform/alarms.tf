locals {
  alarms = var.alarms ? 1 : 0
  hear   = var.alarm_topic_arn == "" ? [] : [var.alarm_topic_arn]
}

resource "aws_cloudwatch_metric_alarm" "events_dead_letters_alarm" {
  count               = local.alarms
  alarm_name          = "${var.name}-events-dead"
  alarm_description   = "Events that the bridge could not understand or hand on are in the dead-letter queue."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = aws_sqs_queue.events_dead_letters.name }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.hear
  ok_actions          = local.hear
}

resource "aws_cloudwatch_metric_alarm" "task_dead_letters_alarm" {
  count               = local.alarms
  alarm_name          = "${var.name}-tasks-dead"
  alarm_description   = "Tasks that no worker could finish are in the dead-letter queue."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = aws_sqs_queue.task_dead_letters.name }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.hear
  ok_actions          = local.hear
}

resource "aws_cloudwatch_metric_alarm" "undelivered_alarm" {
  count               = local.alarms
  alarm_name          = "${var.name}-undelivered"
  alarm_description   = "EventBridge or SNS could not put events on the events queue."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = aws_sqs_queue.undelivered.name }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.hear
  ok_actions          = local.hear
}

resource "aws_cloudwatch_metric_alarm" "events_age" {
  count               = local.alarms
  alarm_name          = "${var.name}-events-age"
  alarm_description   = "Events wait, so the bridge does not run, or cannot reach or use a task queue."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateAgeOfOldestMessage"
  dimensions          = { QueueName = aws_sqs_queue.events_queue.name }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 3
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.events_age_alarm
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.hear
  ok_actions          = local.hear
}

resource "aws_cloudwatch_metric_alarm" "tasks_age" {
  count               = local.alarms
  alarm_name          = "${var.name}-tasks-age"
  alarm_description   = "Tasks wait, so no worker runs, or all of them are busy or cannot reach the queue."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateAgeOfOldestMessage"
  dimensions          = { QueueName = aws_sqs_queue.task_queue.name }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 3
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.tasks_age_alarm
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.hear
  ok_actions          = local.hear
}
