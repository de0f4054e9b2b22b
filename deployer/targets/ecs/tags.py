"""Our state in the tags of a revision, in the letters and the lengths that ECS allows.

A revision and its tags are made by one request, and the service's pointer to it moves at once, so state and
content cannot differ. Later words (why it failed) are written over them, which restarts nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from deployer.errors import PermanentError
from deployer.model.image import Image
from deployer.model.service import STATE_PREFIX, State

MOST_TAGS = 50
LONGEST = 256  # characters of a value
FAILED_TAGS = 3  # with as many digests each as go in
DIGESTS = 3  # 3 times 71 characters and the spaces between them
AWS = "aws:"  # begins the tags that only AWS writes

_REFUSED = re.compile(r"[^\w \-+=.:/@]")  # letters and digits of any script, and these
_IMAGES = {"image", "previous"}
_LISTS = {"failed", "done"}
_PLAIN = re.compile(r"=([0-9A-F]{2})")

Tags = Mapping[str, str]


@dataclass(frozen=True)
class Record:
    """What the tags of a revision tell of one unit; nothing if they are another one's."""

    state: State = field(default_factory=State)
    deployment: str | None = None  # the id of our deployment of it, once it is known
    former: str | None = None  # the revision to which the service pointed before
    undone: str | None = None  # the service deployment from which it was gone back to this revision
    foreign: bool = False  # the revision is another service's, too, which had its state written there first


def read(tags: Iterable[Mapping[str, Any]] | None) -> dict[str, str]:
    """Return the tags of an answer of ECS by their keys."""
    return {str(tag["key"]): str(tag.get("value") or "") for tag in tags or ()}


def write(tags: Tags) -> list[dict[str, str]]:
    """Return tags as a request has them."""
    return [{"key": key, "value": value} for key, value in tags.items()]


def is_allowed(value: str) -> bool:
    """Return whether ECS takes a value of a tag."""
    return len(value) <= LONGEST and not _REFUSED.search(value)


def others(tags: Tags, further: Collection[str] = ()) -> dict[str, str]:
    """Return the tags that a new revision has to keep: people's, and the state of the service's other units.

    Args:
        tags: of the revision before it.
        further: the containers by which those units are named.
    """
    return {
        key: value
        for key, value in tags.items()
        if not key.startswith(AWS) and (not key.startswith(STATE_PREFIX) or _owner(key) in further)
    }


def _owner(key: str) -> str:
    return key.partition("@")[2]


def owners(tags: Tags) -> dict[str, str]:
    """Return the marks of the units whose state is in tags, by what their keys end with."""
    begin = f"{STATE_PREFIX}service"
    return {_owner(key): mark for key, mark in tags.items() if key.partition("@")[0] == begin and mark}


def formers(tags: Tags, marks: Collection[str]) -> set[str]:
    """Return the revisions to which the units of these marks would go back."""
    found = {tags.get(_key("former", owner)) for owner, mark in owners(tags).items() if mark in marks}
    return {name for name in found if name}


def decode(tags: Tags, mark: str, container: str | None, name: str) -> Record:
    """Read what the tags of a revision tell of a unit.

    Args:
        tags: of the revision.
        mark: of the unit; state that carries another one is another service's.
        container: the unit's, None for a service's first.
        name: of the unit's repository, with its host.
    """
    known = owners(tags)
    foreign = known.get(container or "", mark) != mark
    owner = _guest(mark) if foreign else container or ""
    if known.get(owner) != mark:
        return Record(foreign=foreign)

    def value(field: str) -> str | None:
        return tags.get(_key(field, owner)) or None

    found: dict[str, str] = {}
    for one in fields(State):
        key = one.name.replace("_", "-")
        texts = [value(key), *(value(f"{key}.{n}") for n in range(2, FAILED_TAGS + 1))]
        text = " ".join(text for text in texts if text)
        if text:
            found[f"{STATE_PREFIX}{key}"] = _decoded(one.name, text, name)
    return Record(State.of(found), value("deployment"), value("former"), value("undone"), foreign)


def _guest(mark: str) -> str:
    """Return what the keys end with of a unit that shares its owner's revision with another service."""
    return mark[:8]


