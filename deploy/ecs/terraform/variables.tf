variable "name" {
  description = "First part of all names."
  type        = string
  default     = "deployer"
}

# -- what is deployed to ----------------------------------------------------------------------------------

variable "served_cluster" {
  description = "Name of the ECS cluster of this account and region that is deployed to."
  type        = string
}

variable "family_prefix" {
  description = "Only task definitions whose family begins like this may be registered; empty means all."
  type        = string
  default     = ""
}

variable "passed_role_arns" {
  description = "Task and execution roles of the services that are deployed to; new revisions are given them too."
  type        = list(string)
}

variable "schedule_role_arns" {
  description = "Roles of EventBridge rules and schedules that follow their services (label deployer.schedules); none, no permission for it."
  type        = list(string)
  default     = []
}

variable "opt_in" {
  description = "Deploy only to services that carry a docker label or tag of the deployer (DEPLOYER_ECS_OPT_IN)."
  type        = bool
  default     = true
}

variable "policy" {
  description = "Tag policy of services that have none of their own, glob:* for any new tag (DEPLOYER_POLICY)."
  type        = string
  default     = ""
}

# -- the module of queues: its outputs --------------------------------------------------------------------

variable "events_queue_url" {
  description = "EventsQueueUrl of the stack of queues."
  type        = string
}

variable "task_queue_url" {
  description = "TaskQueueUrl of the stack of queues."
  type        = string
}

variable "bridge_policy_arn" {
  description = "BridgePolicyArn of the stack of queues."
  type        = string
}

variable "worker_policy_arn" {
  description = "WorkerPolicyArn of the stack of queues."
  type        = string
}

variable "operator_policy_arn" {
  description = "OperatorPolicyArn of the stack of queues."
  type        = string
}

# -- where the deployer runs ------------------------------------------------------------------------------

variable "image" {
  description = "The deployer's own image in ECR, by a tag that it follows."
  type        = string
}

variable "host_cluster" {
  description = "Name of the ECS cluster in which the deployer itself runs; it may be one that it serves."
  type        = string
}

variable "subnets" {
  description = "Subnets with a way to ECR, ECS, SQS, STS and DynamoDB."
  type        = list(string)
}

variable "security_groups" {
  description = "Security groups that let HTTPS out; nothing comes in."
  type        = list(string)
}

variable "public_ip" {
  description = "Give tasks a public address, needed in subnets without NAT and endpoints."
  type        = bool
  default     = false
}

variable "architecture" {
  description = "What the image was built for."
  type        = string
  default     = "X86_64"

  validation {
    condition     = contains(["X86_64", "ARM64"], var.architecture)
    error_message = "One of X86_64, ARM64."
  }
}

variable "workers" {
  description = "Tasks with a bridge and a worker each; two survive the loss of a zone."
  type        = number
  default     = 1
}

variable "redis_url_secret_arn" {
  description = "Secret with the URL of a Redis, for history and the command line's --wait (DEPLOYER_REDIS_URL)."
  type        = string
  default     = ""
}
