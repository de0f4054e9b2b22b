locals {
  dns_suffix = data.aws_partition.current.dns_suffix
  use_key = [for key in [var.kms_key_arn] : {
    Sid       = "UseKey"
    Effect    = "Allow"
    Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
    Resource  = key
    Condition = { StringEquals = { "kms:ViaService" = "sqs.${data.aws_region.current.id}.${local.dns_suffix}" } }
  } if key != ""]
  find_queues = [for wanted in [var.queue_names] : {
    Sid    = "FindQueues"
    Effect = "Allow"
    Action = "sqs:GetQueueUrl"
  } if wanted]
}

# -- what each part may do; nobody may create queues ---------------------------------------------------------

resource "aws_iam_policy" "bridge_policy" {
  name        = "${var.name}-bridge"
  description = "swarm-ecr-deployer bridge: from the events queue to the task queue"
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat([
      {
        Sid      = "TakeEvents"
        Effect   = "Allow"
        Action   = ["sqs:ReceiveMessage", "sqs:DeleteMessage"]
        Resource = aws_sqs_queue.events_queue.arn
      },
      {
        Sid      = "SendTasks"
        Effect   = "Allow"
        Action   = "sqs:SendMessage"
        Resource = concat([aws_sqs_queue.task_queue.arn], var.other_task_queue_arns)
      },
      ],
      [for one in local.find_queues : merge(one, {
        Resource = [aws_sqs_queue.events_queue.arn, aws_sqs_queue.task_queue.arn]
      })],
      local.use_key,
    )
  })
}

resource "aws_iam_policy" "worker_policy" {
  name        = "${var.name}-worker"
  description = "swarm-ecr-deployer worker: tasks, and the images that nodes pull with its token"
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat([
      {
        Sid      = "WorkOnTasks"
        Effect   = "Allow"
        Action   = ["sqs:SendMessage", "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"]
        Resource = aws_sqs_queue.task_queue.arn
      },
      {
        Sid      = "GetToken"
        Effect   = "Allow"
        Action   = "ecr:GetAuthorizationToken"
        Resource = "*" # ECR knows no narrower one for this action
      },
      {
        Sid    = "ReadImages"
        Effect = "Allow"
        Action = [
          "ecr:BatchCheckLayerAvailability",
          "ecr:BatchGetImage",
          "ecr:DescribeImageScanFindings",
          "ecr:DescribeImageSigningStatus",
          "ecr:DescribeImages",
          "ecr:GetDownloadUrlForLayer",
          "ecr:ListImages",
        ]
        Resource = [
          for name in(length(var.repositories) == 0 ? ["*"] : var.repositories) : "arn:*:ecr:*:*:repository/${name}"
        ]
        Condition = {
          StringEquals = {
            "aws:ResourceAccount" = length(var.registry_accounts) == 0 ? [data.aws_caller_identity.current.account_id] : var.registry_accounts
          }
        }
      },
      ],
      [for roles in [var.assume_role_arns] : {
        Sid      = "AssumeRoles"
        Effect   = "Allow"
        Action   = "sts:AssumeRole"
        Resource = roles
      } if length(roles) > 0],
      [for one in local.find_queues : merge(one, { Resource = aws_sqs_queue.task_queue.arn })],
      local.use_key,
    )
  })
}

resource "aws_iam_policy" "webhook_policy" {
  name        = "${var.name}-webhook"
  description = "swarm-ecr-deployer webhook: pushes of other registries, onto the events queue"
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat([
      {
        Sid      = "SendEvents"
        Effect   = "Allow"
        Action   = "sqs:SendMessage"
        Resource = aws_sqs_queue.events_queue.arn
      },
      ],
      [for one in local.find_queues : merge(one, { Resource = aws_sqs_queue.events_queue.arn })],
      local.use_key,
    )
  })
}

resource "aws_iam_policy" "operator_policy" {
  name        = "${var.name}-operator"
  description = "swarm-ecr-deployer operator: update, rollback, hold and release by hand, and celery beat"
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat([
      {
        Sid      = "SendTasks"
        Effect   = "Allow"
        Action   = "sqs:SendMessage"
        Resource = aws_sqs_queue.task_queue.arn
      },
      ],
      [for one in local.find_queues : merge(one, { Resource = aws_sqs_queue.task_queue.arn })],
      local.use_key,
    )
  })
}

# Beside those of bridge and worker, while `deployer doctor` runs.
resource "aws_iam_policy" "doctor_policy" {
  name        = "${var.name}-doctor"
  description = "swarm-ecr-deployer doctor: how the queues are set up"
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid    = "ReadSettings"
        Effect = "Allow"
        Action = "sqs:GetQueueAttributes"
        Resource = [
          aws_sqs_queue.events_queue.arn,
          aws_sqs_queue.events_dead_letters.arn,
          aws_sqs_queue.task_queue.arn,
          aws_sqs_queue.task_dead_letters.arn,
        ]
      },
      {
        Sid      = "FindDeadLetters"
        Effect   = "Allow"
        Action   = "sqs:GetQueueUrl"
        Resource = [aws_sqs_queue.events_dead_letters.arn, aws_sqs_queue.task_dead_letters.arn]
      },
    ]
  })
}

# -- who they are; access keys are made by hand, so that no secret is in a state file -------------------------

locals {
  users         = var.identities == "users" ? 1 : 0
  instance_role = var.identities == "instance-role" ? 1 : 0
}

resource "aws_iam_user" "bridge_user" {
  count = local.users
  name  = "${var.name}-bridge"
}

resource "aws_iam_user_policy_attachment" "bridge_user" {
  count      = local.users
  user       = aws_iam_user.bridge_user[0].name
  policy_arn = aws_iam_policy.bridge_policy.arn
}

resource "aws_iam_user" "worker_user" {
  count = local.users
  name  = "${var.name}-worker"
}

resource "aws_iam_user_policy_attachment" "worker_user" {
  count      = local.users
  user       = aws_iam_user.worker_user[0].name
  policy_arn = aws_iam_policy.worker_policy.arn
}

resource "aws_iam_user" "webhook_user" {
  count = local.users
  name  = "${var.name}-webhook"
}

resource "aws_iam_user_policy_attachment" "webhook_user" {
  count      = local.users
  user       = aws_iam_user.webhook_user[0].name
  policy_arn = aws_iam_policy.webhook_policy.arn
}

resource "aws_iam_user" "operator_user" {
  count = local.users
  name  = "${var.name}-operator"
}

resource "aws_iam_user_policy_attachment" "operator_user" {
  count      = local.users
  user       = aws_iam_user.operator_user[0].name
  policy_arn = aws_iam_policy.operator_policy.arn
}

resource "aws_iam_role" "instance_role" {
  count       = local.instance_role
  name        = "${var.name}-instance"
  description = "Swarm managers on EC2 that run bridge and workers"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect    = "Allow"
        Principal = { Service = "ec2.${local.dns_suffix}" }
        Action    = "sts:AssumeRole"
      },
    ]
  })
}

resource "aws_iam_role_policy_attachment" "instance_role_bridge" {
  count      = local.instance_role
  role       = aws_iam_role.instance_role[0].name
  policy_arn = aws_iam_policy.bridge_policy.arn
}

resource "aws_iam_role_policy_attachment" "instance_role_worker" {
  count      = local.instance_role
  role       = aws_iam_role.instance_role[0].name
  policy_arn = aws_iam_policy.worker_policy.arn
}

resource "aws_iam_instance_profile" "instance_profile" {
  count = local.instance_role
  name  = "${var.name}-instance"
  role  = aws_iam_role.instance_role[0].name
}
