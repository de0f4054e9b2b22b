"""A worker that serves clusters of ECS: it asks no engine, and says at its start which settings do not fit."""

import pytest

from deployer import app
from deployer.tasks import worker


@pytest.fixture
def started(load, monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setattr(app, "swarm", lambda: pytest.fail("no engine has to be there"))
    cached = (app.ecs, app.deployer, app.registries, app.notifier)

    def start(**settings):
        for one in cached:
            one.cache_clear()
        load(**settings)
        worker._prepare()
        return app.deployer().target

    yield start
    for one in cached:
        one.cache_clear()


def test_it_serves_the_clusters(started):
    target = started(ECS_CLUSTERS="eu-west-1/prod", ECS_LEDGER="deployer-ledger", MAX_ROLLOUTS="5")
    assert [place.cluster.name for place in target.places] == ["prod"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "DEPLOYER_ECS_CLUSTERS='prod' names no region, and AWS_REGION is not set"),
        (
            {"MAX_ROLLOUTS": "5", "ECS_CLUSTERS": "eu-west-1/prod"},
            "DEPLOYER_MAX_ROLLOUTS=5 needs a ledger .* set DEPLOYER_ECS_LEDGER to the name of a DynamoDB table",
        ),
    ],
)
def test_settings_that_do_not_go_together(started, settings, said):
    with pytest.raises(SystemExit, match=f"^deployer: {said}"):
        started(**{"ECS_CLUSTERS": "prod", **settings})
