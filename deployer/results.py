"""Former name of `deployer.broker.results`, for a celeryconfig.py of 0.1; the next version has it no more."""

import warnings

from deployer.broker.results import OptionalRedisBackend

__all__ = ["OptionalRedisBackend"]

warnings.warn(
    "result_backend names deployer.results:OptionalRedisBackend, which is deployer.broker.results:"
    "OptionalRedisBackend now and will be gone in the next version",
    FutureWarning,
    stacklevel=2,
)
