"""Images in the registry of an ECS in memory, and what their containers do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["ok", "crash", "crash_later", "unhealthy", "missing", "never", "job"]


@dataclass(frozen=True)
class Behaviour:
    """The life of an image's containers.

    `ok` runs; `crash` exits before it runs; `crash_later` runs for a while and exits; `unhealthy` runs, and
    its health check says no; `missing` cannot be pulled; `never` finds no place; `job` runs and exits.
    """

    kind: Kind = "ok"
    start_seconds: float = 2.0  # until it runs, or crashes
    run_seconds: float = 5.0  # until `crash_later` and `job` exit, or the health check has said no
    exit_code: int = 7


class Images:
    """What tags mean, and what images do."""

    def __init__(self) -> None:
        self.digests: dict[str, str] = {}  # "host/repository:tag" to digest, as the registry has them now
        self._behaviours: dict[str, Behaviour] = {}
        self._commands: dict[tuple[str, ...], Behaviour] = {}

    def set(self, image: str, behaviour: Behaviour) -> None:
        """Give an image this behaviour; all names of a digest mean the same."""
        self._behaviours[_key(image)] = behaviour

    def set_command(self, command: Sequence[str], behaviour: Behaviour) -> None:
        """Give whatever runs with this command instead of its image's own this behaviour."""
        self._commands[tuple(command)] = behaviour

    def digest(self, image: str) -> str:
        """Return the digest that an image means now; empty where nobody has told."""
        return image.partition("@")[2] or self.digests.get(image, "")

    def of(self, image: str, command: Sequence[str] = ()) -> Behaviour:
        """Return an image's behaviour, or that of the command which stands in for its own."""
        if command:
            return self._commands.get(tuple(command), Behaviour("job", exit_code=0))
        known = (self._behaviours.get(key) for key in (self.digest(image), _key(image)) if key)
        return next((one for one in known if one), Behaviour())


def _key(image: str) -> str:
    return image.partition("@")[2] or image
