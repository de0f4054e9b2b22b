# One Swarm, two repositories, an IAM user for each part, mail for alarms.

provider "aws" {
  region = "eu-central-1"
}

resource "aws_sns_topic" "on_call" {
  name = "on-call"
}

module "deployer" {
  source          = "../.."
  repositories    = ["team/web", "team/api"]
  identities      = "users"
  alarm_topic_arn = aws_sns_topic.on_call.arn
}

output "environment" {
  value = module.deployer.environment
}
