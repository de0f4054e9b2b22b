"""Read the messages of the events queue: each asks for a deployment, nothing, or a person\'s attention.

A push to ECR reaches us as EventBridge's `ECR Image Action`, as a CloudTrail `PutImage` call or in
the CloudEvents form that some rules' input transformers make of it, a push to another registry as the
event that `deployer webhook` makes of its hook. Whatever a body is, `parse` answers with one of three
values and raises nothing, so that no message stops the consumer.
Field names: "Amazon ECR events and EventBridge" in the ECR user guide, CloudTrail's records.
Pure.
"""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

REPLICATION, PULL_THROUGH_CACHE = "replication", "pull-through-cache"
OPT_IN_KINDS = frozenset({REPLICATION, PULL_THROUGH_CACHE})
"""The kinds that are deployed only where DEPLOYER_ACCEPT_EVENTS names them."""

WEBHOOK = "deployer.webhook"
"""The source of an event that our webhook has made: its detail names the image in full."""

MAX_EVENT = 100_000  # characters: base64 twice over, it still fits into SQS's 262,144 bytes
_EVENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}")
_ID_NAMESPACE = uuid.UUID("5f0b5dc6-3bb0-5d0c-9f3e-6d2d34f0a1c7")


@dataclass(frozen=True)
class Deploy:
    """An image was pushed under a tag: services that follow it may have to be updated.

    `event` is the bare event, ready for a queue message: parsed again, it gives this same value, if
    the opt-in kinds are accepted.
    """

    image: Image  # with a tag, without a digest
    digest: str | None  # a hint: only the registry knows what the tag means now
    id: str  # the same in every delivery of one event
    pushed_at: datetime  # UTC, never later than the message was sent
    kind: str  # push, cloudtrail, cloudevents, webhook, replication or pull-through-cache
    event: dict[str, Any]


@dataclass(frozen=True)
class Ignore:
    """A well-formed message that is not for us."""

    reason: str
    detail: str = ""

    def __str__(self) -> str:
        """Return both in one line."""
        return f"{self.reason}: {self.detail}" if self.detail else self.reason


@dataclass(frozen=True)
class Reject:
    """A message that cannot be understood: for the dead-letter queue and a person."""

    reason: str
    detail: str = ""

    def __str__(self) -> str:
        """Return both in one line."""
        return f"{self.reason}: {self.detail}" if self.detail else self.reason


class _NoPushError(Exception):
    """There is nothing to deploy; `verdict` says why."""

    def __init__(self, verdict: Ignore | Reject) -> None:
        self.verdict = verdict


@dataclass(frozen=True)
class _Push:
    """The fields that every form of event has, as they came: nothing is validated yet."""

    kind: str
    account: object
    region: object
    repository: object
    tag: object
    digest: object
    artifact: object = None  # the media type of the manifest's config
    host: str | None = None  # of a registry that is not named by account and region


@dataclass(frozen=True)
class _Form:
    """One of ECR's own events: when it tells of a success, and where it says so."""

    detail_type: str
    kind: str
    action: str | None
    result: str


# Account and region of a replication are the destination's.
_FORMS = (
    _Form("ECR Image Action", "push", "PUSH", "result"),
    _Form("ECR Replication Action", REPLICATION, "REPLICATE", "result"),
    _Form("ECR Pull Through Cache Action", PULL_THROUGH_CACHE, None, "sync-status"),
)


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
        push = _read(event, accept)
        image, digest = _image(push), _digest(push.digest)
        _drop_manifests(event)
        pushed_at = _pushed_at(event.get("time"), sent_at, now or datetime.now(UTC))
        # Written into the event, so that whoever parses it again, later, reads the same. The time comes
        # first: two pushes that tell neither time nor id differ in when the queue took them.
        event["time"] = pushed_at.isoformat()
        event["id"] = _id(event)
        return Deploy(image, digest, event["id"], pushed_at, push.kind, event)
    except UnreadableError as fault:
        return Reject(fault.reason, fault.detail)
    except _NoPushError as stop:
        return stop.verdict


def _read(event: dict[str, Any], accept: Collection[str]) -> _Push:
    """Find the push in an event of any known form, or stop because there is none."""
    source, detail_type = event.get("source"), event.get("detail-type")
    if not isinstance(source, str) or not ("specversion" in event or "detail-type" in event):
        raise _NoPushError(Ignore("foreign", "no event of EventBridge"))
    if "specversion" in event:
        return _cloudevent(event, source)
    if source == WEBHOOK:
        return _webhook(_object(event.get("detail"), "detail"))
    if source != "aws.ecr":
        reason = "public-ecr" if source == "aws.ecr-public" else "source"
        raise _NoPushError(Ignore(reason, quote(source)))
    if detail_type == "AWS API Call via CloudTrail":
        return _cloudtrail(event, _object(event.get("detail"), "detail"))
    for form in _FORMS:
        if detail_type == form.detail_type:
            return _eventbridge(event, _object(event.get("detail"), "detail"), form, accept)
    raise _NoPushError(Ignore("detail-type", quote(detail_type)))


