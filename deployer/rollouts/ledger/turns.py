"""Turns: of N workers that start together one does what each of them asks for, and no clock is asked.

Whoever asks for a job notes whose turn was the last one (`last_turn`) and sends that along. Whoever takes
the job up does it only if nobody has begun one since, for that one came after the asking and will do.
"""

from __future__ import annotations

from collections.abc import Mapping

from deployer.rollouts.ledger.book import Ledger, Store, amend, replaced

TURN = "deployer.turn."


def last_turn(ledger: Ledger, job: str) -> str:
    """Return who had the last turn of a job; an empty text if nobody has had one."""
    return ledger.labels.get(TURN + job, "")


def take_turn(store: Store, job: str, me: str, seen: str | None) -> bool:
    """Take the turn of a job, or learn that somebody has had one since it was asked for.

    The same message may come twice, and one whose worker has died comes again: it keeps its turn.

    Args:
        store: where the ledger is kept.
        job: the job's name.
        me: the task's id.
        seen: what `last_turn` said when the job was asked for; None to take the turn in any case.
    """

    def change(ledger: Ledger) -> Mapping[str, str] | None:
        if seen is not None and last_turn(ledger, job) not in {seen, me}:
            return None
        return replaced(ledger, {TURN + job: me})

    return amend(store, change)
