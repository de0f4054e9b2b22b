"""What each hook leads to: the samples in `events/`, the examples of the documentation, and anything else."""

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from paths import SAMPLES

from deployer.errors import SettingsError
from deployer.model.image import Image
from deployer.triggers import events
from deployer.triggers.verdict import Deploy, Ignore, Reject
from deployer.triggers.webhook import senders
from deployer.triggers.webhook.openapi import EXAMPLES
from deployer.triggers.webhook.senders import SENDERS, Delivery, callback, check, proves, read

EXPECTED = json.loads((SAMPLES / "EXPECTED.json").read_text())
HOOKS = sorted(name for name in EXPECTED if name.startswith("webhook-"))
NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)
D1, D2 = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"
SECRET = "correct-horse-battery"


def sender_of(name):
    word = name.removesuffix(".json").split("-")[1]
    return {"native": "plain"}.get(word, word)


def host_of(sender):
    return None if SENDERS[sender].names_host else "art.example.com"


def deliver(payload, **headers):
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return Delivery(body, {name.replace("_", "-"): value for name, value in headers.items()})


def told(sender, payload, host=None, **headers):
    return read(sender, deliver(payload, **headers), host or host_of(sender), NOW)


def images(verdicts):
    return [(str(one.image), one.digest) for one in verdicts if isinstance(one, Deploy)]


def one(sender, payload, host=None, **headers):
    (verdict,) = told(sender, payload, host, **headers)
    return verdict


def changed(payload, path, value):
    """A payload with one field replaced, named by its path."""
    copy = json.loads(json.dumps(payload))
    *before, last = path.split(".")
    inner = copy
    for key in before:
        inner = inner[int(key) if isinstance(inner, list) else key]
    inner[int(last) if isinstance(inner, list) else last] = value
    return copy


@pytest.mark.parametrize("name", HOOKS)
def test_samples(name):
    expected, sender = EXPECTED[name]["expect"], sender_of(name)
    verdict = one(sender, (SAMPLES / name).read_bytes())
    if expected["action"] == "deploy":
        wanted = expected["image"].replace("<configured-host>", "art.example.com")
        assert (verdict.image, verdict.digest) == (Image.parse(wanted), expected["digest"])
        assert verdict.kind == "webhook"
    else:
        assert (type(verdict).__name__.lower(), verdict.reason) == (expected["action"], expected["reason"])


@pytest.mark.parametrize("sender", SENDERS)
def test_what_is_deployed_is_what_the_bridge_and_the_task_read_from_the_event(sender):
    verdict = one(sender, EXAMPLES[sender])
    message = json.dumps(verdict.event)
    assert events.parse(message, sent_at=NOW + timedelta(seconds=1)) == verdict
    assert verdict.event["detail"]["sender"] == sender


@pytest.mark.parametrize(
    ("sender", "changes", "image"),
    [
        ("dockerhub", {"repository": {"repo_name": "_/nginx"}}, "docker.io/library/nginx:latest"),
        ("quay", {"docker_url": "https://quay.io/team/api"}, "quay.io/team/api:latest"),
        (
            "harbor",
            {
                "event_data": {
                    "resources": [{"tag": "v1", "resource_url": "https://harbor.example.com/team/api:v1"}],
                    "repository": {"repo_full_name": "team/api"},
                }
            },
            "harbor.example.com/team/api:v1",
        ),
        (
            "nexus",
            {
                "component": None,
                "asset": {"format": "docker", "name": "v2/team/api/manifests/v3"},
            },
            "art.example.com/team/api:v3",
        ),
    ],
)
def test_issue_18_forms_that_were_refused_are_read(sender, changes, image):
    payload = {key: value for key, value in {**EXAMPLES[sender], **changes}.items() if value is not None}
    verdict = one(sender, payload)
    assert isinstance(verdict, Deploy), verdict
    assert verdict.image == Image.parse(image)


@pytest.mark.parametrize(
    "changes",
    [
        {"action": "DELETED"},
        {"component": {"format": "npm", "name": "left-pad", "version": "1"}},
        {"component": {"format": "docker", "name": "team/api", "version": "sha256:" + "a" * 64}},
    ],
)
def test_what_nexus_tells_of_something_else_is_ignored(changes):
    assert isinstance(one("nexus", {**EXAMPLES["nexus"], **changes}), Ignore)


def test_every_sender_has_an_example_of_the_same_push():
    assert set(EXAMPLES) == set(SENDERS)
    for sender, example in EXAMPLES.items():
        image = one(sender, example).image
        assert (image.repository, image.tag) == ("team/api", "latest")


