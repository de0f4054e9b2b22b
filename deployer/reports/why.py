"""The reasons why nothing happens to a service: told by the very rules that decide, worst first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from deployer.errors import DeployerError
from deployer.model.deployment import Outcome, Request
from deployer.model.image import Image
from deployer.model.service import LabelError, Manifest
from deployer.model.snapshot import Snapshot
from deployer.policies.labels import complaint, misplaced
from deployer.rollouts.core import Core
from deployer.rollouts.decision import Case, Skip, Stop, Update
from deployer.rollouts.ledger import Ledger
from deployer.rollouts.rules import answers, decide, questions

# The worst first: what a person has to mend, what a person has ordered, what passes by itself.
KINDS = (
    "label",
    "registry",
    "failed",
    "no-worker",
    "held",
    "no-way-back",
    "waiting",
    "superseded",
    "ignored",
)


@dataclass(frozen=True)
class Why:
    """One reason why a service is not updated now, or what somebody should know of it."""

    kind: str  # one of KINDS
    reason: str


def reasons(
    core: Core, look: Snapshot, ledger: Ledger, newer: tuple[Image, Manifest] | None
) -> Iterator[Why]:
    """Yield why a service is not updated by itself; nothing where it would be, or needs no update.

    Args:
        core: the core; nothing is written.
        look: the service.
        ledger: as it was read for all services.
        newer: the image that it follows and what the registry says of it, where that is another digest.
    """
    if wrong := complaint(look.service):
        yield Why("label", wrong)
    if nowhere := misplaced(look.service):
        yield Why("label", nowhere)
    try:
        stop = _stop(core, look, ledger, newer)
        without = None if stop or not newer else _without(core, look, ledger, newer)
    except LabelError as fault:
        if not wrong:
            yield Why("label", str(fault))
        return
    if stop and stop.reason != wrong:
        yield Why(kind_of(stop), said(stop))
    if without:
        yield without


def _without(core: Core, look: Snapshot, ledger: Ledger, newer: tuple[Image, Manifest]) -> Why | None:
    """Return that a newer image would have no way back; None if it has, or the registry does not tell."""
    case = core.case(look, Request("-", trigger="reconcile"), ledger)
    decision = decide(core.found(case, *newer))
    if not isinstance(decision, Update):
        return None
    try:
        problem = no_way_back(core, case, decision)
    except DeployerError:
        return None
    return Why("held" if case.labels.require_way_back else "no-way-back", problem) if problem else None


def no_way_back(core: Core, case: Case, update: Update) -> str | None:
    """Return why a service could not go back from an update, None if it could.

    Raises:
        TemporaryError, PermanentError: the registry does not tell.
    """
    if case.snapshot.service.is_job or update.state.restart:
        return None
    problem = core.way_back_problem(case.snapshot.service, update.state.previous)
    return f"there is no way back from this update: {problem}" if problem else None


def _stop(core: Core, look: Snapshot, ledger: Ledger, newer: tuple[Image, Manifest] | None) -> Stop | None:
    case = core.case(look, Request("-", trigger="reconcile"), ledger)
    after = answers(core.found(case, *newer)) if newer else ()
    return next((stop for _, stop in chain(questions(case), after) if stop), None)


def kind_of(stop: Stop) -> str:
    """Return the outcome of a rule that says no, or `waiting`."""
    return str(stop.outcome) if isinstance(stop, Skip) else "waiting"


def said(stop: Stop) -> str:
    """Return the reason of a rule that says no, without the outcome that it begins with."""
    if isinstance(stop, Skip) and stop.outcome is Outcome.HELD:
        return stop.reason.removeprefix("held: ")
    return stop.reason
