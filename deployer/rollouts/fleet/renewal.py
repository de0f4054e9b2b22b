"""Renews the registry credentials that the Swarm keeps with each service.

ECR's tokens live for 12 hours. The Swarm stores one with a service at each update, and a task that is
rescheduled to a node without the image after that cannot pull it (moby issues 31063 and 36126). A write with
fresh credentials restarts no task, but it clears UpdateStatus and overwrites PreviousSpec: what they know is
kept in our labels by the same write, and a service that is being rolled out, or that the engine has paused,
is left alone.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import replace
from datetime import datetime, timedelta

from deployer.errors import DeployerError, StaleVersionError
from deployer.model.deployment import Request
from deployer.model.image import Image
from deployer.model.service import Service, State
from deployer.model.snapshot import MOVED, Phase, Snapshot
from deployer.policies.labels import ServiceLabels
from deployer.rollouts.core import Core
from deployer.rollouts.facts import case_of
from deployer.rollouts.ledger import Ledger
from deployer.rollouts.memory import known_failures
from deployer.rollouts.ports import Change
from deployer.rollouts.rollback import way_back

log = logging.getLogger(__name__)

AT_ONCE = 200  # services that one run renews, unless more are in danger
DANGER = timedelta(hours=10)  # an age at which a service is not left for the next run
SPREAD = 0.25  # of the age: services of one deployment are not all renewed in the same minute


def refresh(core: Core, max_age: timedelta) -> list[str]:
    """Renew the credentials of ECR services that are older than this; the names of those renewed.

    Args:
        core: the core.
        max_age: credentials are renewed at three quarters of this age to the whole of it.

    Raises:
        TemporaryError: the Swarm cannot answer now.
    """
    now = core.clock()
    services = [s for s in core.target.services() if s.carries(core.rules.filter_label)]
    due = [(age(s, now), s) for s in services if _needs(s) and age(s, now) > _limit(s, max_age)]
    due.sort(key=lambda one: one[0], reverse=True)
    chosen = [s for n, (old, s) in enumerate(due) if n < AT_ONCE or old > DANGER]
    tokens = dict[
        str, bool
    ]()  # by host: whether there is a token of this minute, not one that has lived for hours
    renewed = []
    for service in chosen:
        image = service.image
        try:
            if image and image.host not in tokens:
                tokens[image.host] = False
                core.registry.renew(image)
                tokens[image.host] = True
            if not image or not tokens[image.host]:
                continue  # what was wrong is in the log
            if _renew(core, service.id):
                renewed.append(service.name)
        except StaleVersionError:
            continue  # somebody else wrote just now; the next run sees it
        except DeployerError as fault:
            log.warning("The credentials of service %s are not renewed: %s", service.name, fault)
    return renewed


def age(service: Service, now: datetime) -> timedelta:
    """Return the age of the credentials that the Swarm keeps with a service, as far as it is known."""
    if stored := service.state.credentials_since:
        return now - stored
    # Whoever wrote it last has, with luck, sent credentials along.
    return now - datetime.fromisoformat(service.written_at) if service.written_at else timedelta.max


def _needs(service: Service) -> bool:
    if service.image is None or service.image.ecr is None or not service.keeps_credentials:
        return False
    if service.is_job:  # any write runs a job again
        return False
    labels = ServiceLabels.parse(service.labels)
    # What cannot be understood turns updates off, and not the credentials that a service needs to live.
    return labels.enabled or labels.problem is not None


def _limit(service: Service, max_age: timedelta) -> timedelta:
    part = hashlib.sha256(service.id.encode()).digest()[0] / 256
    return max_age * (1 - SPREAD * part)


def _renew(core: Core, service_id: str) -> bool:
    snapshot = core.read(service_id)
    service, progress = snapshot.service, snapshot.progress
    if service.image is None or progress.engine_busy or progress.phase is Phase.PAUSED:
        return False
    if snapshot.ours and snapshot.untouched and progress.leftovers:
        return False  # the engine has not said anything of our own write yet
    credentials = core.registry.credentials(service.image, service.login)
    if credentials is None:
        return False
    ledger = core.target.ledger()
    # The labels hold a few failures only, and the engine's word on a rollback goes with this write.
    core.remember(case_of(snapshot, Request("-", trigger="reconcile"), core.rules, ledger))
    core.target.apply(service, Change(_kept(snapshot, ledger)), credentials)
    log.info("Renewed the registry credentials of service %s", service.name)
    return True


def _kept(snapshot: Snapshot, ledger: Ledger) -> State:
    """Return the state to write, with all that the write takes away from the engine's own memory."""
    service, state = snapshot.service, snapshot.service.state
    failures = known_failures(snapshot, ledger)
    for digest, why in failures.items():
        state = state.with_failure(digest) if why != MOVED else state
    if state.previous is None:
        before = Image.find(snapshot.before)
        usable = before and before.digest and before.digest not in failures and _differs(before, service)
        back = before if usable else way_back(snapshot, failures)
        state = replace(state, previous=str(back) if back else None)
    return replace(state, credentials_at=snapshot.now.isoformat(timespec="seconds"))


def _differs(image: Image, service: Service) -> bool:
    return (
        service.image is not None
        and image.same_repository(service.image)
        and image.digest != service.image.digest
    )
