"""The wait until the next look at what waits: a part of the time that it has waited. Pure.

Asking grows rare while nothing is lost by it: what has waited for a minute waits a few seconds longer than
it had to. Nobody is woken instead. The message of a deployment that waits lies in SQS until its own delay
has passed, which nobody can shorten, and a second message would be a second deployment.
"""

from __future__ import annotations

import hashlib

SHORTEST, LONGEST = 3.0, 90.0  # seconds, before the jitter
PART = 1 / 3  # of the time waited
JITTER = 1 / 3  # of the wait: services that began together do not look together


def next_wait(waited_seconds: float, service: str) -> float:
    """Return the seconds until the next look: 3 to 4 at first, and never more than 120.

    Args:
        waited_seconds: the sum of the delays that were asked for so far, whatever clocks said.
        service: the service's name.
    """
    wait = min(max(SHORTEST, waited_seconds * PART), LONGEST)
    return wait * (1 + JITTER * _share(service))


def _share(service: str) -> float:
    return hashlib.sha256(service.encode()).digest()[0] / 256
