"""The engine that `docker context use` chose, where DOCKER_HOST names none."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deployer.errors import SettingsError

DEFAULT = "default"  # the context that means DOCKER_HOST, or the socket of this host


def honour_context() -> None:
    """Set the variables that name the engine to what the chosen context says, as the `docker` command does.

    Raises:
        SettingsError: DOCKER_CONTEXT names a context that does not exist.
    """
    if os.environ.get("DOCKER_HOST"):
        return
    # In a container the user may have no home, which `Path.home` would raise for.
    home = Path(os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker"))  # noqa: PTH111
    name = os.environ.get("DOCKER_CONTEXT") or _read(home / "config.json").get("currentContext")
    if not isinstance(name, str) or name in {"", DEFAULT}:
        return
    key = hashlib.sha256(name.encode()).hexdigest()
    endpoint = (_read(home / "contexts" / "meta" / key / "meta.json").get("Endpoints") or {}).get("docker")
    if not isinstance(endpoint, Mapping) or not endpoint.get("Host"):
        raise SettingsError(
            f"the docker context {name!r} does not exist (DOCKER_CONTEXT, or currentContext in "
            f"{home / 'config.json'}); list them with `docker context ls`"
        )
    os.environ["DOCKER_HOST"] = str(endpoint["Host"])
    keys = home / "contexts" / "tls" / key / "docker"
    if keys.is_dir():
        os.environ["DOCKER_CERT_PATH"] = str(keys)
        os.environ["DOCKER_TLS_VERIFY"] = "" if endpoint.get("SkipTLSVerify") else "1"


def _read(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, Mapping) else {}
