"""Which tag a policy chooses, by the documented examples of keel, flux, Argo CD and npm, and for any tags."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.model.service import LabelError
from deployer.policies.npm_range import Range
from deployer.policies.patterns import regexp
from deployer.policies.policy_view import View
from deployer.policies.tag_policy import Order, Policy, Tag, explain
from deployer.policies.versions import Version, version_key

START = datetime(2025, 3, 1, tzinfo=UTC)
SIGNATURE = f"sha256-{'0a' * 32}"


def policy(text, **labels):
    more = {f"deployer.{name.replace('_', '-')}": value for name, value in labels.items()}
    return Policy.of({"deployer.policy": text, **more})


def pushed(*names):
    """Tags in the order in which they were pushed."""
    return [Tag(name, START + timedelta(hours=hour)) for hour, name in enumerate(names)]


def choose(text, current, names, **labels):
    return policy(text, **labels).choose(current, pushed(*names.split())).tag


# The tables of the policies of keel (keel.sh/docs, "Policies" and "Pre-release tags", and its tests).
@pytest.mark.parametrize(
    ("text", "current", "tag", "follows"),
    [
        ("all", "1.4.5", "1.4.3", False),
        ("all", "1.4.5", "1.4.6", True),
        ("all", "1.4.5", "1.4.5", False),
        ("all", "1.4", "1.5", True),
        ("all", "1.0.0", "1.0.1-rc1", True),
        ("all", "1.4.5", "3050", False),
        ("major", "1.4.5", "1.5.5", True),
        ("major", "1.4.5", "2.4.5", True),
        ("minor", "1.4.5", "1.5.5", True),
        ("minor", "1.4", "1.5", True),
        ("minor", "1.4.5", "1.4.6", True),
        ("minor", "1.4.5", "2.0.0", False),
        ("minor", "1.4.5", "1.4.5-xx", False),
        ("minor", "v1.0.0", "v1.0.1-metadata", False),
        ("minor", "v1.0.0-metadata", "v1.0.1-metadata", True),
        ("minor", "1.4.5-xx", "1.4.6-xx", True),
        ("minor", "1.4.5-xx", "1.4.6-yy", False),
        ("minor", "0.5.0-dev", "0.6.0-dev", True),
        ("minor", "0.5.0-dev", "0.5.0-prod", False),
        ("minor", "0.5.0", "0.6.0-rc1", False),
        ("patch", "1.4.5", "1.4.6", True),
        ("patch", "1.4", "1.4.6", True),
        ("patch", "1.4", "1.5.6", False),
        ("patch", "1.4", "1.5", False),
        ("patch", "1.4.5", "1.4.4", False),
        ("patch", "1.4.5", "2.4.6", False),
        ("glob:build-*", "build-0", "build-1", True),
        ("glob:build-*", "build-0", "build-foo", True),
        ("glob:build-*", "build-0", "my-build-1", False),
        ("regexp:^([a-zA-Z]+)$", "abc", "Abcd", True),
        ("regexp:^([a-zA-Z]+)$", "abc", "abc1", False),
    ],
)
def test_keel(text, current, tag, follows):
    assert choose(text, current, f"{current} {tag}") == (tag if follows else current)
    assert policy(text).may_follow(current, tag) is (follows or current == tag)


# Flux: ImagePolicy (fluxcd.io, "Image Policies", with the examples of v1beta1) and the tests of its policies.
@pytest.mark.parametrize(
    ("text", "labels", "names", "winner"),
    [
        ("semver:1.0.x", {}, "1.0.0 1.0.0.1 1.0.0p 1.0.1 1.2.0 0.1.0", "1.0.1"),
        ("semver:1.0.x", {}, "v1.2.3 v1.0.0 v0.1.0", "v1.0.0"),
        ("semver:1.0.x", {}, "b1.2.3 b1.0.0 b0.1.0", "latest"),
        ("semver:1.0.x", {}, "1.2.0", "latest"),
        ("semver:5.1.x", {}, "5.0.3 5.1.0 5.1.4 5.2.0 6.0.0", "5.1.4"),
        ("semver:>=1.0.0", {}, "0.9.0 1.0.0 2.1.0 3.0.0-rc.1", "2.1.0"),
        ("semver:>=1.0.0 <2.0.0", {}, "1.9.9 1.10.0 2.0.0", "1.10.0"),
        ("semver:>=1.0.0-0", {"prerelease": "true"}, "1.0.0 2.0.0-rc.1", "2.0.0-rc.1"),
        (
            "semver:^1.x",
            {"allow_tags": "regexp:.*-rc.*", "prerelease": "true"},
            "1.0.0 1.1.0-rc.1 1.1.0-beta.9 1.1.0 2.0.0-rc.1",
            "1.1.0-rc.1",
        ),
        ("regexp:.*", {"order": "alphabetical"}, "xenial yakkety zesty artful bionic", "zesty"),
        ("regexp:[0-9]", {"order": "alphabetical"}, "16.04 16.04.1 16.10 20.04 20.10", "20.10"),
        (
            "regexp:^rel-",
            {"order": "alphabetical"},
            "rel-1606234201 rel-1606364286 rel-1606334092",
            "rel-1606364286",
        ),
        (
            r"regexp:^RELEASE\.(?P<order>.*)Z$",
            {"order": "alphabetical"},
            "RELEASE.2021-01-08T21-18-21Z RELEASE.2020-05-08T21-18-21Z latest",
            "RELEASE.2021-01-08T21-18-21Z",
        ),
        ("regexp:.", {"order": "numerical"}, "1606234201 1606364286 1606334092", "1606364286"),
        ("regexp:.", {"order": "numerical"}, "47.4 53.47333823144817 3.2", "53.47333823144817"),
        (
            "regexp:^main-[a-fA-F0-9]+-(?P<order>.*)",
            {"order": "numerical"},
            "main-abc-100 main-fff-99 main-0a1-20 dev-abc-999 main-a-today",
            "main-abc-100",
        ),
        (r"regexp:^ver(\d+)", {"order": "numerical"}, "ver1 ver10 ver9 rel11", "ver10"),
        (r"regexp:^(main|rc)-(?P<order>\d+)", {"order": "numerical"}, "main-9 rc-10 dev-11", "rc-10"),
        ("regexp:^123-.*-debug", {}, "123-1.a-debug 123-1.b-debug 123-1.c", "123-1.b-debug"),
    ],
)
def test_flux(text, labels, names, winner):
    assert choose(text, "latest", f"latest {names}", **labels) == winner


# Argo CD Image Updater: "Update strategies" and "Filtering tags" of its documentation.
@pytest.mark.parametrize(
    ("text", "labels", "current", "names", "winner"),
    [
        ("semver:1.2.x", {}, "1.2.0", "1.2.5 1.2.12 1.3", "1.2.12"),
        ("semver:1.x", {}, "1.2.0", "1.2.12 1.3.0 1.15.2 2.0", "1.15.2"),
        ("semver:v1.x", {}, "0.9", "1.0", "1.0"),
        ("semver:1.x", {}, "0.9", "v1.0", "v1.0"),
        ("semver:2.x", {}, "2.0", "v2.1-rc1", "2.0"),
        ("semver:2.x", {"prerelease": "true"}, "2.0", "v2.1-rc1", "v2.1-rc1"),
        ("semver:1.x", {}, "latest", "1.0.0 1.1.0 2.0.0", "1.1.0"),
        ("semver:*", {}, "1.0.0", "1.9.0 3.0.0 2.0.0", "3.0.0"),
        (
            "glob:*",
            {"allow_tags": "regexp:^[0-9a-f]{7}$"},
            "0000000",
            "a5fb3d3 f7bb2e3 latest master",
            "f7bb2e3",
        ),
        ("glob:*", {"ignore_tags": "latest, master"}, "0000000", "f7bb2e3 latest a5fb3d3 master", "a5fb3d3"),
        ("glob:*", {"ignore_tags": "*"}, "0000000", "f7bb2e3 latest", "0000000"),
        (
            "glob:*",
            {"allow_tags": "regexp:^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "order": "alphabetical"},
            "2024-01-01",
            "2024-02-30 2024-10-01 2024-09-09 next",
            "2024-10-01",
        ),
        (
            "glob:*",
            {"allow_tags": "regexp:^v1.0.0-[0-9a-zA-Z]+$"},
            "v1.0.0-1",
            "v1.0.0-abc v1.0.0",
            "v1.0.0-abc",
        ),
        ("tag", {}, "latest", "1.0.0 latest", "latest"),
    ],
)
def test_argo_cd_image_updater(text, labels, current, names, winner):
    assert choose(text, current, f"{current} {names}", **labels) == winner


@pytest.mark.parametrize(
    ("text", "current", "names", "winner"),
    [
        ("minor", "1.9.0", "1.10.0 1.9.9", "1.10.0"),
        ("all", "1.0.0-rc9", "1.0.0-rc10 1.0.0-rc2", "1.0.0-rc10"),  # semver.org would have rc9
        ("major", "v1", "v2 v1.5", "v2"),
        ("major", "1.2.3", "v2 20250301 12345678", "v2"),  # dates and commits are no versions
        ("all", "2025-03-01", "2025-03-02", "2025-03-01"),
        ("major", "16", "17 18-alpine 20250301", "17"),
        ("major", "16-alpine", "17-alpine 18", "17-alpine"),
        ("minor", "20.04.1", "20.10.01", "20.10.01"),
        # `latest` and other names that are no versions mean nothing to policies that compare.
        ("all", "latest", "1.0.0 2.0.0", "latest"),
        ("patch", "1.2.3", "latest stable", "1.2.3"),
        # Variants stay the same, as in Renovate's versioning of Docker tags.
        ("minor", "1.2.3", "1.3.0-alpine", "1.2.3"),
        ("minor", "1.2.3-alpine", "1.3.0 1.3.0-alpine 1.4.0-slim", "1.3.0-alpine"),
        ("all", "1.2.3", "1.3.0-alpine", "1.2.3"),
        ("minor", "1.2.3-slim-bookworm", "1.3.0-slim 1.3.0-slim-bookworm", "1.3.0-slim-bookworm"),
        ("semver:^1", "1.2.3-alpine", "1.3.0 1.3.0-alpine 1.4.0-rc.1-alpine", "1.3.0-alpine"),
        ("semver:^1", "latest", "1.3.0-alpine", "latest"),
        ("minor", "1.3.0-rc.1-alpine", "1.3.0-rc.2-alpine 1.3.0-rc.3", "1.3.0-rc.2-alpine"),
        # Prereleases while one runs, then back to releases.
        ("minor", "1.3.0-rc.1", "1.3.0-rc.2", "1.3.0-rc.2"),
        ("minor", "1.3.0-rc.1", "1.3.0-rc.2 1.3.0", "1.3.0"),
        ("patch", "1.3.0", "1.3.1-rc.1 1.3.1-5", "1.3.0"),
        ("semver:^1.2", "1.2.0", "1.3.0-beta", "1.2.0"),
        ("semver:>=1.3.0-rc.1", "1.2.0", "1.3.0-rc.2 1.4.0-rc.1", "1.3.0-rc.2"),
        # Never back, also not into the range.
        ("semver:^1", "2.0.0", "1.9.0", "2.0.0"),
        # Equal versions: what runs stays, else the one that is written alike.
        ("minor", "1.2", "1.2.0 v1.2.0 v1.2", "1.2"),
        ("minor", "1.1.0", "1.2 v1.2.0 1.2.0", "1.2.0"),
        ("minor", "v1.1", "1.2 v1.2.0 v1.2 1.2.0", "v1.2"),
        ("glob:*", "a", f"b {SIGNATURE}.sig {SIGNATURE}.att {SIGNATURE}.sbom {SIGNATURE}", "b"),
        ("none", "1.0.0", "1.0.1", "1.0.0"),
    ],
)
def test_choices_of_our_own(text, current, names, winner):
    assert choose(text, current, f"{current} {names}") == winner


@pytest.mark.parametrize(
    ("labels", "current", "names", "winner"),
    [
        ({"prerelease": "true"}, "1.2.3", "1.3.0-rc.1 1.3.0-rc.1-alpine", "1.3.0-rc.1"),
        ({"prerelease": "false"}, "1.3.0-rc.1", "1.3.0-rc.2", "1.3.0-rc.1"),
        ({"prerelease": "false"}, "1.3.0-rc.1", "1.3.0-rc.2 1.3.0", "1.3.0"),
        ({"ignore_tags": "1.4.*,1.5.0"}, "1.2.3", "1.3.0 1.4.7 1.5.0", "1.3.0"),
        ({"ignore_tags": "1.*"}, "1.2.3", "1.3.0", "1.2.3"),
        ({"allow_tags": "*.0", "order": "semver"}, "1.2.3", "1.3.0 1.3.1", "1.3.0"),
    ],
)
def test_the_other_labels(labels, current, names, winner):
    assert choose("minor", current, f"{current} {names}", **labels) == winner
    if labels.get("prerelease") == "false":
        assert choose("all", current, f"{current} {names}", **labels) == winner


def test_a_pattern_sorted_by_version_takes_the_variants_that_it_names():
    assert choose("glob:*-alpine", "latest", "1.3.0-alpine 1.4.0", order="semver") == "1.3.0-alpine"
    assert choose("glob:*-alpine", "1.3.0", "1.3.0-alpine 1.2.0-alpine", order="semver") == "1.3.0-alpine"
    assert choose("glob:1.*", "2.0.0", "1.9.0", order="semver") == "2.0.0"
    assert choose(r"regexp:^rel-(.*)$", "rel-1.9.0", "rel-1.10.0 rel-1.2.0", order="semver") == "rel-1.10.0"


def test_what_was_pushed_later_wins_by_default():
    assert choose("glob:main-*", "main-c", "main-b main-c main-a dev-z") == "main-a"
    assert choose("regexp:^main-", "main-a", "main-b main-c main-a dev-z") == "main-a"


@pytest.mark.parametrize("current", [[], [Tag("main-a")]], ids=["not listed", "no time"])
def test_without_the_time_of_the_own_push_nothing_counts_as_later(current):
    choice = policy("glob:main-*").choose("main-a", [*current, *pushed("main-b")])
    assert choice.tag == "main-a"
    assert "when that was pushed" in choice.reason
    assert ("main-b", "not known to be newer") in choice.verdicts


def test_a_tag_without_a_time_is_not_followed_by_time():
    choice = policy("glob:main-*").choose("main-a", [*pushed("main-a"), Tag("main-b")])
    assert (choice.tag, dict(choice.verdicts)["main-b"]) == (
        "main-a",
        "the registry does not say when it was pushed",
    )


def test_from_latest_a_service_comes_to_the_tag_that_was_pushed_with_it():
    image = [Tag("latest", START, "sha256:1"), Tag("main-b", START, "sha256:1")]
    assert policy("glob:main-*").choose("latest", image).tag == "main-b"
    assert policy("glob:*").choose("latest", image).tag == "latest"
    assert (
        policy("glob:main-*").choose("latest", [image[0], Tag("main-a", START - timedelta(1))]).tag
        == "latest"
    )


def test_a_tag_that_is_listed_twice_counts_once_with_its_last_push():
    march = [START + timedelta(days=day) for day in range(31)]
    tags = [Tag("b", march[9]), Tag("b", march[8]), Tag("b"), Tag("x", march[0]), Tag("a", march[8])]
    choice = policy("glob:*", ignore_tags="x").choose("a", tags)
    assert choice.tag == "b"
    assert [tag for tag, _ in choice.verdicts] == ["b", "a", "x"]


def test_every_tag_has_its_verdict_best_first():
    choice = policy("minor").choose(
        "1.2.0", pushed("1.1.0", "1.2.0", "1.3.0", "2.0.0", "1.4.0", "v1.2.0", "latest")
    )
    assert choice.reason == "policy minor: the highest version of those that may follow 1.2.0"
    assert choice.verdicts == (
        ("1.4.0", "chosen: the highest version"),
        ("1.3.0", "older than 1.4.0"),
        ("1.2.0", "the tag that runs"),
        ("v1.2.0", "equal to 1.2.0, which runs"),
        ("1.1.0", "older than 1.2.0"),
        ("2.0.0", "another major version"),
        ("latest", "'latest' is no version"),
    )


def test_explained_for_people():
    assert explain(policy("glob:main-*"), "main-a", ["main-b", "dev"]) == [
        "main-b: policy glob:main-*: the one pushed last of those that may follow main-a",
        "  main-b  chosen: the one pushed last",
        "  main-a  the tag that runs",
        "  dev     glob:main-* does not take it",
    ]
    assert explain(policy("tag"), "1.0", ["1.1"])[0] == "1.0: policy tag: only its own tag is followed"


def test_the_default_follows_the_tag():
    default = Policy.of({})
    assert default.follows_tag
    assert not default.off
    assert (default.may_follow("latest", "latest"), default.may_follow("latest", "1.0")) == (True, False)
    assert Policy.of({"deployer.policy": " Minor "}).order is Order.SEMVER


def test_none_is_off_whatever_else_is_written():
    off = policy("none", order="zigzag", prerelease="true")
    assert off.off
    assert not off.may_follow("a", "a")


@pytest.mark.parametrize(
    ("labels", "named", "hint"),
    [
        ({"policy": "mionr"}, "deployer.policy='mionr'", "patch, minor, major"),
        ({"policy": "minor:1"}, "deployer.policy='minor:1'", "semver:RANGE"),
        ({"policy": "semver"}, "deployer.policy='semver'", "semver:RANGE"),
        ({"policy": "semver:"}, "deployer.policy", "empty"),
        ({"policy": "semver:^1 ||"}, "deployer.policy", "one side of ||"),
        ({"policy": "semver:x.1"}, "deployer.policy='semver:x.1'", "after x or * no number may follow"),
        ({"policy": "semver:*.1.2"}, "deployer.policy", "after x or * no number may follow"),
        ({"policy": "semver:1.x.5"}, "deployer.policy", "after x or * no number may follow"),
        ({"policy": "semver:1 - 2.x.1"}, "deployer.policy", "after x or * no number may follow"),
        ({"policy": "semver:1.x-0"}, "deployer.policy", "no part of an npm range"),
        ({"policy": "semver:" + "1" * 300}, "deployer.policy='semver:" + "1" * 33 + "'", "200 characters"),
        ({"policy": "glob:"}, "deployer.policy", "empty"),
        ({"policy": "regexp:("}, "deployer.policy='regexp:('", "no regular expression"),
        ({"policy": "regexp:" + "a" * 300}, "deployer.policy", "256 characters"),
        ({"policy": "glob:a\x1b[31m"}, "deployer.policy='glob:a\\x1b[31m'", "cannot be printed"),
        ({"policy": "regexp:(?=a)b"}, "deployer.policy", "RE2 has no look-ahead"),
        ({"policy": r"regexp:(a)\1"}, "deployer.policy", "back-references"),
        ({"policy": "regexp:(?x) a"}, "deployer.policy", "no regular expression"),
        ({"policy": "regexp:(?P<order>.*)"}, "deployer.order", "has a group to sort by"),
        ({"policy": "regexp:(?P<order>.*)", "order": "push"}, "deployer.order='push'", "numerical"),
        ({"policy": "glob:*", "order": "zigzag"}, "deployer.order='zigzag'", "alphabetical"),
        ({"policy": "minor", "order": "push"}, "deployer.order='push'", "semver only"),
        ({"policy": "glob:*", "allow-tags": "a,,b"}, "deployer.allow-tags='a,,b'", "globs"),
        (
            {"policy": "glob:*", "ignore-tags": "regexp:["},
            "deployer.ignore-tags='regexp:['",
            "regexp:PATTERN",
        ),
        ({"policy": "minor", "prerelease": "maybe"}, "deployer.prerelease='maybe'", "true or false"),
        ({"policy": "glob:*", "prerelease": "true"}, "deployer.prerelease", "deployer.order is semver"),
        ({"prerelease": "true"}, "deployer.prerelease", "no meaning with deployer.policy=tag"),
        ({"order": "semver"}, "deployer.order", "no meaning with deployer.policy=tag"),
        ({"policy": "tag", "allow-tags": "v*"}, "deployer.allow-tags", "no meaning"),
    ],
)
def test_an_unusable_policy_says_which_label_and_what_it_may_be(labels, named, hint):
    with pytest.raises(LabelError) as fault:
        Policy.of({f"deployer.{name}": value for name, value in labels.items()})
    assert f"label {named}" in str(fault.value)
    assert hint in str(fault.value)
    assert len(str(fault.value)) < 400


any_labels = st.dictionaries(
    st.sampled_from(["policy", "order", "allow-tags", "prerelease"]), st.text(max_size=20)
)
some_policy = st.sampled_from(["", "semver:", "glob:", "regexp:"])


@given(some_policy, any_labels)
def test_any_labels_are_a_policy_or_a_label_error(kind, labels):
    labels = {f"deployer.{name}": value for name, value in labels.items()}
    labels["deployer.policy"] = kind + labels.get("deployer.policy", "")
    try:
        read = Policy.of(labels)
    except LabelError:
        return
    assert read.choose("1", pushed("1", "2")).tag in ("1", "2")


versions = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "v"]),
    st.lists(st.integers(0, 2).map(str), min_size=1, max_size=3).map(".".join),
    st.sampled_from(["", "", "", "-rc.1", "-rc2", "-beta", "-0"]),
    st.sampled_from(["", "", "-alpine", "-prod"]),
)
names = versions | st.sampled_from(["latest", "main-1", "main-b", "10", "2.5", SIGNATURE])
times = st.none() | st.integers(0, 3).map(lambda hours: START + timedelta(hours=hours))
tag_lists = st.lists(st.builds(Tag, names, times), max_size=8, unique_by=lambda tag: tag.name)
policies = st.one_of(
    st.builds(
        lambda text, prerelease: policy(text, prerelease=prerelease),
        st.sampled_from(
            ["patch", "minor", "major", "all", "semver:^1 || 2.x", "semver:>=1.0.0-beta", "semver:*"]
        ),
        st.sampled_from(["", "true", "false"]),
    ),
    st.builds(
        lambda text, order, ignored: policy(text, order=order, ignore_tags=ignored),
        st.sampled_from(["glob:*", "glob:main-*", "glob:*-alpine", "regexp:([0-9].*)$", "regexp:-(.)"]),
        st.sampled_from(["", "push", "semver", "alphabetical", "numerical"]),
        st.sampled_from(["", "latest,*b"]),
    ),
    st.builds(policy, st.sampled_from(["tag", "none"])),
)


@given(policies, names, tag_lists, st.randoms(use_true_random=False))
def test_the_order_in_which_tags_are_listed_changes_nothing(rule, current, tags, random):
    choice = rule.choose(current, tags)
    shuffled = tags[:]
    random.shuffle(shuffled)
    assert rule.choose(current, shuffled) == choice
    assert rule.choose(current, shuffled).verdicts == choice.verdicts
    assert {tag for tag, _ in choice.verdicts} | {current} == {tag.name for tag in tags} | {current}


@given(policies, names, tag_lists)
def test_what_was_chosen_is_chosen_again(rule, current, tags):
    winner = rule.choose(current, tags).tag
    assert rule.choose(winner, tags).tag == winner


@given(policies, names, tag_lists)
def test_a_tag_that_wins_is_one_whose_push_matters(rule, current, tags):
    winner = rule.choose(current, tags).tag
    assert winner == current or rule.may_follow(current, winner)
    assert rule.may_follow(current, current) is not rule.off


@given(policies, names, tag_lists)
def test_nothing_goes_back(rule, current, tags):
    winner = rule.choose(current, tags).tag
    if winner == current:
        return
    if rule.order is Order.PUSH:
        at = {tag.name: tag.pushed_at for tag in tags}
        assert at[winner] >= at[current]
    if rule.order is Order.SEMVER and not str(rule.text).startswith("regexp"):
        before, after = Version.of(current), Version.of(winner)
        assert before is None or after.key >= before.key
    if rule.text == "glob:*" and rule.order is Order.ALPHABETICAL:
        assert winner > current


# npm's README of `semver`, "Ranges" and "Prerelease Tags".
@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        (">=1.2.7", "1.2.7 1.2.8 2.5.3 1.3.9", "1.2.6 1.1.0"),
        (">=1.2.7 <1.3.0", "1.2.7 1.2.8 1.2.99", "1.2.6 1.3.0 1.1.0"),
        ("1.2.7 || >=1.2.9 <2.0.0", "1.2.7 1.2.9 1.4.6", "1.2.8 2.0.0"),
        ("1.2.3 - 2.3.4", "1.2.3 2.3.4", "1.2.2 2.3.5"),
        ("1.2 - 2.3.4", "1.2.0", "1.1.9 2.3.5"),
        ("1.2.3 - 2.3", "2.3.99", "2.4.0 2.4.0-rc.1"),
        ("1.2.3 - 2", "2.99.0", "3.0.0"),
        ("*", "0.0.0 9.9.9", "1.0.0-rc.1"),
        ("1.x", "1.0.0 1.99.0", "0.9.0 2.0.0 1.1.0-rc.1"),
        ("1.2.x", "1.2.0 1.2.9", "1.3.0 1.1.9"),
        ("1", "1.0.0 1.9.9", "2.0.0"),
        ("~1.2.3", "1.2.3 1.2.9", "1.3.0 1.2.2"),
        ("~1.2", "1.2.0 1.2.9", "1.3.0"),
        ("~1", "1.0.0 1.9.9", "2.0.0"),
        ("~0.2.3", "0.2.3", "0.3.0"),
        ("~1.2.3-beta.2", "1.2.3-beta.4 1.2.9", "1.2.4-beta.2 1.2.3-beta.1"),
        ("^1.2.3", "1.2.3 1.9.0", "2.0.0 2.0.0-rc.1 1.2.2"),
        ("^0.2.3", "0.2.3 0.2.9", "0.3.0"),
        ("^0.0.3", "0.0.3", "0.0.4"),
        ("^1.2.3-beta.2", "1.2.3-beta.4 1.3.0", "1.2.4-beta.2"),
        ("^0.0.3-beta", "0.0.3-pr.2 0.0.3", "0.0.4"),
        ("^1.2.x", "1.2.0 1.9.0", "2.0.0"),
        ("^0.0.x", "0.0.0 0.0.9", "0.1.0"),
        ("^0.0", "0.0.9", "0.1.0"),
        ("^1.x", "1.0.0", "2.0.0"),
        ("^0.x", "0.9.9", "1.0.0"),
        (">1.2.3-alpha.3", "1.2.3-alpha.7 3.4.5", "3.4.5-alpha.9 1.2.3-alpha.3"),
        (">1", "2.0.0", "1.9.9"),
        ("<=1.2", "1.2.9", "1.3.0"),
        ("<1.2", "1.1.9", "1.2.0"),
        (">= 1.2, < 2", "1.2.0", "2.0.0"),
        ("<*", "", "0.0.0"),
        ("=v1.2.3+build", "1.2.3", "1.2.4"),
    ],
)
def test_npm_ranges(text, inside, outside):
    range_ = Range.parse(text)
    assert {v: range_.holds(Version.of(v)) for v in inside.split()} == dict.fromkeys(inside.split(), True)
    assert {v: range_.holds(Version.of(v)) for v in outside.split()} == dict.fromkeys(outside.split(), False)


@pytest.mark.parametrize(
    "text", ["", " ", "||", "1.2.3.4", "latest", "^", ">", "1.x-0", "1.2.3 -", "^^1", "01.x.y"]
)
def test_no_ranges(text):
    with pytest.raises(ValueError, match=r"range|empty"):
        Range.parse(text)


@pytest.mark.parametrize(
    ("tag", "prerelease", "variant"),
    [
        ("1.2.3-rc1-alpine", "rc1", "alpine"),
        ("1.2.3-alpine3.19", "", "alpine3.19"),
        ("1.2.3-4", "4", ""),
        ("1.2.3-beta-2-slim", "beta-2", "slim"),
        ("1.2.3-dev", "", "dev"),
        ("1.2.3-dev.4", "dev.4", ""),
        ("1.2.3-SNAPSHOT", "SNAPSHOT", ""),
        ("1.2.3-alphabet", "", "alphabet"),
        ("1.2.3-m2-jdk", "m2", "jdk"),
        ("1.2.3-0a1b2c3", "", "0a1b2c3"),
        ("v1.28.2-k3s1", "", "k3s1"),
    ],
)
def test_a_suffix_is_a_prerelease_or_a_variant(tag, prerelease, variant):
    version = Version.of(tag)
    assert (version.prerelease, version.variant) == (prerelease, variant)


def test_prereleases_in_the_order_of_semver_org():
    written = (
        "1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta 1.0.0-beta.2 1.0.0-beta.11 1.0.0-rc.1 1.0.0"
    )
    assert sorted(set(written.split()), key=lambda tag: Version.of(tag).key) == written.split()


@pytest.mark.parametrize(
    "text",
    ["-.*" * 12 + "!", "(a+)+$", "(a|a)*$", "(.*)(.*)(.*)(.*)(.*)(.*)b", "^(?:[a-z0-9]+-)?.*-.*-.*-(\\d+)$"],
)
def test_fault_19_no_expression_keeps_a_worker_busy(text):
    began = time.process_time()
    for tag in ("a" + "-" * 127, "a" * 128):
        policy(f"regexp:{text}").may_follow("x", tag)
    assert time.process_time() - began < 0.5


def test_no_glob_keeps_a_worker_busy():
    began = time.process_time()
    assert not policy("glob:" + "*a" * 60 + "b").may_follow("x", "a" * 128)
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize(
    "text",
    [
        r"^v?(\d+)\.(\d+)\.(\d+)(-rc\.?\d*)?$",
        "([a-z]+-){0,4}v",
        "(?:main|dev)-[0-9]+",
        r"[(+*]+\(a\+\)+",
        "(?i)Main",
    ],
)
def test_a_usual_expression_is_taken(text):
    assert regexp(text).pattern == text


def test_ten_thousand_tags_are_chosen_from_at_once():
    tags = [Tag(f"{i % 3}.{i % 100}.{i // 100}", START + timedelta(seconds=i)) for i in range(10_000)]
    began = time.process_time()
    assert policy("semver:^1 || ~2.3").choose("1.0.0", tags).tag == "2.3.98"
    assert policy("glob:*").choose("0.0.0", tags).tag == tags[-1].name
    assert time.process_time() - began < 2


def test_fault_36_a_look_judges_the_newest_of_a_hundred_thousand_tags_only(monkeypatch):
    tags = [Tag(f"1.{i // 1000}.{i % 1000}", START + timedelta(seconds=i)) for i in range(100_000)]
    judged = []
    judge = View.candidate
    monkeypatch.setattr(View, "candidate", lambda view, tag: judged.append(tag) or judge(view, tag))
    for rule in (policy("semver:>=1"), policy("minor"), policy("glob:1.*")):
        judged.clear()
        assert rule.choose("1.0.0", tags).tag == "1.99.999"
        assert len(judged) < 10


@given(policies, names, tag_lists)
def test_the_quick_choice_is_the_first_of_all_verdicts(rule, current, tags):
    choice = rule.choose(current, tags)
    if not (rule.off or rule.follows_tag):
        assert choice.verdicts[0][0] == choice.tag


@given(versions | names)
def test_the_quick_key_is_that_of_the_version(text):
    version = Version.of(text)
    assert version_key(text) == (version.key if version else None)


@pytest.mark.parametrize(
    ("text", "version", "holds"),
    [
        ("1.0.0 - 2.0.0", "1.0.0-rc.1", True),
        ("1.0.0 - 2.0.0", "2.0.0-rc.1", True),
        ("1.0.0 - 2.0.0", "2.0.0", True),
        ("1.0.0 - 2.0.0", "2.0.1-rc.1", False),
        ("1.0.0 - 2.0.0", "0.9.9", False),
        ("1.0.0-rc.2 - 2.0.0", "1.0.0-rc.1", False),
        ("1.2 - 2", "1.2.0-rc.1", True),
        ("1.2 - 2", "3.0.0-rc.1", False),
    ],
)
def test_a_hyphen_takes_the_prereleases_of_its_ends_where_prereleases_count(text, version, holds):
    assert Range.parse(text).holds(Version.of(version), prereleases=True) is holds
