"""Where the programs of this machine are, looked for as setup.sh does."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

# Programs of packages come first: engine and client then fit each other. LAB_PATH names other places.
PATH = os.environ.get("LAB_PATH") or f"/usr/bin:/usr/sbin:/bin:/sbin:{os.environ.get('PATH', '')}"


def program(name: str) -> str:
    """Return the path of a program; its mere name if it is missing, so that its start says so."""
    return shutil.which(name, path=PATH) or name


def with_libraries(path: str) -> list[str]:
    """Return a program and the libraries that it needs; the program alone if it is static."""
    told = subprocess.run(["ldd", path], capture_output=True, text=True).stdout
    return [path, *re.findall(r"(/\S+) \(0x", told)]
