"""Amazon ECS in memory: all that AWS documents of services, tasks and deployments, on a virtual clock."""

from lab.ecs.memory.ecs import ACCOUNT, REGION, FakeApi, FakeEcs

__all__ = ["ACCOUNT", "REGION", "FakeApi", "FakeEcs"]
