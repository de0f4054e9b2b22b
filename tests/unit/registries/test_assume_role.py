"""Roles for AWS accounts, and logins by name: which credentials a registry is asked with."""

import base64
import json
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import pytest

from deployer.aws.accounts import Role, roles
from deployer.errors import AccessDeniedError, PermanentError, TemporaryError
from deployer.model.image import Image
from deployer.registries.credentials import Registries
from deployer.rollouts.ports import Credentials

OURS, THEIRS = "123456789012", "210987654321"
ARN = f"arn:aws:iam::{THEIRS}:role/team/pull"
EAST = Image.parse(f"{THEIRS}.dkr.ecr.us-east-1.amazonaws.com/team/api:v1")
WEST = Image.parse(f"{THEIRS}.dkr.ecr.us-west-2.amazonaws.com/team/api:v1")
OWN = Image.parse(f"{OURS}.dkr.ecr.us-east-1.amazonaws.com/team/api:v1")
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
SECRET = "secret-of-the-session"

SESSION = """<AssumeRoleResponse><AssumeRoleResult><Credentials>
<AccessKeyId>ASIA{number}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey>
<SessionToken>session-{number}</SessionToken><Expiration>{until}</Expiration>
</Credentials></AssumeRoleResult></AssumeRoleResponse>"""
REFUSAL = "<ErrorResponse><Error><Code>{code}</Code><Message>{secret}</Message></Error></ErrorResponse>"


class Cloud:
    """STS and ECR over HTTP, as far as they are asked here."""

    def __init__(self):
        self.now = BEGIN
        self.assumed = []  # parameters of AssumeRole
        self.asked = []  # (id of the key, region, action) of ECR
        self.refuse = {}  # action to error code
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                target = self.headers.get("X-Amz-Target")
                outer.body = json.loads(body) if target else None
                status, content = outer.ecr(target, self.headers) if target else outer.sts(body)
                self.send_response(status)
                self.end_headers()
                self.wfile.write(content.encode())

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def clock(self):
        return self.now

    def sts(self, body):
        if code := self.refuse.get("AssumeRole"):
            return 403, REFUSAL.format(code=code, secret=SECRET)
        self.assumed.append({name: value[0] for name, value in parse_qs(body).items()})
        until = (self.now + timedelta(hours=1)).isoformat()
        return 200, SESSION.format(number=len(self.assumed), secret=SECRET, until=until)

    def ecr(self, target, headers):
        action = target.rpartition(".")[2]
        key, _, region = headers["Authorization"].partition("Credential=")[2].split("/")[:3]
        self.asked.append((key, region, action))
        if code := self.refuse.get(action):
            return 400, json.dumps({"__type": code, "message": SECRET})
        if action == "DescribeImages":
            return 200, json.dumps({"imageDetails": []})
        token = base64.b64encode(f"AWS:{key}".encode()).decode()
        until = (self.now + timedelta(hours=12)).timestamp()
        return 200, json.dumps({"authorizationData": [{"authorizationToken": token, "expiresAt": until}]})


@pytest.fixture
def cloud(monkeypatch, tmp_path):
    cloud = Cloud()
    variables = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{cloud.server.server_port}",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "AKIAOURS",
        "AWS_SECRET_ACCESS_KEY": "secret-of-ours",
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_MAX_ATTEMPTS": "1",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    yield cloud
    cloud.server.shutdown()
    cloud.server.server_close()


@pytest.fixture
def registries(cloud):
    return Registries([Role(THEIRS, ARN, "their/id")], clock=cloud.clock)


def test_the_role_of_an_account_is_used_for_all_its_registries_and_no_other(cloud, registries):
    assert registries.credentials(EAST).password == "ASIA1"
    assert registries.credentials(WEST).password == "ASIA1"
    assert registries.tags(EAST) == []
    assert registries.credentials(OWN).password == "AKIAOURS"
    assert [(one["RoleArn"], one["ExternalId"], one["RoleSessionName"]) for one in cloud.assumed] == [
        (ARN, "their/id", "swarm-ecr-deployer")
    ]
    assert cloud.asked == [
        ("ASIA1", "us-east-1", "GetAuthorizationToken"),
        ("ASIA1", "us-west-2", "GetAuthorizationToken"),
        ("ASIA1", "us-east-1", "DescribeImages"),
        ("AKIAOURS", "us-east-1", "GetAuthorizationToken"),
    ]


def test_a_session_is_replaced_five_minutes_before_its_end(cloud, registries):
    keys = []
    for minutes in (0, 10, 54.9, 55, 59, 109):
        cloud.now = BEGIN + timedelta(minutes=minutes)
        registries.tags(EAST)
        keys.append(cloud.asked[-1][0])
    assert keys == ["ASIA1", "ASIA1", "ASIA1", "ASIA2", "ASIA2", "ASIA2"]


