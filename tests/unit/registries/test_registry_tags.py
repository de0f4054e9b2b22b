"""The tags of a repository, as registries and ECR tell them, and what nobody may learn from the questions."""

import base64
import contextlib
import logging
import socket
import ssl
import subprocess
import threading
import traceback
from datetime import UTC, datetime
from types import SimpleNamespace

import boto3
import pytest
from botocore.config import Config
from botocore.stub import Stubber
from http_registry import Server
from hypothesis import given
from hypothesis import strategies as st

from deployer.aws.accounts import Accounts
from deployer.errors import AccessDeniedError, DeployerError, NotFoundError, PermanentError, TemporaryError
from deployer.model.image import Image
from deployer.policies.ranking import Tag
from deployer.registries import conversation, distribution
from deployer.registries.credentials import Registries
from deployer.registries.realms import Realm, challenges, is_loopback
from deployer.rollouts.ports import Credentials

PASSWORD = "correct-horse-battery"
BASIC = "Basic " + base64.b64encode(f"robot:{PASSWORD}".encode()).decode()
TOKEN = "token-of-one-minute"
LIST = "/v2/team/web/tags/list"


@pytest.fixture
def servers():
    started = []

    def start(context=None):
        started.append(Server(context))
        return started[-1]

    yield start
    for server in started:
        server.close()


@pytest.fixture
def server(servers):
    return servers()


def names(server, password=PASSWORD):
    login = Credentials("robot", password, server.host) if password else None
    return [tag.name for tag in distribution.listed(server.image, login)]


def wants(scheme, **parameters):
    said = ",".join(f'{name}="{value}"' for name, value in parameters.items())
    return 401, {"WWW-Authenticate": f"{scheme} {said}"}, {"errors": [{"code": "UNAUTHORIZED"}]}


def with_tokens(server, realm=None, key="token", login=BASIC):
    """A registry whose realm is its own."""

    def answer(path, query, authorization):
        if path == "/token":
            if authorization != login:
                return 401, {}, {}
            assert query == {"service": "the registry", "scope": "repository:team/web:pull"}
            return 200, {}, {key: TOKEN, "expires_in": 60}
        if authorization != f"Bearer {TOKEN}":
            return wants(
                "Bearer",
                realm=realm or f"http://{server.host}/token",
                service="the registry",
                scope="repository:team/web:pull",
            )
        return 200, {}, {"name": "team/web", "tags": ["v1", "v2"]}

    return answer


# -- the protocol ----------------------------------------------------------------------------------------


def test_the_tags_of_a_registry_without_a_login(server):
    assert distribution.listed(server.image, None) == [Tag("v1")]
    assert server.requests == [(f"{LIST}?n=1000", None)]


def test_a_password_is_sent_when_it_is_asked_for_and_not_before(server):
    server.answer = lambda path, query, login: (
        (200, {}, {"tags": ["v1", "v2"]}) if login == BASIC else wants("Basic", realm="registry")
    )
    assert names(server) == ["v1", "v2"]
    assert [login for _, login in server.requests] == [None, BASIC]


@pytest.mark.parametrize("key", ["token", "access_token"])
def test_a_token_is_asked_of_the_realm(server, key):
    server.answer = with_tokens(server, key=key)
    assert names(server) == ["v1", "v2"]
    assert [login for _, login in server.requests] == [None, BASIC, f"Bearer {TOKEN}"]


def test_a_token_for_nobody(server):
    server.answer = with_tokens(server, login=None)
    assert names(server, password=None) == ["v1", "v2"]


def test_a_token_that_expires_between_two_pages_is_replaced(server):
    issued = []

    def answer(path, query, login):
        if path == "/token":
            issued.append(f"token-{len(issued)}")
            return 200, {}, {"token": issued[-1]}
        wanted = "token-1" if "last" in query else "token-0"
        if login != f"Bearer {wanted}":
            return wants("Bearer", realm=f"http://{server.host}/token")
        link = {} if "last" in query else {"Link": f'<{LIST}?last=a>; rel="next"'}
        return 200, link, {"tags": ["b" if "last" in query else "a"]}

    server.answer = answer
    assert names(server) == ["a", "b"]


def paged(pages, link):
    """Pages of tags, each with a link to the next one."""

    def answer(path, query, login):
        number = int(query.get("page", 0))
        header = {"Link": link(number + 1)} if number + 1 < len(pages) else {}
        return 200, header, {"tags": pages[number]}

    return answer