def _key(field: str, owner: str) -> str:
    return f"{STATE_PREFIX}{field}@{owner}" if owner else f"{STATE_PREFIX}{field}"


def _decoded(field: str, text: str, name: str) -> str:
    if field in _IMAGES:
        return name + text if text[0] in ":@" else text
    if field in _LISTS:
        return ",".join(_unquoted(word) for word in text.split())
    return text if field == "reason" else _unquoted(text)


def encode(record: Record, mark: str, container: str | None, name: str) -> dict[str, str]:
    """Return the tags that hold what is to be remembered of a unit.

    Args:
        record: what is to be remembered.
        mark: of the unit.
        container: the unit's, None for a service's first.
        name: of the unit's repository, with its host.
    """
    owner = _guest(mark) if record.foreign else container or ""
    told = {"deployment": record.deployment, "former": record.former, "undone": record.undone}
    found = {"service": mark} | {key: text or "" for key, text in told.items()}
    for one in fields(State):
        key, text = one.name.replace("_", "-"), getattr(record.state, one.name) or ""
        if one.name == "failed":
            found |= _failed(text)
        else:
            found[key] = _encoded(one.name, text, name)
    return {_key(key, owner): value for key, value in found.items() if value}


def _failed(text: str) -> dict[str, str]:
    digests = text.split(",")[: DIGESTS * FAILED_TAGS] if text else []
    parts = [digests[place : place + DIGESTS] for place in range(0, len(digests), DIGESTS)]
    return {f"failed.{n}" if n > 1 else "failed": " ".join(part) for n, part in enumerate(parts, 1)}


def _encoded(field: str, text: str, name: str) -> str:
    if field in _IMAGES:
        image = Image.find(text)
        short = text.removeprefix(name) if image and image.name == name else text
        return short if is_allowed(short) else ""
    if field in _LISTS:
        words: list[str] = []
        for word in map(_quoted, text.split(",")):
            if len(" ".join([*words, word])) <= LONGEST:
                words.append(word)
        return " ".join(words)
    if field == "reason":
        return _readable(text)
    quoted = _quoted(text)
    return quoted if len(quoted) <= LONGEST else ""


def _readable(text: str) -> str:
    """Return a text for people in the letters that there are."""
    plain = text.translate({ord("("): "- ", ord(")"): "", ord(","): " ", ord(";"): " -"})
    return " ".join(_REFUSED.sub(" ", plain).split())[:LONGEST].strip()


def _quoted(text: str) -> str:
    """Return a text from which it can be read back whatever letters it has."""

    def hexed(match: re.Match[str]) -> str:
        return "".join(f"={byte:02X}" for byte in match[0].encode("utf-8", "surrogatepass"))

    return re.sub(r"[^A-Za-z0-9_\-+.:/@]", hexed, text)


def _unquoted(text: str) -> str:
    raw = _PLAIN.sub(lambda match: chr(int(match[1], 16)), text)
    try:
        return raw.encode("latin-1").decode("utf-8", "surrogatepass")
    except UnicodeError:
        return text


def over(tags: Tags, more: Tags) -> dict[str, str]:
    """Return the tags to write over those of a revision; what is no longer said is written as empty.

    Raises:
        PermanentError: there is no room for them.
    """
    mine = set(map(_owner, more))
    gone = {
        key: ""
        for key, value in tags.items()
        if value and key.startswith(STATE_PREFIX) and _owner(key) in mine and key not in more
    }
    room({**tags, **more})
    return {**more, **gone}


def room(tags: Tags) -> None:
    """Check that a revision may carry as many tags.

    Raises:
        PermanentError: it may not.
    """
    if len(tags) > MOST_TAGS:
        own = sum(key.startswith(STATE_PREFIX) for key in tags)
        raise PermanentError(
            f"the task definition has {len(tags) - own} tags, and the deployer's state needs {own} more: ECS "
            f"allows {MOST_TAGS}; remove {len(tags) - MOST_TAGS} of them"
        )


def with_deployment(record: Record, deployment: str | None) -> Record:
    """Return a record that knows the id of our deployment."""
    return replace(record, deployment=deployment)
