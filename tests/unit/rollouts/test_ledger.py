"""What the ledger keeps for the whole Swarm: holds, memory of failure, turns; and that it vanishes aloud."""

import logging
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from in_memory import digest

from deployer.errors import StaleVersionError
from deployer.model.snapshot import MOVED
from deployer.rollouts.ledger import failures
from deployer.rollouts.ledger.book import Ledger, forget, remember, set_freeze, set_hold
from deployer.rollouts.ledger.failures import Failure
from deployer.rollouts.ledger.holds import Hold
from deployer.rollouts.ledger.loss import WatchedStore, contents
from deployer.rollouts.ledger.turns import last_turn, take_turn

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = (NOW + timedelta(hours=1)).isoformat()


def by_digest(failed):
    return {one.digest: one for one in failed}


class Store:
    """A config object that guards its labels with a version."""

    def __init__(self, labels=()):
        self.now = Ledger(dict(labels), "id-1" if labels else None, 1)
        self.writes = 0

    def ledger(self):
        return self.now

    def write_ledger(self, read, labels):
        if (read.id, read.version) != (self.now.id, self.now.version):
            raise StaleVersionError("update out of sequence")
        self.writes += 1
        self.now = Ledger(dict(labels), self.now.id or f"id-new{self.writes}", self.now.version + 1)


# -- holds ------------------------------------------------------------------------------------------------


def test_a_service_that_is_created_again_keeps_its_hold():
    store = Store()
    set_hold(store, "web", Hold("audit", by="ann", at=NOW.isoformat()), also="old-id")
    held = store.ledger().hold("web", "new-id", NOW)
    assert held == Hold("audit", by="ann", at=NOW.isoformat())
    assert str(held) == "audit (by ann)"
    assert store.ledger().hold("api", "other-id", NOW) is None


@pytest.mark.parametrize("text", ["audit", '{"reason":"audit"}'])
@pytest.mark.parametrize("key", ["deployer.hold.web", "deployer.hold.id-web", "deployer.freeze"])
def test_what_older_versions_wrote_holds(key, text):
    assert Store({key: text}).ledger().hold("web", "id-web", NOW) == Hold("audit")


@pytest.mark.parametrize("text", ["{", "[1]", '{"reason":1}', "null", "17", '{"by":"x"}'])
def test_an_odd_text_is_the_reason_of_a_hold(text):
    assert Store({"deployer.hold.web": text}).ledger().hold("web", "", NOW) == Hold(text)


def test_the_release_of_a_hold_ends_also_the_one_by_id():
    store = Store({"deployer.hold.id-web": "audit", "deployer.hold.web": "night"})
    set_hold(store, "web", None, also="id-web")
    assert store.ledger().labels == {}


def test_a_hold_ends_by_itself_and_not_before():
    store = Store()
    set_hold(store, "web", Hold("audit", until=LATER))
    assert str(store.ledger().hold("web", "", NOW)) == "audit (until 2026-01-01 01:00:00Z)"
    assert store.ledger().hold("web", "", NOW + timedelta(hours=1)) is None


def test_a_freeze_that_has_ended_uncovers_the_hold_beneath():
    store = Store()
    set_freeze(store, Hold("christmas", until=LATER))
    set_hold(store, "web", Hold("audit"))
    assert store.ledger().hold("web", "", NOW).reason == "christmas"
    assert store.ledger().hold("web", "", NOW + timedelta(hours=2)).reason == "audit"


@pytest.mark.parametrize("until", ["soon", "", "2026-01-01T01:00:00"])
def test_an_end_that_cannot_be_read_never_comes(until):
    assert Hold("audit", until=until).lasts(NOW + timedelta(days=9999))


# -- memory of failure ------------------------------------------------------------------------------------

TEXT = st.text(max_size=300)
FAILURES = st.builds(
    Failure,
    st.integers(0, 2**256 - 1).map(digest),
    st.none() | st.from_regex(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,30}", fullmatch=True),
    TEXT,
    st.none() | st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat),
)


@given(st.lists(FAILURES, max_size=20, unique_by=lambda one: one.digest))
def test_what_failed_is_known_whatever_the_reason_says(failed):
    store = Store()
    remember(store, {"web": by_digest(failed)})
    known = store.ledger().failures("web")
    assert list(known) == [one.digest for one in failed]
    assert [(one.tag, one.at) for one in known.values()] == [(one.tag, one.at) for one in failed]
    assert store.ledger().failures("api") == {}


def test_a_failure_is_told_with_its_tag_reason_and_time():
    store = Store()
    failure = Failure(digest(2), "2.0.0", "task: non-zero exit (1)\nat once", NOW.isoformat())
    remember(store, {"web": by_digest([failure])})
    found = store.ledger().failures("web")[digest(2)]
    assert found == Failure(digest(2), "2.0.0", "task: non-zero exit (1) at once", NOW.isoformat())


