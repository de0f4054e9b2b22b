"""The ledger in a real engine: it takes thousands of failures, and is put back when a script removes it."""

import pytest

from deployer.errors import StaleVersionError
from deployer.rollouts.ledger import NAME, Failure, Hold, remember, set_freeze, set_hold
from deployer.targets.swarm.client import DockerSwarm

pytestmark = pytest.mark.real
COUNT = 5000


def digest(n):
    return f"sha256:{n:064x}"


@pytest.fixture
def swarm(lab, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", lab.docker_host)
    remove(lab)
    yield DockerSwarm()
    remove(lab)


def remove(lab):
    if NAME in lab.docker("config", "ls", "--format", "{{.Name}}").split():
        lab.docker("config", "rm", NAME)


def failures(first, count):
    text = "task: non-zero exit (1): " + "x" * 170
    found = (
        Failure(digest(n), f"1.0.{n}", text, "2026-01-01T00:00:00+00:00") for n in range(first, first + count)
    )
    return {one.digest: one for one in found}


def test_the_engine_takes_thousands_of_failures(swarm):
    for service in ("web", "api"):
        remember(swarm, {service: failures(0, COUNT)})
        remember(swarm, {service: failures(COUNT, 1)})
    for service in ("web", "api"):
        assert len(swarm.ledger().failures(service)) == COUNT + 1
    set_freeze(swarm, Hold("christmas", by="ann"))
    assert sum(map(len, swarm.ledger().labels.values())) > 1_000_000


def test_a_removed_ledger_is_put_back_also_between_read_and_write(lab, swarm):
    set_hold(swarm, "web", Hold("audit"))
    read = swarm.ledger()
    lab.docker("config", "rm", NAME)
    with pytest.raises(StaleVersionError):
        swarm.write_ledger(read, {})
    set_hold(swarm, "api", Hold("night"))
    assert set(swarm.ledger().labels) == {"deployer.hold.web", "deployer.hold.api"}
    assert set(DockerSwarm().ledger().labels) == {"deployer.hold.web", "deployer.hold.api"}