REGISTRY = {"host": "registry.example.com:5000"}


def happened(action="push", tag="v1", digest=D1, **more):
    target = {"mediaType": "application/vnd.oci.image.index.v1+json", "repository": "team/api"}
    target |= {"digest": digest, **({"tag": tag} if tag else {})}
    return {"id": f"{action}-{tag}", "action": action, "target": target, "request": REGISTRY, **more}


def test_an_envelope_of_a_registry_has_events_of_every_kind():
    envelope = {
        "events": [
            happened("pull"),
            happened(tag=None),
            happened(tag="v1"),
            happened("delete"),
            happened(tag="v2", digest=D2),
            happened("mount", tag=None),
        ]
    }
    verdicts = told("distribution", envelope)
    assert images(verdicts) == [
        ("registry.example.com:5000/team/api:v1", D1),
        ("registry.example.com:5000/team/api:v2", D2),
    ]
    assert [verdict.reason for verdict in verdicts if isinstance(verdict, Ignore)] == [
        "action-not-push",
        "untagged",
        "action-not-push",
        "action-not-push",
    ]


def test_one_bad_event_does_not_have_a_registry_repeat_the_good_ones_for_ever():
    bad = [{}, 7, happened(target="?"), happened(tag="no tag"), happened(request={}), happened(tag=["v1"])]
    verdicts = told("distribution", {"events": [*bad, happened()]})
    assert images(verdicts) == [("registry.example.com:5000/team/api:v1", D1)]
    assert not [verdict for verdict in verdicts if isinstance(verdict, Reject)]


def test_several_tags_of_one_hook_are_several_pushes_with_ids_of_their_own():
    verdicts = told("quay", {"docker_url": "quay.io/team/api", "updated_tags": ["v1", "latest"]})
    assert images(verdicts) == [("quay.io/team/api:v1", None), ("quay.io/team/api:latest", None)]
    assert len({verdict.id for verdict in verdicts}) == 2


def test_harbor_may_tell_several_artifacts():
    resources = [
        {"digest": D1, "tag": "v1", "resource_url": "harbor.example.com/team/api:v1"},
        {"digest": D2, "tag": "v2", "resource_url": "harbor.example.com/team/api:v2"},
    ]
    hook = changed(EXAMPLES["harbor"], "event_data.resources", resources)
    assert [tag for tag, _ in images(told("harbor", hook))] == [
        "harbor.example.com/team/api:v1",
        "harbor.example.com/team/api:v2",
    ]


IGNORED = {
    "github ping": ("ghcr", {"zen": "Keep it logically awesome.", "hook_id": 1}),
    "github push of a branch": ("ghcr", {"ref": "refs/heads/main", "repository": {}, "sender": {}}),
    "github package deleted": ("ghcr", changed(EXAMPLES["ghcr"], "action", "deleted")),
    "github npm package": ("ghcr", changed(EXAMPLES["ghcr"], "package.package_type", "npm")),
    "harbor pull": ("harbor", changed(EXAMPLES["harbor"], "type", "PULL_ARTIFACT")),
    "harbor scan": ("harbor", {"type": "SCANNING_COMPLETED", "event_data": {}}),
    "quay build": ("quay", {"build_id": "x", "docker_url": "quay.io/team/api"}),
    "quay without tags": ("quay", {"docker_url": "quay.io/team/api", "updated_tags": []}),
    "azure ping": ("azure", {"id": "x", "action": "ping"}),
    "azure delete": ("azure", changed(EXAMPLES["azure"], "action", "delete")),
    "azure untagged": ("azure", changed(EXAMPLES["azure"], "target.tag", "")),
    "jfrog deleted": ("jfrog", changed(EXAMPLES["jfrog"], "event_type", "deleted")),
    "jfrog other domain": ("jfrog", changed(EXAMPLES["jfrog"], "domain", "artifact")),
    "an envelope without events": ("distribution", {"events": []}),
    "plain by digest": ("plain", {"image": f"registry.example.com/team/api@{D1}"}),
    "a signature": ("plain", {"image": f"registry.example.com/team/api:sha256-{'1' * 64}.sig"}),
}


@pytest.mark.parametrize(("sender", "payload"), IGNORED.values(), ids=IGNORED)
def test_what_is_no_push_of_an_image_with_a_tag_is_ignored(sender, payload):
    assert isinstance(one(sender, payload), Ignore)


