"""The core: decide what to roll out, and do it safely."""
