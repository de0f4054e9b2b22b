"""Messages that go to SQS together: all that is gathered arrives, once, in requests that SQS takes."""

import base64
import threading

from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from deployer.broker.batching import BATCH, MAX_BYTES, SendBatch, client_for_sending
from deployer.errors import AccessDeniedError

URL = "https://sqs.example/queue"


class Sqs:
    """Takes batches within SQS's limits, and refuses bodies that it is told to refuse."""

    def __init__(self, refused=(), fault=None, silent=()):
        self.requests, self.alone, self.refused, self.fault = [], [], set(refused), fault
        self.urls, self.silent = [], set(silent)  # neither taken nor refused, by its answer

    def send_message(self, **request):
        self.alone.append(request["MessageBody"])

    def send_message_batch(self, QueueUrl, Entries):
        assert 1 <= len(Entries) <= BATCH
        assert len({entry["Id"] for entry in Entries}) == len(Entries)
        if self.fault:
            raise self.fault
        self.urls.append(QueueUrl)
        told = [e for e in Entries if e["MessageBody"] not in self.silent]
        good = [e for e in told if e["MessageBody"] not in self.refused]
        bad = [e for e in told if e["MessageBody"] in self.refused]
        self.requests.append(good)
        return {
            "Successful": [{"Id": e["Id"], "MessageId": f"m{e['Id']}"} for e in good],
            "Failed": [{"Id": e["Id"], "Code": "InternalError", "SenderFault": False} for e in bad],
        }

    @property
    def taken(self):
        return [entry["MessageBody"] for request in self.requests for entry in request]


def gathered(sqs, bodies, **more):
    batch = SendBatch()
    for key, body in enumerate(bodies):
        with batch.gather(key):
            client_for_sending(sqs).send_message(QueueUrl=URL, MessageBody=body, **more)
    return batch


@given(st.lists(st.integers(1, MAX_BYTES * 2), max_size=35))
def test_everything_arrives_once_in_order_and_no_request_is_too_big(sizes):
    bodies = [f"{number:04}".ljust(size, "=")[:size] for number, size in enumerate(sizes)]
    sqs = Sqs()
    assert gathered(sqs, bodies).send() == {}
    assert sqs.taken == bodies
    assert not sqs.alone
    for request in sqs.requests:
        assert len(request) == 1 or sum(len(entry["MessageBody"]) for entry in request) <= MAX_BYTES


@given(st.integers(0, 25), st.sets(st.integers(0, 24)))
def test_what_sqs_does_not_take_is_told_by_its_key_and_the_others_arrive(count, bad):
    bodies = [base64.b64encode(str(number).encode()).decode() for number in range(count)]
    sqs = Sqs({bodies[number] for number in bad if number < count})
    failed = gathered(sqs, bodies).send()
    assert set(failed) == {number for number in bad if number < count}
    assert all("InternalError" in str(fault) for fault in failed.values())
    assert len(sqs.taken) + len(failed) == count


def test_a_request_that_fails_fails_all_of_it():
    fault = ClientError({"Error": {"Code": "AccessDenied", "Message": ""}}, "SendMessageBatch")
    failed = gathered(Sqs(fault=fault), ["a", "b"]).send()
    assert {key: (type(why), why.__cause__) for key, why in failed.items()} == {
        0: (AccessDeniedError, fault),
        1: (AccessDeniedError, fault),
    }


def test_what_an_answer_does_not_name_was_not_taken():
    failed = gathered(Sqs(silent=["b"]), ["a", "b", "c"]).send()
    assert {key: str(fault) for key, fault in failed.items()} == {1: "SQS does not say that it took it"}


def test_a_key_under_which_nothing_was_sent_was_not_taken():
    sqs, batch = Sqs(), SendBatch()
    with batch.gather(0):
        client_for_sending(sqs).send_message(QueueUrl=URL, MessageBody="a")
    with batch.gather(1):
        pass
    assert set(batch.send()) == {1}
    assert sqs.taken == ["a"]


def test_a_request_goes_to_one_queue():
    sqs, batch = Sqs(), SendBatch()
    for key, url in enumerate((URL, URL + "-2", URL + "-2")):
        with batch.gather(key):
            client_for_sending(sqs).send_message(QueueUrl=url, MessageBody=str(key))
    assert batch.send() == {}
    assert sqs.urls == [URL, URL + "-2"]
    assert [len(request) for request in sqs.requests] == [1, 2]


def test_a_delay_goes_along():
    sqs = Sqs()
    gathered(sqs, ["a"], DelaySeconds=5).send()
    assert sqs.requests == [[{"Id": "0", "MessageBody": "a", "DelaySeconds": 5}]]


def test_what_other_threads_send_meanwhile_goes_out_by_itself():
    sqs, batch = Sqs(), SendBatch()
    with batch.gather(0):
        other = threading.Thread(
            target=lambda: client_for_sending(sqs).send_message(QueueUrl=URL, MessageBody="other")
        )
        other.start()
        other.join()
    client_for_sending(sqs).send_message(QueueUrl=URL, MessageBody="later")
    assert sqs.alone == ["other", "later"]
    assert set(batch.send()) == {0}
    assert not sqs.taken
