"""The end of polling: no message is lost between a poll and whoever takes what it brought."""

import threading
import time

import pytest

from deployer.broker import polling
from deployer.broker.polling import LastPolls, Poller

MESSAGE = {"ReceiptHandle": "r", "Body": "push"}


class Bus:
    """One poll that is answered when the test says so."""

    def __init__(self, longest=5.0):
        self.answer, self.begun, self.arrived = threading.Event(), threading.Event(), threading.Event()
        self.given_back = []
        self.last = polling.LAST_POLLS
        self.poller = Poller("q", self.receive, self.arrived.set, self.given_back.extend, longest)
        self.poller.start()
        self.poller.ask(1)
        assert self.begun.wait(5)

    def receive(self, count):
        self.begun.set()
        assert self.answer.wait(10)
        return [MESSAGE]


@pytest.fixture(autouse=True)
def no_others(monkeypatch):
    monkeypatch.setattr(polling, "LAST_POLLS", LastPolls())


@pytest.fixture
def bus(no_others):
    bus = Bus()
    yield bus
    bus.answer.set()


def ended(waiting, seconds=5):
    waiting.join(seconds)
    return not waiting.is_alive()


def test_the_end_waits_for_the_last_poll_and_gives_back_what_it_brings(bus):
    waiting = threading.Thread(target=bus.last.wait)
    waiting.start()
    assert not ended(waiting, 0.2)
    bus.answer.set()
    assert ended(waiting)
    assert bus.given_back == [MESSAGE]
    assert not bus.arrived.is_set()


def test_what_has_arrived_and_was_not_taken_is_given_back_and_what_was_taken_is_not(bus):
    bus.answer.set()
    assert bus.arrived.wait(5)
    bus.poller.stop()
    bus.last.wait()
    assert (bus.given_back, bus.poller.take()) == ([MESSAGE], ())
    other = Bus()
    other.answer.set()
    assert other.arrived.wait(5)
    assert other.poller.take() == [MESSAGE]
    other.last.wait()
    assert other.given_back == []


@pytest.mark.parametrize(("before", "then"), [(1, 1), (0, 1), (2, 0)])
def test_a_second_signal_ends_the_wait(bus, before, then):
    """Remote control ends a worker without any signal."""
    for _ in range(before):
        bus.last.signalled()
    waiting = threading.Thread(target=bus.last.wait)
    waiting.start()
    if then:
        assert not ended(waiting, 0.2)
        bus.last.signalled()
    assert ended(waiting)


def test_no_poll_is_waited_for_longer_than_it_may_take():
    bus, begun = Bus(longest=0.3), time.monotonic()
    bus.last.wait()
    assert time.monotonic() - begun < 3
    bus.answer.set()
