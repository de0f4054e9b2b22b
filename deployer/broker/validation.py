"""Validate task messages of Celery's protocol 2 before Celery sees them (Celery, "Message Protocol").

Celery trusts what it finds in a message. A title that is a list, say, gets past it as far as a thread of the
pool, where the error is dropped with the thread's place (Celery 5.7). So all of it is validated before.
"""

from __future__ import annotations

from collections.abc import Mapping

# None is as good as a header that is not there.
HEADERS: Mapping[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("argsrepr", "eta", "expires", "group", "kwargsrepr", "lang", "origin"), str),
    **dict.fromkeys(("parent_id", "root_id", "shadow"), str),
    **dict.fromkeys(("group_index", "replaced_task_nesting", "retries"), int),
    "ignore_result": bool,
    "stamped_headers": (list, tuple, set),
    "stamps": Mapping,
    "timelimit": list,
}
SIGNATURE = {"task": str, "args": list, "kwargs": Mapping, "options": Mapping}


class NoTaskError(ValueError):
    """A message is no task's; says why."""


def check_headers(headers: object) -> None:
    """Refuse headers that are not those of a task.

    Raises:
        NoTaskError: says which one is wrong.
    """
    if not isinstance(headers, Mapping) or not all(
        isinstance(headers.get(key), str) for key in ("task", "id")
    ):
        raise NoTaskError("no name and id of a task")
    for key, kind in HEADERS.items():
        value = headers.get(key)
        if value is not None and not isinstance(value, kind):
            raise NoTaskError(f"header {key} is a {type(value).__name__}")
    if not all(isinstance(name, str) for name in headers.get("stamped_headers") or ()):
        raise NoTaskError("header stamped_headers holds more than names")
    limits = headers.get("timelimit")
    if limits is not None and not (len(limits) == 2 and all(map(_is_limit, limits))):
        raise NoTaskError("header timelimit is not a pair of seconds")


def _is_limit(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def check_body(body: object) -> None:
    """Refuse a body that is not `[args, kwargs, embed]`, where embed says what follows the task.

    Raises:
        NoTaskError: says what is wrong with it.
    """
    if not isinstance(body, list | tuple) or len(body) != 3:
        raise NoTaskError("not three parts")
    args, kwargs, embed = body
    if not isinstance(args, list) or not isinstance(kwargs, dict):
        raise NoTaskError("no arguments of a task")
    if not isinstance(embed, Mapping | None):
        raise NoTaskError("what follows is no mapping")
    left = dict(embed or {})
    for key in ("callbacks", "errbacks", "chain"):
        following = left.pop(key, None)
        if following is not None and not (isinstance(following, list) and all(map(_is_signature, following))):
            raise NoTaskError(f"{key} are no tasks")
    chord = left.pop("chord", None)
    if chord is not None and not _is_signature(chord):
        raise NoTaskError("chord is no task")
    if left:
        raise NoTaskError("more than a body has")


def _is_signature(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(value.get(key), kind) for key, kind in SIGNATURE.items()
    )
