"""Registries are asked with the right login, again with a fresh token, and none keeps another one waiting."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from in_memory import HOST, WEB, digest, pinned

from deployer.aws import accounts as aws
from deployer.aws.accounts import Accounts, Role
from deployer.errors import AccessDeniedError, NotFoundError, TemporaryError
from deployer.model.deployment import Request
from deployer.model.image import EcrRegistry, Image
from deployer.model.service import Manifest
from deployer.registries import credentials as registry_module
from deployer.registries.credentials import Registries
from deployer.reports import doctor
from deployer.reports.status import survey
from deployer.rollouts.decision import Rules
from deployer.rollouts.deployer import Deployer
from deployer.rollouts.fleet import renewal
from deployer.rollouts.fleet import survey as catchup
from deployer.rollouts.ports import Credentials
from deployer.targets.swarm import client as swarm_module
from deployer.targets.swarm.engine import Answer
from deployer.testing import FakeSwarm

OTHER = "210987654321.dkr.ecr.eu-central-1.amazonaws.com"


class Guarded(FakeSwarm):
    """Its registry takes one password, which `forget` brings."""

    password, good = "old", "new"

    def credentials(self, image, login=None):
        return Credentials(login or "AWS", "secret" if login else self.password, image.host)

    def forget(self, image):
        self.password = self.good
        return True

    def manifest(self, image, credentials):
        if credentials.username == "AWS" and credentials.password != self.good:
            raise AccessDeniedError("refused")
        return super().manifest(image, credentials)


def core(swarm):
    return Deployer(swarm, swarm, Rules(), clock=swarm.clock)


def test_catching_up_asks_again_with_a_fresh_token():
    swarm = Guarded()
    swarm.create("web", pinned(1))
    swarm.create("copy", pinned(1))
    swarm.push(WEB, digest(2))
    found = catchup.survey(core(swarm))
    assert found.faults == ()
    assert ([one.service for one in found.behind], found.images) == (["web", "copy"], 1)


def test_status_and_doctor_ask_with_the_login_of_the_service():
    swarm = Guarded()
    swarm.good = "nobody has it"
    swarm.create("theirs", pinned(1), labels={"deployer.login": "team"})
    swarm.create("ours", pinned(1))
    swarm.push(WEB, digest(2))
    swarm.manifest = lambda image, credentials: (
        Manifest(digest(2)) if credentials.username == "team" else Guarded.manifest(swarm, image, credentials)
    )
    swarm.forget = lambda image: False
    assert {
        one.service: (one.newer, one.registry, *(why.reason for why in one.why))
        for one in survey(core(swarm))
    } == {
        "ours": (None, "unknown", "refused"),
        "theirs": (digest(2), "newer"),
    }
    levels = {f.check: f.level for f in doctor.registries(core(swarm)) if f.check.startswith("registry")}
    assert levels == {f"registry {HOST}": "fail", f"registry {HOST} as team": "ok"}


@pytest.fixture
def held():
    """Set when AWS may answer for the account that it is slow for."""
    event = threading.Event()
    yield event
    event.set()


def test_a_token_of_one_registry_does_not_wait_for_another_ones(monkeypatch, held):
    def authorize(_, ecr, host):
        if host == HOST:
            held.wait(10)
        expires = datetime.now(UTC) + timedelta(hours=12)
        return registry_module._Token(Credentials("AWS", ecr.account, host), expires)

    monkeypatch.setattr(registry_module, "_authorize", authorize)
    registries = Registries()
    slow, quick = Image.parse(WEB), Image.parse(f"{OTHER}/team/web:1")
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(registries.credentials, slow)
        second = pool.submit(registries.credentials, slow)
        assert pool.submit(registries.credentials, quick).result(5).password == "210987654321"
        assert set(pool.submit(registries.issued).result(5)) == {"210987654321.eu-central-1"}
        assert pool.submit(registries.forget, slow).result(5) is False
        held.set()
        assert first.result(5) == second.result(5)


def test_an_account_does_not_wait_for_the_role_of_another_one(monkeypatch, held):
    def assume(role, _):
        held.wait(10)
        return aws._Keys(("id", "secret", "token"), datetime.now(UTC) + timedelta(hours=1))

    monkeypatch.setattr(aws, "_assume", assume)
    accounts = Accounts([Role("123456789012", "arn:…")], lambda: datetime.now(UTC))

    def use(host):
        with accounts.ecr(EcrRegistry.of(host), "ecr:Any", "for a test") as client:
            return client.meta.region_name

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(use, HOST)
        assert pool.submit(use, OTHER).result(5) == "eu-central-1"
        held.set()
        assert first.result(5) == "eu-central-1"


def test_a_token_is_kept_until_there_is_a_new_one():
    class Down(Guarded):
        password = "new"

        def renew(self, image):
            raise TemporaryError("GetAuthorizationToken is down")

    swarm = Down()
    swarm.create("web", f"{WEB}@{digest(1)}")
    swarm.create("api", f"{WEB}@{digest(1)}")
    swarm.push(WEB, digest(1))
    swarm.now += timedelta(hours=11)
    deployer = Deployer(swarm, swarm, Rules(), clock=swarm.clock)
    assert renewal.refresh(deployer, timedelta(hours=6)) == []
    assert not swarm.writes
    swarm.push(WEB, digest(2))
    assert deployer.advance("web", Request("t", trigger="event")).watch


def test_a_token_is_renewed_once_for_all_services_of_a_registry():
    asked = []
    swarm = Guarded()
    swarm.password = "new"
    swarm.renew = asked.append
    for name in "web", "api":
        swarm.create(name, f"{WEB}@{digest(1)}")
    swarm.now += timedelta(hours=11)
    renewed = renewal.refresh(Deployer(swarm, swarm, Rules(), clock=swarm.clock), timedelta(hours=6))
    assert sorted(renewed) == ["api", "web"]
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("whom", "status", "message", "kind"),
    [
        (
            "registry x",
            500,
            "Get https://x/v2/: dial tcp: lookup x on 127.0.0.53:53: no such host",
            TemporaryError,
        ),
        ("registry x", 404, "dial tcp 10.0.0.1:443: connect: connection refused", TemporaryError),
        ("registry x", 500, "manifest unknown: manifest unknown", NotFoundError),
        ("registry x", 404, "no such image", NotFoundError),
    ],
)
def test_a_registry_that_nobody_finds_is_not_an_image_that_is_not_there(whom, status, message, kind):
    answer = Answer(status, json.dumps({"message": message}).encode())
    assert type(swarm_module._error(answer, "the registry has no x", whom)) is kind
