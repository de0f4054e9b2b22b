"""Beat's remote control (`beat_enable_remote_control`) over Redis: `celery inspect ping` reaches beat too."""

from __future__ import annotations

from typing import Any

from celery import beat

from deployer.broker.redis import NEEDS_REDIS, Monitoring, url_of


class RedisBeatPidbox(beat.BeatPidbox):  # type: ignore[name-defined]
    """Celery's mailbox of beat, which would listen where the tasks go: SQS has no exchange to listen to."""

    def fanout_support(self) -> tuple[bool, str]:
        """Return that Redis can send a message to several listeners."""
        return True, "redis"

    def _connect(self) -> Monitoring:
        return Monitoring(url_of(self.app) or "")


def use_redis(sender: Any) -> None:
    """Let beat, which is about to start, listen at Redis.

    Args:
        sender: Celery's `beat.Service`.

    Raises:
        SystemExit: remote control is asked for, and no Redis is set.
    """
    if not sender.remote_control:
        return
    if not url_of(sender.app):
        raise SystemExit(f"deployer: beat_enable_remote_control: {NEEDS_REDIS} (DEPLOYER_REDIS_URL)")
    beat.BeatPidbox = RedisBeatPidbox  # Celery has no other place to name it
