"""Writes to services of ECS: forward, back, what runs first, and what is no longer needed."""
