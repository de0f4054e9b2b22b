variable "name" {
  description = "First part of the name of everything."
  type        = string
  default     = "deployer"

  validation {
    condition     = can(regex("^[A-Za-z][A-Za-z0-9-]{0,49}$", var.name))
    error_message = "Letters, digits and hyphens, at most 50, beginning with a letter."
  }
}

# -- which events ---------------------------------------------------------------------------------------

variable "repositories" {
  description = "Names of the ECR repositories whose pushes count and that workers may read; empty means all."
  type        = list(string)
  default     = []
}

variable "cloudtrail" {
  description = "Also take PutImage calls that CloudTrail records (needs a trail of management events)."
  type        = bool
  default     = false
}

variable "accept_replication" {
  description = "Also take images that ECR has replicated into this region."
  type        = bool
  default     = false
}

variable "accept_pull_through_cache" {
  description = "Also take images that a pull-through cache has brought."
  type        = bool
  default     = false
}

# -- many Swarms ----------------------------------------------------------------------------------------

variable "fan_out" {
  description = "Send events to an SNS topic, to which the queues of other Swarms subscribe, this one too."
  type        = bool
  default     = false
}

variable "topic_subscribers" {
  description = "Other AWS accounts whose queues may subscribe to the topic of fan_out."
  type        = list(string)
  default     = []
}

variable "topic" {
  description = "Topic of another module's fan_out to take events from; this one then has no rules of its own."
  # An object, so that it is known to be there while its ARN is not known yet.
  type    = object({ arn = string })
  default = null
}

variable "other_task_queue_arns" {
  description = "Task queues of other Swarms that this module's bridge feeds too."
  type        = list(string)
  default     = []
}

# -- queues ---------------------------------------------------------------------------------------------

variable "visibility_timeout" {
  description = "Seconds until a message whose reader has died is read again."
  type        = number
  default     = 120

  validation {
    condition     = var.visibility_timeout >= 120 && var.visibility_timeout <= 43200
    error_message = "Between 120 and 43200 seconds."
  }
}

variable "max_receives" {
  description = "After so many receives a message goes to the dead-letter queue."
  type        = number
  default     = 5

  validation {
    condition     = var.max_receives >= 3 && var.max_receives <= 1000
    error_message = "Between 3 and 1000."
  }
}

variable "kms_key_arn" {
  description = "Key of your own to encrypt queues and topic with; empty means keys that SQS manages."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(arn:[a-z0-9-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+)?$", var.kms_key_arn))
    error_message = "The ARN of a KMS key."
  }
}

# -- who may use them -----------------------------------------------------------------------------------

variable "identities" {
  description = "`none`: only policies; `users`: an IAM user for each part; `instance-role`: a role for EC2."
  type        = string
  default     = "none"

  validation {
    condition     = contains(["none", "users", "instance-role"], var.identities)
    error_message = "One of none, users, instance-role."
  }
}

variable "registry_accounts" {
  description = "AWS accounts whose registries workers may read; empty means this one."
  type        = list(string)
  default     = []
}

variable "assume_role_arns" {
  description = "Roles of other accounts that workers assume for their registries (DEPLOYER_ASSUME_ROLES)."
  type        = list(string)
  default     = []
}

variable "queue_names" {
  description = "Allow sqs:GetQueueUrl, needed where settings name queues instead of giving their URLs."
  type        = bool
  default     = false
}

# -- alarms ---------------------------------------------------------------------------------------------

variable "alarms" {
  description = "Watch the dead-letter queues and the age of the oldest message."
  type        = bool
  default     = true
}

variable "alarm_topic_arn" {
  description = "SNS topic that hears of alarms."
  type        = string
  default     = ""
}

variable "events_age_alarm" {
  description = "Seconds that an event may wait before the alarm."
  type        = number
  default     = 300
}

variable "tasks_age_alarm" {
  description = "Seconds that a task may wait before the alarm; a task's own delay is up to 900 of them."
  type        = number
  default     = 1800

  validation {
    condition     = var.tasks_age_alarm >= 960
    error_message = "At least 960 seconds: tasks are delayed by up to 900."
  }
}
