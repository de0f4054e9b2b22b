"""Hooks of registries other than ECR."""
