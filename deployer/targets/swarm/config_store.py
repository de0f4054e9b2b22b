"""The ledger as a Swarm config object, of which nothing but the labels can be changed."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Protocol

from deployer.errors import NotFoundError, StaleVersionError
from deployer.rollouts.ledger import NAME, Ledger

DATA = base64.b64encode(b"deployer").decode()  # the engine wants content, and refuses a change of it


class Configs(Protocol):
    """The part of the Engine API that knows config objects."""

    def config(self, name: str) -> Mapping[str, Any] | None:
        """Return a config object, None if there is none of this name."""

    def create_config(self, spec: Mapping[str, Any]) -> None:
        """Create a config object; StaleVersionError if there is one of this name."""

    def update_config(self, config_id: str, version: int, spec: Mapping[str, Any]) -> None:
        """Write a config's labels over a version; StaleVersionError if it is no longer the newest."""


class ConfigStore:
    """A store of the ledger over the engine's config objects."""

    def __init__(self, engine: Configs) -> None:
        self._engine = engine

    def ledger(self) -> Ledger:
        """Return the labels of the config object; an empty ledger if there is none yet."""
        raw = self._engine.config(NAME)
        if raw is None:
            return Ledger()
        return Ledger(raw["Spec"].get("Labels") or {}, raw["ID"], int(raw["Version"]["Index"]))

    def write_ledger(self, read: Ledger, labels: Mapping[str, str]) -> None:
        """Replace those labels.

        Raises:
            StaleVersionError: somebody else wrote, or removed the object, since the read.
        """
        spec = {"Name": NAME, "Labels": dict(labels), "Data": DATA}
        if read.id is None:
            self._engine.create_config(spec)
            return
        try:
            self._engine.update_config(read.id, read.version, spec)
        except NotFoundError as fault:
            raise StaleVersionError(f"the config object {NAME} was removed") from fault
