"""Hand events on from the events queue to the workers' task queues, and do nothing else.

An event's message is deleted when every task queue has taken its task, or when the event is not for us.
What cannot be understood is left, so that the queue's redrive policy takes it to the dead-letter queue.
"""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from deployer.aws.errors import translated
from deployer.aws.sqs import BATCH, LONGEST_POLL
from deployer.errors import DeployerError
from deployer.observability.logs import about
from deployer.observability.outage import Outage
from deployer.triggers import events
from deployer.triggers.verdict import Deploy, Ignore, Reject

log = logging.getLogger(__name__)


Send = Callable[[Sequence[Deploy]], Mapping[int, Exception]]


PATIENCE = 3.0  # seconds that the answer to the last poll may be late


class _Stopped(BaseException):
    """The bridge waits no longer for the answer to its last poll.

    No `Exception`: botocore takes those for failures of the connection and tries again.
    """


class Bridge:
    """Receives events until it is told to stop.

    Args:
        sqs: a boto3 SQS client.
        queue_url: the events queue.
        counted: told the kind of every message: of its push, `ignored` or `rejected`.
        send: hands events to every task queue; returns the places of those that one has not taken, each
            with the reason.
        accept: the opt-in kinds of event.
        poll_wait: seconds that a poll waits for a message.
    """

    def __init__(
        self,
        sqs: Any,
        queue_url: str,
        send: Send,
        accept: Collection[str] = (),
        counted: Callable[[str], None] = lambda _: None,
        poll_wait: int = LONGEST_POLL,
    ) -> None:
        self._sqs = sqs
        self._queue_url = queue_url
        self._send = send
        self._accept = accept
        self._counted = counted
        self.poll_wait = poll_wait
        self._stopping = False
        self._polling = False
        self._outage = Outage(log, "SQS does not answer, trying again until it does: %s", "SQS answers again")
        self.begun = time.monotonic()  # the turn under way, with its retries
        self.polled_at: float | None = None  # when SQS last answered a poll, on time.monotonic's clock

    def run(self) -> None:
        """Receive and hand on, until `stop`. Nothing that AWS or a message does ends it."""
        while not self._stopping:
            try:
                self.turn()
                self.begun = time.monotonic()
            except _Stopped:
                break
            except DeployerError as fault:
                self._pause(fault)
            else:
                self._outage.worked()
        log.info("Bridge stopped")

    def turn(self) -> None:
        """Poll once and hand on what it brought."""
        messages = self._receive()
        done: list[Mapping[str, Any]] = []
        pushes: list[tuple[Mapping[str, Any], Deploy]] = []
        for message in messages:
            try:
                event = self._read(message)
            except Exception:
                log.exception("Message %s cannot be handled and is left", message.get("MessageId"))
                continue
            if isinstance(event, Deploy):
                pushes.append((message, event))
            elif isinstance(event, Ignore):
                done.append(message)
        fault = self._hand_on(pushes, done)
        self._delete(done)
        if fault:
            raise fault

    def stop(self, *_: object) -> None:
        """End after the batch under way (a signal handler); called again, wait no longer for it.

        SQS may give a message to a poll that nobody waits for any more, and it comes again only after its
        visibility timeout. So the last poll is waited for, and what it brings is handed on.
        """
        if self._stopping and self._polling:
            self._polling = False
            raise _Stopped
        self._stopping = True

    def _receive(self) -> Sequence[Mapping[str, Any]]:
        self._polling = not self._stopping
        try:
            with translated("sqs:ReceiveMessage", f"from {self._queue_url}"):
                answer = self._sqs.receive_message(
                    QueueUrl=self._queue_url,
                    MaxNumberOfMessages=BATCH,
                    WaitTimeSeconds=self.poll_wait,
                    MessageSystemAttributeNames=["SentTimestamp", "ApproximateReceiveCount"],
                )
        finally:
            self._polling = False
        self.polled_at = time.monotonic()
        messages: Sequence[Mapping[str, Any]] = answer.get("Messages") or ()
        return messages

    def _read(self, message: Mapping[str, Any]) -> Deploy | Ignore | Reject:
        """Parse a message; count and log all but pushes."""
        attributes = message.get("Attributes") or {}
        event = events.parse(message.get("Body") or "", accept=self._accept, sent_at=_sent_at(attributes))
        match event:
            case Ignore():
                self._counted("ignored")
                log.debug(
                    "Ignored message %s: %s %s",
                    message.get("MessageId"),
                    event.reason,
                    event.detail,
                )
            case Reject():
                again = attributes.get("ApproximateReceiveCount", "1") != "1"
                level = logging.DEBUG if again else logging.ERROR
                text = "Rejected message %s, left for the dead-letter queue: %s %s"
                log.log(level, text, message.get("MessageId"), event.reason, event.detail)
                self._counted("rejected")
        return event

    def _hand_on(
        self, pushes: Sequence[tuple[Mapping[str, Any], Deploy]], done: list[Mapping[str, Any]]
    ) -> Exception | None:
        """Send pushes and add to `done` the messages of those taken; return why SQS has not taken another."""
        if not pushes:
            return None
        unreachable: Exception | None = None
        failed = self._send([event for _, event in pushes])
        for place, (message, event) in enumerate(pushes):
            fault = failed.get(place)
            if fault is None:
                done.append(message)
                with about(event=event.id):
                    log.info("Push of %s, %s", event.image, event.digest or "no digest")
                self._counted(event.kind)
            elif isinstance(fault, DeployerError):
                # The others of the batch were taken; this one comes back by itself.
                unreachable = fault
            else:
                text = "Message %s cannot be handled and is left"
                log.error(text, message.get("MessageId"), exc_info=fault)
        return unreachable

    def _delete(self, messages: Sequence[Mapping[str, Any]]) -> None:
        if not messages:
            return
        entries = [{"Id": str(i), "ReceiptHandle": m["ReceiptHandle"]} for i, m in enumerate(messages)]
        with translated("sqs:DeleteMessage", f"from {self._queue_url}"):
            answer = self._sqs.delete_message_batch(QueueUrl=self._queue_url, Entries=entries)
        for failed in answer.get("Failed") or ():
            # It comes again and leads to a task of the same id, which finds nothing to do.
            log.warning("A message was not deleted and will come again: %s", failed.get("Message"))

    def _pause(self, fault: Exception) -> None:
        until = time.monotonic() + self._outage.failed(fault)
        while not self._stopping and time.monotonic() < until:
            time.sleep(0.2)


def _sent_at(attributes: Mapping[str, str]) -> datetime | None:
    sent = attributes.get("SentTimestamp", "")
    return datetime.fromtimestamp(int(sent) / 1000, UTC) if sent.isdecimal() else None


def run(bridge: Bridge) -> None:
    """Run a bridge in the main thread until SIGTERM or SIGINT; a second one ends it at once if it is idle."""

    def stop(*_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, bridge.poll_wait + PATIENCE)
        bridge.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    signal.signal(signal.SIGALRM, bridge.stop)
    log.info("Bridge started")
    bridge.run()
