"""What an image says of its source: OCI's labels, and a link to the commits between two images."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from deployer.errors import DeployerError

PREFIX = "org.opencontainers.image."
MAX_TEXT = 200  # characters of a label
_FORGE = re.compile(r"https://([a-z0-9.-]+)/([A-Za-z0-9._/-]+?)(?:\.git)?/?")
_NAME = re.compile(r"[A-Za-z0-9._+-]{1,100}")
# The path of a comparison on each kind of forge, by a part of its host's name.
_COMPARE = {
    "github": "compare/{}...{}",
    "gitlab": "-/compare/{}...{}",
    "bitbucket": "branches/compare/{1}%0D{0}",
}

Described = Callable[[str], Mapping[str, str]]
"""Returns the labels of an image by its whole reference; nothing where they are not known."""


def revision(described: Described, image: str | None, previous: str | None = None) -> dict[str, str]:
    """Return `revision`, `source` and `version` of an image, and `compare`, as far as they are told.

    Args:
        described: asks the registry.
        image: that was deployed.
        previous: that ran before, for the link to the commits between the two.
    """
    new = _labels(described, image)
    old = _labels(described, previous) if new.get("revision") else {}
    if link := compare(new.get("source"), old.get("revision"), new.get("revision")):
        return {**new, "compare": link}
    return new


def _labels(described: Described, image: str | None) -> dict[str, str]:
    try:
        told = described(image) if image else {}
    except DeployerError:
        return {}
    names = ("revision", "source", "version")
    return {name: told[PREFIX + name][:MAX_TEXT] for name in names if told.get(PREFIX + name)}


def compare(source: str | None, old: str | None, new: str | None) -> str | None:
    """Return the page that shows the commits between two revisions; None where the forge is not known."""
    place = _FORGE.fullmatch(source or "")
    if not place or not old or not new or old == new or not _NAME.fullmatch(old) or not _NAME.fullmatch(new):
        return None
    path = next((path for kind, path in _COMPARE.items() if kind in place[1]), None)
    return f"https://{place[1]}/{place[2]}/{path.format(old, new)}" if path else None
