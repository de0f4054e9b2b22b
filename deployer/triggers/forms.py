"""The forms in which a push is told: events of EventBridge, CloudTrail's records, CloudEvents, our webhook's.

A push to ECR reaches us as EventBridge's `ECR Image Action`, as a CloudTrail `PutImage` call or in the
CloudEvents form that some rules' input transformers make of it, a push to another registry as the event that
`deployer webhook` makes of its hook. Field names: "Amazon ECR events and EventBridge" in the ECR user guide,
CloudTrail's records. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from deployer.errors import InvalidReferenceError
from deployer.model.image import Image
from deployer.triggers.envelope import quote
from deployer.triggers.verdict import Ignore, NoPushError, Reject

REPLICATION, PULL_THROUGH_CACHE, SCAN = "replication", "pull-through-cache", "scan"
OPT_IN_KINDS = frozenset({REPLICATION, PULL_THROUGH_CACHE})
"""The kinds that are deployed only where DEPLOYER_ACCEPT_EVENTS names them."""

EVERY_KIND = OPT_IN_KINDS | {SCAN}
"""What DEPLOYER_ACCEPT_EVENTS may name: the end of a scan too, which is no push but a hint like one."""

WEBHOOK = "deployer.webhook"
"""The source of an event that our webhook has made: its detail names the image in full."""


@dataclass(frozen=True)
class RawPush:
    """The fields that every form of event has, as they came: nothing is validated yet."""

    kind: str
    account: object
    region: object
    repository: object
    tag: object
    digest: object
    artifact: object = None  # the media type of the manifest's config
    host: str | None = None  # of a registry that is not named by account and region
    others: tuple[object, ...] = ()  # further tags of the same image


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
    _Form("ECR Image Scan", SCAN, None, "scan-status"),
)


def read(event: dict[str, Any], accept: Collection[str]) -> RawPush:
    """Find the push in an event of any known form, or stop because there is none."""
    source, detail_type = event.get("source"), event.get("detail-type")
    if not isinstance(source, str) or not ("specversion" in event or "detail-type" in event):
        raise NoPushError(Ignore("foreign", "no event of EventBridge"))
    if "specversion" in event:
        return _cloudevent(event, source)
    if source == WEBHOOK:
        return _webhook(_object(event.get("detail"), "detail"))
    if source != "aws.ecr":
        reason = "public-ecr" if source == "aws.ecr-public" else "source"
        raise NoPushError(Ignore(reason, quote(source)))
    if detail_type == "AWS API Call via CloudTrail":
        return _cloudtrail(event, _object(event.get("detail"), "detail"))
    for form in _FORMS:
        if detail_type == form.detail_type and (form.kind != SCAN or SCAN in accept):
            return _eventbridge(event, _object(event.get("detail"), "detail"), form, accept)
    raise NoPushError(Ignore("detail-type", quote(detail_type)))


def _eventbridge(
    event: dict[str, Any], detail: dict[str, Any], form: _Form, accept: Collection[str]
) -> RawPush:
    action, result = detail.get("action-type"), detail.get(form.result)
    if action != form.action:
        raise NoPushError(Ignore("action-not-push", quote(action)))
    if result != ("COMPLETE" if form.kind == SCAN else "SUCCESS"):
        raise NoPushError(Ignore("result-not-success", quote(result)))
    if form.kind in OPT_IN_KINDS and form.kind not in accept:
        raise NoPushError(Ignore("not in DEPLOYER_ACCEPT_EVENTS", form.kind))
    tags = detail.get("image-tags")  # of a scan: all that the image has
    first, *others = tags if isinstance(tags, list) and tags else [detail.get("image-tag")]
    return RawPush(
        form.kind,
        event.get("account"),
        event.get("region"),
        detail.get("repository-name"),
        first,
        detail.get("image-digest"),
        detail.get("artifact-media-type"),
        others=tuple(others),
    )


def _cloudtrail(event: dict[str, Any], detail: dict[str, Any]) -> RawPush:
    if detail.get("eventName") != "PutImage":
        raise NoPushError(Ignore("action-not-push", quote(detail.get("eventName"))))
    if str(detail.get("eventSource")).startswith("ecr-public."):
        raise NoPushError(Ignore("public-ecr"))
    if detail.get("errorCode") or detail.get("errorMessage"):
        raise NoPushError(Ignore("error", quote(detail.get("errorCode"))))
    request, image = images_of(detail)
    ids = object_or_empty(image.get("imageId"))
    # The caller's account and the registry's may differ: the registry's own id comes first.
    return RawPush(
        "cloudtrail",
        image.get("registryId") or request.get("registryId") or event.get("account"),
        detail.get("awsRegion") or event.get("region"),
        image.get("repositoryName") or request.get("repositoryName"),
        ids.get("imageTag") or request.get("imageTag"),
        ids.get("imageDigest") or request.get("imageDigest"),
    )


def images_of(detail: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the image of a CloudTrail record: as asked for and as answered."""
    answer = object_or_empty(detail.get("responseElements"))
    return object_or_empty(detail.get("requestParameters")), object_or_empty(answer.get("image"))


def _cloudevent(event: dict[str, Any], source: str) -> RawPush:
    """Read the form that the input transformer of argocd-image-updater's documentation makes."""
    urn = source.split(":", 5)
    if len(urn) != 6 or urn[0] != "urn" or urn[2] != "ecr":
        raise NoPushError(Ignore("source", quote(source)))
    if event.get("type") != "com.amazon.ecr.image.push":
        raise NoPushError(Ignore("detail-type", quote(event.get("type"))))
    data = _object(event.get("data"), "data")
    return RawPush(
        "cloudevents",
        data.get("registryId") or urn[4],
        urn[3],
        data.get("repositoryName"),
        data.get("imageTag"),
        data.get("imageDigest"),
    )


def _webhook(detail: dict[str, Any]) -> RawPush:
    try:
        image = Image.parse(valid_field(detail.get("image"), "image", "image", bool))
    except InvalidReferenceError as fault:
        raise NoPushError(Reject("invalid image", quote(str(fault)))) from None
    digest = detail.get("digest") or image.digest
    return RawPush("webhook", None, None, image.repository, image.tag, digest, host=image.host)


def valid_field(value: object, key: str, noun: str, valid: Callable[[str], bool]) -> str:
    """Return a field that must be there and valid, or stop with the reason."""
    if value in (None, ""):
        raise NoPushError(Reject(f"missing {key}"))
    if not isinstance(value, str):
        # A number that was an account has lost its leading zeros: it must not be turned back.
        raise NoPushError(Reject(f"{noun} not a string", type(value).__name__))
    if not valid(value):
        raise NoPushError(Reject(f"invalid {noun}", quote(value)))
    return value


def _object(value: object, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise NoPushError(Reject(f"{name} not an object", type(value).__name__))
    return value


def object_or_empty(value: object) -> dict[str, Any]:
    """Return an object as it is; an empty one in place of anything else."""
    return value if isinstance(value, dict) else {}