REJECTED = {
    "no json": ("plain", b"{"),
    "a list": ("plain", b"[]"),
    "nothing": ("plain", b""),
    "nothing known": ("plain", {"foo": "bar"}),
    "another's": ("plain", EXAMPLES["harbor"]),
    "github, nothing known": ("ghcr", {"foo": "bar"}),
    "github without a namespace": ("ghcr", changed(EXAMPLES["ghcr"], "package.namespace", None)),
    "github without a version": ("ghcr", changed(EXAMPLES["ghcr"], "package.package_version", None)),
    "hub without a push": ("dockerhub", {"repository": {"repo_name": "team/api"}}),
    "hub without a name": ("dockerhub", changed(EXAMPLES["dockerhub"], "repository.repo_name", None)),
    "harbor, nothing known": ("harbor", {"foo": "bar"}),
    "harbor without its host": ("harbor", changed(EXAMPLES["harbor"], "event_data.resources.0", {})),
    "quay, nothing known": ("quay", {"foo": "bar"}),
    "quay without an address": ("quay", {"updated_tags": ["latest"]}),
    "azure, nothing known": ("azure", {"foo": "bar"}),
    "azure without a host": ("azure", changed(EXAMPLES["azure"], "request", {})),
    "jfrog, nothing known": ("jfrog", {"foo": "bar"}),
    "a registry's envelope, nothing known": ("distribution", {"foo": "bar"}),
    "two tags": ("plain", {"name": "registry.example.com/a:b", "tag": "c"}),
    "a tag that is a number": ("plain", {"name": "registry.example.com/a", "tag": 7}),
    "a digest that is none": ("plain", {"name": "registry.example.com/a", "tag": "b", "digest": "md5:0"}),
    "a line break": ("plain", {"image": "registry.example.com/a:b\nc"}),
    "a host without a dot": ("azure", changed(EXAMPLES["azure"], "request.host", "registry")),
    "capitals": ("plain", {"image": "registry.example.com/Team/api:v1"}),
}


@pytest.mark.parametrize(("sender", "payload"), REJECTED.values(), ids=REJECTED)
def test_what_cannot_be_understood_is_rejected_with_a_reason(sender, payload):
    verdict = one(sender, payload)
    assert isinstance(verdict, Reject)
    assert verdict.reason


PLAIN = {
    "registry.example.com/team/api:v1": {"image": "registry.example.com/team/api:v1"},
    "registry.example.com:5000/team/api:latest": {"image": "registry.example.com:5000/team/api"},
    "team/api:v1": {"image": "docker.io/team/api:v1"},
    "nginx:latest": {"image": "nginx"},
    "registry.example.com/api:v2": {"name": "api", "tag": "v2", "host": "registry.example.com"},
    "quay.io/team/api:v3": {"name": "quay.io/team/api", "tag": "v3", "digest": D1},
}


@pytest.mark.parametrize(("image", "payload"), PLAIN.items(), ids=PLAIN)
def test_a_plain_hook_names_an_image_as_docker_does(image, payload):
    assert images([one("plain", payload)]) == [(image, payload.get("digest"))]


def test_a_digest_in_the_name_is_a_hint_as_one_beside_it():
    assert one("plain", {"image": f"quay.io/team/api:v1@{D1}"}).digest == D1


@pytest.mark.parametrize(
    ("host", "image"),
    [
        ("art.example.com", "art.example.com/team/api:latest"),
        ("art.example.com/{repo}", "art.example.com/docker-local/team/api:latest"),
        ("{repo}.art.example.com", "docker-local.art.example.com/team/api:latest"),
        ("art.example.com:8443/virtual", "art.example.com:8443/virtual/team/api:latest"),
    ],
)
def test_the_registry_that_is_configured_takes_the_place_of_the_payloads(host, image):
    assert images([one("jfrog", EXAMPLES["jfrog"], host)])[0][0] == image


def test_an_internal_name_of_a_registry_can_be_replaced():
    inside = {"events": [happened(request={"host": "registry:5000"})]}
    assert images(told("distribution", inside, "hub.example.com"))[0][0] == "hub.example.com/team/api:v1"


def test_github_may_send_a_form():
    body = urlencode({"payload": json.dumps(EXAMPLES["ghcr"])}).encode()
    verdict = one("ghcr", body, content_type="application/x-www-form-urlencoded")
    assert str(verdict.image) == "ghcr.io/team/api:latest"


# --- ids ---


