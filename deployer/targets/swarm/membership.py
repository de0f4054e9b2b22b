"""Tell from `GET /info` whether an engine can ever serve a worker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def why_no_manager(info: Mapping[str, Any]) -> str | None:
    """Return why an engine is no Swarm manager; None if it is one, or may be one in a moment.

    A manager that starts, is locked or has lost the quorum says that it is not in control, too.
    """
    swarm = info.get("Swarm") or {}
    if swarm.get("ControlAvailable"):
        return None
    state = swarm.get("LocalNodeState") or "inactive"
    if state == "inactive":
        return "is not part of a Swarm"
    managers = {one.get("NodeID") for one in swarm.get("RemoteManagers") or ()}
    if state == "active" and swarm.get("NodeID") not in managers:
        return "is a worker node, not a manager"
    return None
