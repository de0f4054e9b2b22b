"""Tags, tokens and roles on the real parts: the emulator's ECR and STS, and registries with TLS."""

import socket
from datetime import UTC, datetime, timedelta

import pytest

from deployer.aws.accounts import Role
from deployer.errors import AccessDeniedError, NotFoundError, PermanentError
from deployer.model.image import Image
from deployer.registries import conversation
from deployer.registries.credentials import Registries
from deployer.registries.manifests import Manifests
from deployer.rollouts.ports import Credentials
from lab import HOST, OTHER_HOST, PLAIN_HOST, images
from lab.lab import ECR_ADDRESS, PLAIN_ADDRESS

pytestmark = pytest.mark.real
ARN = "arn:aws:iam::210987654321:role/pull"


@pytest.fixture(autouse=True)
def _our_environment(lab, monkeypatch, tmp_path):
    for name, value in lab.aws.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setattr(conversation, "CERTIFICATES", lab.namespaces.certificates)
    # `namespaces.call` sees the network in there, but not its /etc/hosts.
    addresses, resolve = {HOST: ECR_ADDRESS, PLAIN_HOST.partition(":")[0]: PLAIN_ADDRESS}, socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *rest, **more: resolve(addresses.get(host, host), *rest, **more)
    )


def image(name, host=HOST):
    return Image.parse(f"{host}/{name}")


def test_ecr_describes_what_was_pushed(lab):
    begun = datetime.now(UTC).replace(microsecond=0)
    one = lab.push("described/api:v1", "one")
    lab.push("described/api:latest", "one")
    several = lab.push_index("described/api:multi", "two")
    theirs = lab.docker_push("described/api:docker", "three")
    moved = lab.push("described/api:latest", "four")
    found = {tag.name: tag for tag in Registries().tags(image("described/api"))}
    assert {name: tag.digest for name, tag in found.items()} == {
        "v1": one,
        "multi": several,
        "docker": theirs,
        "latest": moved,
    }
    for tag in found.values():
        assert begun <= tag.pushed_at <= datetime.now(UTC) + timedelta(seconds=1)
    with pytest.raises(NotFoundError):
        Registries().tags(image("described/nothing"))


def test_a_role_of_sts_is_assumed(lab):
    lab.push("assumed/api:v1")
    registries = Registries([Role("210987654321", ARN, "an-id")])
    assert registries.credentials(image("any", OTHER_HOST)).password == lab.password
    with pytest.raises(NotFoundError, match=f"as {ARN}"):  # it is another region's
        registries.tags(image("assumed/api", OTHER_HOST))


def test_the_registry_itself_is_asked_with_a_login(lab):
    digests = {tag: lab.push(f"asked/api:{tag}") for tag in ("v1", "v2")}
    registries = Registries(logins={"right": (HOST, "AWS", lab.password), "wrong": (HOST, "AWS", "no-token")})

    def ask(name, login):
        return lab.namespaces.call(lambda: registries.tags(image(name), login))

    assert sorted(tag.name for tag in ask("asked/api", "right")) == sorted(digests)
    with pytest.raises(AccessDeniedError, match=f"{HOST} refuses the login"):
        ask("asked/api", "wrong")
    with pytest.raises(NotFoundError):
        ask("asked/nothing", "right")


def test_another_registry_with_the_logins_of_docker(lab, monkeypatch):
    for tag in ("v1", "v2"):
        lab.plain_registry.push("plain/web", tag, images.make(tag))
    web = image("plain/web", PLAIN_HOST)
    with pytest.raises(AccessDeniedError, match="wants a login"):
        lab.namespaces.call(lambda: Registries().tags(web))
    environment = lab.environment(lab.aws.queues())
    monkeypatch.setenv("DOCKER_CONFIG", environment["DOCKER_CONFIG"])
    assert sorted(tag.name for tag in lab.namespaces.call(lambda: Registries().tags(web))) == ["v1", "v2"]
    monkeypatch.setattr(conversation, "CERTIFICATES", lab.directory / "nothing")
    with pytest.raises(PermanentError, match="not trusted"):
        lab.namespaces.call(lambda: Registries().tags(web))


def test_manifests_of_a_real_registry(lab):
    one = lab.push("manifests/api:one", "one")
    several = lab.push_index("manifests/api:several", "two")
    theirs = lab.docker_push("manifests/api:docker", "three")
    manifests, login = Manifests(), Registries().credentials(image("manifests/api"))
    platform = {"architecture": images.ARCHITECTURE, "os": "linux"}

    def asked(tag):
        name = image(f"manifests/api:{tag}")
        return lab.namespaces.call(lambda: manifests(name, login))

    for tag, digest in (("one", one), ("several", several), ("docker", theirs)):
        assert asked(tag).digest == digest
        assert [{**platform, **found} for found in asked(tag).platforms] == [*asked(tag).platforms]
        assert len(asked(tag).platforms) == 1
    with pytest.raises(NotFoundError):
        asked("nothing")
    with pytest.raises(AccessDeniedError):
        lab.namespaces.call(lambda: manifests(image("manifests/api:one"), Credentials("AWS", "wrong")))
