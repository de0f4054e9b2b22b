"""What each body of the events queue leads to: the samples beside this file, and anything else."""

import json
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType

import pytest
from paths import SAMPLES

from deployer.triggers.events import MAX_EVENT, parse
from deployer.triggers.forms import EVERY_KIND, OPT_IN_KINDS, WEBHOOK
from deployer.triggers.verdict import Deploy, Ignore, Reject

EXPECTED = json.loads((SAMPLES / "EXPECTED.json").read_text())
# Which event is stale is decided later, against the registry: to `parse` it is a push like others.
STALE = "ecr-image-action-push-out-of-order-older-second.json"
TRANSPORT = sorted(name for name in EXPECTED if name.startswith("sqs-"))
WEBHOOKS = sorted(name for name in EXPECTED if name.startswith("webhook-"))
BODIES = sorted(set(EXPECTED) - {STALE, *TRANSPORT, *WEBHOOKS})
DEPLOYED = [name for name in BODIES if EXPECTED[name]["expect"]["action"] == "deploy"]
MODERN = "ecr-image-action-push-modern.json"
NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)
PUSHED = datetime(2026, 3, 14, 9, 26, 53, tzinfo=UTC)


def sample(name):
    return (SAMPLES / name).read_bytes()


def event(name=MODERN, **fields):
    return {**json.loads(sample(name)), **fields}


def with_detail(name=MODERN, **fields):
    whole = event(name)
    detail = {key.replace("_", "-"): value for key, value in fields.items()}
    return {**whole, "detail": {**whole["detail"], **detail}}


def sns(message):
    return json.dumps({"Type": "Notification", "TopicArn": "arn:aws:sns:x", "Message": message})


def outcome(verdict):
    """A verdict in the words of EXPECTED.json."""
    if isinstance(verdict, Deploy):
        return {"action": "deploy", "image": str(verdict.image), "digest": verdict.digest}
    return {"action": type(verdict).__name__.lower(), "reason": verdict.reason}


def test_every_sample_is_in_the_table():
    files = {path.name for path in SAMPLES.iterdir()} - {"EXPECTED.json"}
    assert files == set(EXPECTED) == {STALE, *TRANSPORT, *WEBHOOKS, *BODIES}


@pytest.mark.parametrize("name", BODIES)
def test_samples(name):
    expected = EXPECTED[name]["expect"]
    assert outcome(parse(sample(name), accept=OPT_IN_KINDS)) == expected
    assert outcome(parse(sample(name).decode(), accept=OPT_IN_KINDS)) == expected


def test_an_event_that_is_overtaken_is_still_a_push():
    assert outcome(parse(sample(STALE)))["action"] == "deploy"


@pytest.mark.parametrize("name", TRANSPORT)
def test_messages_as_sqs_hands_them_over(name):
    messages = json.loads(sample(name))["Messages"]
    assert {outcome(parse(message["Body"]))["action"] for message in messages} == {"deploy"}


@pytest.mark.parametrize("name", [*WEBHOOKS, *TRANSPORT])
def test_what_is_no_event_of_aws_deploys_nothing(name):
    assert isinstance(parse(sample(name)), Ignore)


@pytest.mark.parametrize("name", DEPLOYED)
def test_the_event_of_a_deployment_parses_to_the_same_again(name):
    first = parse(sample(name), accept=OPT_IN_KINDS, sent_at=PUSHED + timedelta(hours=1), now=NOW)
    text = json.dumps(first.event)
    later = NOW + timedelta(days=1)
    assert parse(first.event, accept=OPT_IN_KINDS, now=later) == first
    assert parse(text, accept=OPT_IN_KINDS, now=later) == first
    assert "Message" not in first.event
    assert "imageManifest" not in json.dumps(first.event).replace("imageManifestMediaType", "")


def test_the_callers_mapping_is_left_alone():
    given_event = event("cloudtrail-putimage-success.json", time=None)
    before = json.dumps(given_event)
    parse(given_event)
    assert json.dumps(given_event) == before
    assert outcome(parse(MappingProxyType(given_event)))["action"] == "deploy"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (MODERN, "push"),
        ("sns-wrapped-twice.json", "push"),
        ("cloudtrail-putimage-success.json", "cloudtrail"),
        ("eventbridge-cloudevents-transformed.json", "cloudevents"),
    ],
)
def test_kinds_that_always_count(name, kind):
    assert parse(sample(name)).kind == kind


REPLICATED = with_detail("ecr-replication-action-failed.json", result="SUCCESS")
CACHED = event("ecr-pull-through-cache-success.json")


