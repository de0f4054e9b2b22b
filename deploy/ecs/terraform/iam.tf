locals {
  account = data.aws_caller_identity.current.account_id
  arns    = "arn:${data.aws_partition.current.partition}:ecs:${data.aws_region.current.id}:${local.account}"
  in_cluster = {
    ArnEquals = { "ecs:cluster" = "${local.arns}:cluster/${var.served_cluster}" }
  }
  to_tasks = {
    StringEquals = { "iam:PassedToService" = "ecs-tasks.amazonaws.com" }
  }
  families = "${local.arns}:task-definition/${var.family_prefix}*:*"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })
}

# -- what a worker may do beside what its queues need; neither creates nor deletes a service ----------------

resource "aws_iam_policy" "ecs_policy" {
  name        = "${var.name}-ecs"
  description = "swarm-ecr-deployer worker on ECS"
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "Services"
        Effect   = "Allow"
        Action   = ["ecs:DescribeServices", "ecs:ListServiceDeployments", "ecs:UpdateService"]
        Resource = "${local.arns}:service/${var.served_cluster}/*"
      },
      {
        Sid      = "ServiceDeployments"
        Effect   = "Allow"
        Action   = ["ecs:DescribeServiceDeployments", "ecs:StopServiceDeployment"]
        Resource = "${local.arns}:service-deployment/${var.served_cluster}/*"
      },
      {
        Sid      = "ServiceRevisions"
        Effect   = "Allow"
        Action   = "ecs:DescribeServiceRevisions"
        Resource = "${local.arns}:service-revision/${var.served_cluster}/*"
      },
      {
        Sid       = "Lists"
        Effect    = "Allow"
        Action    = ["ecs:DescribeTasks", "ecs:ListServices", "ecs:ListTasks"]
        Resource  = "*" # narrowed by the cluster instead
        Condition = local.in_cluster
      },
      {
        Sid      = "Revisions"
        Effect   = "Allow"
        Action   = ["ecs:RegisterTaskDefinition", "ecs:TagResource"]
        Resource = local.families
      },
      {
        Sid      = "AnyRevision"
        Effect   = "Allow"
        Action   = ["ecs:DeregisterTaskDefinition", "ecs:DescribeTaskDefinition", "ecs:ListTaskDefinitions"]
        Resource = "*" # ECS knows no narrower one for these actions
      },
      {
        Sid       = "Jobs"
        Effect    = "Allow"
        Action    = "ecs:RunTask"
        Resource  = local.families
        Condition = local.in_cluster
      },
      {
        Sid       = "PassRoles"
        Effect    = "Allow"
        Action    = "iam:PassRole"
        Resource  = var.passed_role_arns
        Condition = local.to_tasks
      },
      {
        Sid       = "PassOwnRoles" # it updates itself
        Effect    = "Allow"
        Action    = "iam:PassRole"
        Resource  = [aws_iam_role.execution_role.arn, aws_iam_role.worker_role.arn, aws_iam_role.beat_role.arn]
        Condition = local.to_tasks
      },
      {
        Sid      = "Ledger"
        Effect   = "Allow"
        Action   = ["dynamodb:GetItem", "dynamodb:PutItem"]
        Resource = aws_dynamodb_table.ledger.arn
      },
    ]
  })
}

resource "aws_iam_policy" "schedules_policy" {
  count       = length(var.schedule_role_arns) > 0 ? 1 : 0
  name        = "${var.name}-schedules"
  description = "swarm-ecr-deployer worker, schedules that follow services"
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "Rules"
        Effect   = "Allow"
        Action   = ["events:ListTargetsByRule", "events:PutTargets"]
        Resource = "arn:${data.aws_partition.current.partition}:events:${data.aws_region.current.id}:${local.account}:rule/*"
      },
      {
        Sid      = "Schedules"
        Effect   = "Allow"
        Action   = ["scheduler:GetSchedule", "scheduler:UpdateSchedule"]
        Resource = "arn:${data.aws_partition.current.partition}:scheduler:${data.aws_region.current.id}:${local.account}:schedule/*/*"
      },
      {
        Sid       = "PassScheduleRoles" # a target is sent back with its role
        Effect    = "Allow"
        Action    = "iam:PassRole"
        Resource  = var.schedule_role_arns
        Condition = { StringEquals = { "iam:PassedToService" = ["events.amazonaws.com", "scheduler.amazonaws.com"] } }
      },
    ]
  })
}

resource "aws_iam_role_policy_attachment" "schedules" {
  count      = length(var.schedule_role_arns) > 0 ? 1 : 0
  role       = aws_iam_role.worker_role.name
  policy_arn = aws_iam_policy.schedules_policy[0].arn
}

resource "aws_iam_role" "worker_role" {
  name_prefix        = "${var.name}-worker-"
  assume_role_policy = local.assume_role_policy
}

resource "aws_iam_role_policy_attachment" "worker_role" {
  for_each   = { bridge = var.bridge_policy_arn, worker = var.worker_policy_arn, ecs = aws_iam_policy.ecs_policy.arn }
  role       = aws_iam_role.worker_role.name
  policy_arn = each.value
}

resource "aws_iam_role" "beat_role" {
  name_prefix        = "${var.name}-beat-"
  assume_role_policy = local.assume_role_policy
}

resource "aws_iam_role_policy_attachment" "beat_role" {
  role       = aws_iam_role.beat_role.name
  policy_arn = var.operator_policy_arn
}

resource "aws_iam_role" "execution_role" {
  name_prefix        = "${var.name}-execution-"
  assume_role_policy = local.assume_role_policy
}

resource "aws_iam_role_policy_attachment" "execution_role" {
  role       = aws_iam_role.execution_role.name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
}

resource "aws_iam_role_policy" "execution_role" {
  count = var.redis_url_secret_arn == "" ? 0 : 1
  name  = "read-redis-url"
  role  = aws_iam_role.execution_role.id
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "secretsmanager:GetSecretValue", Resource = var.redis_url_secret_arn }]
  })
}