@pytest.mark.parametrize(
    "link",
    [
        lambda number: f'<{LIST}?n=2&page={number}>; rel="next"',
        lambda number: f"<?page={number}>; rel=next",
        # Behind a proxy a registry may take itself for another one; and it must not send us elsewhere.
        lambda number: f'<http://elsewhere.example/v2/other/tags/list?page={number}>; rel="next"',
    ],
    ids=["path", "query", "absolute"],
)
def test_all_pages_are_read(server, link):
    server.answer = paged([["a", "b"], ["c", "d"], None, ["e", "a"]], link)
    assert names(server) == ["a", "b", "c", "d", "e"]
    assert {path.partition("?")[0] for path, _ in server.requests} == {LIST}


def test_what_is_no_tag_is_left_out(server):
    server.answer = lambda *_: (200, {}, {"tags": ["v1", "", "a/b", 7, None, "x" * 129, "v\n2"]})
    assert names(server) == ["v1"]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (403, AccessDeniedError),
        (404, NotFoundError),
        (429, TemporaryError),
        (500, TemporaryError),
        (503, TemporaryError),
        (400, PermanentError),
        (302, PermanentError),
    ],
)
def test_a_refusal_is_told_apart_from_a_bad_moment(server, status, error):
    server.answer = lambda *_: (status, {"Location": "http://127.0.0.1:1/"}, {})
    with pytest.raises(error, match=str(status) if status != 404 else "team/web") as caught:
        names(server)
    assert type(caught.value) is error


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (wants("Basic", realm="x"), AccessDeniedError),
        (wants("Negotiate", realm="x"), PermanentError),
        (wants("Bearer", realm="ftp://x/"), PermanentError),
        (wants("Bearer", realm="http://["), PermanentError),
        (wants("Bearer", service="x"), PermanentError),
        ((401, {}, {}), PermanentError),
        ((200, {}, b"<html>Please log in</html>"), PermanentError),
        ((200, {}, b"[" * 100_000), PermanentError),
        ((200, {}, []), PermanentError),
        ((200, {}, {"tags": "v1"}), PermanentError),
        ((200, {"Content-Length": "100"}, b"{}"), TemporaryError),
    ],
)
def test_an_answer_that_is_of_no_use(server, monkeypatch, answer, error):
    monkeypatch.setattr(conversation, "TIMEOUTS", (2, 0.5))
    server.answer = lambda *_: answer
    with pytest.raises(error):
        names(server)


@pytest.mark.parametrize("token", [None, 7, "", "a\r\nX-Other: b", "ü"])
def test_a_token_that_is_none(server, token):
    server.answer = lambda path, *_: (
        (200, {}, {"token": token})
        if path == "/token"
        else wants("Bearer", realm=f"http://{server.host}/token")
    )
    with pytest.raises(PermanentError, match="does not answer as a registry does"):
        names(server)


def test_the_right_realm_may_refuse_the_password(server):
    server.answer = with_tokens(server)
    with pytest.raises(AccessDeniedError, match="refuses the login"):
        names(server, password="wrong")


def test_a_login_that_is_missing_is_told(server):
    server.answer = lambda *_: wants("Basic", realm="x")
    with pytest.raises(AccessDeniedError, match="wants a login, and none is configured"):
        names(server, password=None)


def test_nobody_listens(server):
    server.close()
    with pytest.raises(TemporaryError, match="does not answer: ConnectionError"):
        names(server)


# -- bounds ----------------------------------------------------------------------------------------------


def test_a_circle_of_pages_ends(server):
    server.answer = lambda *_: (200, {"Link": f'<{LIST}?page=1>; rel="next"'}, {"tags": ["a"]})
    with pytest.raises(PermanentError, match="circle"):
        names(server)
    assert len(server.requests) == 2


def test_endless_pages_end(server, monkeypatch):
    monkeypatch.setattr(distribution, "MAX_PAGES", 5)
    server.answer = lambda path, query, login: (
        200,
        {"Link": f'<{LIST}?page={int(query.get("page", 0)) + 1}>; rel="next"'},
        {"tags": ["a"]},
    )
    with pytest.raises(PermanentError, match="pages"):
        names(server)
    assert len(server.requests) == 5


def test_as_many_pages_as_are_allowed_are_read(server, monkeypatch):
    monkeypatch.setattr(distribution, "MAX_PAGES", 2)
    server.answer = paged([["a"], ["b"]], lambda number: f"<?page={number}>; rel=next")
    assert names(server) == ["a", "b"]


