locals {
  accepted = compact([var.accept_replication ? "replication" : "", var.accept_pull_through_cache ? "pull-through-cache" : ""])
}

output "environment" {
  description = "Settings of bridge, worker and command line, as a file of environment variables."
  value       = <<-END
    AWS_REGION=${data.aws_region.current.id}
    DEPLOYER_QUEUE=${aws_sqs_queue.events_queue.url}
    DEPLOYER_TASK_QUEUE=${aws_sqs_queue.task_queue.url}
    DEPLOYER_ACCEPT_EVENTS=${join(",", local.accepted)}
  END
}

output "events_queue_url" {
  value = aws_sqs_queue.events_queue.url
}

output "task_queue_url" {
  value = aws_sqs_queue.task_queue.url
}

output "task_queue_arn" {
  description = "For other_task_queue_arns of another module, whose bridge feeds this queue too."
  value       = aws_sqs_queue.task_queue.arn
}

output "events_dead_letters_url" {
  value = aws_sqs_queue.events_dead_letters.url
}

output "task_dead_letters_url" {
  value = aws_sqs_queue.task_dead_letters.url
}

output "undelivered_url" {
  value = aws_sqs_queue.undelivered.url
}

output "topic_arn" {
  description = "For topic of the other Swarms' modules; null without fan_out."
  value       = one(aws_sns_topic.topic[*].arn)
}

output "bridge_policy_arn" {
  value = aws_iam_policy.bridge_policy.arn
}

output "worker_policy_arn" {
  value = aws_iam_policy.worker_policy.arn
}

output "webhook_policy_arn" {
  value = aws_iam_policy.webhook_policy.arn
}

output "operator_policy_arn" {
  value = aws_iam_policy.operator_policy.arn
}

output "doctor_policy_arn" {
  value = aws_iam_policy.doctor_policy.arn
}

output "bridge_user_name" {
  value = one(aws_iam_user.bridge_user[*].name)
}

output "worker_user_name" {
  value = one(aws_iam_user.worker_user[*].name)
}

output "webhook_user_name" {
  value = one(aws_iam_user.webhook_user[*].name)
}

output "operator_user_name" {
  value = one(aws_iam_user.operator_user[*].name)
}

output "instance_profile_name" {
  value = one(aws_iam_instance_profile.instance_profile[*].name)
}
