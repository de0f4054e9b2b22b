"""What is an object of JSON, in whatever envelopes, and what is refused."""

import json

import pytest

from deployer.triggers.envelope import UnreadableError, quote, unwrap

EVENT = {"source": "aws.ecr", "detail": {"n": 1.5}}


def sns(message):
    return json.dumps({"Type": "Notification", "TopicArn": "arn:aws:sns:x", "Message": message})


def nested(levels):
    return '{"a":' * levels + "1" + "}" * levels


@pytest.mark.parametrize(
    "body",
    [
        EVENT,
        json.dumps(EVENT),
        json.dumps(EVENT).encode(),
        "\ufeff" + json.dumps(EVENT),
        b"\xef\xbb\xbf" + json.dumps(EVENT).encode(),
        json.loads(sns(json.dumps(EVENT))),
        sns("\ufeff" + json.dumps(EVENT)),
        sns(json.dumps(EVENT, indent=1)),
    ],
    ids=str,
)
def test_readable(body):
    assert unwrap(body) == EVENT


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("", "not-json"),
        ("{", "not-json"),
        ("{} {}", "not-json"),
        ("NaN", "not-json"),
        ('{"a": -Infinity}', "not-json"),
        ('{"a": 1e999}', "not-json"),
        ("9" * 5000, "not-json"),
        (b"\xff\xfe{}", "not-json"),
        (b"\xed\xa0\x80", "not-json"),
        pytest.param({"a": object()}, "not-json", id="an object"),
        ({"a": float("nan")}, "not-json"),
        ({("a",): 1}, "not-json"),
        (sns("hello"), "not-json"),
        ("null", "not-an-object"),
        ("[]", "not-an-object"),
        ([], "not-an-object"),
        (None, "not-an-object"),
        (sns(None), "not-an-object"),
        ("[" * 100_000, "too-deep"),
        (nested(65), "too-deep"),
        (nested(100_000), "too-deep"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_unreadable(body, reason):
    with pytest.raises(UnreadableError) as caught:
        unwrap(body)
    assert caught.value.reason == reason
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 150


def test_a_mapping_that_holds_itself_is_refused():
    body = {}
    body["again"] = body
    with pytest.raises(UnreadableError):
        unwrap(body)


def test_levels_up_to_the_limit_pass():
    assert unwrap(nested(64)) == json.loads(nested(64))


@pytest.mark.parametrize(("envelopes", "opened"), [(1, True), (4, True), (5, False), (8, False)])
def test_envelopes_in_envelopes(envelopes, opened):
    body = json.dumps(EVENT)
    for _ in range(envelopes):
        body = sns(body)
    if opened:
        assert unwrap(body) == EVENT
    else:
        with pytest.raises(UnreadableError, match="too many envelopes"):
            unwrap(body)


def test_what_is_unwrapped_shares_nothing_with_the_body():
    body = {"detail": {"list": [1]}}
    unwrap(body)["detail"]["list"].append(2)
    assert body == {"detail": {"list": [1]}}


@pytest.mark.parametrize(
    ("value", "quoted"),
    [
        ("latest", "'latest'"),
        ("a\nb\x1b[31m", r"'a\nb\x1b[31m'"),
        ("\u202e\u2028\ud800ä", r"'\u202e\u2028\ud800\xe4'"),
        (7, "int"),
        (None, "NoneType"),
        ({}, "dict"),
    ],
)
def test_quote(value, quoted):
    assert quote(value) == quoted


@pytest.mark.parametrize("text", ["x" * 10_000, "\U0001f600" * 10_000])
def test_quotes_are_short(text):
    assert len(quote(text)) <= 120
