"""The evidence that gates want to see of an image: asked for only where it could stop something."""

from __future__ import annotations

from dataclasses import replace

from deployer.errors import PermanentError
from deployer.model.evidence import Scan, Scanned, Unproved
from deployer.model.image import Image
from deployer.policies.proofs import Verify
from deployer.rollouts.decision import Found
from deployer.rollouts.ports import Registry


def gathered(found: Found, registry: Registry) -> Found:
    """Return a case with the evidence that labels and settings ask for.

    Raises:
        TemporaryError, PermanentError: the registry does not list its tags, or cannot tell now.
    """
    labels, login = found.case.labels, found.case.snapshot.service.login
    if found.has_run:
        return found  # no gate is for what has run
    if labels.min_age:
        listed, digest = registry.tags(found.wanted, login), found.manifest.digest
        times = [tag.pushed_at for tag in listed if tag.digest == digest and tag.pushed_at]
        found = replace(found, pushed_at=max(times, default=None))
    for verify in {found.case.rules.verify, labels.verify} - {None}:
        if verify and not found.unproved:
            found = replace(found, unproved=_unproved(registry, found.target, verify, login))
    if labels.scan:
        found = replace(found, scan=_scan(registry, found.target, login))
    return found


def _unproved(registry: Registry, image: Image, verify: Verify, login: str | None) -> Unproved | None:
    try:
        return registry.unproved(image, verify, login)
    except PermanentError as fault:
        return Unproved(str(fault), for_good=True)


def _scan(registry: Registry, image: Image, login: str | None) -> Scan:
    try:
        return registry.scan(image, login)
    except PermanentError as fault:
        return Scan(Scanned.IMPOSSIBLE, reason=str(fault))
