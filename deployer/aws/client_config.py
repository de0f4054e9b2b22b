"""One way to bound requests to AWS: no client of ours may hang for good."""

from __future__ import annotations

from botocore.config import Config


def bounded(
    read_timeout: float, *, connect_timeout: float = 5.0, attempts: int = 2, connections: int = 10
) -> Config:
    """Return a client configuration of boto3 with time-outs in seconds and a number of attempts."""
    return Config(
        connect_timeout=connect_timeout,
        read_timeout=read_timeout,
        retries={"mode": "standard", "total_max_attempts": attempts},
        max_pool_connections=connections,
    )
