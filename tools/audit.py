"""Asks whether something is known against what the lock files pin: `make audit`, or `python -m tools.audit`.

Options are handed on to pip-audit, such as `--osv-url URL` for a mirror of osv.dev. Exit status: 0 nothing is
known, 1 something is, 2 nobody could be asked about all of it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
LOCKS = ("requirements.lock", "requirements-build.lock")
# Who knows: the first one that answers for every package is enough.
SOURCES = {"osv": "osv.dev", "pypi": "PyPI"}
CLEAN, KNOWN, UNANSWERED = 0, 1, 2


@dataclass(frozen=True)
class Verdict:
    """What one source says: an exit status, and lines for a person."""

    status: int
    lines: tuple[str, ...]


def main() -> int:
    """Ask one source after the other, and say who answered what."""
    locks = [ROOT / name for name in LOCKS]
    for source, name in SOURCES.items():
        verdict = judge(name, *ask(source, locks, sys.argv[1:]))
        print(*verdict.lines, sep="\n")
        if verdict.status != UNANSWERED:
            print(*withdrawn(locks), sep="\n")
            return verdict.status
    print("Nothing can be said of known weaknesses: run it where osv.dev or PyPI can be reached.")
    return UNANSWERED


def ask(source: str, locks: Sequence[Path], options: Sequence[str] = ()) -> tuple[str, str]:
    """Return pip-audit's report and its errors.

    Args:
        source: where it looks, in its words: osv or pypi.
        locks: requirements with hashes; nothing is resolved or installed.
        options: more options of pip-audit.
    """
    argv = [sys.executable, "-m", "pip_audit", "--vulnerability-service", source, "--disable-pip"]
    argv += ["--require-hashes", "--format", "json", "--progress-spinner", "off", "--timeout", "20"]
    argv += [word for lock in locks for word in ("--requirement", str(lock))]
    done = subprocess.run([*argv, *options], capture_output=True, text=True, check=False)
    return done.stdout, done.stderr


def judge(name: str, report: str, errors: str) -> Verdict:
    """Return whether a source has answered, and its verdict.

    pip-audit ends well also if the source knows none of the packages, as a mirror without advisories does.

    Args:
        name: of the source.
        report: JSON of pip-audit; empty if it has failed.
        errors: what else it said.
    """
    try:
        packages = json.loads(report)["dependencies"]
    except (ValueError, KeyError):
        last = errors.strip().splitlines()[-1:] or ["no reason is given"]
        return Verdict(UNANSWERED, (f"{name} cannot be asked: {last[0]}",))
    skipped = [one["name"] for one in packages if "skip_reason" in one]
    known = tuple(line for one in packages for line in _weaknesses(one))
    if known:
        return Verdict(KNOWN, (f"{name} knows of:", *known))
    if skipped or not packages:
        left = f"{len(skipped)} of {len(packages)} packages: {' '.join(skipped[:5])} …"
        return Verdict(UNANSWERED, (f"{name} does not answer for {left}",))
    return Verdict(CLEAN, (f"{name} knows of nothing against {len(packages)} packages.",))


def _weaknesses(package: Mapping[str, Any]) -> Iterator[str]:
    for one in package.get("vulns", ()):
        names = " ".join([one["id"], *one.get("aliases", ())])
        mended = ", ".join(one.get("fix_versions", ())) or "no version yet"
        yield f"  {package['name']} {package['version']}: {names}; mended in {mended}"


def withdrawn(locks: Sequence[Path]) -> Iterator[str]:
    """Return lines on versions that their authors have withdrawn, in pip's words."""
    pip = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--require-hashes",
        "--no-cache-dir",
    ]
    for lock in locks:
        with tempfile.TemporaryDirectory() as made:
            argv = [*pip, "--only-binary", ":all:", "--dest", made, "--requirement", str(lock)]
            done = subprocess.run(argv, capture_output=True, text=True, check=False)
        yield from (line for line in done.stderr.splitlines() if "yanked" in line)


if __name__ == "__main__":
    raise SystemExit(main())
