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
DIGEST = re.compile(r"@?sha256:([0-9a-f]{12})[0-9a-f]{52}\b")
EVENT = re.compile(r"\bevent ([0-9a-f]{8})-[0-9a-f-]{27}\b")
RAISED = re.compile(r"(\w+)\((['\"])(.*?)\2(?:, \{.*)?,?\)", re.DOTALL)  # repr() of what a task raised
# What fits on 1,300 pixels comes first.
COLUMNS = "name,args,state,result,runtime,kwargs,received,retries,worker,uuid"
# Flower's search finds a task by any part of its name, so that the links of these still work.
NAMES = {"image_pushed": "pushed", "update_service": "update", "rollback_service": "rollback"}
NOTHING_DONE = {"held", "ignored", "superseded", "unchanged"}  # outcomes that are no success to look at
UNDER_WAY = {"Waiting", "Rolling"}  # of `tasks.again`; Celery calls each look at a deployment a retry


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
    """Show a deployment in words: its service, its outcome, and its own duration instead of the last look's.

    The row has short digests and ids; the page of a task has the whole ones in its result.
    """
    name = (task.name or "").removeprefix("deployer.tasks.")
    task.name = NAMES.get(name, name)
    _show_args(task)
    report = _report(task.result) or _report(task.exception)
    if report and "outcome" in report:
        _show_end(task, report)
    elif report and "services" in report:
        task.result = f"followed by {', '.join(sorted(report['services'])) or 'no service'}"
    if task.exception and (raised := RAISED.fullmatch(task.exception)):
        task.exception = raised[3]
        if task.state == "RETRY":
            _show_progress(task, raised[1])
    if isinstance(task.result, str):
        task.result = ECR_HOST.sub("", task.result)
    return task


def _show_args(task: Any) -> None:
    if isinstance(task.args, str):
        task.args = DIGEST.sub(r" \1", ECR_HOST.sub("", task.args))
    if isinstance(task.kwargs, str):
        task.kwargs = EVENT.sub(r"event \1", task.kwargs)


def _show_end(task: Any, report: dict[str, Any]) -> None:
    outcome, reason = str(report["outcome"]), str(report.get("reason"))
    task.result = f"{outcome}: {reason.removeprefix(f'{outcome}: ')}"
    for label, key in (("image", "image"), ("before", "previous")):
        if report.get(key):
            task.result += f"; {label} {report[key]}"
    task.runtime = report.get("duration") or task.runtime
    task.traceback = None  # where the failure was told, not where it came from
    if outcome in NOTHING_DONE:
        task.state = outcome.upper()  # grey, as every state that Flower does not know


def _show_progress(task: Any, kind: str) -> None:
    """Tell a deployment that goes on from one that a fault delays: only that one stays a yellow RETRY."""
    from tornado.options import options  # there wherever Flower is

    task.result, task.runtime = task.exception, None
    # Flower has its button to revoke on a RETRY only, and has buttons if it may write.
    if kind in UNDER_WAY and getattr(options, "read_only", True):
        task.state = kind.upper()


def _report(text: object) -> dict[str, Any] | None:
    """Return the report in the text of a result, or of a DeploymentFailedError."""
    found = re.search(r"\{.*\}", text, re.DOTALL) if isinstance(text, str) else None
    try:
        value = ast.literal_eval(found[0]) if found else None
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
