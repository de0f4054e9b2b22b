"""A strict front before an emulator of ECS: what that does not check, keep or answer is added on the way."""

from lab.ecs.front.server import JSON, TARGET, Front

__all__ = ["JSON", "TARGET", "Front"]
