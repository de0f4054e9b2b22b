output "ledger_name" {
  description = "DEPLOYER_ECS_LEDGER, for the command line."
  value       = aws_dynamodb_table.ledger.name
}

output "ecs_policy_arn" {
  description = "What a worker may do on ECS, for workers that run elsewhere and for `deployer ecs` in pipelines."
  value       = aws_iam_policy.ecs_policy.arn
}

output "log_group_name" {
  value = aws_cloudwatch_log_group.logs.name
}
