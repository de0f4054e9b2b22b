"""`deployer webhook` as its senders meet it; the events queue is in memory, and at the end the real one."""

import hashlib
import hmac
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from click.testing import CliRunner
from openapi_spec_validator import validate
from paths import ROOT, SAMPLES, all_tests
from prometheus_client import REGISTRY
from starlette.testclient import TestClient

from deployer.cli import main
from deployer.errors import SettingsError
from deployer.model.image import Image
from deployer.triggers import events
from deployer.triggers.webhook import serve, server
from deployer.triggers.webhook.openapi import ANSWERS, EXAMPLES
from deployer.triggers.webhook.queue import Outbox
from deployer.triggers.webhook.senders import SENDERS
from deployer.triggers.webhook.server import MAX_BODY, Receiver
from lab import PLAIN_HOST, wait_until
from lab.images import MANIFEST, make
from lab.processes import Process, free_port
from lab.registry import Registry

EXPECTED = json.loads((SAMPLES / "EXPECTED.json").read_text())
HOOKS = sorted(name for name in EXPECTED if name.startswith("webhook-"))
SECRETS = {name: [f"the-secret-of-{name}"] for name in SENDERS}
HOSTS = {"jfrog": "art.example.com", "nexus": "nexus.example.com"}
REFUSED = EndpointConnectionError(endpoint_url="http://sqs")
EMPTY = ClientError({"Error": {"Code": "AWS.SimpleQueueService.EmptyBatchRequest"}}, "SendMessageBatch")
DENIED = ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "SendMessageBatch")


class Sqs:
    """An events queue that takes what it is sent, unless it has a fault."""

    def __init__(self, fault=None, refuses=()):
        self.fault, self.refuses, self.bodies, self.batches, self.asked = fault, refuses, [], [], 0

    def send_message_batch(self, Entries, **_):
        self.asked += not Entries
        if self.fault:
            raise self.fault
        if not Entries:
            raise EMPTY
        self.batches.append(len(Entries))
        self.bodies += [entry["MessageBody"] for entry in Entries]
        return {
            "Successful": [{"Id": e["Id"]} for n, e in enumerate(Entries) if n not in map(int, self.refuses)],
            "Failed": [{"Id": str(number), "Code": "InternalError"} for number in self.refuses],
        }


class Service:
    """The service over a queue in memory, and who calls it."""

    def __init__(self, sqs=None, secrets=SECRETS, client=("192.0.2.1", 50000), **options):
        self.sqs, self.called = sqs or Sqs(), []
        receiver = Receiver(
            Outbox(self.sqs, "queue"),
            secrets,
            HOSTS,
            answer=lambda *call: self.called.append(call),
            **options,
        )
        self.app = receiver.app("1.0")
        self.http = TestClient(self.app, client=client, raise_server_exceptions=False)

    def post(self, sender, payload=None, **headers):
        path, ours, body = signed(sender, EXAMPLES[sender] if payload is None else payload)
        return self.http.post(path, content=body, headers={**ours, **headers})

    @property
    def events(self):
        return [events.parse(body) for body in self.sqs.bodies]


