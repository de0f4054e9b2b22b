"""Continuous deployment for Docker Swarm: a push to AWS ECR becomes a roll-out, once, safely."""

import sys
from typing import Any

__version__ = "0.1.0"

LISTENERS = {"flower", "events"}
COMMANDS = {*LISTENERS, "worker", "beat", "inspect", "control", "call", "multi", "shell"}  # of `celery`
LISTENERS_NEED_REDIS = (
    "DEPLOYER_REDIS_URL is not set, and SQS carries no events for `celery {}`; set it for the workers too, "
    "for example DEPLOYER_REDIS_URL=redis://:password@redis:6379/0"
)


def __getattr__(name: str) -> Any:
    """Give `celery -A deployer` its app, and a wrong setting as one line instead of a stack trace."""
    if name != "celery":
        raise AttributeError(name)
    from deployer.app import app, task_queues
    from deployer.errors import SettingsError

    command = next((word for word in sys.argv[1:] if word in COMMANDS), None)
    try:
        task_queues()
    except SettingsError as fault:
        raise SystemExit(f"deployer: {fault}") from None
    if command in LISTENERS and "--help" not in sys.argv and not app.conf.monitoring_secret_url:
        raise SystemExit(f"deployer: {LISTENERS_NEED_REDIS.format(command)}")
    if command == "flower":
        from deployer.observability.flower import set_defaults

        set_defaults()
    return app
