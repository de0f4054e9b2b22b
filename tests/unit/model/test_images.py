"""Image references: the grammar, Docker's shorthand, and what counts as the same image."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.errors import InvalidReferenceError
from deployer.model.image import (
    Image,
    is_account,
    is_companion_tag,
    is_digest,
    is_region,
    is_repository,
    is_tag,
)

ACCOUNT = "012345678901"
ECR = f"{ACCOUNT}.dkr.ecr.eu-central-1.amazonaws.com"
SHA256 = "sha256:" + "0123456789abcdef" * 4
SHA512 = "sha512:" + "0123456789abcdef" * 8
HEX64 = "0123456789abcdef" * 4

VALID = {
    "nginx": ("docker.io", "library/nginx", None, None),
    "nginx:1.27": ("docker.io", "library/nginx", "1.27", None),
    "team/api": ("docker.io", "team/api", None, None),
    "docker.io/nginx": ("docker.io", "library/nginx", None, None),
    "index.docker.io/nginx": ("docker.io", "library/nginx", None, None),
    "registry-1.docker.io/library/nginx": ("registry-1.docker.io", "library/nginx", None, None),
    "localhost/x": ("localhost", "x", None, None),
    "localhost:5000": ("docker.io", "library/localhost", "5000", None),
    "localhost:5000/x": ("localhost:5000", "x", None, None),
    "localhost:5000/x:y": ("localhost:5000", "x", "y", None),
    "[2001:db8::1]:5000/a/b:t": ("[2001:db8::1]:5000", "a/b", "t", None),
    "Registry/x": ("Registry", "x", None, None),
    "R.Example.com/a/b/c/d__e--f.g_h": ("R.Example.com", "a/b/c/d__e--f.g_h", None, None),
    f"{ECR}/team/api:latest": (ECR, "team/api", "latest", None),
    f"{ECR}/api@{SHA256}": (ECR, "api", None, SHA256),
    f"{ECR}/api:v1@{SHA512}": (ECR, "api", "v1", SHA512),
    f"{HEX64}:tag": ("docker.io", f"library/{HEX64}", "tag", None),
    "x:" + "t" * 128: ("docker.io", "library/x", "t" * 128, None),
    "h.io/" + "r" * 250: ("h.io", "r" * 250, None, None),
}

INVALID = {
    "empty": "",
    "upper case": "Nginx",
    "space": "nginx latest",
    "trailing newline": "nginx\n",
    "newline after the tag": "nginx:1\n",
    "newline after the digest": f"nginx@{SHA256}\n",
    "newline in the host": "h.io\n/x",
    "empty tag": "nginx:",
    "empty digest": "nginx@",
    "tag of 129": "nginx:" + "t" * 129,
    "tag begins with a dot": "nginx:.1",
    "tag begins with a dash": "nginx:-1",
    "short digest": "nginx@sha256:1234",
    "digest in upper case": "nginx@sha256:" + "A" * 64,
    "digest of md5": "nginx@md5:" + "a" * 32,
    "two digests": f"nginx@{SHA256}@{SHA256}",
    "id of the engine": HEX64,
    "id of an image": f"sha256:{HEX64}",
    "leading slash": "/nginx",
    "trailing slash": "h.io/x/",
    "double slash": "h.io/x//y",
    "scheme": "https://h.io/x",
    "three underscores": "a___b",
    "two dots": "a..b",
    "ends with a dash": "h.io/a-",
    "host begins with a dash": "-h.io/x",
    "host ends with a dot": "h.io./x",
    "letters in the port": "h.io:80a/x",
    "name of 256": "h.io/" + "r" * 251,
    "very long": "a" * 1_000_000,
    "digits of another script": "h.io/\u0661",
    "lone surrogate": "h.io/\ud800",
    "nul": "nginx\0",
    "shell": "nginx;reboot",
}


@pytest.mark.parametrize("text", VALID)
def test_parts(text):
    image = Image.parse(text)
    assert (image.host, image.repository, image.tag, image.digest) == VALID[text]


@pytest.mark.parametrize("text", INVALID.values(), ids=INVALID.keys())
def test_refused(text):
    with pytest.raises(InvalidReferenceError) as caught:
        Image.parse(text)
    message = str(caught.value)
    assert len(message) < 700
    assert "".join(message.splitlines()).isprintable()
    assert message.splitlines() == [message]


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("nginx", "nginx"),
        ("docker.io/library/nginx:1", "nginx:1"),
        ("index.docker.io/team/api", "team/api"),
        ("library/nginx", "nginx"),
        ("library/team/nginx", "library/team/nginx"),
        ("registry-1.docker.io/library/nginx", "registry-1.docker.io/library/nginx"),
        (f"{ECR}/api:v1@{SHA256}", f"{ECR}/api:v1@{SHA256}"),
        ("ECR.example.COM/x", "ECR.example.COM/x"),
        # Shortened, these three would name something else.
        ("docker.io/localhost/x", "docker.io/localhost/x"),
        ("docker.io/foo.bar/x", "docker.io/foo.bar/x"),
        (f"docker.io/library/{HEX64}", f"docker.io/library/{HEX64}"),
    ],
)
def test_printed_as_the_engine_stores_it(text, printed):
    assert str(Image.parse(text)) == printed
    assert Image.parse(printed) == Image.parse(text)


ALNUM = "abcdefghijklmnopqrstuvwxyz0123456789"
component = st.builds(
    lambda words, by: by.join(words),
    st.lists(st.text(ALNUM, min_size=1, max_size=6), min_size=1, max_size=3),
    st.sampled_from([".", "_", "__", "-", "---"]),
)
repositories = st.one_of(
    st.lists(component, min_size=1, max_size=4).map("/".join),
    st.sampled_from([f"library/{HEX64}", "localhost/x", "library/localhost", "library/a/b"]),
)
hosts = st.sampled_from(["docker.io", "localhost", "h.io", "H", "a.b:1", "[::1]:5", ECR])
tags = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", fullmatch=True).filter(is_tag)
digests = st.sampled_from([SHA256, SHA512])


@given(hosts, repositories, st.none() | tags, st.none() | digests)
def test_what_is_printed_reads_back_the_same(host, repository, tag, digest):
    if host == "docker.io" and "/" not in repository:
        repository = f"library/{repository}"
    image = Image(host, repository, tag, digest)
    assert Image.parse(str(image)) == image


@given(st.text() | st.text("aA0.:/@_-[]", max_size=40))
def test_any_text_is_read_or_refused(text):
    try:
        image = Image.parse(text)
    except InvalidReferenceError:
        return
    assert Image.parse(str(image)) == image


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (is_tag, ["a", "_x", "v2.0.0-rc.1", "t" * 128], ["", "t" * 129, "a\n", ".a", "a b", "ä", "a/b"]),
        (is_repository, ["a", "a/b", "a__b"], ["", "A", "a/", "a\n", "a" * 256, "a:b", "a_-b"]),
        (is_digest, [SHA256, SHA512], ["", "sha256:12", SHA256 + "\n", SHA256.upper(), HEX64]),
        (is_account, [ACCOUNT], ["", "1" * 11, "1" * 13, "1" * 12 + "\n", "\u0661" * 12]),
        (
            is_region,
            ["eu-central-1", "us-gov-west-1", "us-isob-east-1", "eusc-de-east-1", "cn-northwest-1"],
            ["", "eu-central-1\n", "eu-central-1.evil.example/x", "EU-central-1", "eu", "eu-1", "../x-1"],
        ),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_validators(check, good, bad):
    assert [text for text in good if not check(text)] == []
    assert [text for text in bad if check(text)] == []


@pytest.mark.parametrize(
    "parts",
    [
        ("h.io", "X"),
        ("h.io/", "x"),
        ("", "x"),
        ("h.io", "x", "a b"),
        ("h.io", "x", ""),
        ("h.io", "x", None, ""),
        ("h.io", "x", "t", "sha256:12"),
    ],
)
def test_no_invalid_image_can_be_made(parts):
    with pytest.raises(InvalidReferenceError):
        Image(*parts)


def test_the_tag_that_is_followed():
    assert Image.parse("nginx").followed_tag == "latest"
    assert Image.parse("nginx:1").followed_tag == "1"
    assert Image.parse(f"nginx:1@{SHA256}").followed_tag == "1"
    assert Image.parse(f"nginx@{SHA256}").followed_tag is None


def test_another_tag_drops_the_digest():
    assert str(Image.parse(f"{ECR}/api:v1@{SHA256}").with_tag("v2")) == f"{ECR}/api:v2"


def test_pinning_keeps_the_tag_that_is_followed():
    assert str(Image.parse("nginx").with_digest(SHA256)) == f"nginx:latest@{SHA256}"
    assert str(Image.parse("nginx:1").with_digest(SHA256)) == f"nginx:1@{SHA256}"
    assert str(Image.parse(f"nginx:1@{SHA512}").with_digest(SHA256)) == f"nginx:1@{SHA256}"
    assert str(Image.parse(f"nginx@{SHA512}").with_digest(SHA256)) == f"nginx@{SHA256}"
    assert str(Image.parse(f"nginx:1@{SHA256}").without_digest()) == "nginx:1"


@pytest.mark.parametrize("change", [lambda i: i.with_tag("a b"), lambda i: i.with_digest("sha256:1")])
def test_changes_are_validated(change):
    with pytest.raises(InvalidReferenceError):
        change(Image.parse("nginx"))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("nginx", "docker.io/library/nginx:1", True),
        ("nginx", "registry-1.docker.io/library/nginx", True),
        ("nginx", "index.docker.io/nginx", True),
        ("nginx", "nginx/nginx", False),
        ("h.io/x", "H.IO/x", True),
        ("h.io/x", "h.io:443/x", True),
        ("h.io/x", "h.io:5000/x", False),
        ("h.io/x", "h.io/y", False),
        (f"{ECR}/x", f"{ECR.upper()}:443/x", True),
        (f"{ECR}/x", f"{ECR.replace('eu-central-1', 'eu-west-1')}/x", False),
        (f"{ECR}/x", f"{ECR.replace('0', '1')}/x", False),
        (f"{ECR}/x", f"{ECR}/x/y", False),
    ],
)
def test_same_repository(one, other, same):
    assert Image.parse(one).same_repository(Image.parse(other)) is same
    assert Image.parse(other).same_repository(Image.parse(one)) is same


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("nginx", "nginx:latest", True),
        ("nginx:1", "nginx:1@" + SHA256, True),
        ("nginx:1", "nginx:2", False),
        ("nginx:1", "h.io/nginx:1", False),
        ("nginx@" + SHA256, "nginx@" + SHA256, False),
        ("nginx", "nginx@" + SHA256, False),
        (f"{ECR}/x:1", f"{ACCOUNT}.dkr-ecr.eu-central-1.on.aws/x:1", True),
    ],
)
def test_same_tag(one, other, same):
    assert Image.parse(one).same_tag(Image.parse(other)) is same


def test_a_repository_whose_short_name_would_be_an_id_is_written_in_full():
    image = Image("docker.io", "library/sha256", HEX64)
    assert Image.parse(str(image)) == image


@pytest.mark.parametrize(
    ("tag", "companion"),
    [
        (f"sha256-{HEX64}", True),
        (f"sha256-{HEX64}.sig", True),
        (f"sha512-{HEX64}", True),
        (f"sha256-{HEX64[:40]}.att", True),
        ("sha256-abc", False),
        (f"main-{HEX64}", False),
    ],
)
def test_tags_of_signatures_and_the_like_are_no_images(tag, companion):
    assert is_companion_tag(tag) is companion
