"""The digest and the platforms of an image, as registries tell them."""

import hashlib
import json

import pytest
from http_registry import Server

from deployer.errors import AccessDeniedError, NotFoundError, PermanentError, TemporaryError
from deployer.model.image import Image
from deployer.registries import conversation
from deployer.registries.manifests import INDEXES, SINGLE, Manifests
from deployer.rollouts.ports import Credentials

AMD = {"architecture": "amd64", "os": "linux"}
ARM = {"architecture": "arm64", "os": "linux", "variant": "v8"}
CONFIG = "application/vnd.oci.image.config.v1+json"


def bytes_of(content):
    return json.dumps(content).encode()


def digest_of(content):
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class Repository:
    """What a registry has under `team/web`."""

    def __init__(self, server):
        self.server, self.tags, self.contents = server, {}, {}
        self.elsewhere = None  # where blobs are
        server.answer = self.answer

    def add(self, content, tag=None):
        content = content if isinstance(content, bytes) else bytes_of(content)
        self.contents[digest_of(content)] = content
        if tag:
            self.tags[tag] = digest_of(content)
        return digest_of(content)

    def single(self, platform=AMD, tag="v1", kind=CONFIG):
        config = self.add({**platform, "config": {"Env": []}, "rootfs": {}})
        return self.add({"mediaType": SINGLE[0], "config": {"mediaType": kind, "digest": config}}, tag)

    def index(self, *platforms, tag="v1"):
        children = [{"digest": "sha256:" + "1" * 64, "platform": one} for one in platforms]
        return self.add({"mediaType": INDEXES[0], "manifests": children}, tag)

    def answer(self, path, query, authorization):
        kind, _, reference = path.removeprefix("/v2/team/web/").partition("/")
        if kind == "blobs" and self.elsewhere:
            return 307, {"Location": self.elsewhere}, b""
        digest = self.tags.get(reference, reference)
        if digest not in self.contents:
            return 404, {}, {"errors": [{"code": "MANIFEST_UNKNOWN"}]}
        return 200, {"Docker-Content-Digest": digest}, self.contents[digest]

    def image(self, reference=":v1"):
        return Image.parse(f"{self.server.host}/team/web{reference}")

    @property
    def asked(self):
        return [path.removeprefix("/v2/team/web/").partition("/")[0] for path, _ in self.server.requests]


@pytest.fixture
def repository():
    server = Server()
    yield Repository(server)
    server.close()


@pytest.fixture
def manifests():
    return Manifests()


def test_an_index_names_its_platforms_and_attestations_are_none(repository, manifests):
    digest = repository.index(AMD, ARM, {"architecture": "unknown", "os": "unknown"}, None)
    found = manifests(repository.image(), None)
    assert (found.digest, found.platforms) == (digest, (AMD, ARM))
    assert repository.asked == ["manifests", "manifests"]


@pytest.mark.parametrize("platform", [AMD, ARM])
def test_a_single_images_platform_is_in_its_config(repository, manifests, platform):
    digest = repository.single(platform)
    found = manifests(repository.image(), None)
    assert (found.digest, found.platforms) == (digest, (platform,))


def test_platforms_are_asked_for_once_and_access_each_time(repository, manifests):
    repository.single()
    first = manifests(repository.image(), None)
    repository.server.requests.clear()
    assert manifests(repository.image(), None) == first
    assert repository.asked == ["manifests"]
    repository.contents.clear()
    with pytest.raises(NotFoundError):
        manifests(repository.image(), None)


def test_a_tag_that_moves_is_seen_at_once(repository, manifests):
    repository.index(AMD)
    manifests(repository.image(), None)
    moved = repository.index(ARM)
    assert manifests(repository.image(), None).digest == moved


def test_by_digest(repository, manifests):
    digest = repository.index(AMD)
    found = manifests(repository.image(f":gone@{digest}"), None)
    assert (found.digest, found.platforms) == (digest, (AMD,))


def test_another_content_than_the_digest_says_is_an_error(repository, manifests):
    digest = repository.index(AMD)
    repository.contents[digest] = bytes_of({"manifests": []})
    with pytest.raises(PermanentError, match="has another content than team/web@sha256:"):
        manifests(repository.image(f"@{digest}"), None)