@pytest.mark.parametrize(
    ("body", "kind"),
    [(REPLICATED, "replication"), (CACHED, "pull-through-cache")],
    ids=["replication", "pull-through-cache"],
)
def test_opt_in_kinds(body, kind):
    assert parse(body) == Ignore("not in DEPLOYER_ACCEPT_EVENTS", kind)
    assert isinstance(parse(body, accept=OPT_IN_KINDS - {kind}), Ignore)
    assert parse(body, accept=[kind]).kind == kind


def test_a_replication_is_an_event_of_its_destination():
    assert parse(REPLICATED, accept=OPT_IN_KINDS).image.ecr.region == "us-east-1"


CLOUDEVENT = event("eventbridge-cloudevents-transformed.json")
CLOUDTRAIL = event("cloudtrail-putimage-success.json")["detail"]


def cloudtrail(**detail):
    return event("cloudtrail-putimage-success.json", detail={**CLOUDTRAIL, **detail})


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        (with_detail(result="FAILURE"), Ignore("result-not-success", "'FAILURE'")),
        (with_detail(action_type=None), Ignore("action-not-push", "NoneType")),
        (with_detail(image_tag=7), Reject("tag not a string", "int")),
        (with_detail(image_tag=["a"]), Reject("tag not a string", "list")),
        (with_detail(image_digest=7), Reject("digest not a string", "int")),
        (with_detail(image_tag="sha256-" + "a" * 64), Ignore("not-an-image", f"'sha256-{'a' * 64}'")),
        (with_detail(artifact_media_type=[]), Ignore("not-an-image", "list")),
        (with_detail(repository_name="a/" * 110 + "a"), Reject),
        (event(account="12345678901"), Reject("invalid account", "'12345678901'")),
        (event(account=""), Reject("missing account")),
        (event(region=3), Reject("region not a string", "int")),
        (event(detail=None), Reject("detail not an object", "NoneType")),
        (event(source=None), Ignore("foreign", "no event of EventBridge")),
        (event(**{"detail-type": ["x"]}), Ignore("detail-type", "list")),
        (cloudtrail(eventName="DeleteRepository"), Ignore("action-not-push", "'DeleteRepository'")),
        (cloudtrail(eventSource="ecr-public.amazonaws.com"), Ignore("public-ecr")),
        (cloudtrail(requestParameters=3, responseElements=[]), Ignore("untagged")),
        ({"Type": "SubscriptionConfirmation", "Message": "x"}, Ignore),
        (CLOUDEVENT | {"type": "other"}, Ignore("detail-type", "'other'")),
        (CLOUDEVENT | {"data": None}, Reject("data not an object", "NoneType")),
        ({"specversion": "1.0", "source": "urn:aws:s3:a:b:c"}, Ignore("source", "'urn:aws:s3:a:b:c'")),
        ("", Reject("not-json", "'Expecting value: line 1 column 1 (char 0)'")),
        (with_detail(bulk="x" * MAX_EVENT), Reject("too-large", f"more than {MAX_EVENT} characters")),
    ],
    ids=str,
)
def test_odd_bodies(body, verdict):
    found = parse(body)
    assert type(found) is verdict if isinstance(verdict, type) else found == verdict


ANSWERED = {
    "registryId": "111111111111",
    "repositoryName": "answered",
    "imageId": {"imageTag": "v9", "imageDigest": "sha256:" + "9" * 64},
}
ASKED = {
    "registryId": "222222222222",
    "repositoryName": "asked",
    "imageTag": "v8",
    "imageDigest": "sha256:" + "8" * 64,
}


@pytest.mark.parametrize(
    ("request_", "answer", "account", "name", "digit"),
    [
        (ASKED, ANSWERED, "111111111111", "answered:v9", "9"),
        (ASKED, None, "222222222222", "asked:v8", "8"),
        ({}, {**ANSWERED, "registryId": None}, "123456789012", "answered:v9", "9"),
    ],
    ids=["answer first", "then what was asked for", "then the event's own account"],
)
def test_where_cloudtrail_says_which_image_it_is(request_, answer, account, name, digit):
    body = cloudtrail(requestParameters=request_, responseElements={"image": answer}, awsRegion="eu-south-1")
    found = parse(body)
    assert str(found.image) == f"{account}.dkr.ecr.eu-south-1.amazonaws.com/{name}"
    assert found.digest == "sha256:" + digit * 64


def test_the_registry_of_a_cloudevent():
    data = CLOUDEVENT["data"]
    other = parse(CLOUDEVENT | {"data": {**data, "registryId": "000000000001"}})
    assert other.image.ecr.account == "000000000001"
    assert parse(CLOUDEVENT | {"data": {**data, "registryId": None}}).image.ecr.account == "123456789012"


