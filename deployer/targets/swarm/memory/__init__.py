"""A Docker engine's Swarm in memory, for tests and for the simulation.

`MemoryEngine` has the raw JSON of the Engine API; `Operator` does what people do with the `docker`
command; a `Timeline` is the clock of both.
"""

from deployer.targets.swarm.memory.engine import MemoryEngine
from deployer.targets.swarm.memory.objects import Json
from deployer.targets.swarm.memory.operators import SECOND, Operator, service_spec
from deployer.targets.swarm.memory.timeline import Timeline

__all__ = ["SECOND", "Json", "MemoryEngine", "Operator", "Timeline", "service_spec"]
