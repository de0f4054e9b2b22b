"""Former name of `deployer.broker.channel`, for a celeryconfig.py of 0.1; the next version has it no more."""

import warnings

from deployer.broker.channel import BROKER_URL, register

__all__ = ["BROKER_URL", "register"]

# A FutureWarning: Python shows the operator no DeprecationWarning.
warnings.warn(
    "celeryconfig.py imports deployer.bus, which is deployer.broker.channel now and will be gone in the next"
    " version; take over the lines of the celeryconfig.py that comes with the package",
    FutureWarning,
    stacklevel=2,
)
