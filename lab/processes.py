"""Processes that end with us, and waiting for what they do."""

from __future__ import annotations

import ctypes
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
PR_SET_PDEATHSIG = 1  # prctl(2): the kernel ends the child when the thread that made it ends
_libc = ctypes.CDLL(None, use_errno=True)


def wait_until(condition: Callable[[], T], timeout: float = 30.0, what: str = "", every: float = 0.05) -> T:
    """Wait for a condition to be truthy, and return its value.

    Args:
        condition: asked again and again.
        timeout: in seconds.
        what: what is waited for, for the error.
        every: seconds between two looks.

    Raises:
        TimeoutError: it is not within `timeout` seconds.
    """
    until = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > until:
            raise TimeoutError(f"after {timeout:g} s still not: {what or condition} (last: {value!r})")
        time.sleep(every)


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on.

    It lies below the ports that the kernel gives to connections (ip_local_port_range), so that it is still
    free when a server that was stopped wants it again.
    """
    while True:
        port = random.randrange(20000, 32000)  # noqa: S311 - any free one will do
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def children(pid: int) -> list[int]:
    """Return the direct children of a process."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _die_with_parent() -> None:
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """A process with its log in a file. It ends with the thread that starts it: let that be the main one.

    Args:
        argv: the command.
        log: where its output goes.
        env: its whole environment; ours if there is none.
        forks: the command is a mere parent (`nsenter --pid`): signals are for its child.
    """

    def __init__(
        self, argv: list[str], log: Path, env: Mapping[str, str] | None = None, forks: bool = False
    ) -> None:
        self.log = log
        self._forks = forks
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(env) if env is not None else None,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )

    @property
    def pid(self) -> int:
        """Return the process's id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Return whether it is still running."""
        return self._process.poll() is None

    @property
    def text(self) -> str:
        """Return everything that it has written."""
        return self.log.read_text(errors="replace")

    def signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self.running:
            for pid in (children(self.pid) if self._forks else []) or [self.pid]:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)

    def freeze(self) -> None:
        """Stop it where it stands: its sockets stay open and nothing answers."""
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self.signal(signal.SIGCONT)
        if self._forks and self.running:
            # nsenter stops itself together with its child.
            os.kill(self.pid, signal.SIGCONT)

    def join(self, timeout: float = 10.0) -> int:
        """Wait for its end, for so many seconds; its exit status.

        Raises:
            subprocess.TimeoutExpired: it has not ended.
        """
        return self._process.wait(timeout)

    def stop(self, timeout: float = 20.0) -> float:
        """End it with SIGTERM, and with SIGKILL if it takes longer; how long it took, in seconds."""
        begun = time.monotonic()
        self.thaw()
        self.signal(signal.SIGTERM)
        try:
            self.join(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
        return time.monotonic() - begun

    def kill(self) -> None:
        """End it with SIGKILL, and the children that it has made with it."""
        if self._forks:
            self.thaw()  # a stopped nsenter would not see that its child is gone
            self.signal(signal.SIGKILL)
        else:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        self.join()
