"""Docker Swarm."""