def test_a_session_that_aws_takes_for_expired_is_replaced(cloud, registries):
    registries.tags(EAST)
    cloud.refuse = {"DescribeImages": "ExpiredTokenException"}
    with pytest.raises(TemporaryError):
        registries.tags(EAST)
    cloud.refuse = {}
    registries.tags(EAST)
    assert cloud.asked[-1][0] == "ASIA2"


@pytest.mark.parametrize("question", ["credentials", "tags"])
def test_a_role_that_may_not_be_assumed_is_named(cloud, registries, question):
    cloud.refuse = {"AssumeRole": "AccessDenied"}
    with pytest.raises(AccessDeniedError, match=f"sts:AssumeRole for {ARN}") as caught:
        getattr(registries, question)(EAST)
    assert SECRET not in str(caught.value)
    assert "their/id" not in str(caught.value)


def test_a_bad_moment_of_sts_is_temporary(cloud, registries):
    cloud.refuse = {"AssumeRole": "ServiceUnavailable"}
    with pytest.raises(TemporaryError, match="sts:AssumeRole") as caught:
        registries.credentials(EAST)
    assert SECRET not in str(caught.value)


def test_a_refusal_says_as_whom(cloud, registries):
    cloud.refuse = {"GetAuthorizationToken": "AccessDeniedException"}
    with pytest.raises(AccessDeniedError, match=f"ecr:GetAuthorizationToken .* as {ARN}"):
        registries.credentials(EAST)


# -- logins by name --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "image", [EAST, Image.parse("registry.example.com:5000/team/web"), Image.parse("nginx")]
)
def test_a_login_by_name_rules_for_its_own_registry(image):
    registries = Registries(logins={"team-a": (image.host, "robot", "pass:word")})
    with pytest.raises(PermanentError, match="'team-a', which is for") as caught:
        registries.credentials(Image.parse("evil.example.com/web"), "team-a")
    assert "pass:word" not in str(caught.value)
    found = registries.credentials(image, "team-a")
    assert found == Credentials("robot", "pass:word", image.host)
    assert "pass:word" not in repr(found)


def test_a_login_that_is_not_set(tmp_path, monkeypatch):
    registries = Registries(logins={"team-a": ("ghcr.io", "robot", "password")})
    for question in (registries.credentials, registries.tags):
        with pytest.raises(
            PermanentError, match=r"deployer.login names 'team-b'.*DEPLOYER_LOGINS.*team-a"
        ) as caught:
            question(EAST, "team-b")
        assert "password" not in str(caught.value)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    assert registries.credentials(Image.parse("registry.example.com/team/web")) is None


# -- what is written in the settings ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ()),
        (f"{THEIRS}={ARN}", (Role(THEIRS, ARN),)),
        (f" {THEIRS}={ARN}?external-id=a,b=c:/d@e ,\n", (Role(THEIRS, ARN, "a,b=c:/d@e"),)),
        (
            f"{THEIRS}={ARN},000000000001=arn:aws-cn:iam::000000000001:role/a,b=c",
            (Role(THEIRS, ARN), Role("000000000001", "arn:aws-cn:iam::000000000001:role/a,b=c")),
        ),
        (
            f"{THEIRS}={ARN} , 000000000001=arn:aws:iam::000000000001:role/x",
            (Role(THEIRS, ARN), Role("000000000001", "arn:aws:iam::000000000001:role/x")),
        ),
    ],
)
def test_roles(text, found):
    assert roles(text) == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ARN, "role 1: it is no"),
        (f"12={ARN}", "role 1: it is no"),
        (f"{OURS}={ARN}", f"role 1: the role for {OURS} belongs to {THEIRS}"),
        (f"{THEIRS}={ARN} {THEIRS}={ARN}2", "role 2: there are two"),
        (f"{THEIRS}=arn:aws:iam::{THEIRS}:user/pull", "role 1: it is no"),
        (f"{THEIRS}=arn:aws:sts::{THEIRS}:assumed-role/pull/me", "role 1: it is no"),
        (f"{THEIRS}={ARN}?external-id=", "role 1: it is no"),
        (f"{THEIRS}={ARN}?id=x", "role 1: it is no"),
        (f"{THEIRS}={ARN}?external-id=a&b=c", "role 1: it is no"),
        (f"{THEIRS}={ARN};x", "role 1: it is no"),
    ],
)
def test_roles_that_are_wrong(text, said):
    with pytest.raises(ValueError, match=said):
        roles(text)
