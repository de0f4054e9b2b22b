"""Removes what a lab has made, also when its owner was killed."""

from __future__ import annotations

import subprocess
from pathlib import Path

# It hears what there is to remove on its standard input, and begins when that ends: when the lab is closed,
# or when the kernel closes the pipe because the owner is dead.
SCRIPT = """
trap '' INT TERM HUP
pids='' groups=''
while read -r kind what; do
  case $kind in
    pid) pids="$pids $what" ;;
    cgroup) groups="$groups $what" ;;
    path) set -- "$@" "$what" ;;
  esac
done
tries=0
again() { tries=$((tries + 1)); sleep 0.05; [ $tries -lt 200 ]; }
for pid in $pids; do
  while kill -0 $pid 2>/dev/null && again; do :; done
done
for group in $groups; do
  for found in /sys/fs/cgroup/$group /sys/fs/cgroup/*/$group; do
    while [ -d $found ] && ! find $found -depth -type d -exec rmdir {} + 2>/dev/null && again; do :; done
  done
done
rm -rf -- "$@"
"""


class Janitor:
    """A process of its own session that waits for our end."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["sh", "-c", SCRIPT], stdin=subprocess.PIPE, text=True, start_new_session=True
        )

    def path(self, path: Path) -> None:
        """Remove this file or directory."""
        self._tell("path", str(path))

    def cgroup(self, name: str) -> None:
        """Remove this control group in all hierarchies, with the empty ones in it."""
        self._tell("cgroup", name)

    def wait_for(self, pid: int) -> None:
        """Begin when this process has ended, 10 seconds later at most."""
        self._tell("pid", str(pid))

    def _tell(self, kind: str, what: str) -> None:
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        self._process.stdin.write(f"{kind} {what}\n")
        self._process.stdin.flush()

    def close(self) -> None:
        """Remove all of it now."""
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        self._process.stdin.close()
        self._process.wait(180)  # a built image is some 100,000 files
