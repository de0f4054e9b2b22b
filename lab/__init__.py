"""The real parts on loopback: a Docker engine with a Swarm, a registry that behaves as ECR, SQS, Redis.

For the tests and the demo. All of it lives in one directory and in namespaces of its own: an engine that
runs already, `/etc/hosts` and `/etc/docker` of the machine are not touched, and labs stand side by side.
"""

from lab.aws import ACCOUNT, HOST, REGION, Queues
from lab.faults import failing
from lab.lab import OTHER_HOST, PLAIN_HOST, Lab
from lab.processes import Process, wait_until

__all__ = [
    "ACCOUNT",
    "HOST",
    "OTHER_HOST",
    "PLAIN_HOST",
    "REGION",
    "Lab",
    "Process",
    "Queues",
    "failing",
    "wait_until",
]
