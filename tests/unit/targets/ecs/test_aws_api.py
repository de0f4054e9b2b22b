"""ECS's API over HTTP: what is sent, what comes back, and what happens when nothing does."""

import json
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from deployer.aws.accounts import Accounts, Role
from deployer.errors import AccessDeniedError, BusyError, SettingsError, TemporaryError
from deployer.targets.ecs.cluster import Cluster, parse_clusters
from deployer.targets.ecs.wire import aws_api
from deployer.targets.ecs.wire.api import Refused
from deployer.targets.ecs.wire.connection import connect
from deployer.targets.ecs.wire.quotas import Buckets


class Ecs:
    """An HTTP server whose answers a test writes."""

    def __init__(self):
        self.answers = []  # (status, body), or None to hang up
        self.requests = []  # (X-Amz-Target, Authorization, body)
        self.connections = set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                outer.connections.add(self.client_address)
                sent = self.rfile.read(int(self.headers["Content-Length"]))
                told = self.headers
                outer.requests.append((told["X-Amz-Target"], told["Authorization"], json.loads(sent)))
                answer = outer.answers.pop(0) if outer.answers else (200, {})
                if answer is None:
                    self.close_connection = True
                    return
                status, body = answer
                content = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads, self.server.block_on_close = True, False
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def ecs(monkeypatch):
    found = Ecs()
    monkeypatch.setenv("AWS_ENDPOINT_URL_ECS", f"http://127.0.0.1:{found.server.server_port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    yield found
    found.server.shutdown()
    found.server.server_close()


def connected(text="eu-west-1/prod", roles=()):
    return connect(parse_clusters(text), Accounts(roles))


@pytest.fixture
def api(ecs):
    return connected()[0][1]


def test_members_go_round_as_they_are(ecs, api):
    definition = {"family": "web", "memberOfNextYear": {"a": [1, None]}}
    ecs.answers = [(200, {"taskDefinition": definition})]
    assert api.call("RegisterTaskDefinition", **definition) == {"taskDefinition": definition}
    target, authorization, body = ecs.requests[0]
    assert target == "AmazonEC2ContainerServiceV20141113.RegisterTaskDefinition"
    assert "Credential=AKIDEXAMPLE/" in authorization
    assert "/eu-west-1/ecs/aws4_request" in authorization
    assert body == definition


def test_connections_are_kept(ecs, api):
    for _ in range(5):
        api.call("ListServices", cluster="prod")
    assert len(ecs.connections) == 1


def test_a_read_is_repeated_on_another_connection_and_a_write_is_not(ecs, api):
    ecs.answers = [None, (200, {"serviceArns": []})]
    assert api.call("ListServices") == {"serviceArns": []}
    ecs.answers = [None]
    with pytest.raises(TemporaryError, match="ECS in eu-west-1 does not answer ecs:UpdateService: "):
        api.call("UpdateService", service="web")
    assert [target.rpartition(".")[2] for target, *_ in ecs.requests].count("UpdateService") == 1


def test_nobody_listens(ecs, api):
    ecs.server.shutdown()
    ecs.server.server_close()
    with pytest.raises(TemporaryError, match="does not answer ecs:ListServices: EndpointConnectionError"):
        api.call("ListServices")


def test_a_request_that_hangs_is_given_up(ecs, api, monkeypatch):
    monkeypatch.setattr(aws_api, "READ_TIMEOUT", 0.1)
    held = threading.Event()

    class Hanging(list):
        def pop(self, _):
            held.wait(10)

    ecs.answers = Hanging([1])
    try:
        with pytest.raises(TemporaryError, match="ReadTimeoutError"):
            api.call("ListServices")
    finally:
        held.set()
    assert len(ecs.requests) == 1  # AWS is slow: a second one would not help it


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, {"__type": "ClientException", "message": "no"}, Refused),
        (400, {"__type": "AccessDeniedException", "Message": "User: x is not authorized"}, AccessDeniedError),
        (500, b"<html>", TemporaryError),
        (200, b'{"services": [', TemporaryError),
        (200, b"[]", TemporaryError),
    ],
)
def test_answers_that_are_none_of_success(ecs, api, status, body, kind):
    ecs.answers = [(status, body)]
    with pytest.raises(kind, match="ecs:DescribeServices"):
        api.call("DescribeServices", services=["web"])


def test_throttling_empties_the_bucket(ecs):
    slept = []
    buckets = Buckets(lambda: 0.0, slept.append)
    api = connect(parse_clusters("eu-west-1/prod"), Accounts(()), lambda: buckets)[0][1]
    ecs.answers = [(400, {"__type": "ThrottlingException", "message": "Rate exceeded"})]
    with pytest.raises(BusyError, match="ECS throttles ecs:RegisterTaskDefinition") as fault:
        api.call("RegisterTaskDefinition", family="web")
    assert fault.value.seconds == 1
    api.call("RegisterTaskDefinition", family="web")
    assert slept == [1]


def test_no_credentials(ecs, api, monkeypatch, tmp_path):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(TemporaryError, match="AWS_PROFILE or AWS_SHARED_CREDENTIALS_FILE"):
        api.call("ListServices")


def test_the_role_of_the_clusters_account_signs(ecs, monkeypatch):
    def assume(role, region):
        assert (role.arn, region) == ("arn:aws:iam::210987654321:role/deploy", "eu-west-1")
        return aws_api_keys()

    monkeypatch.setattr("deployer.aws.accounts._assume", assume)
    roles = [Role("210987654321", "arn:aws:iam::210987654321:role/deploy")]
    for _, api in connected("eu-west-1/prod 210987654321/eu-west-1/prod", roles):
        api.call("ListServices")
    assert [sent.partition("Credential=")[2].partition("/")[0] for _, sent, _ in ecs.requests] == [
        "AKIDEXAMPLE",
        "ASIAROLE",
    ]


def aws_api_keys():
    from deployer.aws.accounts import _Keys

    return _Keys(("ASIAROLE", "secret", "token"), datetime(2100, 1, 1, tzinfo=UTC))


def test_clusters_of_one_account_and_region_share_quotas(ecs):
    found = connected("prod staging eu-west-1/prod eu-central-1/third")
    assert [api.region for _, api in found] == ["eu-central-1", "eu-central-1", "eu-west-1", "eu-central-1"]
    assert found[0][1] is found[1][1] is found[3][1]
    assert found[2][1] is not found[0][1]


def test_a_cluster_without_a_region(monkeypatch, tmp_path):
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(SettingsError, match="DEPLOYER_ECS_CLUSTERS='prod'.*AWS_REGION.*eu-west-1/prod"):
        connect([Cluster("prod")], Accounts(()))
