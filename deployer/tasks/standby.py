"""Leave the tasks to other workers while this one's engine is not well.

Otherwise a worker at a demoted or cut-off manager would go on taking its share, and give each of them back.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Protocol

from deployer.errors import DeployerError
from deployer.observability.outage import Outage

log = logging.getLogger(__name__)

LONGEST_PAUSE = 5.0  # seconds between two questions to the engine


class Intake(Protocol):
    """The stream of tasks to this worker."""

    def pause(self) -> None:
        """Take no more tasks; those that are running go on."""

    def resume(self) -> None:
        """Take tasks again."""


class Standby:
    """Stop taking tasks when the engine is not well, and go on when it is.

    Args:
        ask: ask the engine for anything that a manager with a quorum knows; raises DeployerError.
        sleep: wait for so many seconds.
        of: what is asked, for the log.
    """

    def __init__(
        self, ask: Callable[[], object], sleep: Callable[[float], object], of: str = "engine"
    ) -> None:
        self._ask, self._sleep = ask, sleep
        self._intake: Intake | None = None
        self._lock = threading.Lock()
        self._asking = False
        self._outage = Outage(
            log,
            f"This worker takes no tasks until its {of} is well: %s",
            "This worker takes tasks again",
        )
        self.active = False

    def watch_over(self, intake: Intake) -> None:
        """Begin: from now on tasks may be left to others."""
        self._intake = intake

    def doubt(self) -> None:
        """Ask the engine, in a thread of its own, because something that needs it has failed."""
        with self._lock:
            if self._intake is None or self._asking:
                return
            self._asking = True
        threading.Thread(target=self._run, args=(self._intake,), name="standby", daemon=True).start()

    def _run(self, intake: Intake) -> None:
        try:
            self.ask_until_well(intake)
        finally:
            with self._lock:
                self._asking = False

    def ask_until_well(self, intake: Intake) -> None:
        """Return when the engine is well; the worker takes no tasks meanwhile."""
        while (fault := self._fault()) is not None:
            pause = self._outage.failed(fault)
            if not self.active:
                self.active = True
                intake.pause()
            self._sleep(min(pause, LONGEST_PAUSE))
        if self.active:
            self.active = False
            intake.resume()
            self._outage.worked()

    def _fault(self) -> str | None:
        try:
            self._ask()
        except DeployerError as fault:
            return str(fault)
        return None