@pytest.mark.parametrize("sender", sorted(SENDERS.keys() - {"quay"}))
def test_a_delivery_that_comes_again_has_the_same_id_and_no_other_senders(sender):
    headers = {"x_github_delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958"}
    first = one(sender, EXAMPLES[sender], **headers)
    again = read(sender, deliver(EXAMPLES[sender], **headers), host_of(sender), NOW + timedelta(seconds=3))
    assert again[0].id == first.id
    assert first.id.startswith(f"{sender}-")


def test_ids_are_the_senders_own_where_it_has_one():
    assert one("ghcr", EXAMPLES["ghcr"], x_github_delivery="72d3162e-cc78").id == "ghcr-72d3162e-cc78"
    assert one("azure", EXAMPLES["azure"]).id == f"azure-{EXAMPLES['azure']['id']}"
    assert one("distribution", EXAMPLES["distribution"]).id == f"distribution-{EXAMPLES['azure']['id']}"
    assert one("azure", changed(EXAMPLES["azure"], "id", "no id\n")).id != "azure-no id\n"


def after(sender, payload, **later):
    return read(sender, deliver(payload), host_of(sender), NOW + timedelta(**later))[0]


def test_an_equal_hook_that_does_not_tell_which_push_it_is_is_a_new_one():
    for sender, payload in (("quay", EXAMPLES["quay"]), ("plain", {"image": "quay.io/team/api:v1"})):
        assert after(sender, payload, milliseconds=1).id != one(sender, payload).id


def test_a_hook_with_a_digest_is_a_new_push_if_it_comes_again_much_later_and_one_with_a_time_is_not():
    assert after("jfrog", EXAMPLES["jfrog"], hours=1).id != one("jfrog", EXAMPLES["jfrog"]).id
    assert after("harbor", EXAMPLES["harbor"], hours=1).id == one("harbor", EXAMPLES["harbor"]).id
    assert after("dockerhub", EXAMPLES["dockerhub"], hours=1).id == one("dockerhub", EXAMPLES["dockerhub"]).id


@pytest.mark.parametrize(
    ("told_time", "pushed_at"),
    [
        (1773480413, datetime(2026, 3, 14, 9, 26, 53, tzinfo=UTC)),
        (1773480413.5, datetime(2026, 3, 14, 9, 26, 53, 500_000, tzinfo=UTC)),
        ("2026-03-14T09:26:53.343145347Z", datetime(2026, 3, 14, 9, 26, 53, 343145, tzinfo=UTC)),
        (NOW.timestamp() + 3600, NOW),
        ("yesterday", NOW),
        (-1, NOW),
        (1e300, NOW),
        (None, NOW),
    ],
)
def test_the_time_of_the_push_is_the_senders_and_never_later_than_now(told_time, pushed_at):
    hook = changed(EXAMPLES["dockerhub"], "push_data.pushed_at", told_time)
    assert one("dockerhub", hook).pushed_at == pushed_at


# --- secrets ---

BODY = json.dumps(EXAMPLES["jfrog"]).encode()
SIGNED = hmac.new(SECRET.encode(), BODY, hashlib.sha256).hexdigest()
GOOD = {
    "bearer": ("plain", {"authorization": f"Bearer {SECRET}"}, ""),
    "bearer, whatever its case": ("azure", {"authorization": f"bearer {SECRET}"}, ""),
    "harbor's header": ("harbor", {"authorization": SECRET}, ""),
    "harbor's header as bearer": ("harbor", {"authorization": f"Bearer {SECRET}"}, ""),
    "github's signature": ("ghcr", {"x-hub-signature-256": f"sha256={SIGNED}"}, ""),
    "jfrog's secret": ("jfrog", {"x-jfrog-event-auth": SECRET}, ""),
    "jfrog's signature": ("jfrog", {"x-jfrog-event-auth": SIGNED}, ""),
    "docker hub's url": ("dockerhub", {}, SECRET),
    "quay's url": ("quay", {}, SECRET),
}
BAD = {
    "nothing": ("plain", {}, ""),
    "another scheme": ("plain", {"authorization": f"Basic {SECRET}"}, ""),
    "a part": ("plain", {"authorization": f"Bearer {SECRET[:-1]}"}, ""),
    "more": ("plain", {"authorization": f"Bearer {SECRET}x"}, ""),
    "umlauts": ("plain", {"authorization": "Bearer geheimnisträger\udcff"}, ""),
    "in the url of one that can do better": ("plain", {}, SECRET),
    "a secret in place of a signature": ("ghcr", {"authorization": f"Bearer {SECRET}"}, ""),
    "the old signature": ("ghcr", {"x-hub-signature": f"sha1={SIGNED}"}, ""),
    "a signature of other bytes": (
        "ghcr",
        {"x-hub-signature-256": "sha256=" + hmac.new(SECRET.encode(), b"", hashlib.sha256).hexdigest()},
        "",
    ),
    "an empty url": ("quay", {}, ""),
}


