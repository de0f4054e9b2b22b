"""`python -m bench.sqs`: the emulator with long polls that wake as quickly as those of SQS.

The emulator looks for messages every 0.1 s, which would hide all that is measured here: a message is
handed to a waiting poll after 5 ms at most, for the floor and for the deployer alike.
"""

from __future__ import annotations

import asyncio
import runpy
from types import SimpleNamespace
from typing import Any

LOOK_SECONDS = 0.005


async def _sleep(seconds: float, *more: Any) -> None:
    await asyncio.sleep(min(seconds, LOOK_SECONDS), *more)


def main() -> None:
    """Run the emulator."""
    from ministack.services import sqs

    sqs.asyncio = SimpleNamespace(**{**vars(asyncio), "sleep": _sleep})
    runpy.run_module("ministack", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
