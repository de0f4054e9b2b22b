"""The Swarm in memory tells tags as ECR does."""

import pytest

from deployer.errors import NotFoundError
from deployer.model.image import Image
from deployer.policies.ranking import Tag
from deployer.rollouts.ports import Credentials, Registry
from deployer.testing import FakeSwarm

OLD, NEW = (f"sha256:{letter * 64}" for letter in "ab")
API = "registry.example.com/team/api"


def test_a_tag_has_the_time_when_its_digest_was_pushed_first():
    swarm = FakeSwarm()
    registry: Registry = swarm
    begun = swarm.now
    swarm.push(f"{API}:v1", OLD)
    swarm.push(f"{API}-more:v9", NEW)
    swarm.tick(60)
    later = swarm.now
    swarm.push(f"{API}:v2", NEW)
    swarm.tick(60)
    swarm.push(f"{API}:stable", OLD)
    found = registry.tags(Image.parse(f"{API}:latest"))
    assert set(found) == {Tag("v1", begun, OLD), Tag("v2", later, NEW), Tag("stable", begun, OLD)}
    with pytest.raises(NotFoundError):
        registry.tags(Image.parse("registry.example.com/team/other"))


def test_a_login_has_a_password():
    swarm, image = FakeSwarm(), Image.parse(API)
    assert swarm.credentials(image) is None
    assert swarm.credentials(image, "team-a") == Credentials("team-a", "password", "registry.example.com")