def test_a_failure_that_is_seen_again_writes_nothing():
    store = Store()
    for at in (NOW.isoformat(), LATER):
        remember(store, {"web": by_digest([Failure(digest(2), "2.0.0", "crashed", at)])})
    remember(store, {"web": {}})
    assert store.writes == 1
    assert store.ledger().failures("web")[digest(2)].at == NOW.isoformat()


def test_thousands_of_failures_are_known_and_the_newest_with_their_reasons():
    store = Store()
    for first in range(0, 5000, 1000):
        batch = [Failure(digest(n), f"1.0.{n}", "x" * 500, LATER) for n in range(first, first + 1000)]
        remember(store, {"web": by_digest(reversed(batch))})
    known = store.ledger().failures("web")
    assert len(known) == 5000
    assert known[digest(4999)].reason == "x" * 200
    assert sum(map(len, store.ledger().labels.values())) < 640_000


def test_of_what_people_moved_a_service_away_from_the_last_are_known_and_every_failure_stays():
    store = Store()
    remember(store, {"web": by_digest([Failure(digest(1), None, "crashed", LATER)])})
    for number in range(2, 200):
        remember(store, {"web": by_digest([Failure(digest(number), None, MOVED, LATER)])})
    known = list(store.ledger().failures("web"))
    assert known == [*(digest(number) for number in range(199, 189, -1)), digest(1)]


def test_one_digest_is_forgotten_and_the_others_are_not():
    store = Store()
    remember(store, {"web": by_digest([Failure(digest(2)), Failure(digest(3))])})
    forget(store, "web", digest(2))
    assert list(store.ledger().failures("web")) == [digest(3)]
    forget(store, "web", None)
    assert store.ledger().labels == {}
    forget(store, "web", digest(4))
    assert store.writes == 3


@pytest.mark.parametrize(
    "line", ["", "x", "sha256:12 - -", f"{digest(1)} soon -", f"{digest(1)} - -bad", "\0"]
)
def test_lines_that_nobody_can_have_written_are_passed_over(line):
    labels = {failures.FAILED + "web": f"{line}\n{digest(2)} - - crashed"}
    assert list(Store(labels).ledger().failures("web")) == [digest(2)]


# -- turns ------------------------------------------------------------------------------------------------


def test_of_workers_that_start_together_one_does_the_job():
    store = Store()
    for day in range(3):
        seen = last_turn(store.ledger(), "reconcile")
        assert [take_turn(store, "reconcile", f"{day}-{n}", seen) for n in range(4)] == [True] + [False] * 3


def test_a_message_that_comes_again_keeps_its_turn():
    store = Store()
    seen = last_turn(store.ledger(), "reconcile")
    assert take_turn(store, "reconcile", "a", seen)
    assert take_turn(store, "reconcile", "a", seen)
    assert take_turn(store, "reconcile", "b", None)
    assert not take_turn(store, "reconcile", "a", seen)


# -- loss -------------------------------------------------------------------------------------------------


@pytest.fixture
def lost(caplog):
    caplog.set_level(logging.ERROR)
    losses = []
    store = Store({"deployer.hold.web": "audit", "deployer.slot.x": "a b"})
    watched = WatchedStore(store, lambda: losses.append(1))
    remember(watched, {"api": by_digest([Failure(digest(2))])})
    watched.ledger()
    assert not caplog.messages
    return store, watched, losses


@pytest.mark.parametrize("anew", [Ledger(), Ledger({"deployer.hold.api": "new"}, "id-2", 7)])
def test_a_ledger_that_was_removed_is_said_once_and_put_back(lost, caplog, anew):
    store, watched, losses = lost
    store.now = anew
    for _ in range(3):
        assert watched.ledger().hold("web", "", NOW) == Hold("audit")
    assert list(watched.ledger().failures("api")) == [digest(2)]
    assert watched.ledger().labels.get("deployer.hold.api") == anew.labels.get("deployer.hold.api")
    assert "deployer.slot.x" not in watched.ledger().labels
    assert losses == [1]
    assert len(caplog.messages) == 1
    assert "a hold of web (audit), 1 failed digest of api" in caplog.text


def test_a_ledger_that_never_was_is_no_loss(caplog):
    store = WatchedStore(Store())
    store.ledger()
    set_hold(store, "web", Hold("audit"))
    store.ledger()
    assert not caplog.messages


def test_the_contents_are_told_without_what_has_ended():
    store = Store()
    set_freeze(store, Hold("christmas", until=LATER))
    set_hold(store, "web", Hold("audit", until=LATER))
    assert contents(store.ledger(), NOW).count("until") == 2
    assert contents(store.ledger(), NOW + timedelta(hours=2)) == ""
