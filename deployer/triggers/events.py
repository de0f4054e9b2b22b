"""Read the messages of the events queue: each asks for a deployment, nothing, or a person's attention.

Whatever a body is, `parse` answers with one of three values and raises nothing, so that no message stops the
consumer. Pure.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from deployer.errors import InvalidReferenceError
from deployer.model.image import (
    IMAGE_CONFIGS,
    Image,
    ecr_host,
    is_account,
    is_companion_tag,
    is_digest,
    is_region,
    is_repository,
    is_tag,
)
from deployer.triggers.envelope import UnreadableError, quote, unwrap
from deployer.triggers.forms import RawPush, images_of, object_or_empty, read, valid_field
from deployer.triggers.verdict import Deploy, Ignore, NoPushError, Reject

MAX_EVENT = 100_000  # characters: base64 twice over, it still fits into SQS's 262,144 bytes
_EVENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}")
_ID_NAMESPACE = uuid.UUID("5f0b5dc6-3bb0-5d0c-9f3e-6d2d34f0a1c7")


def parse(
    body: str | bytes | Mapping[str, Any],
    *,
    accept: Collection[str] = (),
    sent_at: datetime | None = None,
    now: datetime | None = None,
) -> Deploy | Ignore | Reject:
    """Say what a message asks for. Never raises, whatever the body is.

    `accept` names the opt-in kinds that count. `sent_at` is when the queue took the message: it
    replaces a push time that is missing or later; without it `now` does.
    """
    try:
        event = unwrap(body)
        push = read(event, accept)
        image, digest = _image(push), _digest(push.digest)
        _drop_manifests(event)
        pushed_at = _pushed_at(event.get("time"), sent_at, now or datetime.now(UTC))
        # Written into the event, so that whoever parses it again, later, reads the same. The time comes
        # first: two pushes that tell neither time nor id differ in when the queue took them.
        event["time"] = pushed_at.isoformat()
        event["id"] = _id(event)
        others = (image.with_tag(tag) for tag in push.others if isinstance(tag, str) and is_tag(tag))
        return Deploy(image, digest, event["id"], pushed_at, push.kind, event, tuple(others))
    except UnreadableError as fault:
        return Reject(fault.reason, fault.detail)
    except NoPushError as stop:
        return stop.verdict


def _image(push: RawPush) -> Image:
    """Return the image, with its tag, of a push that brought one."""
    if push.tag in (None, ""):
        # Also every platform's own manifest of a multi-arch push: only their index has the tag.
        raise NoPushError(Ignore("untagged"))
    if push.artifact not in (None, "", *IMAGE_CONFIGS):
        raise NoPushError(Ignore("not-an-image", quote(push.artifact)))
    host = push.host or ecr_host(
        valid_field(push.account, "account", "account", is_account),
        valid_field(push.region, "region", "region", is_region),
    )
    repository = valid_field(push.repository, "repository-name", "repository", is_repository)
    tag = valid_field(push.tag, "image-tag", "tag", is_tag)
    if is_companion_tag(tag):
        raise NoPushError(Ignore("not-an-image", quote(tag)))
    try:
        return Image(host, repository, tag)
    except InvalidReferenceError as fault:  # host and repository together are too long
        raise NoPushError(Reject("invalid repository", quote(str(fault)))) from None


def _digest(value: object) -> str | None:
    return None if value in (None, "") else valid_field(value, "image-digest", "digest", is_digest)


def _drop_manifests(event: dict[str, Any]) -> None:
    """Take out CloudTrail's manifests, which may be larger than a queue's message may be."""
    for image in images_of(object_or_empty(event.get("detail"))):
        image.pop("imageManifest", None)
    if len(_canonical(event)) > MAX_EVENT:
        raise NoPushError(Reject("too-large", f"more than {MAX_EVENT} characters"))


def _canonical(event: dict[str, Any]) -> str:
    return json.dumps(event, sort_keys=True, separators=(",", ":"))


def _id(event: dict[str, Any]) -> str:
    """Return the event's id; one derived from its content and time where it has none that can name a task."""
    given = event.get("id")
    if isinstance(given, str) and _EVENT_ID.fullmatch(given):
        return given
    return str(uuid.uuid5(_ID_NAMESPACE, _canonical(event)))


def _pushed_at(time: object, sent_at: datetime | None, now: datetime) -> datetime:
    """Return the time of the push, no later than that of the message: clocks differ."""
    latest = min(_utc(sent_at or now), _utc(now))
    try:
        pushed_at = datetime.fromisoformat(time) if isinstance(time, str) else latest
        return latest if pushed_at.tzinfo is None else min(pushed_at.astimezone(UTC), latest)
    except (ValueError, OverflowError):
        return latest


def _utc(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
