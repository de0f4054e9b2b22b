"""Writes to a service: one new revision and one pointer to it, or words in the tags of the one that is there.

ECS refuses no write because it is based on an old reading. So each step asks again what it can: the ledger's
counter, the newest revision of the family, the deployment that the service is on, and the answer.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from deployer.errors import DeployerError, PermanentError, StaleVersionError
from deployer.model.service import STATE_PREFIX, State
from deployer.targets.ecs import definitions, tags
from deployer.targets.ecs.names import UnitId, family_of, last
from deployer.targets.ecs.place import Place
from deployer.targets.ecs.service import PRIMARY, Raw, Revision, Unit, primary, record_in
from deployer.targets.ecs.tags import Record
from deployer.targets.ecs.wire.api import Refused
from deployer.targets.ecs.wire.ledger import UnitStore

log = logging.getLogger(__name__)

RECENT = timedelta(
    seconds=60
)  # for which a revision that nothing points to may be another worker's next step


@dataclass(frozen=True)
class Writer:
    """Writes to services of one cluster.

    Raises, by any of its methods:
        StaleVersionError: the service is not what was read, or somebody else writes just now.
        PermanentError: ECS refuses it, or it would lose something; the service is as it was.
    """

    place: Place
    counters: UnitStore

    # -- a new revision --------------------------------------------------------------------------------

    def go_on(self, unit: Unit, base: Revision, wanted: Mapping[str, object], state: State) -> None:
        """Register what is wanted, unless this deployment has already, and point the service to it."""
        number, revision, fresh = self.registered(unit, base, wanted, state)
        try:
            self.point(unit, revision, number)
        except (PermanentError, StaleVersionError):
            if fresh:
                self._drop(revision.arn)
            raise

    def registered(
        self, unit: Unit, base: Revision, wanted: Mapping[str, object], state: State
    ) -> tuple[int, Revision, bool]:
        """Claim the service, and return the number, the revision that is wanted, and whether it is new."""
        tagged = {
            **_carried(base, unit, str(state.template)),
            **_encoded(Record(state, former=last(base.arn)), unit),
        }
        tags.room(tagged)
        number = self.counters.claim(unit.id.service, unit.counter)
        known = self._registered_before(unit, base, wanted, state)
        return number, known or self._register(wanted, tagged), known is None

    def _registered_before(
        self, unit: Unit, base: Revision, wanted: Mapping[str, object], state: State
    ) -> Revision | None:
        """Return the revision that this very deployment has registered before its worker died.

        Raises:
            StaleVersionError: another worker has registered one a moment ago, and is about to point to it.
        """
        newest = self.place.newest(family_of(base.arn))
        if newest is None or newest.arn == base.arn:
            return None
        known = record_in(newest, unit)
        if known.state.task and known.state.task == state.task:
            return newest if definitions.same_content(newest.raw, wanted) else None
        if not known.deployment and _is_near(known.state.at, state.at):
            raise StaleVersionError(f"another worker has registered {last(newest.arn)} a moment ago")
        return None

    def _register(self, wanted: Mapping[str, object], tagged: Mapping[str, str]) -> Revision:
        revision = self.place.register(wanted, tagged)
        missing = definitions.lost(wanted, definitions.content(revision.raw))
        missing += [f"tag {key}" for key, value in tagged.items() if revision.tags.get(key, "") != value]
        if missing:
            self._drop(revision.arn)
            some = ", ".join(missing[:5]) + (" and more" if len(missing) > 5 else "")
            raise PermanentError(
                f"ECS did not keep {some} in {last(revision.arn)}: it is out of use, and nothing is deployed"
            )
        return revision

    def _drop(self, arn: str) -> None:
        try:
            self.place.deregister(arn)
        except DeployerError as fault:
            log.warning("The revision %s, which nothing uses, stays: %s", last(arn), fault)

    # -- the pointer -----------------------------------------------------------------------------------

    def point(self, unit: Unit, revision: Revision, number: int) -> None:
        """Point the service to a revision, if it is still on the deployment that was read.

        Args:
            unit: as it was read.
            revision: the revision.
            number: that was claimed for this write.
        """
        name = unit.id.service
        if self.counters.counter(name) != number:
            # Who has claimed it since finds our revision and waits, or has claimed before there was one.
            raise StaleVersionError("another worker writes the service at the same time")
        if primary(self.place.service(name) or {}).get("id") != unit.primary.get("id"):
            raise StaleVersionError("somebody else has updated the service since it was read")
        updated = self.place.update(name, revision.arn)
        known = {one.get("id") for one in unit.raw.get("deployments") or ()}
        former = [one for one in updated.get("deployments") or () if one.get("status") != PRIMARY]
        if any(one.get("id") not in known for one in former):
            text = "Somebody else updated service %s at the same time; a look tells whose word is the last"
            log.warning(text, last(name))
        self._know_deployment(unit, revision, updated)

    def _know_deployment(self, unit: Unit, revision: Revision, raw: Raw) -> None:
        """Write down which deployment is ours: another person's of the same revision is told by that."""
        now = primary(raw)
        if now.get("taskDefinition") != revision.arn or not now.get("id"):
            return
        record = tags.with_deployment(record_in(revision, unit), str(now["id"]))
        key = next(key for key in _encoded(record, unit) if key.startswith(f"{STATE_PREFIX}deployment"))
        try:
            self.place.tag(revision, {key: str(now["id"])})
        except DeployerError as fault:  # without it every deployment of the revision counts as ours
            log.debug("The deployment of %s is not noted: %s", last(revision.arn), fault)

    # -- words in tags ---------------------------------------------------------------------------------

    def note(self, unit: Unit, revision: Revision, state: State, deployment: str | None = None) -> bool:
        """Write state into the tags of a revision, which restarts nothing; return whether that can be.

        It cannot where the revision may not be tagged any more.
        """
        known = record_in(revision, unit)
        signed = replace(state, template=definitions.fingerprint(revision.raw))
        record = Record(signed, deployment, known.former, unit.newest, known.foreign)
        try:
            self.place.tag(revision, tags.over(revision.tags, _encoded(record, unit)))
        except Refused as fault:
            log.info("Revision %s takes no tags: %s", last(revision.arn), fault)
            return False
        return True


def _encoded(record: Record, unit: Unit) -> dict[str, str]:
    return tags.encode(record, unit.id.mark, unit.id.container, unit.repository)


def _carried(base: Revision, unit: Unit, template: str) -> dict[str, str]:
    """Return the tags that a new revision takes over; what further units wrote is signed anew."""
    old, marks = definitions.fingerprint(base.raw), tags.owners(base.tags)
    further = {
        owner
        for owner, mark in marks.items()
        if owner != (unit.id.container or "") and UnitId(unit.id.service, owner or None).mark == mark
    }
    kept = tags.others(base.tags, further)
    for key in [
        key for key, value in kept.items() if key.startswith(f"{STATE_PREFIX}template") and value == old
    ]:
        kept[key] = template
        kept.pop(key.replace("template", "deployment", 1), None)
    return kept


def _is_near(one: str | None, other: str | None) -> bool:
    if not one or not other:
        return False
    return abs(datetime.fromisoformat(one) - datetime.fromisoformat(other)) < RECENT
