"""The gates before a roll-out: whether this digest may begin, whoever asks for it.

No message, hook or label of another service passes them, and `--force` does not either. Only what has run is
free of them: a way back, and a restart of the digest that the service has.
"""

from __future__ import annotations

from deployer.model.deployment import Outcome
from deployer.model.evidence import Scanned
from deployer.policies.values import format_duration
from deployer.rollouts.decision import Found, Skip, Stop, Wait

SETTLE = "settle "  # begins the name of a wait that counts for a digest, whatever else is waited for
LONGEST = 900.0  # seconds between two looks, and SQS's longest delay
APPROVAL = "waits for approval of "
SIGNED_WITHIN = 600.0  # seconds: a signature is pushed after its image
SCANNED_WITHIN = 1800.0  # seconds


def not_signed(found: Found) -> Stop | None:
    """Return that the digest's signature is not proved (label `deployer.verify`, DEPLOYER_VERIFY)."""
    why, digest = found.unproved, found.manifest.digest
    if why is None or found.has_run:
        return None
    what = f"signature {digest}"
    if not why.for_good and found.case.request.waiting.get(what, 0.0) < SIGNED_WITHIN:
        return Wait(f"waits for a signature: {why.reason}", what)
    return Skip(Outcome.HELD, f"its signature is not proved: {why.reason}")


def not_scanned(found: Found) -> Stop | None:
    """Return that a scan has not ended, or has found too much (label `deployer.scan`)."""
    scan, limits, digest = found.scan, found.case.labels.scan, found.manifest.digest
    if scan is None or limits is None or found.has_run:
        return None
    if scan.state is Scanned.DONE:
        over = limits.exceeded(scan.counts)
        return Skip(Outcome.HELD, f"its scan has found {over} (label deployer.scan)") if over else None
    what = f"scan {digest}"
    if scan.state is Scanned.RUNNING and found.case.request.waiting.get(what, 0.0) < SCANNED_WITHIN:
        return Wait(f"waits for its scan: {scan.reason}", what)
    return Skip(Outcome.HELD, f"there is no result of a scan: {scan.reason} (label deployer.scan)")


def not_approved(found: Found) -> Stop | None:
    """Return that people have yet to approve the digest (label `deployer.approve`)."""
    case, digest = found.case, found.manifest.digest
    wanted = case.labels.approve
    if not wanted or found.has_run:
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
    if not least or found.has_run:
        return None
    since = found.pushed_at or case.seen.get(digest, case.snapshot.now)
    age = (case.snapshot.now - since).total_seconds()
    if age >= least:
        return None
    seconds = max(1.0, min(least - age, LONGEST))
    text = f"the digest must be {format_duration(least)} old (label deployer.min-age)"
    return Wait(text, f"age {digest}", seconds=seconds, patient=True)


def is_of_unknown_age(found: Found) -> bool:
    """Return whether the digest's age has to count from now on."""
    asked = found.case.labels.min_age and not found.has_run
    return bool(asked and not found.pushed_at and found.manifest.digest not in found.case.seen)