def test_too_many_tags_are_refused_and_not_cut_off(server, monkeypatch):
    monkeypatch.setattr(distribution, "MAX_TAGS", 3)
    server.answer = lambda *_: (200, {}, {"tags": list("abcd")})
    with pytest.raises(PermanentError, match="more than 3 tags"):
        names(server)


def test_an_answer_that_is_too_long(server, monkeypatch):
    monkeypatch.setattr(conversation, "MAX_ANSWER", 1000)
    server.answer = lambda *_: (200, {}, b'{"tags": ["' + b"x" * 2000 + b'"]}')
    with pytest.raises(PermanentError, match="1000 bytes"):
        names(server)


def test_an_answer_that_does_not_come(server, monkeypatch):
    monkeypatch.setattr(conversation, "TIMEOUTS", (2, 0.5))
    silence = threading.Event()
    server.answer = lambda *_: (silence.wait(5), (200, {}, {}))[1]
    with pytest.raises(TemporaryError, match="does not answer: ReadTimeout"):
        names(server)
    silence.set()


def test_the_whole_list_has_a_deadline(server, monkeypatch):
    monkeypatch.setattr(conversation, "DEADLINE", -1)
    with pytest.raises(TemporaryError, match="takes more than"):
        names(server)
    assert not server.requests


# -- where a password goes -------------------------------------------------------------------------------


def test_no_password_goes_to_a_realm_over_http_elsewhere(servers):
    server, thief = servers(), servers()
    server.answer = with_tokens(server, realm=f"http://{thief.host}/token")
    for password in (PASSWORD, None):
        with pytest.raises(PermanentError, match=f"sent to {thief.host}, without encryption"):
            names(server, password)
    assert not thief.requests


def test_a_redirect_of_the_realm_is_not_followed(servers):
    server, thief = servers(), servers()
    server.answer = lambda path, *_: (
        (307, {"Location": f"http://{thief.host}/"}, {})
        if path == "/token"
        else wants("Bearer", realm=f"http://{server.host}/token")
    )
    with pytest.raises(PermanentError, match="307"):
        names(server)
    assert not thief.requests


def test_no_proxy_and_no_netrc_for_loopback(servers, monkeypatch, tmp_path):
    server, proxy = servers(), servers()
    (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login thief password {PASSWORD}\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("http_proxy", f"http://{proxy.host}")
    assert names(server, password=None) == ["v1"]
    assert [login for _, login in server.requests] == [None]
    assert not proxy.requests


@pytest.mark.parametrize(
    ("registry", "realm", "objection"),
    [
        ("registry-1.docker.io", "https://auth.docker.io/token", None),
        ("ghcr.io", "https://ghcr.io/token", None),
        ("quay.io", "https://quay.io/v2/auth", None),
        ("public.ecr.aws", "https://public.ecr.aws/token/", None),
        ("registry.gitlab.com", "https://gitlab.com/jwt/auth", None),
        ("registry.example.com:5000", "https://gitlab.example.com/jwt/auth", None),
        ("harbor.example.com", "https://harbor.example.com:8443/service/token", None),
        ("example.com", "https://auth.example.com/", None),
        ("registry.example.co.uk", "https://auth.example.co.uk/", None),
        ("10.0.0.1:5000", "https://10.0.0.1/", None),
        ("[fd00::1]:5000", "https://[fd00::1]/", None),
        ("registry", "https://registry/", None),
        ("ghcr.io", "http://ghcr.io/token", "without encryption"),
        ("ghcr.io", "https://evil.io/token", "another domain"),
        ("ghcr.io", "https://notghcr.io/token", "another domain"),
        ("example.co.uk", "https://evil.co.uk/", "another domain"),
        ("registry.example.com", "https://example.com.evil.net/", "another domain"),
        ("registry.example.com", "https://evilexample.com/", "another domain"),
        ("10.0.0.1:5000", "https://10.0.0.2/", "another domain"),
        ("10.0.0.1:5000", "https://evil.0.0.1/", "another domain"),
        ("[fd00::1]:5000", "https://[fd00::2]/", "another domain"),
        ("registry", "https://evil/", "another domain"),
        # Fault 37: another customer's host under one suffix, of the public suffix list or of ours.
        ("acme.github.io", "https://evil.github.io/", "another domain"),
        ("d111.cloudfront.net", "https://d222.cloudfront.net/", "another domain"),
        ("acme.azurecr.io", "https://evil.azurecr.io/", "another domain"),
        ("acme.azurecr.io", "https://acme.azurecr.io/oauth2/token", None),
        ("acme.jfrog.io", "https://evil.jfrog.io/", "another domain"),
        ("shop.acme.com.au", "https://auth.acme.com.au/", None),
        ("acme.com.au", "https://evil.com.au/", "another domain"),
        # Where the suffix is not listed, the very host.
        ("registry.shop.corp", "https://registry.shop.corp/token", None),
        ("registry.shop.corp", "https://evil.shop.corp/", "another domain"),
        ("dev", "https://evil.dev/", "another domain"),
    ],
)
def test_which_realm_may_have_the_password(registry, realm, objection):
    assert Realm.parse(realm).objection(registry, plain=False, password=True) == objection


def test_a_realm_elsewhere_is_asked_without_a_password():
    realm = Realm.parse("https://auth.elsewhere.example/token")
    assert realm.objection("registry.example.com", plain=False, password=False) is None
    assert realm.objection("127.0.0.1:5000", plain=True, password=True) == "another domain"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "token",
        "//ghcr.io/token",
        "file:///etc/passwd",
        "https:///token",
        "https://user:password@ghcr.io/",
        "https://ghcr.io@evil.net/",
        "https://evil.net\\@ghcr.io/",
        "https://ghcr.io:x/",
        "https://[::1",
    ],
)
def test_what_is_no_realm(text):
    assert Realm.parse(text) is None


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("", {}),
        ("Negotiate", {"negotiate": {}}),
        ('Basic realm="a, b"', {"basic": {"realm": "a, b"}}),
        (
            'Bearer realm="https://a/b?c=d",service="s",scope="repository:a/b:pull,push"',
            {"bearer": {"realm": "https://a/b?c=d", "service": "s", "scope": "repository:a/b:pull,push"}},
        ),
        ('BEARER Realm=x , Basic realm="y"', {"bearer": {"realm": "x"}, "basic": {"realm": "y"}}),
        ('Negotiate, Basic realm="y"', {"negotiate": {}, "basic": {"realm": "y"}}),
    ],
)
def test_challenges(header, found):
    assert challenges(header) == found