def signed(sender, payload):
    """Path, headers and body of a hook, with its secret where this sender has it."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    secret, path = SECRETS[sender][0], f"/hooks/{sender}"
    if sender in ("dockerhub", "quay"):
        return f"{path}?token={secret}", {}, body
    if sender == "ghcr":
        signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        return path, {"X-Hub-Signature-256": f"sha256={signature}"}, body
    if sender == "nexus":
        return path, {"X-Nexus-Webhook-Signature": hmac.new(secret.encode(), body, "sha1").hexdigest()}, body
    if sender == "jfrog":
        return path, {"X-JFrog-Event-Auth": secret}, body
    return path, {"Authorization": f"Bearer {secret}"}, body


@pytest.fixture
def service():
    return Service()


@pytest.mark.parametrize("sender", SENDERS)
def test_a_push_is_on_the_queue_when_it_is_accepted(service, sender):
    answer = service.post(sender)
    assert answer.status_code == 202
    (event,) = service.events
    assert (event.kind, event.image.tag) == ("webhook", "latest")
    assert answer.json()["accepted"] == [{"image": str(event.image), "digest": event.digest, "id": event.id}]


@pytest.mark.parametrize("sender", SENDERS)
def test_without_the_secret_nothing_happens_and_the_answer_says_nothing_of_it(service, sender):
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"X-Hub-Signature-256": "sha256=00"}):
        answer = service.http.post(f"/hooks/{sender}?token=wrong", json=EXAMPLES[sender], headers=headers)
        assert answer.status_code == 401
        assert answer.json() == {"error": "the secret is missing or wrong"}
    assert not service.sqs.bodies


def test_one_senders_secret_is_no_others(service):
    header = {"Authorization": f"Bearer {SECRETS['azure'][0]}"}
    assert service.http.post("/hooks/plain", json=EXAMPLES["plain"], headers=header).status_code == 401


def test_a_sender_without_a_secret_is_off():
    service = Service(secrets={"azure": SECRETS["azure"]})
    assert service.post("azure").status_code == 202
    assert service.post("plain").status_code == 404
    assert service.http.post("/hooks/nobody").status_code == 404


def test_both_secrets_of_a_sender_are_good_while_one_replaces_the_other():
    service = Service(secrets={"plain": ["the-next-secret-of-it", *SECRETS["plain"]]})
    assert service.post("plain").status_code == 202
    next_one = {"Authorization": "Bearer the-next-secret-of-it"}
    assert service.post("plain", **next_one).status_code == 202


def test_what_is_no_push_is_answered_with_its_reason_and_is_on_no_queue(service):
    ping = service.post("ghcr", {"zen": "Anything added dilutes everything else."})
    assert ping.status_code == 200
    assert ping.json()["ignored"] == [{"reason": "not-a-package", "detail": ""}]
    assert not service.sqs.bodies


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff", b'{"foo": 1}', b"[" * 5000])
def test_what_cannot_be_read_is_refused_with_its_reason(service, body):
    answer = service.post("plain", body)
    assert answer.status_code == 422
    assert answer.json()["error"]


def test_d21_json_with_the_content_type_of_a_form_is_told_what_to_send(service):
    path, ours, _ = signed("plain", b"")
    answer = service.http.post(
        path,
        content=b'{"image": "acme/web:1"}',
        headers={**ours, "Content-Type": "application/x-www-form-urlencoded"},
    )
    assert answer.status_code == 422
    assert answer.json()["error"] == (
        "no form: the Content-Type is application/x-www-form-urlencoded; send JSON as application/json"
    )


def test_d21_an_error_has_a_colon_between_its_reason_and_the_detail(service):
    assert service.post("plain", b"[]").json()["error"] == "not-an-object: list"
    assert service.post("plain", {"foo": 1}).json()["error"].startswith("unknown payload: ")


def test_every_answer_is_counted_and_no_stranger_chooses_a_name_in_the_metrics(service):
    def count(sender, status):
        return REGISTRY.get_sample_value("deployer_hooks_total", {"sender": sender, "status": status}) or 0

    expected = [("plain", "202"), ("plain", "401"), ("unknown", "404")]
    before = [count(*one) for one in expected]
    service.post("plain")
    service.http.post("/hooks/plain", json={})
    service.http.post("/hooks/of-my-own", json={})
    assert [count(*one) for one in expected] == [number + 1 for number in before]
    assert count("of-my-own", "404") == 0


def test_several_pushes_are_several_messages_in_batches_as_large_as_sqs_takes(service):
    tags = [f"v{number}" for number in range(23)]
    answer = service.post("quay", {"docker_url": "quay.io/team/api", "updated_tags": tags})
    assert answer.status_code == 202
    assert [event.image.tag for event in service.events] == tags
    assert service.sqs.batches == [10, 10, 3]


def test_good_pushes_beside_bad_ones_are_accepted_and_the_answer_names_the_bad(service):
    answer = service.post("quay", {"docker_url": "quay.io/team/api", "updated_tags": ["v1", "no tag", 7]})
    assert answer.status_code == 202
    assert [one["image"] for one in answer.json()["accepted"]] == ["quay.io/team/api:v1"]
    assert len(answer.json()["rejected"]) == 2


@pytest.mark.parametrize(
    "sqs", [Sqs(REFUSED), Sqs(DENIED), Sqs(refuses="0")], ids=["gone", "denied", "failed"]
)
def test_what_the_queue_does_not_take_is_the_senders_to_send_again(sqs, caplog):
    service = Service(sqs)
    answer = service.post("dockerhub")
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert not service.called
    assert "left to their sender" in caplog.text


def test_a_queue_that_hangs_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(server, "SEND_SECONDS", 0.05)
    service = Service()
    hung = threading.Event()
    service.sqs.send_message_batch = lambda **_: hung.wait(30)
    assert service.post("plain").status_code == 503
    hung.set()


def test_a_body_that_is_too_large_is_refused_whether_or_not_its_length_is_told(service):
    large = b" " * (MAX_BODY + 1)
    assert service.post("plain", large).status_code == 413
    chunks = service.http.post("/hooks/plain", content=iter([large[:1000], large]))
    assert chunks.status_code == 413
    assert "bytes" in chunks.json()["error"]
    assert service.post("plain", large[:-1]).status_code == 422


def test_other_ways_to_ask_are_refused_in_json(service):
    for answer in (service.http.get("/hooks/plain"), service.http.get("/nowhere")):
        assert answer.status_code in (404, 405)
        assert answer.json()["error"]


# --- limits ---


def test_one_address_is_slowed_down_and_told_when_to_come_again():
    service = Service(rate=3)
    statuses = [service.http.post("/hooks/plain").status_code for _ in range(4)]
    assert statuses == [401, 401, 401, 429]
    answer = service.post("plain")
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["Retry-After"]) <= 60


def test_strangers_do_not_use_up_what_a_sender_may_send():
    service = Service(rate=3)
    for number in range(5):
        TestClient(service.app, client=(f"198.51.100.{number}", 1)).post("/hooks/plain")
    assert service.post("plain").status_code == 202


def test_a_sender_is_slowed_down_whatever_its_addresses():
    service = Service(rate=3)
    statuses = []
    for number in range(4):
        service.http = TestClient(service.app, client=(f"198.51.100.{number}", 1))
        statuses.append(service.post("plain").status_code)
    assert statuses == [202, 202, 202, 429]
    assert service.post("azure").status_code == 202


@pytest.mark.parametrize(
    ("addresses", "last"),
    [
        (["2001:db8::1", "2001:db8::2"], 429),
        (["2001:db8::1", "2001:db8:0:1::1"], 401),
        (["192.0.2.1", "::ffff:192.0.2.1"], 429),
        (["unknown", "unknown"], 429),
    ],
)
def test_an_ipv6_network_counts_as_one(addresses, last):
    app = Service(rate=1).app
    answers = [TestClient(app, client=(address, 1)).post("/hooks/plain") for address in addresses]
    assert answers[-1].status_code == last


# --- Docker Hub ---


def test_docker_hub_is_answered_when_the_push_is_on_the_queue(service):
    assert service.post("dockerhub").status_code == 202
    ((url, told),) = service.called
    assert url == EXAMPLES["dockerhub"]["callback_url"]
    assert told["state"] == "success"
    assert set(told) == {"state", "description", "context", "target_url"}
    assert len(told["description"]) <= 255


def test_nobody_else_is_called(service):
    hook = {**EXAMPLES["dockerhub"], "callback_url": "http://169.254.169.254/latest/meta-data/"}
    assert service.post("dockerhub", hook).status_code == 202
    assert service.post("plain", {**EXAMPLES["plain"], **EXAMPLES["dockerhub"]}).status_code == 202
    assert not service.called


def test_a_docker_hub_that_does_not_answer_changes_nothing(caplog, monkeypatch):
    monkeypatch.setattr(server, "ANSWER_SECONDS", 0.05)
    slow = threading.Event()
    receiver = Receiver(Outbox(Sqs(), "queue"), SECRETS, HOSTS, answer=lambda *_: slow.wait(30))
    path, headers, body = signed("dockerhub", EXAMPLES["dockerhub"])
    answer = TestClient(receiver.app("1.0")).post(path, content=body, headers=headers)
    slow.set()
    assert answer.status_code == 202
    assert "Docker Hub does not take our answer: TimeoutError" in caplog.text


# --- health and description ---


def test_health_is_the_queues_and_is_not_asked_for_each_time():
    service = Service()
    assert [service.http.get("/healthz").status_code for _ in range(5)] == [200] * 5
    assert service.sqs.asked == 1
    broken = Service(Sqs(DENIED))
    assert broken.http.get("/healthz").status_code == 503
    assert "AccessDenied" not in broken.http.get("/healthz").text


def test_a_queue_that_answers_but_takes_nothing_is_not_healthy():
    service = Service()
    takes = service.sqs.send_message_batch

    def denies(Entries, **_):
        raise DENIED if Entries else EMPTY

    service.sqs.send_message_batch = denies
    assert service.http.get("/healthz").status_code == 200  # nobody has tried
    assert service.post("plain").status_code == 503
    assert service.http.get("/healthz").status_code == 503
    service.sqs.send_message_batch = takes
    assert service.post("plain").status_code == 202
    assert service.http.get("/healthz").status_code == 200


def test_health_tells_when_the_queue_goes_and_comes(monkeypatch):
    monkeypatch.setattr("deployer.triggers.webhook.queue.FRESH", 0.0)
    service = Service()
    assert service.http.get("/healthz").status_code == 200
    service.sqs.fault = REFUSED
    assert service.http.get("/healthz").status_code == 503
    service.sqs.fault = None
    assert service.http.get("/healthz").status_code == 200


def test_the_openapi_document_is_valid_and_has_every_sender_and_answer(service):
    document = service.http.get("/openapi.json").json()
    validate(document)
    assert set(document["paths"]) == {f"/hooks/{name}" for name in SENDERS} | {"/healthz"}
    assert document["info"]["version"] == "1.0"


def test_every_answer_that_is_given_is_described():
    code = Path(server.__file__).read_text()
    given = set(re.findall(r"HTTPException\((\d{3})", code)) | {"200", "202", "422"}
    assert given == set(ANSWERS)


def test_the_page_loads_nothing_from_anywhere(service):
    answer = service.http.get("/")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert not re.search(r"<script|src=|https?://(?!registry\.hub\.docker\.com)", answer.text)
    for name in SENDERS:
        assert f"POST /hooks/{name}" in answer.text


# --- the log ---


def test_no_secret_is_in_the_log(service, caplog):
    caplog.set_level("DEBUG")
    for sender in SENDERS:
        service.post(sender)
        service.http.post(
            f"/hooks/{sender}?token=guessed-secret", headers={"Authorization": "guessed-secret"}
        )
    service.http.post("/hooks/nobody%0Aforged?token=guessed-secret")
    ours = "\n".join(r.getMessage() for r in caplog.records if r.name.startswith(("deployer", "uvicorn")))
    assert "push of registry.example.com/team/api:latest" in ours
    assert "guessed-secret" not in ours
    assert not [secret for (secret,) in SECRETS.values() if secret in ours]
    assert "\nforged" not in ours


def test_an_address_that_is_taken_is_one_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"cannot listen on 127.0.0.1 port {port}"):
            serve.run(Service().app, "127.0.0.1", port)


# --- settings ---


def test_secrets_are_read_from_one_setting_and_not_printed(load):
    read = load(WEBHOOK_SECRETS="ghcr=0123456789abcdef, ghcr=fedcba9876543210\nplain=a=b=c=d=e=f=g=h=\n")
    assert read.hook_secrets == {
        "ghcr": ("0123456789abcdef", "fedcba9876543210"),
        "plain": ("a=b=c=d=e=f=g=h=",),
    }
    assert "0123456789abcdef" not in repr(read)
    assert load(WEBHOOK_SECRETS="").hook_secrets == {}


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("WEBHOOK_SECRETS", "ghcr=hunter2"),
        ("WEBHOOK_SECRETS", "hunter2hunter2hunter2"),
        ("WEBHOOK_SECRETS", "ghcr=hunter2hunter2hunter2,plain="),
        ("WEBHOOK_SECRETS", "ghcr=hunter2hunter2hunterä"),
        ("WEBHOOK_PROXIES", "*"),
        ("WEBHOOK_PROXIES", "10.0.0.0/8,proxy.example.com"),
        ("WEBHOOK_RATE", "0"),
    ],
)
def test_a_wrong_setting_is_named_and_no_secret_is(load, variable, value):
    with pytest.raises(SettingsError, match=f"DEPLOYER_{variable}") as caught:
        load(**{variable: value})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"QUEUE": ""}, "DEPLOYER_QUEUE is not set"),
        ({}, "DEPLOYER_WEBHOOK_SECRETS is not set"),
        ({"WEBHOOK_SECRETS": "gchr=0123456789abcdef"}, "names no known sender; they are azure"),
        ({"WEBHOOK_SECRETS": "jfrog=0123456789abcdef"}, "jfrog=<host>"),
    ],
)
def test_the_command_says_in_one_line_what_is_missing(load, monkeypatch, variables, said):
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    load(**{"QUEUE": "https://sqs.example/queue", **variables})
    done = CliRunner().invoke(main, ["webhook"])
    assert done.exit_code == 1
    assert said in done.output
    assert "0123456789abcdef" not in done.output


# --- the real parts ---


class Running:
    """`deployer webhook` as a process."""

    def __init__(self, lab, queues, **settings):
        secrets = ",".join(f"{name}={secret}" for name, (secret,) in SECRETS.items())
        hosts = ",".join(f"{name}={host}" for name, host in HOSTS.items())
        settings = {"WEBHOOK_SECRETS": secrets, "WEBHOOK_HOSTS": hosts, **settings}
        env = lab.environment(queues, **settings)
        self.process = lab.spawn(
            "webhook", sys.executable, "-m", "deployer", "webhook", "--port", "0", env=env
        )
        wait_until(lambda: "Webhook listens" in self.process.text, 30, "the webhook", every=0.02)
        self.port = int(re.search(r"port (\d+)", self.process.text)[1])

    def request(self, method, path, body=b"", headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def post(self, sender, payload, **headers):
        path, ours, body = signed(sender, payload)
        return self.request("POST", path, body, {**ours, **headers})


@pytest.fixture
def running(lab, queues):
    return Running(lab, queues)


def sender_of(name):
    word = name.removesuffix(".json").split("-")[1]
    return {"native": "plain"}.get(word, word)


@pytest.mark.real
def test_every_sample_goes_through_http_and_sqs(lab, queues, running):
    for name in HOOKS:
        expected = EXPECTED[name]["expect"]
        payload = (SAMPLES / name).read_bytes()
        if "dockerhub" in name:
            # Nobody is to be called from a test.
            payload = json.dumps({**json.loads(payload), "callback_url": ""}).encode()
        status, text = running.post(sender_of(name), payload)
        bodies = lab.aws.bodies(queues.events)
        if expected["action"] == "deploy":
            (event,) = [events.parse(body) for body in bodies]
            wanted = expected["image"].replace("<configured-host>", "art.example.com")
            assert (status, event.image, event.digest) == (202, Image.parse(wanted), expected["digest"]), name
        else:
            assert (status, bodies) == (200, []), name
            assert json.loads(text)["ignored"][0]["reason"] == expected["reason"]


class Notifying(Registry):
    """A real registry, without TLS and users, that tells the webhook of all that happens."""

    def __init__(self, root, namespaces, webhook_port):
        super().__init__(root, namespaces, [f"127.0.0.1:{free_port()}"], "127.0.0.1", root / "log")
        self.settings = {
            "version": "0.1",
            "storage": {"filesystem": {"rootdirectory": str(root / "images")}, "delete": {"enabled": True}},
            "http": {"addr": f"127.0.0.1:{self.port}"},
            "notifications": {
                "endpoints": [
                    {
                        "name": "deployer",
                        "url": f"http://127.0.0.1:{webhook_port}/hooks/distribution",
                        "headers": {"Authorization": [f"Bearer {SECRETS['distribution'][0]}"]},
                        "timeout": "5s",
                        "threshold": 3,
                        "backoff": "1s",
                    }
                ]
            },
        }

    def launch(self):
        settings = self.root / "registry.yml"
        settings.write_text(json.dumps(self.settings))  # which is YAML too
        return Process(["docker-registry", "serve", str(settings)], self.root / "log", dict(os.environ))

    def _make_certificate(self, hosts):
        pass

    def ask(self, method, path, body, headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            return answer.status, dict(answer.headers), answer.read()
        finally:
            connection.close()


@pytest.mark.real
def test_a_real_registry_tells_of_a_push(lab, queues, running, tmp_path):
    registry = Notifying(tmp_path, lab.namespaces, running.port)
    registry.start()
    try:
        first = registry.push("team/api", "v1", make("v1", "web"))
        registry.request("GET", "/v2/team/api/manifests/v1", accept=MANIFEST)
        index = registry.push_index("team/api", "latest", make("v2", "web"))
        registry.delete("team/api", first)
        last = registry.push("team/api", "last", make("v3", "web"))
        # It sends one after another: with the last push all before it have come.
        wait_until(lambda: lab.aws.count(queues.events) == 3, 20, "the pushes on the queue")
    finally:
        registry.kill()
    found = {(str(e.image), e.digest) for e in map(events.parse, lab.aws.bodies(queues.events))}
    name = f"127.0.0.1:{registry.port}/team/api"
    assert found == {(f"{name}:v1", first), (f"{name}:latest", index), (f"{name}:last", last)}
    assert "ignored, action-not-push: 'pull'" in running.process.text
    assert "ignored, untagged" in running.process.text
    assert "cannot be read" not in running.process.text


GUIDE = (ROOT / "docs" / "webhooks.md").read_text()
TRIED = dict(re.findall(r"<!-- try (\w+) -->\n```sh\n(.*?)```", GUIDE, re.DOTALL))


def test_what_can_go_wrong_is_proved_by_tests_that_exist():
    named = set(re.findall(r"`(test_[a-z_]+)`", GUIDE))
    tests = all_tests()
    assert named
    assert not {name for name in named if f"def {name}(" not in tests}


def test_every_sender_is_in_the_guide():
    assert set(TRIED) == set(SENDERS) == set(re.findall(r"^\| `(\w+)` \| `/hooks/\1", GUIDE, re.MULTILINE))


@pytest.mark.real
def test_every_example_of_the_guide_works(lab, queues, running):
    for sender, example in TRIED.items():
        env = {**os.environ, "URL": f"http://127.0.0.1:{running.port}", "SECRET": SECRETS[sender][0]}
        done = subprocess.run(["bash", "-ec", example], env=env, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stdout + done.stderr
        found = [events.parse(body).image.repository for body in lab.aws.bodies(queues.events)]
        assert found == ["team/api"] * len(json.loads(done.stdout)["accepted"]) != []


@pytest.mark.real
def test_from_the_hook_to_the_service(lab, queues, running):
    lab.bridge(queues)
    worker = lab.worker(queues)
    repository, tag = "shop/web", "latest"
    lab.plain_registry.push(repository, tag, make("v1", "web"))
    image = f"{PLAIN_HOST}/{repository}:{tag}"
    lab.docker(
        "service", "create", "--detach", "--name", "web", "--with-registry-auth", "--network", "host",
        "--env", "PORT=8101", image,
    )  # fmt: skip
    # The hook is the same each time: the registry is asked what there is to deploy.
    for number, text in enumerate(("v2", "v3"), 1):
        new = lab.plain_registry.push(repository, tag, make(text, "web"))
        status, said = running.post("plain", {"image": image})
        assert status == 202
        wait_until(lambda: lab.image_of("web") == f"{image}@{new}", 40, f"the service on {text}")  # noqa: B023
        wait_until(lambda: worker.text.count("web ended: updated") == number, 30, "the end")  # noqa: B023
        assert f"event={json.loads(said)['accepted'][0]['id']}" in worker.text
    running.post("plain", {"image": image})
    wait_until(lambda: "web ended: unchanged" in worker.text, 20, "the end of a needless look")


@pytest.mark.real
def test_it_ends_on_sigterm_in_time_and_what_it_accepted_is_on_the_queue(lab, queues, running):
    idle = socket.create_connection(("127.0.0.1", running.port))
    half = socket.create_connection(("127.0.0.1", running.port))
    half.sendall(b"POST /hooks/plain HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n")
    assert running.post("plain", EXAMPLES["plain"])[0] == 202
    begun = time.monotonic()
    running.process.signal(signal.SIGTERM)
    assert running.process.join() == 0
    assert time.monotonic() - begun < 4
    assert len(lab.aws.bodies(queues.events)) == 1
    assert "Webhook stopped" in running.process.text
    assert "Traceback" not in running.process.text
    idle.close()
    half.close()


@pytest.mark.real
def test_it_ends_in_time_also_while_the_queue_hangs_and_tells_the_sender(lab, queues, running):
    lab.aws.freeze()
    answers = []
    asking = threading.Thread(target=lambda: answers.append(running.post("plain", EXAMPLES["plain"])[0]))
    asking.start()
    wait_until(lambda: "push of" in running.process.text, 10, "the hook under way")
    begun = time.monotonic()
    running.process.signal(signal.SIGTERM)
    assert running.process.join() == 0
    assert time.monotonic() - begun < 4
    asking.join()
    assert answers == [503]
    assert "Traceback" not in running.process.text


@pytest.mark.real
def test_a_queue_that_is_gone_and_comes_back(lab, queues, running):
    assert running.request("GET", "/healthz")[0] == 200
    lab.aws.stop()
    assert running.post("plain", EXAMPLES["plain"])[0] == 503
    wait_until(lambda: running.request("GET", "/healthz")[0] == 503, 20, "the truth about the queue")
    lab.aws.start()
    wait_until(lambda: running.post("plain", EXAMPLES["plain"])[0] == 202, 20, "the queue again")
    assert running.request("GET", "/healthz")[0] == 200
    assert "Traceback" not in running.process.text


@pytest.mark.real
def test_a_forwarded_address_is_believed_only_of_a_proxy_that_is_named(lab, queues):
    stranger = Running(lab, queues, WEBHOOK_RATE="2")
    known = Running(lab, queues, WEBHOOK_RATE="2", WEBHOOK_PROXIES="127.0.0.0/8")
    for running, last in ((stranger, 429), (known, 202)):
        statuses = [
            running.request("POST", "/hooks/azure", b"{}", {"X-Forwarded-For": f"192.0.2.{number}"})[0]
            for number in range(2)
        ]
        assert statuses == [401, 401]
        forwarded = {"X-Forwarded-For": "192.0.2.9"}
        assert running.post("plain", EXAMPLES["plain"], **forwarded)[0] == last
    assert "192.0.2.9" in known.process.text
    assert "token=" not in known.process.text
