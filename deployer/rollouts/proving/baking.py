"""Roll-outs that bake: they have converged, and their tasks have to stay up (label `deployer.bake`)."""

from __future__ import annotations

from deployer.rollouts.decision import Case, Wait
from deployer.rollouts.ledger import Store
from deployer.rollouts.ledger.slots import BAKE, Observer


def bakes(store: Store, case: Case, observer: Observer) -> Wait | None:
    """Return a wait while another roll-out of the service bakes.

    Nobody is to go back from the next image to one that is not proved. A person's rollback does not wait, and
    neither does a push where label `deployer.replace` lets it replace a roll-out.
    """
    request, service = case.request, case.snapshot.service
    if not case.labels.proves or case.labels.replace or request.rollback:
        return None
    owner = observer.live(store.ledger(), BAKE).get(service.name)
    if owner is None or owner == request.deployment_id or owner != service.state.task:
        return None
    return Wait("the roll-out before bakes still", f"bake of {owner}")