@given(st.text(max_size=200))
def test_no_header_breaks_the_reading(text):
    challenges(text)
    realm = Realm.parse(text)
    assert realm is None or realm.scheme in ("http", "https")


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("localhost:5000", True),
        ("127.0.0.1:5000", True),
        ("127.1.2.3", True),
        ("[::1]:5000", True),
        ("[::1]", True),
        ("registry:5000", False),
        ("10.0.0.1:5000", False),
        ("localhost.example.com", False),
        ("127.0.0.1.example.com", False),
    ],
)
def test_plain_http_is_for_loopback(host, loopback):
    assert is_loopback(host) is loopback


@pytest.fixture
def certified(servers, tmp_path, monkeypatch):
    """A server over https, and what makes us trust it."""
    pair = [tmp_path / "certificate.pem", tmp_path / "key.pem"]
    argv = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=r"
    more = ["-out", str(pair[0]), "-keyout", str(pair[1]), "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*argv.split(), *more], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    server = servers(context)
    monkeypatch.setattr(conversation, "CERTIFICATES", tmp_path / "certs.d")
    directory = tmp_path / "certs.d" / server.host
    directory.mkdir(parents=True)
    monkeypatch.setattr(conversation, "is_loopback", lambda host: False)
    return server, lambda: (directory / "ca.crt").write_bytes(pair[0].read_bytes())


def test_a_ca_is_installed_where_docker_has_it(certified):
    server, trust = certified
    with pytest.raises(PermanentError, match=f"not trusted; put its CA into .*/{server.host}/ca.crt"):
        names(server)
    assert not server.requests
    trust()
    assert names(server) == ["v1"]


def test_a_ca_makes_loopback_speak_https(certified, monkeypatch):
    server, trust = certified
    monkeypatch.setattr(conversation, "is_loopback", is_loopback)
    with pytest.raises(TemporaryError):
        names(server)
    trust()
    assert names(server) == ["v1"]


def test_a_realm_of_another_domain_gets_no_password_over_https_either(certified):
    server, trust = certified
    trust()
    server.answer = with_tokens(server, realm="https://auth.example.com/token")
    with pytest.raises(PermanentError, match=r"sent to auth.example.com, another domain"):
        names(server)
    assert {login for _, login in server.requests} == {None}


def test_an_answer_that_trickles_in_ends_at_the_deadline(servers, monkeypatch):
    monkeypatch.setattr(conversation, "DEADLINE", 0.1)
    listener = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def trickle():
        connection, _ = listener.accept()
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(500):
            with contextlib.suppress(OSError):
                connection.sendall(b" ")
            if over.wait(0.01):
                break
        connection.close()

    thread = threading.Thread(target=trickle, daemon=True)
    thread.start()
    with pytest.raises(TemporaryError, match=r"takes more than 0.1 s"):
        distribution.listed(Image.parse(f"127.0.0.1:{listener.getsockname()[1]}/team/web"), None)
    over.set()
    thread.join()
    listener.close()


def test_a_file_that_is_no_ca(certified, tmp_path):
    server, _ = certified
    (tmp_path / "certs.d" / server.host / "ca.crt").write_text("nothing")
    with pytest.raises(PermanentError, match=r"ca.crt cannot be read as a CA"):
        names(server)


def secrets_in(text):
    return [secret for secret in (PASSWORD, BASIC.split()[1], TOKEN) if secret in text]


@pytest.mark.parametrize("status", [200, 401, 403, 404, 429, 500])
def test_no_secret_in_logs_and_errors(server, caplog, status):
    caplog.set_level(logging.DEBUG)
    tokens = with_tokens(server)

    def answer(path, query, login):
        if path != "/token" and login == f"Bearer {TOKEN}" and status != 200:
            # Some registries repeat the request in their error.
            return status, {"X-Echo": login}, {"errors": [{"detail": f"{login} {BASIC} {PASSWORD}"}]}
        return tokens(path, query, login)

    server.answer = answer
    told = ""
    try:
        names(server)
    except DeployerError as fault:
        told = "".join(traceback.format_exception(fault)) + repr(fault)
    assert bool(told) is (status != 200)
    assert caplog.text
    assert not secrets_in(told + caplog.text)


def test_docker_hub_is_asked_at_its_own_host(monkeypatch):
    asked = []

    def get(self, url, authorization, params=None, **_):
        asked.append((url, params, authorization.header))
        if url == "https://auth.docker.io/token":
            return conversation.Answer(200, {}, None, b'{"token": "t"}')
        if not authorization.header:
            header = 'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="s"'
            return conversation.Answer(401, {"WWW-Authenticate": header}, None, b"")
        return conversation.Answer(200, {}, None, b'{"tags": ["1.27"]}')

    monkeypatch.setattr(conversation.Conversation, "_get", get)
    login = Credentials("robot", PASSWORD, "docker.io")
    assert distribution.listed(Image.parse("nginx"), login) == [Tag("1.27")]
    place = "https://registry-1.docker.io/v2/library/nginx/tags/list?n=1000"
    assert asked == [
        (place, None, None),
        ("https://auth.docker.io/token", {"service": "registry.docker.io", "scope": "s"}, BASIC),
        (place, None, "Bearer t"),
    ]


# -- ECR -------------------------------------------------------------------------------------------------

ECR = Image.parse("123456789012.dkr.ecr.eu-central-1.amazonaws.com/team/api:v1")
MANIFEST, INDEX = "application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json"
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
PUSHED = datetime(2026, 3, 14, 9, 26, 53, tzinfo=UTC)


def detail(tag, manifest=DOCKER, artifact="application/vnd.docker.container.image.v1+json", **more):
    kinds = {"imageManifestMediaType": manifest, "artifactMediaType": artifact}
    return {
        "imageDigest": f"sha256:{tag:0>64}",
        "imageTags": [tag],
        "imagePushedAt": PUSHED,
        **{name: kind for name, kind in kinds.items() if kind},
        **more,
    }


@pytest.fixture(scope="module")
def client():
    session = boto3.Session("AKIAEXAMPLE", "secret", region_name="eu-central-1")
    return session.client("ecr", config=Config(retries={"total_max_attempts": 1}))


@pytest.fixture
def ecr(client, monkeypatch):
    """What ECR is asked and answers, in this order."""
    monkeypatch.setattr(Accounts, "_session", lambda *_: SimpleNamespace(client=lambda _: client))
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def describing(ecr, *details, token=None, following=None):
    asked = {
        "registryId": "123456789012",
        "repositoryName": "team/api",
        "filter": {"tagStatus": "TAGGED"},
        "maxResults": 1000,
        **({"nextToken": token} if token else {}),
    }
    more = {"nextToken": following} if following else {}
    ecr.add_response("describe_images", {"imageDetails": list(details), **more}, asked)


def test_ecr_tells_digests_and_times_on_several_pages(ecr):
    describing(ecr, detail("v1", imageTags=["v1", "latest"]), following="more")
    describing(ecr, detail("v2"), token="more")
    assert Registries().tags(ECR) == [
        Tag("v1", PUSHED, f"sha256:{'v1':0>64}"),
        Tag("latest", PUSHED, f"sha256:{'v1':0>64}"),
        Tag("v2", PUSHED, f"sha256:{'v2':0>64}"),
    ]


def test_the_times_of_ecr_are_in_utc(ecr):
    describing(ecr, detail("v1", imagePushedAt=datetime.fromisoformat("2026-03-14T10:26:53+01:00")))
    [tag] = Registries().tags(ECR)
    assert tag.pushed_at.utcoffset().total_seconds() == 0
    assert tag.pushed_at == PUSHED


@pytest.mark.parametrize(
    ("given_detail", "kept"),
    [
        (detail("v1"), True),
        (detail("v1", MANIFEST, CONFIG), True),
        (detail("v1", INDEX, None), True),
        (detail("v1", "application/vnd.docker.distribution.manifest.list.v2+json", None), True),
        (detail("v1", DOCKER, None), True),  # pushed before ECR knew artifacts
        (detail("v1", None, None), True),
        (detail("v1", MANIFEST, "application/vnd.cncf.helm.config.v1+json"), False),
        (detail("v1", MANIFEST, "application/vnd.dev.cosign.simplesigning.v1+json"), False),
        (detail("v1", MANIFEST, "application/vnd.cncf.notary.signature"), False),
        (detail("v1", MANIFEST, "application/vnd.in-toto+json"), False),
        (detail("v1", MANIFEST, "application/spdx+json"), False),
        (detail("v1", MANIFEST, "application/vnd.amazon.soci.index.v1+json"), False),
        (detail("v1", INDEX, "application/vnd.example.bundle"), False),
        (detail("v1", "application/vnd.cncf.oras.artifact.manifest.v1+json", None), False),
        (detail("v1", MANIFEST, CONFIG, subjectManifestDigest="sha256:" + "0" * 64), False),
    ],
)
def test_what_is_no_image_is_left_out(ecr, given_detail, kept):
    describing(ecr, given_detail)
    assert [tag.name for tag in Registries().tags(ECR)] == (["v1"] if kept else [])


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("RepositoryNotFoundException", NotFoundError),
        ("ThrottlingException", TemporaryError),
        ("ServerException", TemporaryError),
        ("ExpiredTokenException", TemporaryError),
        ("InvalidParameterException", PermanentError),
    ],
)
def test_a_failure_of_ecr(ecr, code, error):
    ecr.add_client_error("describe_images", code, f"no {PASSWORD}", 400)
    with pytest.raises(error, match="ecr:DescribeImages") as caught:
        Registries().tags(ECR)
    assert type(caught.value) is error
    assert not secrets_in(str(caught.value))


