"""A look at one service: asks ECS for what a judgement needs, and for no more than that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice

from deployer.model.image import Image
from deployer.model.service import Service
from deployer.model.snapshot import MOVED, Left, Phase, Progress, Snapshot
from deployer.targets.ecs import progress
from deployer.targets.ecs.names import moment, seconds
from deployer.targets.ecs.place import Place
from deployer.targets.ecs.progress import Fate, assess, digest_in, digest_run, failed_one
from deployer.targets.ecs.service import Raw, Unit, image_in, resolved

LAG = 30.0  # seconds for which ECS's answers may be older than a write that it has confirmed
YOUNG = 120.0  # seconds for which a service's description may not know of its newest deployment
FORMER = 10  # deployments of the past that are looked at for a way back


@dataclass(frozen=True)
class _Look:
    """What one look has in hand."""

    place: Place
    service: Service
    now: datetime

    @property
    def unit(self) -> Unit:
        unit: Unit = self.service.native
        return unit

    @property
    def name(self) -> str:
        return str(self.unit.raw["serviceArn"])


def look(place: Place, service: Service, now: datetime) -> Snapshot:
    """Return everything that there is to know of a service.

    Args:
        place: its cluster.
        service: as it was described a moment ago.
        now: the time of the look, aware.
    """
    unit: Unit = service.native
    if service.untouchable or unit.revision is None:
        running = int(unit.raw.get("runningCount") or 0)
        return Snapshot(service, Progress(Phase.CONVERGED, running, service.desired or 0), now)
    seen = _Look(place, service, now)
    fates = place.fates(seen.name)
    fate = _fate(seen, fates)
    known = _known(seen, fates, ask=_is_troubled(unit, fate))
    seen_too = replace(unit, newest=fate.id, late=not fate.is_in(unit.raw))
    service = resolved(replace(service, native=seen_too), _digest(seen, known))
    left = _left(seen, fate)
    judged = assess(unit, fate)
    return Snapshot(
        _rolling(service, judged, fate),
        judged,
        now,
        ours=unit.ours,
        rolled_back=fate.went_back(unit),
        left=left,
        former_images=tuple(_former(seen, service, known)),
        lag=LAG,
    )


def _rolling(service: Service, judged: Progress, fate: Fate) -> Service:
    """Return a service that rolls also where no list tells: it bakes, or goes back, or answers are late."""
    if not judged.engine_busy or service.rolling:
        return service
    began = moment(fate.raw.get("createdAt"))
    return replace(service, rolling=True, rolling_since=began.isoformat() if began else None)


# -- the newest deployment ----------------------------------------------------------------------------


def _fate(seen: _Look, fates: Sequence[Raw]) -> Fate:
    """Return what is known of the newest deployment; a quiet success is asked no further questions."""
    unit, place = seen.unit, seen.place
    raw = fates[0] if fates else {}
    status = str(raw.get("status") or "")
    if status and status != "SUCCESSFUL":
        raw = {**raw, **place.fate(str(raw["serviceDeploymentArn"]))}
    left = None
    if status in progress.WENT_BACK:
        left = _definition(place, Fate(raw).target)
    elif not status and (failed := failed_one(unit.raw)):
        left = str(failed.get("taskDefinition"))
    switched = unit.revision is None or left != unit.revision.arn
    fate = Fate(raw, left if switched else None, switched=switched, young=_is_young(raw, seen.now))
    if _is_troubled(unit, fate):
        return replace(fate, stopped=place.tasks(seen.name, "STOPPED"))
    return fate


def _is_young(fate: Raw, now: datetime) -> bool:
    times = [seconds(fate.get(name)) for name in ("createdAt", "updatedAt", "finishedAt", "stoppedAt")]
    return now.timestamp() - max(times) < YOUNG


def _is_troubled(unit: Unit, fate: Fate) -> bool:
    failed = int(unit.primary.get("failedTasks") or 0)
    return failed > 0 or fate.went_back(unit) or assess(unit, fate).phase is Phase.PAUSED


def _definition(place: Place, service_revision: str | None) -> str | None:
    found = place.service_revisions([service_revision] if service_revision else [])
    return str(found[0]["taskDefinition"]) if found else None


def _left(seen: _Look, fate: Fate) -> Left | None:
    """Return the image that ECS, or a person, has gone back from."""
    unit, place = seen.unit, seen.place
    if fate.left and fate.went_back(unit):
        text = image_in(place.revision(fate.left, fresh=False), unit)
        return _gone_from(seen.service, text, False, assess(unit, fate).reason)
    if unit.ours or not unit.record.state.task or not fate.raw:
        return None
    # It is at a revision of ours to which we have not pointed it: where did it come from?
    full = (
        fate.raw
        if "sourceServiceRevisions" in fate.raw
        else place.fate(str(fate.raw["serviceDeploymentArn"]))
    )
    source = next((one.get("arn") for one in full.get("sourceServiceRevisions") or ()), None)
    before = _definition(place, source)
    if before is None or (unit.revision and before == unit.revision.arn):
        return None
    return _gone_from(seen.service, image_in(place.revision(before, fresh=False), unit), True, MOVED)


def _gone_from(service: Service, text: str | None, by_operator: bool, reason: str) -> Left | None:
    image, current = Image.find(text), service.image
    if not text or not image or not image.digest or not current or image.digest == current.digest:
        return None
    return Left(text, image.digest, by_operator, reason)


# -- what runs, and what ran --------------------------------------------------------------------------


def _known(seen: _Look, fates: Sequence[Raw], *, ask: bool) -> list[Raw]:
    """Return service revisions that tell what ran, where the service's own description and state do not."""
    image, state = seen.service.image, seen.unit.record.state
    if image is None or (image.digest and state.previous and not ask):
        return []
    good = (
        str(target) for one in fates if one.get("status") == "SUCCESSFUL" and (target := Fate(one).target)
    )
    current = [str(one["arn"]) for one in seen.unit.raw.get("currentServiceRevisions") or ()]
    return seen.place.service_revisions([*current, *islice(good, FORMER)])


def _digest(seen: _Look, known: Sequence[Raw]) -> str | None:
    """Return the digest that the tasks run, where the revision names a tag alone."""
    unit, image = seen.unit, seen.service.image
    if image is None or image.digest or unit.revision is None:
        return None
    lead, arn = unit.containers[0], unit.revision.arn
    # Each deployment of a revision resolves the tag anew: the newest one is what runs, or will.
    mine = [one for one in known if one.get("taskDefinition") == arn]
    newest: Raw = max(mine, key=lambda one: seconds(one.get("createdAt")), default={})
    return digest_in(newest, lead) or digest_run(seen.place.tasks(seen.name, "RUNNING"), arn, lead)


def _former(seen: _Look, service: Service, known: Sequence[Raw]) -> Iterator[str]:
    """Yield the images that ran before, newest first, with their digests."""
    unit, current = seen.unit, service.image
    if current is None:
        return
    for one in known:
        texts = {
            str(each.get("containerName")): str(each.get("image"))
            for each in one.get("containerImages") or ()
        }
        image = Image.find(texts.get(unit.containers[0]))
        digest = digest_in(one, unit.containers[0])
        found = image and replace(image, tag=image.tag or current.tag, digest=image.digest or digest)
        if found and found.digest not in {None, current.digest} and found.same_repository(current):
            yield str(found)
