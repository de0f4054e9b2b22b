"""The facts of a decision, gathered from a reading of a service and of the ledger."""

from __future__ import annotations

from datetime import datetime, timedelta

from deployer.model.deployment import Request
from deployer.model.snapshot import Snapshot
from deployer.policies.labels import ServiceLabels
from deployer.rollouts.decision import Case, Found, Rules
from deployer.rollouts.ledger import Ledger, Store, approvals, sightings, trials
from deployer.rollouts.ledger.slots import owner_of_bake
from deployer.rollouts.memory import is_put_back, known_failures
from deployer.rollouts.rules import is_of_unknown_age


def case_of(
    snapshot: Snapshot,
    request: Request,
    rules: Rules,
    ledger: Ledger,
    after: Snapshot | None = None,
    labels: ServiceLabels | None = None,
) -> Case:
    """Return the facts of a decision, out of what was read."""
    service = snapshot.service
    labels = labels or ServiceLabels.parse(service.labels, rules.filter_label)
    failures, kept = known_failures(snapshot, ledger), ledger.failures(service.name)
    hold = ledger.hold(service.name, service.id, snapshot.now)
    theirs = known_failures(after, ledger) if after else ()
    return Case(
        snapshot,
        request,
        rules,
        labels,
        str(hold) if hold else None,
        after,
        bool(after and _bakes(after, ledger, rules)),
        theirs,
        failures,
        kept,
        trial=trials.find(ledger, service.name),
        approvals=approvals.of(ledger, service.name),
        seen=sightings.of(ledger, service.name),
        put_back=is_put_back(service, kept),
    )


def remember_sight(store: Store, found: Found) -> None:
    """Write down that a digest is seen for the first time, where nothing else tells how old it is."""
    if is_of_unknown_age(found):
        snapshot = found.case.snapshot
        sightings.note(store, snapshot.service.name, found.manifest.digest, snapshot.now)


def _bakes(first: Snapshot, ledger: Ledger, rules: Rules) -> bool:
    """Return whether the roll-out of a service that goes first has yet to end its bake.

    What a dead deployment has left in the ledger counts no longer than a roll-out and its bake can last.
    """
    service, state = first.service, first.service.state
    if not first.ours or state.by == "rollback" or not state.at:
        return False
    labels = ServiceLabels.parse(service.labels)
    timeout = labels.timeout or rules.rollout_timeout
    smoke = timeout if labels.post_job or labels.post_command else 0.0
    limit = labels.bake + timeout + smoke + first.progress.patience
    until = datetime.fromisoformat(state.at) + timedelta(seconds=limit)
    return owner_of_bake(ledger, service.name) == state.task and first.now < until