def token_of_ecr(ecr):
    token = base64.b64encode(f"AWS:{PASSWORD}".encode()).decode()
    expires = datetime(2100, 1, 1, tzinfo=UTC)
    data = [{"authorizationToken": token, "expiresAt": expires}]
    ecr.add_response("get_authorization_token", {"authorizationData": data}, {})


def test_without_the_permission_ecrs_registry_is_asked(ecr, monkeypatch):
    ecr.add_client_error("describe_images", "AccessDeniedException")
    token_of_ecr(ecr)
    asked = []
    monkeypatch.setattr(
        distribution, "listed", lambda image, login: asked.append((image, login)) or [Tag("v1")]
    )
    assert Registries().tags(ECR) == [Tag("v1")]
    assert asked == [(ECR, Credentials("AWS", PASSWORD, ECR.host))]


def test_without_both_permissions_the_better_one_is_named(ecr, monkeypatch):
    ecr.add_client_error("describe_images", "AccessDeniedException")
    token_of_ecr(ecr)

    def refuse(image, login):
        raise AccessDeniedError("403")

    monkeypatch.setattr(distribution, "listed", refuse)
    with pytest.raises(
        AccessDeniedError, match=r"ecr:DescribeImages for team/api .*ecr:ListImages"
    ) as caught:
        Registries().tags(ECR)
    assert not secrets_in(str(caught.value))


def test_too_many_tags_at_ecr(ecr, monkeypatch):
    monkeypatch.setattr(distribution, "MAX_TAGS", 1)
    describing(ecr, detail("v1", imageTags=["a", "b"]))
    with pytest.raises(PermanentError, match="more than"):
        Registries().tags(ECR)
