"""Token buckets for ECS's quotas, so that a push to many services is slowed down here and not refused there.

Each quota holds for an account in a region (Amazon ECS API Reference, "Request throttling"). A request
waits at most a second for its token; a longer wait belongs into a queue, not into a thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from deployer.errors import BusyError

LONGEST_WAIT = 1.0  # seconds in a thread


@dataclass(frozen=True)
class Quota:
    """So many requests of some actions at once, and so many a second from then on."""

    burst: int
    per_second: float
    actions: tuple[str, ...] = ()


QUOTAS = (
    Quota(20, 1, ("RegisterTaskDefinition", "DeregisterTaskDefinition")),
    Quota(50, 5, ("UpdateService", "CreateService", "DeleteService")),
    Quota(100, 20, ("DescribeServices", "ListServices")),
    Quota(50, 20, ("DescribeTaskDefinition", "ListTaskDefinitions", "ListTaskDefinitionFamilies")),
    Quota(100, 20, ("DescribeTasks", "ListTasks")),
    Quota(20, 10, ("TagResource", "UntagResource")),
    Quota(50, 20, ("DescribeServiceDeployments", "ListServiceDeployments", "StopServiceDeployment")),
    Quota(50, 20, ("DescribeServiceRevisions",)),
    Quota(100, 40, ("RunTask",)),
)
OTHERS = Quota(20, 10)  # together: what is not worth a bucket of its own
_BY_ACTION = {action: quota for quota in QUOTAS for action in quota.actions}


def quota_of(action: str) -> Quota:
    """Return the quota that an action counts for."""
    return _BY_ACTION.get(action, OTHERS)


class Buckets:
    """The buckets of one account in one region; safe for threads.

    Args:
        clock: seconds that only go forward.
        sleep: wait for so many seconds.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._clock, self._sleep = clock, sleep
        self._buckets: dict[Quota, _Bucket] = {}
        self._lock = threading.Lock()

    def take(self, action: str) -> None:
        """Take the token of one request, and wait for it if that is a matter of a second.

        Raises:
            BusyError: it would take longer; the error says how long.
        """
        quota = quota_of(action)
        with self._lock:
            wait, ahead = self._bucket(quota).take(self._clock())
        if wait > LONGEST_WAIT:
            burst = f"{quota.burst} at once, then {quota.per_second:g} a second"
            raise BusyError(f"waits for ECS's quota of {action} ({burst}); {ahead} before it", wait)
        if wait > 0:
            self._sleep(wait)

    def throttled(self, action: str) -> float:
        """Empty a bucket because ECS throttles, and return the seconds after which to try again.

        Somebody else works on the same quota: another worker, or people.
        """
        quota = quota_of(action)
        with self._lock:
            return self._bucket(quota).empty(self._clock())

    def _bucket(self, quota: Quota) -> _Bucket:
        if quota not in self._buckets:
            self._buckets[quota] = _Bucket(quota, self._clock())
        return self._buckets[quota]


class _Bucket:
    """Tokens by the second, and the turns that were given to those for whom there was none.

    Each who has to come again is told a time of its own, one token's time after the one before. They come
    back one by one, and no token lies unused while somebody waits.
    """

    def __init__(self, quota: Quota, now: float) -> None:
        self._quota = quota
        self._tokens = float(quota.burst)
        self._at = now
        self._last_turn = now

    def take(self, now: float) -> tuple[float, int]:
        """Take a token, or a turn; return the seconds to wait, and how many wait before it."""
        self._fill(now)
        wait = (1 - self._tokens) / self._quota.per_second
        if wait <= LONGEST_WAIT:
            self._tokens -= 1
            return max(0.0, wait), 0
        return self._turn(now)

    def empty(self, now: float) -> float:
        self._fill(now)
        self._tokens = min(self._tokens, 0.0)
        return self._turn(now)[0]

    def _turn(self, now: float) -> tuple[float, int]:
        step = 1 / self._quota.per_second
        soonest = now + (1 - self._tokens) * step
        self._last_turn = max(self._last_turn + step, soonest)
        return self._last_turn - now, int((self._last_turn - now) / step)

    def _fill(self, now: float) -> None:
        self._tokens = min(self._quota.burst, self._tokens + (now - self._at) * self._quota.per_second)
        self._at = now
