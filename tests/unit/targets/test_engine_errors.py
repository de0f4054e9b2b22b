"""What the engine's refusals mean: who has to act."""

import json

import pytest

from deployer.errors import TemporaryError
from deployer.targets.swarm import client
from deployer.targets.swarm.engine import Answer

# moby, daemon/cluster/cluster.go (errNoManager)
NOT_YET = (
    "This node is not a swarm manager. Manager is being prepared or has trouble connecting to the cluster."
)
NO_MORE = (
    "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. "
    "Please run this command on a manager node or promote the current node to a manager."
)
NO_SWARM = (
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node '
    "to swarm and try again."
)


@pytest.mark.parametrize("words", [NOT_YET, NO_MORE, NO_SWARM])
def test_an_engine_that_is_not_a_manager_yet_is_a_temporary_fault(words):
    """Faults 5: a roll-out under way ended as failed, and a push was lost."""
    fault = client._error(Answer(503, json.dumps({"message": words}).encode()), "", None)
    assert isinstance(fault, TemporaryError)
    assert "DOCKER_HOST" in str(fault)
    assert words in str(fault)
