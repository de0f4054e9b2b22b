"""The memory of tasks: bodies of older and newer workers are understood, in both directions (faults 38)."""

import json
from dataclasses import asdict, dataclass

from hypothesis import given
from hypothesis import strategies as st
from in_memory import WEB, digest, pinned

from deployer.model.deployment import RolloutMemory
from deployer.tasks.message import DeploymentMessage, Message, PartMessage

EVENT = "11111111-1111-1111-1111-111111111111"
# Recorded from the workers of version 1 (commit 7ab5937), word for word.
OLD_WATCH = {
    "task": "67964c9f-a7ed-5eb0-baa8-b0792349fd08",
    "image": pinned(2),
    "previous": pinned(1),
    "began_at": "2026-01-01T00:00:30+00:00",
    "looked_at": "2026-01-01T00:00:31+00:00",
    "watched": 1.0,
    "going_back": None,
    "recovers": False,
}
OLD_PUSH = {
    "by": "event",
    "event": EVENT,
    "image": WEB,
    "hint": digest(2),
    "pushed_at": "2026-01-01T00:00:20+00:00",
}
OLD = {**OLD_PUSH, "watch": OLD_WATCH, "quiet": {}, "faults": 3, "deadline": "2026-01-02T00:00:30+00:00"}
OLD_PART = {"services": ["id-a", "id-b"], "place": 50, "count": 52}


@dataclass(frozen=True)
class WatchOfVersion1:
    """The very class that workers of version 1 call with all that stands in `watch`."""

    task: str
    image: str
    previous: str | None
    began_at: str
    looked_at: str
    watched: float = 0.0
    going_back: str | None = None
    recovers: bool = False


def test_a_body_of_the_old_version_is_understood():
    read = DeploymentMessage.decode(OLD)
    assert read.watch == RolloutMemory(**OLD_WATCH)
    assert (read.by, read.event, read.image, read.hint) == ("event", EVENT, WEB, digest(2))
    assert (read.pushed_at, read.faults) == (OLD["pushed_at"], 3)
    assert PartMessage.decode(OLD_PART) == PartMessage(services=("id-a", "id-b"), place=50, count=52)


def test_a_body_of_a_newer_version_is_understood():
    newer = {**OLD, "watch": {**OLD_WATCH, "mood": "fine"}, "watch_later": {"hue": 3}, "approvals": ["ann"]}
    assert DeploymentMessage.decode(newer) == DeploymentMessage.decode(OLD)
    assert PartMessage.decode({**OLD_PART, "zone": "a"}) == PartMessage.decode(OLD_PART)


def test_the_old_version_understands_what_is_sent_now():
    body = json.loads(json.dumps(DeploymentMessage.decode(OLD).with_wait(3.0).encode()))
    assert asdict(WatchOfVersion1(**body["watch"])) == OLD_WATCH
    # As that version reads them.
    assert {name: body.get(name) for name in OLD_PUSH} == OLD_PUSH
    assert int(body.get("faults") or 0) == 3
    assert dict(body.get("quiet") or {}) == {}
    assert body.get("by", "manual") == "event"
    part = json.loads(json.dumps(PartMessage.decode(OLD_PART).encode()))
    assert tuple(part.get("services") or ()) == ("id-a", "id-b")
    assert (part.get("place", 0), part.get("count", 7)) == (50, 52)
    assert Message.decode(None).encode() == {}


def test_a_message_comes_back_as_it_was_sent():
    sent = DeploymentMessage.decode(OLD).with_fault().with_wait(2.5)
    assert DeploymentMessage.decode(json.loads(json.dumps(sent.encode()))) == sent


def test_a_field_that_cannot_be_read_takes_no_other_with_it(caplog):
    broken = {**OLD, "watch": {"task": 1}, "faults": "many", "image": {"a": 1}}
    read = DeploymentMessage.decode(broken)
    assert (read.watch, read.faults, read.image) == (None, 0, None)
    assert (read.event, read.hint) == (EVENT, digest(2))
    assert "faults, image, watch" in caplog.text


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*OLD, *OLD_PART, "watch_later", "waited"]), ANYTHING) | ANYTHING)
def test_no_body_is_an_error(body):
    for kind in (Message, PartMessage, DeploymentMessage):
        json.dumps(kind.decode(body).encode())
