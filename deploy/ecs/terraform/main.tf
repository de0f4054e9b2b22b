# Holds, slots, memory of failure, and a number for each write; a few hundred requests an hour.
resource "aws_dynamodb_table" "ledger" {
  name         = "${var.name}-ledger"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "id"

  attribute {
    name = "id"
    type = "S"
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled = true
  }

  lifecycle {
    prevent_destroy = true # it holds what people have ordered
  }
}

resource "aws_cloudwatch_log_group" "logs" {
  name_prefix       = "${var.name}-"
  retention_in_days = 90
}

locals {
  common = {
    image        = var.image
    essential    = true
    dockerLabels = { "deployer.enable" = "true" } # it updates itself
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        "awslogs-group"         = aws_cloudwatch_log_group.logs.name
        "awslogs-region"        = data.aws_region.current.id
        "awslogs-stream-prefix" = "deployer"
      }
    }
  }
  health = {
    healthCheck = { command = ["CMD", "deployer", "health"], interval = 10, timeout = 10, startPeriod = 60, retries = 3 }
  }
  events_queue = [{ name = "DEPLOYER_QUEUE", value = var.events_queue_url }]
  environment = [
    { name = "AWS_REGION", value = data.aws_region.current.id },
    { name = "DEPLOYER_TASK_QUEUE", value = var.task_queue_url },
    { name = "DEPLOYER_LOG_FORMAT", value = "json" },
  ]
  of_ecs = [
    { name = "DEPLOYER_ECS_CLUSTERS", value = var.served_cluster },
    { name = "DEPLOYER_ECS_LEDGER", value = aws_dynamodb_table.ledger.name },
    { name = "DEPLOYER_ECS_OPT_IN", value = tostring(var.opt_in) },
    { name = "DEPLOYER_POLICY", value = var.policy },
  ]
  of_beat = [
    { name = "DEPLOYER_CREDENTIALS_MAX_AGE", value = "0" }, # ECS keeps none that could expire
  ]
}

resource "aws_ecs_task_definition" "worker_task" {
  family                   = "${var.family_prefix}${var.name}-worker"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = 512
  memory                   = 1024
  execution_role_arn       = aws_iam_role.execution_role.arn
  task_role_arn            = aws_iam_role.worker_role.arn

  runtime_platform {
    cpu_architecture        = var.architecture
    operating_system_family = "LINUX"
  }

  container_definitions = jsonencode([
    merge(local.common, local.health, {
      name        = "worker"
      command     = ["celery", "-A", "deployer", "worker"]
      environment = concat(local.environment, local.events_queue, local.of_ecs)
      secrets     = [for arn in [var.redis_url_secret_arn] : { name = "DEPLOYER_REDIS_URL", valueFrom = arn } if arn != ""]
      # A task waits up to 30 s for AWS, and is finished before the worker ends, as is its last poll (20 s).
      stopTimeout = 60
    }),
    merge(local.common, local.health, {
      name        = "bridge"
      command     = ["deployer", "bridge"]
      environment = concat(local.environment, local.events_queue)
      stopTimeout = 30
    }),
  ])
}

# The deployer registers revisions of its own; Terraform must not take them back.
resource "aws_ecs_service" "worker" {
  name                               = "${var.name}-worker"
  cluster                            = var.host_cluster
  desired_count                      = var.workers
  launch_type                        = "FARGATE"
  task_definition                    = aws_ecs_task_definition.worker_task.arn
  deployment_minimum_healthy_percent = 100 # two do the work of one without harm, so a new one comes first
  deployment_maximum_percent         = 200
  depends_on                         = [aws_iam_role_policy_attachment.worker_role]

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = var.subnets
    security_groups  = var.security_groups
    assign_public_ip = var.public_ip
  }

  lifecycle {
    ignore_changes = [task_definition]
  }
}

resource "aws_ecs_task_definition" "beat_task" {
  family                   = "${var.family_prefix}${var.name}-beat"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = 256
  memory                   = 512
  execution_role_arn       = aws_iam_role.execution_role.arn
  task_role_arn            = aws_iam_role.beat_role.arn

  runtime_platform {
    cpu_architecture        = var.architecture
    operating_system_family = "LINUX"
  }

  container_definitions = jsonencode([
    merge(local.common, {
      name        = "beat"
      command     = ["celery", "-A", "deployer", "beat", "--schedule", "/tmp/schedule", "--pidfile="]
      environment = concat(local.environment, local.of_beat)
      stopTimeout = 10
    }),
  ])
}

resource "aws_ecs_service" "beat" {
  name                               = "${var.name}-beat"
  cluster                            = var.host_cluster
  desired_count                      = 1 # two would ask for everything twice
  launch_type                        = "FARGATE"
  task_definition                    = aws_ecs_task_definition.beat_task.arn
  deployment_minimum_healthy_percent = 0
  deployment_maximum_percent         = 100

  network_configuration {
    subnets          = var.subnets
    security_groups  = var.security_groups
    assign_public_ip = var.public_ip
  }

  lifecycle {
    ignore_changes = [task_definition]
  }
}
