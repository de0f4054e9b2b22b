"""Lists a page at a time, as ECS gives them out. Pure."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from lab.ecs.refusal import invalid

# By action: the size of a page unless the request says, and the largest that it may ask for.
SIZES = {
    "ListClusters": (100, 100),
    "ListServices": (10, 100),
    "ListTasks": (100, 100),
    "ListTaskDefinitions": (100, 100),
    "ListTaskDefinitionFamilies": (100, 100),
    "ListServiceDeployments": (20, 100),
}


def size_of(action: str, members: Mapping[str, Any]) -> int:
    """Return the size of the page that a request asks for.

    Raises:
        Refusal: it is no size for a page.
    """
    usual, largest = SIZES[action]
    size = members.get("maxResults")
    if size is None:
        return usual
    if not isinstance(size, int) or not 1 <= size <= largest:
        raise invalid(f"maxResults must be between 1 and {largest}.")
    return size


def page(action: str, members: Mapping[str, Any], name: str, everything: Sequence[Any]) -> dict[str, Any]:
    """Return one page of a list under this name, with the token of the next where there is one.

    Raises:
        Refusal: no page begins at the token given.
    """
    size, begin = size_of(action, members), _begin(action, members.get("nextToken"))
    answer: dict[str, Any] = {name: list(everything[begin : begin + size])}
    if begin + size < len(everything):
        answer["nextToken"] = token(action, begin + size)
    return answer


def token(action: str, begin: int) -> str:
    """Return an opaque token of the page that begins there."""
    return base64.urlsafe_b64encode(f"{action}:{begin}".encode()).decode()


def _begin(action: str, given: str | None) -> int:
    if not given:
        return 0
    try:
        of, _, begin = base64.urlsafe_b64decode(given).decode().partition(":")
    except ValueError:
        of, begin = "", ""
    if of != action or not begin.isdecimal():
        raise invalid("Invalid token.")
    return int(begin)
