"""Writes the module map of docs/architecture.md from the docstrings; called by `tools.reference`."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "docs" / "architecture.md"
_BETWEEN = re.compile(r"(?<=<!-- modules -->\n).*?(?=\n<!-- /modules -->)", re.DOTALL)


def page() -> str:
    """Return the architecture page with a fresh map: each folder with its sentence, and its modules."""
    table = _map()
    return _BETWEEN.sub(lambda _: table, TARGET.read_text())


def _map() -> str:
    folders = sorted({path.parent for path in (ROOT / "deployer").rglob("*.py")})
    return "\n\n".join(_folder(folder) for folder in folders)


def _folder(folder: Path) -> str:
    lines = [f"**`{folder.relative_to(ROOT).as_posix()}/`** {_sentence(folder / '__init__.py')}"]
    modules = [path for path in sorted(folder.glob("*.py")) if not path.stem.startswith("__")]
    if modules:
        lines += ["", "| module | purpose |", "|---|---|"]
    for path in modules:
        link = path.relative_to(ROOT).as_posix()
        lines.append(f"| [`{path.stem}`](../{link}) | {_sentence(path)} |")
    return "\n".join(lines)


def _sentence(path: Path) -> str:
    return (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n\n", 1)[0].replace("\n", " ")
