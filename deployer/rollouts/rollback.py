"""The image that a service can go back to, and what has to be remembered when it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from deployer.model.image import Image
from deployer.model.service import State
from deployer.model.snapshot import MOVED, Phase, Progress, Snapshot


def way_back(snapshot: Snapshot, failures: Mapping[str, str]) -> Image | None:
    """Return the image to go back to: remembered on the service or, after a `docker stack deploy`, by tasks.

    Args:
        snapshot: the service as it is now.
        failures: digests that must not be tried again by themselves, and why.
    """
    current = snapshot.service.image
    remembered = [snapshot.service.state.previous] if snapshot.service.state.previous else []
    for text in [*remembered, *snapshot.former_images]:
        candidate = Image.find(text)
        if (
            not current
            or not candidate
            or not candidate.digest
            or failures.get(candidate.digest, MOVED) != MOVED
        ):
            continue
        if candidate.digest != current.digest and candidate.same_repository(current):
            return candidate
    return None


def way_back_after(snapshot: Snapshot, target: Image, failures: Mapping[str, str]) -> str | None:
    """Return the way back after an update: what runs now, if it runs well, else what ran before."""
    current = snapshot.service.image
    if current and current.digest and _is_good(snapshot):
        return str(current) if current.digest != target.digest else snapshot.service.state.previous
    back = way_back(snapshot, failures)
    return str(back) if back and back.digest != target.digest else None


def _is_good(snapshot: Snapshot) -> bool:
    # A service that goes back runs what was good before, however far it is. Its own way back is older.
    if snapshot.rolled_back or (snapshot.ours and snapshot.service.state.by == "rollback"):
        return True
    return _runs_well(snapshot.progress)


def _runs_well(progress: Progress) -> bool:
    # A service that lost a node is short of tasks, but its image is none the worse.
    degraded = progress.phase is Phase.ROLLING and not progress.engine_busy and progress.ready > 0
    return degraded or progress.phase in {Phase.CONVERGED, Phase.REVERTED}


def gone_back(snapshot: Snapshot, task: str, back: str, failed: str | None, reason: str) -> State:
    """Return the state of a service that goes back: the digests that failed, why, and no further way back.

    One of them may be what the target has just left. It is known from what the write overwrites.
    """
    left = snapshot.left.digest if snapshot.left and snapshot.left.reason != MOVED else None
    kept = snapshot.service.state.with_failure(left).with_failure(failed)
    return replace(
        kept.without_failure(Image.parse(back).digest),
        image=back,
        previous=None,
        reason=reason,
        task=task,
        done=snapshot.service.state.done_before(task),
        by="rollback",
        at=snapshot.now.isoformat(timespec="milliseconds"),
        restart=None,
    )


def tried_before(state: State) -> str:
    """Return the image that failed before a service went back; nobody has noted by which tag."""
    back = Image.find(state.image)
    if back is None or not state.failures:
        return state.image or ""
    return str(replace(back, tag=None, digest=state.failures[0]))
