"""A ledger that vanishes is noticed, said, and put back as far as this process knows it.

No service uses the config object, so scripts that remove unused ones remove it, and with it every hold.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from datetime import datetime

from deployer.rollouts.ledger import holds
from deployer.rollouts.ledger.approvals import APPROVAL
from deployer.rollouts.ledger.book import NAME, Ledger, Store, amend
from deployer.rollouts.ledger.failures import FAILED, decode
from deployer.rollouts.ledger.holds import FREEZE, HOLD

log = logging.getLogger(__name__)


class WatchedStore:
    """A store that remembers what it last held, for one process; safe for threads.

    Args:
        store: the store itself.
        on_loss: is called for each loss (a metric counts it).
    """

    def __init__(self, store: Store, on_loss: Callable[[], None] = lambda: None) -> None:
        self._store = store
        self._on_loss = on_loss
        self._known = Ledger()
        self._lock = threading.Lock()

    def ledger(self) -> Ledger:
        """Read the ledger; one that is gone, or was made anew, is put back first."""
        found = self._store.ledger()
        if self._is_lost(found):
            found = self._store.ledger()  # a thread may come late with an older reading
        with self._lock:
            lost = self._known if self._is_lost(found) else None
            self._known = found
        return self._put_back(lost) if lost else found

    def write_ledger(self, ledger: Ledger, labels: Mapping[str, str]) -> None:
        """Replace the labels; StaleVersionError if somebody else has since the read."""
        self._store.write_ledger(ledger, labels)

    def _is_lost(self, found: Ledger) -> bool:
        return self._known.id is not None and found.id != self._known.id

    def _put_back(self, lost: Ledger) -> Ledger:
        kept = {
            key: text for key, text in lost.labels.items() if key.startswith((FREEZE, HOLD, FAILED, APPROVAL))
        }
        log.error(
            "The config object %s was removed (a script that removes unused configs?). Put back, as it was "
            "last read here: %s. Check with `deployer status`, and keep scripts from removing it.",
            NAME,
            contents(lost) or "nothing",
        )
        self._on_loss()
        amend(self._store, lambda ledger: {**kept, **ledger.labels})
        found = self._store.ledger()
        with self._lock:
            self._known = found
        return found


def contents(ledger: Ledger, now: datetime | None = None) -> str:
    """Return in words what a ledger holds: for the log, and for `deployer doctor`.

    Args:
        ledger: the ledger.
        now: the time, to leave out holds that have ended.
    """
    parts = []
    if (freeze := holds.decode(ledger.labels.get(FREEZE, ""))) and (now is None or freeze.lasts(now)):
        parts.append(f"a freeze of all services ({freeze})")
    held = {key.removeprefix(HOLD): holds.decode(text) for key, text in _under(ledger, HOLD)}
    parts += [
        f"a hold of {name} ({hold})"
        for name, hold in sorted(held.items())
        if hold and (now is None or hold.lasts(now))
    ]
    failed = {key.removeprefix(FAILED): len(decode(text)) for key, text in _under(ledger, FAILED)}
    parts += [
        f"{count} failed digest{'s' if count > 1 else ''} of {name}" for name, count in sorted(failed.items())
    ]
    return ", ".join(parts)


def _under(ledger: Ledger, prefix: str) -> list[tuple[str, str]]:
    return [(key, text) for key, text in ledger.labels.items() if key.startswith(prefix)]