def test_huge_manifests_do_not_make_an_event_too_large():
    request = {**CLOUDTRAIL["requestParameters"], "imageManifest": "x" * 2 * MAX_EVENT}
    found = parse(cloudtrail(requestParameters=request))
    assert len(json.dumps(found.event)) < 4_000


LONG_AGO = datetime(2019, 1, 1, tzinfo=UTC)
SENT = PUSHED + timedelta(seconds=2)


@pytest.mark.parametrize(
    ("time", "sent_at", "pushed_at"),
    [
        ("2026-03-14T09:26:53Z", SENT, PUSHED),
        ("2026-03-14T11:26:53+02:00", SENT, PUSHED),
        ("2026-03-14T09:26:53Z", None, PUSHED),
        ("2026-03-14T09:26:53Z", LONG_AGO, LONG_AGO),
        ("2099-01-01T00:00:00Z", SENT, SENT),
        ("2099-01-01T00:00:00Z", None, NOW),
        ("2099-01-01T00:00:00Z", NOW + timedelta(days=1), NOW),
        ("2026-03-14 09:26:53", SENT, SENT),
        ("2026-03-14 09:26:53", None, NOW),
        ("0001-01-01T00:00:00+23:59", SENT, SENT),
        ("9999-12-31T23:59:59-23:59", SENT, SENT),
        ("yesterday", SENT, SENT),
        (1773480413, SENT, SENT),
        (None, SENT, SENT),
        (None, None, NOW),
        (None, SENT.replace(tzinfo=None), SENT),
        (None, SENT.astimezone(timezone(timedelta(hours=5))), SENT),
    ],
)
def test_push_time(time, sent_at, pushed_at):
    found = parse(event(time=time), sent_at=sent_at, now=NOW)
    assert found.pushed_at == pushed_at
    assert found.pushed_at.tzinfo is UTC
    assert parse(found.event, now=NOW + timedelta(days=9)) == found


def test_without_a_clock_given_the_push_is_not_in_the_future():
    assert parse(event(time="2099-01-01T00:00:00Z")).pushed_at <= datetime.now(UTC)


def test_the_events_own_id_is_kept_through_envelopes():
    given_id = event()["id"]
    assert parse(sample("sns-wrapped-twice.json")).id == given_id == parse(sample(MODERN)).id


@pytest.mark.parametrize("bad", [None, "", 7, "a b", "x" * 129, "a\nb", "../x", "\ud800"])
def test_an_id_that_cannot_name_a_task_is_replaced(bad):
    one, same = parse(event(id=bad), sent_at=SENT), parse(event(id=bad), sent_at=NOW)
    other = parse({**with_detail(image_tag="v2"), "id": bad})
    assert one.id == same.id != other.id
    assert parse(dict(reversed(event(id=bad).items()))).id == one.id
    assert parse(one.event).id == one.id
    assert one.id.replace("-", "").isalnum()


TRANSFORMED = {
    "specversion": "1.0",
    "type": "com.amazon.ecr.image.push",
    "source": "urn:aws:ecr:eu-central-1:123456789012:repository/team/web",
    "data": {"repositoryName": "team/web", "imageTag": "latest"},
}


def test_fault_31_two_pushes_without_id_and_time_are_two():
    first, second = (parse(TRANSFORMED, sent_at=NOW + timedelta(seconds=n), now=NOW) for n in (-9, -5))
    assert first.id != second.id


def test_fault_31_a_message_that_comes_again_is_the_same_push():
    sent = NOW - timedelta(seconds=9)
    first = parse(TRANSFORMED, sent_at=sent, now=NOW)
    again = parse(TRANSFORMED, sent_at=sent, now=NOW + timedelta(hours=1))
    assert (first.id, first.event) == (again.id, again.event)
    assert parse(first.event, now=NOW + timedelta(hours=2)).id == first.id


def test_hooks_of_every_version_of_ours_have_one_source():
    assert WEBHOOK == "deployer.webhook"  # messages of older workers and bridges have it


def test_the_end_of_a_scan_is_a_hint_where_it_is_wanted():
    name = "ecr-image-scan-complete.json"
    found = parse(sample(name), accept=EVERY_KIND, now=NOW)
    assert (found.kind, found.image.tag, [image.tag for image in found.others]) == (
        "scan",
        "latest",
        ["git-3f2c1ab"],
    )
    assert parse(found.event, accept=EVERY_KIND, now=NOW) == found
    for change in ({"image-tags": []}, {"scan-status": "FAILED"}):
        assert isinstance(parse(with_detail(name, **change), accept=EVERY_KIND), Ignore)
    assert [
        image.tag
        for image in parse(with_detail(name, **{"image-tags": ["v1", 7, "a b"]}), accept=EVERY_KIND).images
    ] == ["v1"]
