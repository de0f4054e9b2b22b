"""Everything under `deployer.` on a service, read once; what cannot be understood turns updates off."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.model import label_names as names
from deployer.model.service import Service
from deployer.policies.labels import ServiceLabels, complaint
from deployer.policies.values import format_duration, parse_duration, parse_flag
from deployer.policies.window import Window

WINDOW = "mon-fri 09:00-17:00"


def test_without_labels_everything_has_its_default():
    assert ServiceLabels.parse({}) == ServiceLabels()
    assert ServiceLabels.parse({"com.docker.stack.image": "web", "deployed": "yes"}) == ServiceLabels()


def test_every_label_is_read():
    labels = ServiceLabels.parse(
        {
            "deployer.enable": "yes",
            "deployer.policy": "semver:^1",
            "deployer.window": WINDOW,
            "deployer.after": " api ",
            "deployer.pre-job": "migrate",
            "deployer.run-job": "on",
            "deployer.login": "hub",
            "deployer.hold": "audit",
            "deployer.rollback": "0",
            "deployer.require-way-back": "true",
            "deployer.timeout": "15m",
            "deployer.settle": "90",
            "deployer.replace": "TRUE",
            "deployer.notify": "ops,dev",
        }
    )
    assert labels.problem is None
    assert labels.policy.text == "semver:^1"
    assert labels.window == Window.parse(WINDOW)
    assert (labels.enabled, labels.run_job, labels.replace, labels.require_way_back) == (True,) * 4
    assert (labels.after, labels.pre_job, labels.login, labels.hold) == ("api", "migrate", "hub", "audit")
    assert (labels.rollback, labels.timeout, labels.settle) == (False, 900, 90)
    assert labels.notify == "ops,dev"


@pytest.mark.parametrize(
    ("text", "hold"),
    [("", None), ("false", None), ("No", None), ("true", "label deployer.hold"), ("audit", "audit")],
)
def test_a_hold_is_a_reason_or_a_word_for_yes(text, hold):
    assert ServiceLabels.parse({"deployer.hold": text}).hold == hold


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("deployer.enabled", "deployer.enable"),
        ("deployer.polcy", "deployer.policy"),
        ("deployer.rollbck", "deployer.rollback"),
        ("deployer.pre_job", "deployer.pre-job"),
        ("Deployer.Enable", "deployer.enable"),
        ("deployer.allow", "deployer.allow-tags"),
    ],
)
def test_d2_a_misspelt_name_turns_updates_off_and_suggests_the_right_one(name, suggestion):
    assert ServiceLabels.parse({name: "false"}).problem == f"unknown label {name}; did you mean {suggestion}?"


def test_d2_a_name_like_no_other_is_said_without_a_guess():
    assert ServiceLabels.parse({"deployer.xyz": "1"}).problem == "unknown label deployer.xyz"


def test_the_state_and_the_filter_label_are_no_misspellings():
    labels = {"deployer.state.task": "t", "deployer.state.odd": "x", "deployer.crew": "yes"}
    assert ServiceLabels.parse(labels, "deployer.crew=yes").problem is None
    assert ServiceLabels.parse(labels).problem == "unknown label deployer.crew"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("deployer.enable", "maybe", "label deployer.enable='maybe': it may be true or false"),
        ("deployer.replace", "2", "deployer.replace='2'"),
        ("deployer.timeout", "soon", "900, 15m or 2h"),
        ("deployer.timeout", "0", "it may be from 1s to 24h"),
        ("deployer.timeout", "2d", "it may be from 1s to 24h"),
        ("deployer.settle", "-1", "deployer.settle='-1'"),
        ("deployer.settle", "٣", "deployer.settle"),
        ("deployer.policy", "semver", "deployer.policy='semver'"),
        ("deployer.prerelease", "true", "no meaning with deployer.policy=tag"),
        ("deployer.window", "always", "deployer.window='always'"),
    ],
)
def test_what_cannot_be_understood_is_said_with_its_name_value_and_fix(name, value, words):
    problem = ServiceLabels.parse({name: value}).problem
    assert problem is not None
    assert words in problem


def test_fault_29_a_number_of_thousands_of_digits_is_a_problem_and_no_error():
    labels = ServiceLabels.parse({"deployer.timeout": "9" * 5000, "deployer.settle": "1" * 5000 + "m"})
    assert labels.problem is not None
    assert len(labels.problem) < 400
    assert (labels.timeout, labels.settle) == (None, None)


def test_all_problems_are_said_and_nothing_is_followed_then():
    labels = ServiceLabels.parse({"deployer.policy": "nonsense", "deployer.enable": "x", "deployer.typ": "1"})
    assert labels.policy.off
    assert not labels.enabled
    assert [
        word in str(labels.problem) for word in ("deployer.policy", "deployer.enable", "deployer.typ")
    ] == [True] * 3


@given(
    st.dictionaries(
        st.sampled_from(sorted(names.KNOWN)) | st.text(max_size=20).map("deployer.{}".format), st.text()
    )
)
def test_no_label_raises(labels):
    assert isinstance(ServiceLabels.parse(labels), ServiceLabels)


def test_a_service_reads_its_labels_here():
    service = Service("id", "web", 1, "web:1", {"deployer.timeout": "15m"})
    assert complaint(service) is None
    assert complaint(Service("id", "web", 1, "web:1", {"deployer.timout": "15m"})) == (
        "unknown label deployer.timout; did you mean deployer.timeout?"
    )


@pytest.mark.parametrize(
    ("labels", "services", "complaint"),
    [
        ({"deployer.after": "api"}, ["api", "web"], None),
        ({"deployer.after": "id1"}, ["api", "id1"], None),
        (
            {"deployer.after": "apii"},
            ["api", "web"],
            "label deployer.after='apii': no such service; did you mean api?",
        ),
        (
            {"deployer.after": "api"},
            ["shop_api"],
            "label deployer.after='api': no such service; did you mean shop_api?",
        ),
        ({"deployer.pre-job": "migrate"}, ["web"], "label deployer.pre-job='migrate': no such service"),
        ({}, [], None),
    ],
)
def test_d3_a_label_that_names_no_service_is_said(labels, services, complaint):
    assert ServiceLabels.parse(labels).missing_service(services) == complaint


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("900", 900),
        (" 15m ", 900),
        ("2H", 7200),
        ("1h30m", 5400),
        ("1d", 86400),
        ("0.5", 0.5),
        ("1.5h", 5400),
    ],
)
def test_durations(text, seconds):
    assert parse_duration(text, 0, 86400) == seconds


@pytest.mark.parametrize("text", ["", "m", "1h30", "1 w", "-5", "1e3", "inf", "nan", "0x10", "1" * 40, "5mm"])
def test_no_durations(text):
    with pytest.raises(ValueError, match="15m"):
        parse_duration(text, 0, 86400)


@pytest.mark.parametrize(
    ("seconds", "text"), [(900, "15m"), (7200, "2h"), (90, "90s"), (0.5, "0.5s"), (0, "0s")]
)
def test_durations_are_said_as_they_are_written(seconds, text):
    assert format_duration(seconds) == text


def test_flags_have_one_mercy():
    assert all(map(parse_flag, ["true", "1", "YES", " on "]))
    assert not any(map(parse_flag, ["false", "0", "No", "OFF"]))
