# One cluster, in which the deployer runs too: queues and rules, then the deployer itself.

provider "aws" {
  region = "eu-central-1"
}

variable "image" {
  type = string
}

variable "subnets" {
  type = list(string)
}

variable "security_groups" {
  type = list(string)
}

variable "passed_role_arns" {
  type = list(string)
}

module "queues" {
  source       = "../../../../terraform"
  repositories = ["team/web", "team/deployer"]
}

module "deployer" {
  source              = "../.."
  served_cluster      = "prod"
  host_cluster        = "prod"
  image               = var.image
  subnets             = var.subnets
  security_groups     = var.security_groups
  passed_role_arns    = var.passed_role_arns
  events_queue_url    = module.queues.events_queue_url
  task_queue_url      = module.queues.task_queue_url
  bridge_policy_arn   = module.queues.bridge_policy_arn
  worker_policy_arn   = module.queues.worker_policy_arn
  operator_policy_arn = module.queues.operator_policy_arn
}
