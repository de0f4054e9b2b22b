"""The gates before a roll-out: whether this digest may begin, whoever asks for it.

No message, hook or label of another service passes them, and `--force` does not either. Only what has run is
free of them: a way back, and a restart of the digest that the service has.
"""

from __future__ import annotations

from deployer.model.deployment import Outcome
from deployer.policies.values import format_duration
from deployer.rollouts.decision import Found, Skip, Stop, Wait

SETTLE = "settle "  # begins the name of a wait that counts for a digest, whatever else is waited for
LONGEST = 900.0  # seconds between two looks, and SQS's longest delay
APPROVAL = "waits for approval of "


def not_approved(found: Found) -> Stop | None:
    """Return that people have yet to approve the digest (label `deployer.approve`)."""
    case, digest = found.case, found.manifest.digest
    wanted = case.labels.approve
    if not wanted or _is_free(found):
        return None
    words = case.approvals.valid(digest, case.snapshot.now, case.labels.approve_within)
    if len(words) >= wanted:
        return None
    name = case.snapshot.service.name
    count = f", {len(words)} of {wanted} given" if wanted > 1 else ""
    return Skip(Outcome.HELD, f"{APPROVAL}{digest}{count}: deployer approve {name} --reason …")


def too_young(found: Found) -> Stop | None:
    """Return that the digest was pushed too recently (label `deployer.min-age`)."""
    case, digest, least = found.case, found.manifest.digest, found.case.labels.min_age
    if not least or _is_free(found):
        return None
    what = f"{SETTLE}age {digest}"
    if found.pushed_at:
        age = (case.snapshot.now - found.pushed_at).total_seconds()
    else:  # counted from when it was first seen, by the delays that were asked for
        age = case.request.waiting.get(what, 0.0)
    if age >= least:
        return None
    seconds = max(1.0, min(least - age, LONGEST))
    text = f"the digest must be {format_duration(least)} old (label deployer.min-age)"
    return Wait(text, what, seconds=seconds, patient=True)


def _is_free(found: Found) -> bool:
    service = found.case.snapshot.service
    return found.case.request.rollback or (
        service.image is not None and service.image.digest == found.manifest.digest
    )
