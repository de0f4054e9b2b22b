"""Where a service can go back to, and what has to be remembered when it does. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from deployer.model.image import Image
from deployer.model.service import Service, State
from deployer.targets.swarm.progress import Phase, Progress, former_images, image_of


def way_back(service: Service, tasks: Sequence[Mapping[str, Any]]) -> Image | None:
    """The image to go back to: remembered on the service or, after a `docker stack deploy`, by the Swarm."""
    remembered = [service.state.previous] if service.state.previous else []
    current = service.image
    for text in remembered + former_images(tasks):
        candidate = Image.find(text)
        if not current or not candidate or not candidate.digest or candidate.digest in service.state.failures:
            continue
        if candidate.digest != current.digest and candidate.same_repository(current):
            return candidate
    return None


def way_back_after(
    service: Service, target: Image, progress: Progress, tasks: Sequence[Mapping[str, Any]]
) -> str | None:
    """The way back after an update to `target`: what runs now, if it runs well, else what ran before."""
    current = service.image
    if current and current.digest and _good(progress):
        return str(current) if current.digest != target.digest else service.state.previous
    back = way_back(service, tasks)
    return str(back) if back and back.digest != target.digest else None


def _good(progress: Progress) -> bool:
    # A service that lost a node is short of tasks, but its image is none the worse.
    degraded = progress.phase is Phase.ROLLING and not progress.engine_busy and progress.ready > 0
    return degraded or progress.phase in {Phase.CONVERGED, Phase.REVERTED}


def given_up(
    service: Service,
    tasks: Sequence[Mapping[str, Any]],
    task: str,
    back: Image,
    failed: str | None,
    reason: str,
    now: datetime,
) -> State:
    """What to remember when a service goes back: the digests that failed, why, and no further way back.

    One of them is what the engine has just left: that is known from its UpdateStatus, which the write clears.
    """
    return replace(
        service.state.with_failure(failed).with_failure(rolled_back_from(service, tasks)),
        image=str(back),
        previous=None,
        reason=reason,
        task=task,
        done=service.state.done_before(task),
        by="rollback",
        at=now.isoformat(timespec="milliseconds"),
    )


def rolled_back_from(service: Service, tasks: Sequence[Mapping[str, Any]]) -> str | None:
    """The digest that the engine (or `docker service rollback`) has just left, from the Swarm's own history.

    The engine takes our labels back together with the image, but not its tasks.
    """
    if not service.is_rolling_back:
        return None
    left = [task for task in tasks if image_of(task) not in {None, service.image_text}]
    if not left:
        return None
    newest = max(left, key=lambda task: str(task.get("CreatedAt", "")))
    return str(image_of(newest)).partition("@")[2] or None
