"""Which Debian packages the lab needs and this machine does not have; `setup.sh` has the list."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

SETUP = Path(__file__).with_name("setup.sh")


def missing() -> dict[str, str]:
    """Return the missing packages, each with the reason why it is needed."""
    told = subprocess.run([SETUP, "missing"], capture_output=True, text=True, check=True).stdout
    return dict(line.split("|", 1) for line in told.splitlines())


def check() -> None:
    """Say what keeps the lab from running here.

    Raises:
        RuntimeError: something does.
    """
    if os.geteuid():
        raise RuntimeError("the lab needs root: it starts a Docker engine of its own")
    if absent := missing():
        listed = "\n".join(f"  {package:16} {why}" for package, why in absent.items())
        raise RuntimeError(f"the lab needs these Debian packages (lab/setup.sh installs them):\n{listed}")
