"""The ledger of ECS: DynamoDB's conditional writes, and what goes without a table."""

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import boto3
import pytest
from botocore.stub import Stubber

from deployer.aws.accounts import Accounts
from deployer.errors import AccessDeniedError, BusyError, SettingsError, StaleVersionError, TemporaryError
from deployer.rollouts.ledger import NAME, Failure, Hold, amend, forget, remember, set_freeze, set_hold
from deployer.rollouts.ledger.turns import take_turn
from deployer.targets.ecs.wire.ledger import DynamoLedger, NoLedger

NOW = datetime(2026, 1, 1, tzinfo=UTC)
UNIT = "arn:aws:ecs:eu-west-1:123456789012:service/prod/web"


class Table:
    """DynamoDB's part of it: items, of which one is put only on its condition."""

    def __init__(self):
        self.items = {}
        self._lock = threading.Lock()
        self.writes = 0

    def get_item(self, *, TableName, Key, ConsistentRead):
        assert ConsistentRead, "an old reading would let an old hold pass"
        found = self.items.get(Key["id"]["S"])
        return {"Item": found} if found else {}

    def put_item(self, *, TableName, Item, ConditionExpression, **values):
        with self._lock:
            now = self.items.get(Item["id"]["S"])
            if ConditionExpression == "attribute_not_exists(id)":
                met = now is None
            else:
                assert ConditionExpression == "#version = :read"
                assert values["ExpressionAttributeNames"] == {"#version": "version"}
                met = now is not None and now["version"] == values["ExpressionAttributeValues"][":read"]
            if not met:
                client = boto3.client(
                    "dynamodb", "eu-west-1", aws_access_key_id="x", aws_secret_access_key="x"
                )
                with Stubber(client) as stubber:
                    stubber.add_client_error("put_item", "ConditionalCheckFailedException")
                    client.put_item(TableName=TableName, Item=Item)
            self.items[Item["id"]["S"]] = Item
            self.writes += 1
        return {}


class Kept:
    def __init__(self, client):
        self._client = client

    def client(self, _):
        return self._client


@pytest.fixture
def table():
    return Table()


def ledger_over(client, monkeypatch):
    monkeypatch.setattr(Accounts, "_session", lambda *_: Kept(client))
    return DynamoLedger("deployer-ledger", "eu-west-1", Accounts(()))


@pytest.fixture
def dynamo(table, monkeypatch):
    return ledger_over(table, monkeypatch)


@pytest.fixture(params=["dynamo", "none"])
def store(request):
    return request.getfixturevalue("dynamo") if request.param == "dynamo" else NoLedger()


def test_it_begins_empty(store):
    assert not store.ledger().labels
    assert store.counter(UNIT) == 0


def test_failures_are_remembered(store):
    failure = Failure("sha256:" + "1" * 64, "latest", "crashed", None)
    remember(store, {"web": {failure.digest: failure}})
    assert list(store.ledger().failures("web")) == [failure.digest]


def test_a_write_over_an_old_reading_is_refused(store):
    first = store.ledger()
    store.write_ledger(first, {"a": "1"})
    with pytest.raises(StaleVersionError):
        store.write_ledger(first, {"a": "2"})
    second = store.ledger()
    store.write_ledger(second, {})
    with pytest.raises(StaleVersionError):
        store.write_ledger(second, {"a": "3"})
    assert not store.ledger().labels


def test_of_two_that_read_the_same_number_one_writes(store):
    assert store.claim(UNIT, 0) == 1
    with pytest.raises(BusyError, match="another worker writes web just now"):
        store.claim(UNIT, 0)
    assert store.counter(UNIT) == 1
    assert store.claim(UNIT, 1) == 2
    assert store.counter("another") == 0


def test_turns_need_no_table(store):
    assert take_turn(store, "reconcile", "t1", "")
    assert not take_turn(store, "reconcile", "t2", "")


def test_thousands_of_failures_have_room_in_one_item(dynamo, table):
    digests = [f"sha256:{hashlib.sha256(bytes([n % 256, n // 256])).hexdigest()}" for n in range(5000)]
    failed = {one: Failure(one, "v1.2.3", "crashed", NOW.isoformat()) for one in digests}
    set_hold(dynamo, "web", Hold("audit"))
    remember(dynamo, {"web": failed})
    assert list(dynamo.ledger().failures("web")) == digests
    assert str(dynamo.ledger().hold("web", UNIT, NOW)) == "audit"
    [packed] = [item["packed"]["B"] for item in table.items.values()]
    assert len(packed) < 400_000
    forget(dynamo, "web", None)
    assert "packed" not in table.items[NAME]
    assert set(dynamo.ledger().labels) == {"deployer.hold.web"}


def test_holds(dynamo):
    set_hold(dynamo, "web", Hold("audit"))
    set_freeze(dynamo, Hold("christmas"))
    assert str(dynamo.ledger().hold("web", UNIT, NOW)) == "christmas"
    set_freeze(dynamo, None)
    assert str(dynamo.ledger().hold("web", UNIT, NOW)) == "audit"


def test_without_a_table_a_hold_is_refused():
    store = NoLedger()
    with pytest.raises(SettingsError, match="^a hold needs a ledger.*DEPLOYER_ECS_LEDGER.*deployer-ledger"):
        set_hold(store, "web", Hold("audit"))
    with pytest.raises(SettingsError, match="^a freeze of all services needs a ledger"):
        set_freeze(store, Hold("christmas"))
    assert not store.ledger().labels


def test_no_change_of_many_writers_is_lost(dynamo):
    def count(number):
        for _ in range(2):
            while True:
                try:
                    amend(dynamo, lambda ledger: {**ledger.labels, f"{number}.{len(ledger.labels)}": "x"})
                except TemporaryError:  # ten times second
                    continue
                break

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count, range(4)))
    assert len(dynamo.ledger().labels) == 8


@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        ("ResourceNotFoundException", SettingsError, "DEPLOYER_ECS_LEDGER='deployer-ledger'.*eu-west-1"),
        ("AccessDeniedException", AccessDeniedError, "dynamodb:GetItem on table deployer-ledger"),
        ("ProvisionedThroughputExceededException", TemporaryError, "dynamodb:GetItem"),
    ],
)
def test_what_dynamodb_refuses(monkeypatch, code, kind, said):
    client = boto3.client("dynamodb", "eu-west-1", aws_access_key_id="x", aws_secret_access_key="x")
    with Stubber(client) as stubber:
        stubber.add_client_error("get_item", code)
        with pytest.raises(kind, match=said):
            ledger_over(client, monkeypatch).ledger()
