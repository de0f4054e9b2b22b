"""A push that many services follow: their first looks are made together, as many services as go in a part.

What the looks have in common is read once: the services, their tasks, the ledger, and what the registry says.
Nothing is decided otherwise than in looks one by one, because the order in which things are read is the same:
first the service, then the registry, and the write is refused if the service has changed since it was read.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from deployer.errors import DeployerError, StaleVersionError, TemporaryError
from deployer.model.deployment import Again, Request
from deployer.model.service import Service
from deployer.model.snapshot import Snapshot, listed
from deployer.observability.logs import about
from deployer.rollouts.core import Core
from deployer.rollouts.deployer import Deployer
from deployer.rollouts.facts import case_of
from deployer.rollouts.fleet.once import AskedOnce, ListedOnce
from deployer.rollouts.ledger import Ledger, trials
from deployer.rollouts.rules import leave_alone

log = logging.getLogger(__name__)

PART_SERVICES = 50  # that one task looks at: some tenths of a second
PART_TASKS = 100  # that one answer of the engine may have to list, about
UNKNOWN_TASKS = 10  # of a service that has one on each node
PART_SECONDS = 20.0  # after which the rest of a part goes one by one; far below a visibility timeout
LEDGER_SECONDS = 0.5  # for which a hold or a freeze may stay unseen
BEGUN_PER_SECOND = 250  # roll-outs by one worker
LOOKS_PER_SECOND = 100  # that one worker's threads can well make, of roll-outs that have begun


def parts(services: Sequence[Service]) -> list[list[Service]]:
    """Split services into parts that are looked at together; at least one part, maybe empty."""
    found: list[list[Service]] = [[]]
    tasks = 0
    for service in services:
        more = UNKNOWN_TASKS if service.desired is None else service.desired
        if found[-1] and (len(found[-1]) == PART_SERVICES or tasks + more > PART_TASKS):
            found.append([])
            tasks = 0
        found[-1].append(service)
        tasks += more
    return found


class _Batch(AskedOnce):
    """A target for one batch: the ledger and each image are asked once, after all services were read."""

    _read: tuple[float, Ledger] | None = None

    def ledger(self) -> Ledger:
        """Return the ledger as it was a moment ago."""
        now = time.monotonic()
        if self._read is None or now > self._read[0]:
            self._read = now + LEDGER_SECONDS, self._target.ledger()
        return self._read[1]

    def write_ledger(self, ledger: Ledger, labels: Mapping[str, str]) -> None:
        """Replace it; the next one to ask reads it."""
        self._read = None
        self._target.write_ledger(ledger, labels)


@dataclass(frozen=True)
class FirstLook:
    """The result of one service's first look."""

    service: Service
    request: Request
    step: Again | None  # its roll-out has begun; None: it shall be looked at by itself, from the start


def begin(deployer: Deployer, services: Sequence[Service], requests: Sequence[Request]) -> list[FirstLook]:
    """Make the first looks at services, and the writes that follow from them.

    What does not lead to a roll-out, whatever the reason, is left to a look of its own.

    Args:
        deployer: the core.
        services: as they were read now.
        requests: what is wanted of each.
    """
    if not services:
        return []
    try:
        snapshots = deployer.target.read_all(services, deployer.clock())
    except DeployerError:
        return [
            FirstLook(service, request, None) for service, request in zip(services, requests, strict=True)
        ]
    batch = replace(deployer, target=_Batch(deployer.target), registry=ListedOnce(deployer.registry))
    noted = _note(batch, snapshots, requests) if _remember(batch, snapshots) else set()
    until = time.monotonic() + PART_SECONDS
    found = []
    for snapshot, request in zip(snapshots, requests, strict=True):
        step: Again | None = None
        if time.monotonic() < until:
            with about(event=request.event, task=request.deployment_id, service=snapshot.service.name):
                try:
                    made = batch.step(snapshot, request)
                    step = made if isinstance(made, Again) and made.watch else None
                    if step:
                        noted.discard(snapshot.service.name)
                except StaleVersionError:
                    pass  # its own look reads it again
                except TemporaryError:
                    until = 0.0  # the next one would have to wait as long
                    noted.discard(snapshot.service.name)  # it may have been written: its own look tells
                except Exception:  # its own look says what is wrong, and no other service has to suffer
                    log.debug("Left to a look of its own", exc_info=True)
                    noted.discard(snapshot.service.name)
        found.append(FirstLook(snapshot.service, request, step))
    with suppress(DeployerError):  # their own looks forget them too
        trials.note(batch.target, dict.fromkeys(noted))
    return found


def remember(deployer: Deployer, services: Sequence[Service], requests: Sequence[Request]) -> None:
    """Remember, for all services that follow a push, what people have moved them away from, and what comes.

    Two writes before the push is handed out in parts: else the parts' writes of one ledger would keep coming
    between one another.
    """
    snapshots = [listed(service, deployer.clock()) for service in services]
    if snapshots and _remember(deployer, snapshots):
        _note(deployer, snapshots, requests)


def _remember(core: Core, snapshots: Sequence[Snapshot]) -> bool:
    """Remember the failures of all in one write; return whether it was made."""
    try:
        core.remember_all(snapshots)  # else each write of a service would be preceded by one of the ledger
    except DeployerError:
        log.debug("Left to looks one by one", exc_info=True)
        return False
    return True


def _note(core: Core, snapshots: Sequence[Snapshot], requests: Sequence[Request]) -> set[str]:
    """Note in one write what the looks will most likely write; return the names of the services.

    Else each write of a service of which nothing else tells would be preceded by one of the ledger. A look
    that comes to another digest notes that by itself.
    """
    likely, new = set[str](), dict[str, trials.Trial | None]()
    try:
        ledger = core.target.ledger()
        for snapshot, request in zip(snapshots, requests, strict=True):
            name = snapshot.service.name
            trial = trials.of_write(snapshot, request.pushed_digest, request.deployment_id)
            written = snapshot.service.state.task == request.deployment_id
            if trial and not written and not leave_alone(case_of(snapshot, request, core.rules, ledger)):
                likely.add(name)
                if trials.find(ledger, name) != trial:
                    new[name] = trial
        trials.note(core.target, new)
    except DeployerError:
        log.debug("Left to looks one by one", exc_info=True)
    return likely


def next_look(place: int, count: int) -> float:
    """Return the seconds until the second look at a service, so that looks keep nobody from beginning.

    Args:
        place: of the service among all that follow the push, from 0.
        count: how many do.
    """
    return 1 + (count - 1) // BEGUN_PER_SECOND + place / LOOKS_PER_SECOND