def test_no_such_tag(repository, manifests):
    with pytest.raises(NotFoundError, match="has no image team/web:v1$"):
        manifests(repository.image(), None)


def test_what_is_no_image(repository, manifests):
    repository.single(kind="application/vnd.cncf.helm.config.v1+json")
    with pytest.raises(PermanentError, match="team/web:v1 is no image but application/vnd.cncf.helm"):
        manifests(repository.image(), None)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"config": 1}', b'{"config": {"digest": "../x"}}'])
def test_what_is_no_manifest(repository, manifests, content):
    repository.add(content, "v1")
    with pytest.raises(PermanentError, match="does not answer as a registry does"):
        manifests(repository.image(), None)


def test_a_config_that_is_not_the_one_named(repository, manifests):
    repository.single()
    for digest, content in list(repository.contents.items()):
        if b"rootfs" in content:
            repository.contents[digest] = bytes_of(ARM)
    with pytest.raises(PermanentError, match="does not answer as a registry does"):
        manifests(repository.image(), None)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, AccessDeniedError), (403, AccessDeniedError), (429, TemporaryError), (502, TemporaryError)],
)
def test_refusals(repository, manifests, status, kind):
    header = {"WWW-Authenticate": 'Basic realm="x"'}
    repository.server.answer = lambda *_: (status, header, {})
    with pytest.raises(kind, match="team/web:v1|wants a login"):
        manifests(repository.image(), None)


def test_the_login_is_sent_when_it_is_asked_for(repository, manifests):
    repository.index(AMD)
    answer = repository.answer
    repository.server.answer = lambda path, query, login: (
        answer(path, query, login) if login else (401, {"WWW-Authenticate": 'Basic realm="x"'}, {})
    )
    manifests(repository.image(), Credentials("robot", "secret", repository.server.host))
    assert [bool(login) for _, login in repository.server.requests] == [False, True, True]


# -- where blobs are ---------------------------------------------------------------------------------------


def redirected(repository, manifests, monkeypatch, place, answer):
    """Ask about a single image whose config is kept at a place."""
    digest = repository.single()
    repository.elsewhere = place
    asked, get = [], conversation.Conversation._get

    def watched(self, url, authorization, params=None, **more):
        if url != place:
            return get(self, url, authorization, params, **more)
        asked.append(authorization.header)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(conversation.Conversation, "_get", watched)
    found = manifests(repository.image(), Credentials("robot", "secret", repository.server.host))
    assert found.digest == digest
    return found.platforms, asked


BUCKET = "https://prod-eu-west-1-starport-layer-bucket.s3.eu-west-1.amazonaws.com/1?X-Amz-Signature=2"


def test_a_redirect_of_a_blob_is_followed_without_a_login(repository, manifests, monkeypatch):
    config = bytes_of({**AMD, "config": {"Env": []}, "rootfs": {}})
    answer = conversation.Answer(200, {}, None, config)
    assert redirected(repository, manifests, monkeypatch, BUCKET, answer) == ((AMD,), [None])


@pytest.mark.parametrize(
    "answer",
    [
        TemporaryError("no way there"),
        conversation.Answer(403, {}, None, b""),
        conversation.Answer(302, {}, None, b""),
    ],
)
def test_platforms_are_not_known_where_the_place_cannot_be_reached(
    repository, manifests, monkeypatch, answer
):
    assert redirected(repository, manifests, monkeypatch, BUCKET, answer) == ((), [None])


@pytest.mark.parametrize(
    "place",
    [
        "http://bucket.example.com/1",
        "https://127.0.0.1/1",
        "https://localhost:8443/1",
        "https://169.254.169.254/latest/meta-data",
        "https://[fd00::1]/1",
        "https://user@example.com/1",
        "/v2/team/web/blobs/again",
        "https://",
    ],
)
def test_redirects_that_are_not_followed(repository, manifests, monkeypatch, place):
    assert redirected(repository, manifests, monkeypatch, place, AssertionError("followed")) == ((), [])
