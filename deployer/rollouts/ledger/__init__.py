"""The ledger: holds, memory of failure, slots, turns of the whole Swarm, in one config object's labels."""

from __future__ import annotations

from deployer.rollouts.ledger.book import (
    NAME,
    Ledger,
    Store,
    amend,
    forget,
    remember,
    set_freeze,
    set_hold,
)
from deployer.rollouts.ledger.failures import Failure
from deployer.rollouts.ledger.holds import FREEZE, HOLD, Hold

__all__ = [
    "FREEZE",
    "HOLD",
    "NAME",
    "Failure",
    "Hold",
    "Ledger",
    "Store",
    "amend",
    "forget",
    "remember",
    "set_freeze",
    "set_hold",
]
