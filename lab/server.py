"""What the servers of the lab have in common: they start, stop, stand still, and come back."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod

from lab.processes import Process, wait_until


class Server(ABC):
    """A server that is one process.

    Args:
        name: how it is called in errors.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.process: Process | None = None

    @abstractmethod
    def launch(self) -> Process:
        """Start the process, without waiting."""

    @abstractmethod
    def answers(self) -> bool:
        """Return whether it is ready; an OSError means no."""

    def start(self) -> None:
        """Start it and wait until it answers.

        Raises:
            RuntimeError: it ended; with the end of its log.
        """
        self.begin()
        self.ready()

    def begin(self) -> None:
        """Start it; `ready` waits for it."""
        self.process = self.launch()

    def ready(self, timeout: float = 30.0) -> None:
        """Wait until it answers, for so many seconds."""
        wait_until(self._serves, timeout, f"an answer of {self.name}", every=0.02)

    def _serves(self) -> bool:
        if not self.running:
            said = self.process.text[-2000:] if self.process else ""
            raise RuntimeError(f"{self.name} ended: {said}")
        try:
            return self.answers()
        except OSError:
            return False

    @property
    def running(self) -> bool:
        """Return whether its process is alive, even if frozen."""
        return self.process is not None and self.process.running

    def stop(self) -> None:
        """Stop it in good order: connections are refused from now on."""
        if self.process:
            self.process.stop()

    def kill(self) -> None:
        """End it as a power cut would."""
        if self.process:
            self.process.kill()

    def freeze(self, seconds: float | None = None) -> None:
        """Let it take connections and answer none, until `thaw` or, if given, for so many seconds."""
        if self.process:
            self.process.freeze()
            if seconds is not None:
                time.sleep(seconds)
                self.thaw()

    def thaw(self) -> None:
        """Let it go on after a freeze."""
        if self.process:
            self.process.thaw()

    def restart(self, down: float = 0.0) -> None:
        """Stop it, and start it again after so many seconds."""
        self.stop()
        time.sleep(down)
        self.start()

    def restore(self) -> None:
        """Have it serve, whatever was done to it."""
        if self.running:
            self.thaw()
        else:
            self.start()