def _eventbridge(
    event: dict[str, Any], detail: dict[str, Any], form: _Form, accept: Collection[str]
) -> _Push:
    action, result = detail.get("action-type"), detail.get(form.result)
    if action != form.action:
        raise _NoPushError(Ignore("action-not-push", quote(action)))
    if result != "SUCCESS":
        raise _NoPushError(Ignore("result-not-success", quote(result)))
    if form.kind in OPT_IN_KINDS and form.kind not in accept:
        raise _NoPushError(Ignore("not in DEPLOYER_ACCEPT_EVENTS", form.kind))
    return _Push(
        form.kind,
        event.get("account"),
        event.get("region"),
        detail.get("repository-name"),
        detail.get("image-tag"),
        detail.get("image-digest"),
        detail.get("artifact-media-type"),
    )


def _cloudtrail(event: dict[str, Any], detail: dict[str, Any]) -> _Push:
    if detail.get("eventName") != "PutImage":
        raise _NoPushError(Ignore("action-not-push", quote(detail.get("eventName"))))
    if str(detail.get("eventSource")).startswith("ecr-public."):
        raise _NoPushError(Ignore("public-ecr"))
    if detail.get("errorCode") or detail.get("errorMessage"):
        raise _NoPushError(Ignore("error", quote(detail.get("errorCode"))))
    request, image = _images(detail)
    ids = _object_or_empty(image.get("imageId"))
    # The caller's account and the registry's may differ: the registry's own id comes first.
    return _Push(
        "cloudtrail",
        image.get("registryId") or request.get("registryId") or event.get("account"),
        detail.get("awsRegion") or event.get("region"),
        image.get("repositoryName") or request.get("repositoryName"),
        ids.get("imageTag") or request.get("imageTag"),
        ids.get("imageDigest") or request.get("imageDigest"),
    )


def _images(detail: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the image of a CloudTrail record: as asked for and as answered."""
    answer = _object_or_empty(detail.get("responseElements"))
    return _object_or_empty(detail.get("requestParameters")), _object_or_empty(answer.get("image"))


def _cloudevent(event: dict[str, Any], source: str) -> _Push:
    """Read the form that the input transformer of argocd-image-updater's documentation makes."""
    urn = source.split(":", 5)
    if len(urn) != 6 or urn[0] != "urn" or urn[2] != "ecr":
        raise _NoPushError(Ignore("source", quote(source)))
    if event.get("type") != "com.amazon.ecr.image.push":
        raise _NoPushError(Ignore("detail-type", quote(event.get("type"))))
    data = _object(event.get("data"), "data")
    return _Push(
        "cloudevents",
        data.get("registryId") or urn[4],
        urn[3],
        data.get("repositoryName"),
        data.get("imageTag"),
        data.get("imageDigest"),
    )


def _webhook(detail: dict[str, Any]) -> _Push:
    try:
        image = Image.parse(_field(detail.get("image"), "image", "image", bool))
    except InvalidReferenceError as fault:
        raise _NoPushError(Reject("invalid image", quote(str(fault)))) from None
    digest = detail.get("digest") or image.digest
    return _Push("webhook", None, None, image.repository, image.tag, digest, host=image.host)


def _image(push: _Push) -> Image:
    """Return the image, with its tag, of a push that brought one."""
    if push.tag in (None, ""):
        # Also every platform's own manifest of a multi-arch push: only their index has the tag.
        raise _NoPushError(Ignore("untagged"))
    if push.artifact not in (None, "", *IMAGE_CONFIGS):
        raise _NoPushError(Ignore("not-an-image", quote(push.artifact)))
    host = push.host or ecr_host(
        _field(push.account, "account", "account", is_account),
        _field(push.region, "region", "region", is_region),
    )
    repository = _field(push.repository, "repository-name", "repository", is_repository)
    tag = _field(push.tag, "image-tag", "tag", is_tag)
    if is_companion_tag(tag):
        raise _NoPushError(Ignore("not-an-image", quote(tag)))
    try:
        return Image(host, repository, tag)
    except InvalidReferenceError as fault:  # host and repository together are too long
        raise _NoPushError(Reject("invalid repository", quote(str(fault)))) from None


def _field(value: object, key: str, noun: str, valid: Callable[[str], bool]) -> str:
    if value in (None, ""):
        raise _NoPushError(Reject(f"missing {key}"))
    if not isinstance(value, str):
        # A number that was an account has lost its leading zeros: it must not be turned back.
        raise _NoPushError(Reject(f"{noun} not a string", type(value).__name__))
    if not valid(value):
        raise _NoPushError(Reject(f"invalid {noun}", quote(value)))
    return value


def _digest(value: object) -> str | None:
    return None if value in (None, "") else _field(value, "image-digest", "digest", is_digest)


def _object(value: object, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _NoPushError(Reject(f"{name} not an object", type(value).__name__))
    return value


def _object_or_empty(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _drop_manifests(event: dict[str, Any]) -> None:
    """Take out CloudTrail's manifests, which may be larger than a queue's message may be."""
    for image in _images(_object_or_empty(event.get("detail"))):
        image.pop("imageManifest", None)
    if len(_canonical(event)) > MAX_EVENT:
        raise _NoPushError(Reject("too-large", f"more than {MAX_EVENT} characters"))


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
