"""Continuous deployment for Docker Swarm: a push to AWS ECR becomes a roll-out, once, safely."""

import sys
from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Give `celery -A deployer` its app, and a wrong setting as one line instead of a stack trace."""
    if name != "celery":
        raise AttributeError(name)
    from deployer.app import app, task_queues
    from deployer.errors import SettingsError

    try:
        task_queues()
    except SettingsError as fault:
        raise SystemExit(f"deployer: {fault}") from None
    if "flower" in sys.argv:
        from deployer.observability.flower import set_defaults

        set_defaults()
    return app
