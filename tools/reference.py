"""Writes docs/reference.md and the module map of docs/architecture.md from the code, in its own words.

`python -m tools.reference` writes the files; with `--check` the exit code is 1 if it is not up to date.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
from prometheus_client import Counter
from prometheus_client.metrics import MetricWrapperBase
from pydantic import BeforeValidator

from deployer.cli import main as command
from deployer.model import label_names
from deployer.model.deployment import Outcome
from deployer.model.service import STATE_PREFIX, State
from deployer.observability import metrics
from deployer.policies.values import Count, Duration
from deployer.settings import Settings, variable
from tools import modules

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "docs" / "reference.md"
# Lines of `--help`; as wide as the line of a code block that needs no scrolling.
WIDTH = 96

HEAD = """\
# Reference

Every setting, label, command, task and metric. `python -m tools.reference` writes this page from the code; do
not edit it. How they work together is in
[policies.md](policies.md), [registries.md](registries.md), [monitoring.md](monitoring.md),
[webhooks.md](webhooks.md) and [architecture.md](architecture.md).
"""


def page() -> str:
    """Return the whole page, as it should stand in docs/reference.md."""
    parts = [HEAD, *_settings(), *_labels(), *_state(), *_commands(), *_tasks(), *_outcomes(), *_metrics()]
    return "\n".join(parts).rstrip() + "\n"


def _table(title: str, *columns: str) -> list[str]:
    return [f"## {title}", "", f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]


def _settings() -> list[str]:
    lines = _table("Settings", "variable", "default", "kind", "meaning")
    for name, field in Settings.model_fields.items():
        meaning = field.description or ""
        default = _default(field.get_default(call_default_factory=True))
        lines.append(f"| `{variable(name)}` | {default} | {_kind(field)} | {meaning} |")
    return [
        *lines,
        "",
        "Each may also be a file of the same name in lower case under `/run/secrets`. An empty value means",
        "the default. Unknown `DEPLOYER_*` variables are rejected, with a suggestion. AWS and Docker keep",
        "their own names: `AWS_REGION`, `AWS_SHARED_CREDENTIALS_FILE`, `DOCKER_HOST`, `DOCKER_CONFIG`, ….",
        "",
    ]


def _default(value: object) -> str:
    if value in (None, (), {}):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _kind(field: Any) -> str:
    """Return the kind of a value, with its bounds."""
    text = repr(field.annotation)
    if "SecretStr" in text:
        return "secret"
    if "Literal" in text:
        words = re.findall(r"'([^']+)'", text)
        return "list of " * ("tuple" in text) + ", ".join(f"`{word}`" for word in words)
    if "tuple" in text or "Role" in text:
        return "list"
    parsers = [getattr(v.func, "args", (None,))[0] for v in field.metadata if isinstance(v, BeforeValidator)]
    if parsers and isinstance(parsers[0], Count | Duration):
        return str(parsers[0])
    kinds = {bool: "`true`, `false`"}
    return kinds.get(field.annotation, "path" if "Path" in text else "text")


def _labels() -> list[str]:
    rows = [f"| `{name}={form}` | {meaning} |" for name, (form, meaning) in label_names.MEANINGS.items()]
    return [
        *_table("Labels that people write", "label", "meaning"),
        *rows,
        "",
        "They belong on the service (`deploy.labels` of a stack file), not on its containers (`labels`). An",
        "invalid value, or a name under `deployer.` that does not exist, disables updates for that service;",
        "`deployer status` and the log say why.",
        "",
    ]


def _state() -> list[str]:
    source = inspect.getsource(State)
    lines = _table("Labels that the deployer writes", "label", "meaning")
    for field in fields(State):
        told = re.search(rf"^    {field.name}: .*?  # (.+)$", source, re.MULTILINE)
        label = STATE_PREFIX + field.name.replace("_", "-")
        lines.append(f"| `{label}` | {told[1] if told else ''} |")
    return [*lines, ""]


def _commands() -> list[str]:
    lines = ["## Commands", "", "`-h` or `--help` behind any of them prints what stands here.", ""]
    for words, one in _all(("deployer",), command):
        context = click.Context(
            one,
            info_name=" ".join(words),
            terminal_width=WIDTH,
            max_content_width=WIDTH,
            help_option_names=command.context_settings["help_option_names"],
        )
        lines += [f"### {' '.join(words)}", "", "```text", one.get_help(context), "```", ""]
    return lines


def _all(words: tuple[str, ...], one: click.Command) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield words, one
    if isinstance(one, click.Group):
        for name in sorted(one.commands):
            yield from _all((*words, name), one.commands[name])


def _tasks() -> list[str]:
    # Read, not imported: Celery's tasks want a queue to be set.
    lines = ["## Tasks", "", "Names that `celery -A deployer call`, Flower and Python use.", ""]
    for node in ast.parse((ROOT / "deployer" / "tasks" / "__init__.py").read_text()).body:
        if isinstance(node, ast.FunctionDef) and node.decorator_list:
            lines += [f"### deployer.tasks.{node.name}", "", "```text", _signature(node), ""]
            told = ast.get_docstring(node) or ""
            told = re.sub(r"\n    deployment: .*", "", told).replace("\n\nArgs:\n\n", "\n\n")
            lines += [told, "```", ""]
    return lines


def _signature(node: ast.FunctionDef) -> str:
    """Return the call, without the parameters that Celery and the task itself fill in."""
    node.args.args = [one for one in node.args.args if one.arg != "self"]
    at = [one.arg for one in node.args.kwonlyargs].index("deployment") if node.args.kwonlyargs else None
    if at is not None:
        del node.args.kwonlyargs[at], node.args.kw_defaults[at]
    return f"{node.name}({re.sub('=', ' = ', ast.unparse(node.args))})"


def _outcomes() -> list[str]:
    words = ", ".join(f"`{outcome.value}`" for outcome in Outcome)
    return ["## Outcomes", "", f"The same words in results, logs, metrics and notifications: {words}.", ""]


def _metrics() -> list[str]:
    lines = _table("Metrics", "metric", "kind", "labels", "meaning")
    for one in sorted(vars(metrics).values(), key=lambda value: str(getattr(value, "_name", ""))):
        if isinstance(one, MetricWrapperBase):
            name = one._name + "_total" * isinstance(one, Counter)
            labels = ", ".join(f"`{label}`" for label in one._labelnames)
            lines.append(f"| `{name}` | {one._type} | {labels} | {one._documentation} |")
    for told in metrics._TokenAges(dict).collect():
        lines.append(f"| `{told.name}` | {told.type} | `registry` | {told.documentation} |")
    return [*lines, ""]


def main(arguments: list[str]) -> int:
    """Write the page, or compare it with the one that is there.

    Returns:
        The exit code: 1 if `--check` finds a difference.
    """
    if "--check" in arguments:
        return int(TARGET.read_text() != page() or modules.TARGET.read_text() != modules.page())
    TARGET.write_text(page())
    modules.TARGET.write_text(modules.page())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
