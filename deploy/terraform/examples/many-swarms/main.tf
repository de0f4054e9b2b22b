# Two Swarms that hear of the same pushes: the first has the rules and the topic, the second only queues.

provider "aws" {
  region = "eu-central-1"
}

module "production" {
  source  = "../.."
  name    = "deployer-production"
  fan_out = true
}

module "staging" {
  source = "../.."
  name   = "deployer-staging"
  topic  = { arn = module.production.topic_arn }
}

output "environments" {
  value = {
    production = module.production.environment
    staging    = module.staging.environment
  }
}
