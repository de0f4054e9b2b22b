"""All services at once: the batch of a push, the survey of who is behind, the renewal of credentials."""
