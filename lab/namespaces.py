"""Namespaces of our own: mounts, network and processes, which all vanish with the process that holds them."""

from __future__ import annotations

import ctypes
import itertools
import os
import signal
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from lab.janitor import Janitor
from lab.processes import Process, children, wait_until

T = TypeVar("T")
_numbers = itertools.count(1)

# Process 1 of the namespace: when it ends, the kernel ends all the others. What is mounted over /etc and /run
# is seen inside only. An empty /run hides the containerd of an engine that runs already (dockerd would use
# it, and our containers would live outside) and keeps the sockets of ours out of the machine's.
# `wait` reaps the children that others leave behind.
HOLDER = """
set -e
ip link set lo up
mkdir -p /etc/docker
mount --bind "$1/hosts" /etc/hosts
mount --bind "$1/etc-docker" /etc/docker
mount -t tmpfs -o mode=755 none /run
touch "$1/ready"
while :; do sleep 1000000 & wait; done
"""


class Namespaces:
    """Namespaces with a loopback interface, an `/etc/hosts`, an `/etc/docker` and a `/run` of their own.

    Args:
        root: a directory of its own, not below /run.
        hosts: names that resolve inside, to addresses there.
        janitor: is told what stays behind.
    """

    def __init__(self, root: Path, hosts: Mapping[str, str], janitor: Janitor) -> None:
        # A control group of our own, in which the engine makes those of its containers.
        self.cgroup = f"lab-{os.getpid()}-{next(_numbers)}"
        self.certificates = root / "etc-docker" / "certs.d"
        self.certificates.mkdir(parents=True, exist_ok=True)
        lines = ["127.0.0.1 localhost", *(f"{address} {name}" for name, address in hosts.items())]
        (root / "hosts").write_text("\n".join(lines) + "\n")
        ready = root / "ready"
        ready.unlink(missing_ok=True)
        janitor.cgroup(self.cgroup)
        kinds = ["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
        holder = ["sh", "-c", HOLDER, "holder", str(root)]
        self._log = root / "holder.log"
        self._process = Process(["unshare", *kinds, "--propagation", "private", *holder], self._log)
        wait_until(lambda: self._is_held(ready), 10, "the namespaces", every=0.01)
        self.pid = children(self._process.pid)[0]
        janitor.wait_for(self.pid)

    def _is_held(self, ready: Path) -> bool:
        if not self._process.running:
            raise RuntimeError(f"no namespaces (root is needed for them): {self._process.text}")
        return ready.exists()

    def command(self, *argv: str, processes: bool = False) -> list[str]:
        """Return the command that runs `argv` in here; with `processes` it ends with the holder."""
        kinds = ["--net", "--mount", *(["--pid"] if processes else [])]
        return ["nsenter", *kinds, "--target", str(self.pid), *argv]

    def call(self, work: Callable[[], T]) -> T:
        """Call a function in a thread that sees the network in here; sockets that it makes stay in here."""
        with ThreadPoolExecutor(1, initializer=self._enter_network) as thread:
            return thread.submit(work).result()

    def _enter_network(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        handle = os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY)
        try:
            # Since Python 3.12 there is os.setns.
            if libc.setns(handle, 0):
                raise OSError(ctypes.get_errno(), "setns")
        finally:
            os.close(handle)

    def close(self) -> None:
        """End every process that runs in here, and wait for it; the mounts go with them."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self._process.join()
