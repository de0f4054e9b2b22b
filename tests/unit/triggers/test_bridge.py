"""The bridge against a queue in memory: what is deleted, what is left, and that nothing ends it."""

import json

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from hypothesis import given
from hypothesis import strategies as st
from paths import SAMPLES

from deployer.errors import TemporaryError
from deployer.observability.outage import LONGEST_BACKOFF, Outage
from deployer.triggers.bridge import Bridge

PUSH = (SAMPLES / "ecr-image-action-push-modern.json").read_text()
SCAN = (SAMPLES / "ecr-image-scan-complete.json").read_text()
RUBBISH = "{"


class Queue:
    """SQS as far as the bridge sees it: a received message is in flight until it is deleted."""

    def __init__(self, bodies, faults=()):
        self.waiting = [
            {"MessageId": str(i), "ReceiptHandle": f"r{i}", "Body": b} for i, b in enumerate(bodies)
        ]
        self.in_flight = {}
        self.faults = list(faults)

    def receive_message(self, **_):
        if self.faults:
            raise self.faults.pop(0)
        batch, self.waiting = self.waiting[:10], self.waiting[10:]
        self.in_flight |= {m["ReceiptHandle"]: m for m in batch}
        return {"Messages": batch} if batch else {}

    def delete_message_batch(self, Entries, **_):
        for entry in Entries:
            del self.in_flight[entry["ReceiptHandle"]]
        return {}

    @property
    def left(self):
        return [m["Body"] for m in [*self.in_flight.values(), *self.waiting]]


def one_by_one(send):
    """As the bridge wants it: those of a batch that are not taken, each with the reason."""

    def send_all(pushes):
        failed = {}
        for place, event in enumerate(pushes):
            try:
                send(event)
            except TemporaryError as fault:
                failed[place] = fault
        return failed

    return send_all


def run(queue, send):
    bridge = Bridge(queue, "https://sqs.example/queue", one_by_one(send))
    for _ in range(len(queue.waiting) // 10 + 1):
        try:
            bridge.turn()
        except TemporaryError:
            continue
    return bridge


def test_a_push_is_handed_on_and_deleted_and_what_is_not_for_us_is_deleted():
    queue, sent = Queue([PUSH, SCAN]), []
    run(queue, sent.append)
    assert [str(event.image) for event in sent] == [
        "123456789012.dkr.ecr.eu-central-1.amazonaws.com/team/api:latest"
    ]
    assert not queue.left


def test_what_cannot_be_understood_is_left_and_what_is_behind_it_is_served(caplog):
    queue, sent = Queue([RUBBISH, PUSH]), []
    run(queue, sent.append)
    assert len(sent) == 1
    assert queue.left == [RUBBISH]
    assert "Rejected message 0, left for the dead-letter queue: not-json" in caplog.text


def test_a_push_that_the_task_queue_does_not_take_is_left_and_the_others_are_not():
    queue, sent = Queue([PUSH, PUSH.replace("latest", "other")]), []

    def send(event):
        if event.image.tag == "latest":
            raise TemporaryError("no")
        sent.append(event)

    run(queue, send)
    assert len(sent) == 1
    assert queue.left == [PUSH]


FAULTS = {
    "refused": EndpointConnectionError(endpoint_url="http://sqs"),
    "throttled": ClientError({"Error": {"Code": "ThrottlingException", "Message": ""}}, "ReceiveMessage"),
    "expired": ClientError({"Error": {"Code": "ExpiredToken", "Message": ""}}, "ReceiveMessage"),
    "deleted": ClientError({"Error": {"Code": "QueueDoesNotExist", "Message": ""}}, "ReceiveMessage"),
}


def without_waiting(failed):
    def note(self, fault):
        assert failed(self, fault) <= LONGEST_BACKOFF
        return 0.0

    return note


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_it_says_once_that_sqs_does_not_answer_and_comes_back_by_itself(fault, caplog, monkeypatch):
    monkeypatch.setattr(Outage, "failed", without_waiting(Outage.failed))
    queue = Queue([PUSH], [fault] * 1100)  # fault 4: the 1,024th ended it
    caplog.set_level("INFO")

    def send(_):
        bridge._stopping = True
        return {}

    bridge = Bridge(queue, "https://sqs.example/queue", send)
    bridge.run()
    assert caplog.text.count("SQS does not answer") == 1
    assert caplog.text.count("SQS answers again") == 1
    assert not queue.left


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
bodies = st.one_of(st.text(), json_values.map(json.dumps), st.sampled_from([PUSH, SCAN, RUBBISH]))


@given(st.lists(st.tuples(bodies, st.booleans()), max_size=25))
def test_no_body_whatever_stops_the_bridge_or_loses_a_push(drawn):
    taken, verdicts = [], iter([accepted for _, accepted in drawn] * 2)
    queue = Queue([body for body, _ in drawn])

    def send(event):
        if not next(verdicts):
            raise TemporaryError("the queue does not take it")
        taken.append(event)

    run(queue, send)
    pushes = [body for body, _ in drawn].count(PUSH)
    assert len(taken) + queue.left.count(PUSH) == pushes
    assert RUBBISH not in {body for body, _ in drawn} or RUBBISH in queue.left
    assert SCAN not in queue.left


def test_sigterm_while_waiting_hands_on_what_the_last_poll_brings_and_a_second_one_waits_for_nothing():
    queue, sent, signals = Queue([PUSH] * 12), [], 1
    receive = queue.receive_message

    def poll(**options):
        for _ in range(signals):
            bridge.stop()
        return receive(**options)

    queue.receive_message = poll
    bridge = Bridge(queue, "https://sqs.example/queue", lambda pushes: sent.extend(pushes) or {})
    bridge.run()
    assert (len(sent), len(queue.left)) == (10, 2)
    signals = 2
    bridge = Bridge(queue, "https://sqs.example/queue", lambda pushes: sent.extend(pushes) or {})
    bridge.run()
    assert (len(sent), len(queue.left)) == (10, 2)


def test_sigterm_in_mid_batch_ends_it_after_the_batch():
    queue, sent = Queue([PUSH] * 12), []

    def send(pushes):
        sent.extend(pushes)
        bridge.stop()
        return {}

    bridge = Bridge(queue, "https://sqs.example/queue", send)
    bridge.run()
    assert len(sent) == 10
    assert queue.left == [PUSH] * 2