@pytest.mark.parametrize(("sender", "headers", "token"), GOOD.values(), ids=GOOD)
def test_the_secret_is_shown_in_the_senders_way(sender, headers, token):
    delivery = Delivery(BODY, headers, token)
    assert proves(sender, [SECRET], delivery)
    assert proves(sender, ["the-next-secret-of-it", SECRET], delivery)
    assert not proves(sender, ["the-next-secret-of-it"], delivery)
    assert not proves(sender, [], delivery)


@pytest.mark.parametrize(("sender", "headers", "token"), BAD.values(), ids=BAD)
def test_nothing_else_is_taken_for_it(sender, headers, token):
    assert not proves(sender, [SECRET], Delivery(BODY, headers, token))


@pytest.mark.parametrize(
    ("secrets", "hosts", "said"),
    [
        ({}, {}, "DEPLOYER_WEBHOOK_SECRETS is not set"),
        ({"gchr": ["x"]}, {}, "no known sender"),
        ({"ghcr": ["x"]}, {"quai": "quay.io"}, "no known sender"),
        ({"jfrog": ["x"]}, {}, "jfrog=<host>"),
        ({"jfrog": ["x"]}, {"jfrog": "https://art.example.com"}, "DEPLOYER_WEBHOOK_HOSTS, jfrog"),
        ({"jfrog": ["x"]}, {"jfrog": "art"}, "does not begin with a registry's host"),
    ],
)
def test_settings_that_cannot_work_are_named(secrets, hosts, said):
    with pytest.raises(SettingsError, match=said):
        check(secrets, hosts)


# --- Docker Hub's callback ---

HUB = "https://registry.hub.docker.com"


@pytest.mark.parametrize(
    ("url", "called"),
    [
        (f"{HUB}/u/team/api/hook/21/", f"{HUB}/u/team/api/hook/21/"),
        (f"{HUB}/u/x?y=z#w", f"{HUB}/u/x"),
        ("http://registry.hub.docker.com/u/x", None),
        (f"{HUB}:8443/u/x", None),
        (f"{HUB}@169.254.169.254/u/x", None),
        (f"{HUB}.example.com/u/x", None),
        (f"{HUB}\\@127.0.0.1/u/x", None),
        ("https://user@registry.hub.docker.com/u/x", None),
        ("https://127.0.0.1/u/x", None),
        ("file:///etc/passwd", None),
        ("https://[", None),
        ("", None),
        (None, None),
        (["x"], None),
    ],
)
def test_only_docker_hub_itself_is_called_back(url, called):
    assert callback(deliver(changed(EXAMPLES["dockerhub"], "callback_url", url))) == called


# --- anything ---

json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=4,
)


def paths(value, before=""):
    """The paths of all fields of a payload."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in inner:
        yield f"{before}{key}"
        yield from paths(child, f"{before}{key}.")


FIELDS = [(sender, path) for sender, example in EXAMPLES.items() for path in paths(example)]


# On a busy machine the drawing itself may take longer than Hypothesis likes.
patient = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@patient
@given(st.sampled_from(FIELDS), json_values)
def test_no_field_whatever_makes_a_reader_fail_or_an_event_that_is_not_understood(field, value):
    sender, path = field
    verdicts = told(sender, changed(EXAMPLES[sender], path, value))
    assert verdicts
    for verdict in verdicts:
        if isinstance(verdict, Deploy):
            assert events.parse(json.dumps(verdict.event), sent_at=NOW) == verdict
        else:
            assert verdict.reason.isascii()
            assert verdict.detail.isascii()


@patient
@given(
    st.sampled_from(sorted(SENDERS)),
    st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()),
    st.sampled_from(["application/json", "application/x-www-form-urlencoded"]),
)
def test_no_body_whatever_makes_a_push_or_an_error(sender, body, content_type):
    delivery = deliver(body, content_type=content_type)
    assert all(isinstance(one, Ignore | Reject) for one in read(sender, delivery, host_of(sender), NOW))
    assert callback(delivery) is None


def test_more_pushes_than_anybody_makes_are_refused():
    tags = [f"v{number}" for number in range(senders.MAX_PUSHES + 1)]
    assert one("quay", {"docker_url": "quay.io/team/api", "updated_tags": tags}).reason == "too-many"
