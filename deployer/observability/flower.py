"""Settings of `celery -A deployer flower`, unless FLOWER_* variables or a flowerconfig.py say otherwise.

Flower looks for `flowerconfig.py` in the working directory only, so this module names itself as its
configuration: Flower runs it and takes `format_task` from it (Flower's documentation, "Configuration").
"""

import ast
import os
import re
from pathlib import Path
from typing import Any

SECRETS = Path("/run/secrets")
ECR_HOST = re.compile(r"\b\d{12}\.dkr[.-]ecr[a-z0-9.-]*/")  # most of a column, and the same in every row
COLUMNS = "name,state,args,result,received,runtime,retries,worker,kwargs,uuid"


def set_defaults() -> None:
    """Set Flower's own variables where nobody has.

    It is read-only, so that no button promises what SQS cannot do; `FLOWER_READ_ONLY=false` brings the
    buttons. Without a password it listens on loopback only. A Docker secret `flower_basic_auth` is the
    password as `user:password`.
    """
    for name in ("FLOWER_BASIC_AUTH", "FLOWER_AUTH"):
        if not os.environ.get(name):
            os.environ.pop(name, None)  # Flower would take an empty one for a password
    secret = SECRETS / "flower_basic_auth"
    if secret.is_file():
        os.environ.setdefault("FLOWER_BASIC_AUTH", secret.read_text().strip())
    os.environ.setdefault("FLOWER_READ_ONLY", "true")
    os.environ.setdefault("FLOWER_TASKS_COLUMNS", COLUMNS)
    if not {"FLOWER_BASIC_AUTH", "FLOWER_AUTH"} & set(os.environ):
        os.environ.setdefault("FLOWER_ADDRESS", "127.0.0.1")
    if not Path("flowerconfig.py").exists():
        os.environ.setdefault("FLOWER_CONF", __file__)


def format_task(task: Any) -> Any:
    """Show a deployment's result in words, and its own duration instead of that of the last look."""
    task.name = (task.name or "").removeprefix("deployer.tasks.")
    report = _report(task.result) or _report(task.exception)
    if report and "outcome" in report:
        task.result = f"{report['outcome']}: {report.get('reason')}"
        for label, key in (("image", "image"), ("before", "previous")):
            if report.get(key):
                task.result += f"; {label} {report[key]}"
        task.runtime = report.get("duration") or task.runtime
        task.traceback = None  # where the failure was told, not where it came from
    elif report and "services" in report:
        task.result = f"followed by {', '.join(sorted(report['services'])) or 'no service'}"
    if task.exception:
        task.exception = re.sub(r"^\w+\((['\"])(.*?)\1(, \{.*)?\)$", r"\2", task.exception)
    for field in ("args", "result"):
        if isinstance(getattr(task, field), str):
            setattr(task, field, ECR_HOST.sub("", getattr(task, field)))
    return task


def _report(text: object) -> dict[str, Any] | None:
    """Return the report in the text of a result, or of a DeploymentFailedError."""
    found = re.search(r"\{.*\}", text, re.DOTALL) if isinstance(text, str) else None
    try:
        value = ast.literal_eval(found[0]) if found else None
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
