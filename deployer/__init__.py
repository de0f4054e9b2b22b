"""Continuous deployment for Docker Swarm: a push to AWS ECR becomes a roll-out, once, safely."""

__version__ = "0.1.0"
