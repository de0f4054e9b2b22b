"""Scenario 28: each permission removed in turn: one clear line, and nobody is told to try again."""

import pytest
from ecs_world import BREAKER, EcsWorld

from deployer.errors import DeployerError, PermanentError
from deployer.model.deployment import Outcome, Report
from deployer.reports import ecs_checks

WHY = {"ListTasks", "DescribeTasks"}  # which tell the reason of a failure, and nothing else


def told(world, **request):
    """What a person reads at the end of a deployment, and how it ended."""
    try:
        done = world.deploy(limit=60, **request)
    except PermanentError as fault:
        return Outcome.FAILED, str(fault)
    assert isinstance(done, Report)
    return done.outcome, done.reason


@pytest.fixture
def world():
    world = EcsWorld()
    world.create(deploymentConfiguration=BREAKER)
    world.deployer = world.worker()
    return world


def without(world, action):
    world.fake.faults.denied.add(action)
    world.forget_calls()


@pytest.mark.parametrize(
    "action",
    [trial.action for trial in ecs_checks.trials(ecs_checks.Place("prod", "prod", EcsWorld().api), [])],
)
@pytest.mark.parametrize("behaviour", ["ok", "crash"])
def test_28_a_permission_that_is_missing_is_named_or_not_missed(world, caplog, action, behaviour):
    without(world, f"ecs:{action}")
    world.push(2, behaviour=behaviour)
    caplog.clear()
    outcome, reason = told(world)
    as_with_it = Outcome.UPDATED if behaviour == "ok" else Outcome.ROLLED_BACK
    if action in WHY and behaviour == "crash":
        assert outcome is Outcome.ROLLED_BACK
        assert f"are not known: AWS refuses ecs:{action}" in caplog.text
    elif outcome is not as_with_it:
        assert outcome is Outcome.FAILED
        assert reason.count(f"AWS refuses ecs:{action}") == 1
        assert "allow it in the role's policy" in reason
    else:
        assert not world.counted(action)


def test_28_a_role_that_may_not_be_passed_is_named(world):
    role = "arn:aws:iam::123456789012:role/shop"
    world.create(
        "shop",
        definition=world.operator.register(
            "shop", *world.operator.definition("web:1")["containerDefinitions"], executionRoleArn=role
        ),
    )
    without(world, "iam:PassRole")
    world.push(2)
    outcome, reason = told(world, name="shop")
    assert outcome is Outcome.FAILED
    assert f"AWS refuses iam:PassRole on {role}, which ecs:RegisterTaskDefinition needs" in reason
    assert not world.counted("UpdateService")


def test_the_list_of_services_needs_its_permission(world):
    without(world, "ecs:ListServices")
    with pytest.raises(DeployerError, match="AWS refuses ecs:ListServices"):
        world.deployer.target.services()
