"""Logins at registries by name, from DEPLOYER_LOGINS."""

from __future__ import annotations

import re

_LOGIN = re.compile(
    r"(?P<name>[A-Za-z0-9][\w.-]*)@(?P<host>[A-Za-z0-9.:\[\]-]+)=(?P<user>[^:]+):(?P<password>.+)"
)


def parse_logins(text: str) -> dict[str, tuple[str, str, str]]:
    """Return host, user and password of each login, by its name; no error quotes any of it.

    Raises:
        ValueError: one is malformed, or there are two of one name.
    """
    found: dict[str, tuple[str, str, str]] = {}
    for number, word in enumerate(text.split(), 1):
        match = _LOGIN.fullmatch(word)
        if not match:
            raise ValueError(
                f"login {number} is no name@host=user:password (nor may one contain white space)"
            )
        if match["name"] in found:
            raise ValueError(f"login {number} has the name of another one")
        found[match["name"]] = (match["host"], match["user"], match["password"])
    return found
