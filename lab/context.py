"""What is started on entering a `with` block and closed on leaving it, also when the start fails."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Context(ABC):
    """Start on entry, and close at the end."""

    @abstractmethod
    def start(self) -> None:
        """Start every part, and wait until all of them serve."""

    @abstractmethod
    def close(self) -> None:
        """End everything, whatever has been started."""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
