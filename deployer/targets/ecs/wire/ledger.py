"""The ledger of ECS as an item of a DynamoDB table, and a counter for each unit beside it.

ECS itself refuses no write that comes from an old reading. DynamoDB does: each item has a version, and a
write is made only if that is still the one that was read. Whoever is about to write a unit claims its next
number first, and of two who have read the same number one has to read again.
"""

from __future__ import annotations

import json
import threading
import zlib
from collections.abc import Mapping
from typing import Any, Protocol

from deployer.aws.accounts import Accounts
from deployer.errors import BusyError, NotFoundError, SettingsError, StaleVersionError
from deployer.rollouts.ledger import FREEZE, HOLD, NAME, Ledger
from deployer.rollouts.ledger.slots import SLOT

UNIT = "unit "  # before a unit's id: the key of its item
MOST_READABLE = 100_000  # characters of labels as they are; DynamoDB takes 400 KB, so more is compressed
WRITE_SECONDS = 3.0  # in which whoever has claimed a number has registered and pointed

_ORDERED = {
    "deployer.approval.": "an approval",
    FREEZE: "a freeze of all services",
    HOLD: "a hold",
    SLOT: "DEPLOYER_MAX_ROLLOUTS",
}


class UnitStore(Protocol):
    """A ledger that counts the writes to each unit too."""

    def ledger(self) -> Ledger:
        """Read it; an empty one if there is none yet."""

    def write_ledger(self, ledger: Ledger, labels: Mapping[str, str]) -> None:
        """Replace the labels; StaleVersionError if somebody else has since the read."""

    def counter(self, unit_id: str) -> int:
        """Return the number of the last write to a unit; 0 before the first one."""

    def claim(self, unit_id: str, seen: int) -> int:
        """Take the next number of a unit; BusyError if `seen` is no longer the last one."""


class DynamoLedger:
    """A ledger that all workers of the same clusters share.

    Args:
        table: its name; the key is `id`, a string.
        region: the table's.
        accounts: credentials by account; the table is in our own.
    """

    def __init__(self, table: str, region: str, accounts: Accounts) -> None:
        self._table, self._region, self._accounts = table, region, accounts

    def ledger(self) -> Ledger:
        """Return the labels of the ledger's item; an empty ledger if there is none yet.

        Raises:
            SettingsError: there is no such table.
            TemporaryError, AccessDeniedError: DynamoDB cannot answer now, or refuses.
        """
        item = self._get(NAME)
        if item is None:
            return Ledger()
        return Ledger(_unpacked(item), NAME, int(item["version"]["N"]))

    def write_ledger(self, ledger: Ledger, labels: Mapping[str, str]) -> None:
        """Replace those labels.

        Raises:
            StaleVersionError: somebody else wrote since the read.
        """
        self._put(NAME, ledger.version, _packed(labels))

    def counter(self, unit_id: str) -> int:
        """Return the number of the last write to a unit; 0 before the first one."""
        item = self._get(UNIT + unit_id)
        return int(item["version"]["N"]) if item else 0

    def claim(self, unit_id: str, seen: int) -> int:
        """Take the next number of a unit.

        Raises:
            BusyError: `seen` is no longer the last one.
        """
        try:
            self._put(UNIT + unit_id, seen, {})
        except StaleVersionError as fault:
            raise _writes(unit_id) from fault
        return seen + 1

    def _get(self, key: str) -> dict[str, Any] | None:
        answer = self._call("get_item", "dynamodb:GetItem", Key={"id": {"S": key}}, ConsistentRead=True)
        item: dict[str, Any] | None = answer.get("Item")
        return item

    def _put(self, key: str, version: int, members: Mapping[str, Any]) -> None:
        item = {"id": {"S": key}, "version": {"N": str(version + 1)}, **members}
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(id)"}
        if version:
            condition = {
                "ConditionExpression": "#version = :read",
                "ExpressionAttributeNames": {"#version": "version"},
                "ExpressionAttributeValues": {":read": {"N": str(version)}},
            }
        self._call("put_item", "dynamodb:PutItem", Item=item, **condition)

    def _call(self, method: str, action: str, **members: Any) -> dict[str, Any]:
        where = f"on table {self._table} in {self._region}"
        try:
            with self._accounts.client("dynamodb", None, self._region, action, where) as client:
                answer: dict[str, Any] = getattr(client, method)(TableName=self._table, **members)
                return answer
        except NotFoundError as fault:
            raise SettingsError(
                f"DEPLOYER_ECS_LEDGER={self._table!r}: there is no such table in {self._region}; make it "
                "with the key `id`, a string (docs/ecs.md), or correct the name"
            ) from fault


def _packed(labels: Mapping[str, str]) -> dict[str, Any]:
    if sum(len(key) + len(text) for key, text in labels.items()) <= MOST_READABLE:
        return {"labels": {"M": {key: {"S": text} for key, text in labels.items()}}}
    return {"packed": {"B": zlib.compress(json.dumps(dict(labels)).encode(), 9)}}


def _unpacked(item: Mapping[str, Any]) -> dict[str, str]:
    if "packed" in item:
        found: dict[str, str] = json.loads(zlib.decompress(bytes(item["packed"]["B"])))
        return found
    return {key: str(value["S"]) for key, value in item.get("labels", {"M": {}})["M"].items()}


def _writes(unit_id: str) -> BusyError:
    # Who reads again at once sees neither the new revision nor the new pointer, and would write too.
    return BusyError(f"another worker writes {unit_id.rpartition('/')[2]} just now", WRITE_SECONDS)


class NoLedger:
    """The ledger of a worker that has none: for this process only, and it takes no orders.

    Failures are remembered with each service too. A hold would end with the process, and no other worker
    would know of it, so it is refused.
    """

    def __init__(self) -> None:
        self._ledger = Ledger()
        self._counters: dict[str, int] = {}
        self._lock = threading.Lock()

    def ledger(self) -> Ledger:
        """Return what this process remembers."""
        return self._ledger

    def write_ledger(self, ledger: Ledger, labels: Mapping[str, str]) -> None:
        """Remember something else.

        Raises:
            StaleVersionError: another thread wrote since the read.
            SettingsError: it is something that all workers have to know.
        """
        for prefix, what in _ORDERED.items():
            if any(key.startswith(prefix) for key in labels):
                raise SettingsError(
                    f"{what} needs a ledger that all workers share: set DEPLOYER_ECS_LEDGER to the name of a "
                    "DynamoDB table, such as deployer-ledger (docs/ecs.md)"
                )
        with self._lock:
            if ledger.version != self._ledger.version:
                raise StaleVersionError("another thread has written the ledger")
            self._ledger = Ledger(dict(labels), NAME, ledger.version + 1)

    def counter(self, unit_id: str) -> int:
        """Return the number of this process's last write to a unit; 0 before the first one."""
        return self._counters.get(unit_id, 0)

    def claim(self, unit_id: str, seen: int) -> int:
        """Take the next number of a unit, of which only this process knows.

        Raises:
            BusyError: another thread has taken it.
        """
        with self._lock:
            if self.counter(unit_id) != seen:
                raise _writes(unit_id)
            self._counters[unit_id] = seen + 1
        return seen + 1
