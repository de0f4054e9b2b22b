"""No body whatever stops the parser of events, or gets a malformed name through it."""

import json
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from paths import SAMPLES

from deployer.model.image import Image, is_digest, is_repository, is_tag
from deployer.triggers.events import parse
from deployer.triggers.forms import EVERY_KIND
from deployer.triggers.verdict import Deploy, Ignore, Reject

BARE = [
    "ecr-image-action-push-modern.json",
    "ecr-pull-through-cache-success.json",
    "eventbridge-cloudevents-transformed.json",
    "cloudtrail-putimage-success.json",
    "cloudtrail-putimage-seed-blog.json",
]
NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)


def assert_harmless(verdict):
    """What holds of every verdict, whatever it was made of."""
    if isinstance(verdict, Deploy):
        image = verdict.image
        assert is_repository(image.repository)
        assert is_tag(image.tag)
        assert image.digest is None
        assert verdict.digest is None or is_digest(verdict.digest)
        assert image.ecr is not None
        assert Image.parse(str(image)) == image
        assert json.loads(json.dumps(verdict.event, allow_nan=False)) == verdict.event
        assert parse(verdict.event, accept=EVERY_KIND, now=NOW + timedelta(days=9)) == verdict
    else:
        assert isinstance(verdict, (Ignore, Reject))
        line = f"{verdict.reason} {verdict.detail}"
        assert line.isascii()
        assert line.isprintable()
        assert len(line) < 200


any_text = st.text(st.characters(codec=None), max_size=60)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | any_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3),
    max_leaves=8,
)


@given(any_text | st.binary(max_size=200) | anything | anything.map(json.dumps))
def test_no_body_whatever_raises(body):
    assert_harmless(parse(body, accept=EVERY_KIND, now=NOW))


def paths(value, at=()):
    """The place of every value in a JSON document."""
    children = value.items() if isinstance(value, dict) else ()
    return [at, *(path for key, child in children for path in paths(child, (*at, key)))]


def changed(value, path, new):
    return {**value, path[0]: changed(value[path[0]], path[1:], new)} if path else new


PUSHES = [json.loads((SAMPLES / name).read_bytes()) for name in BARE]
nasty = st.sampled_from(
    ["latest\n", "a b", "x" * 256, "A", "sha256:12", "eu-central-1\n", "../..", "", 0, 1.5, [], {}]
)


@given(st.data(), st.sampled_from(PUSHES), st.booleans())
def test_no_change_to_a_good_event_makes_a_bad_image(data, body, enveloped):
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(paths(body)))
        body = changed(body, path, data.draw(anything | nasty))
        if not isinstance(body, dict):
            break
    wrapped = {"Type": "Notification", "Message": json.dumps(body)} if enveloped else body
    assert_harmless(parse(wrapped, accept=EVERY_KIND, now=NOW))


@given(st.sampled_from([BARE[0], "sns-wrapped-push.json"]), st.data())
def test_no_damaged_text_of_a_good_event_makes_a_bad_image(name, data):
    text = bytearray((SAMPLES / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    assert_harmless(parse(bytes(text), now=NOW))
