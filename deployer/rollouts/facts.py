"""The facts of a decision, gathered from a reading of a service and of the ledger. Pure."""

from __future__ import annotations

from deployer.model.deployment import Request
from deployer.model.snapshot import Snapshot
from deployer.policies.labels import ServiceLabels
from deployer.rollouts.decision import Case, Rules
from deployer.rollouts.ledger import Ledger, approvals, trials
from deployer.rollouts.memory import is_put_back, known_failures


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
        theirs,
        failures,
        kept,
        trial=trials.find(ledger, service.name),
        approvals=approvals.of(ledger, service.name),
        put_back=is_put_back(service, kept),
    )
