"""Chat messages about deployments, through Apprise, which speaks to some hundred services.

A notification never delays or fails a deployment: `tell` only puts a report on a bounded queue, and a daemon
thread combines the reports of a few seconds into one message. A message that cannot be sent is logged and
dropped; the services themselves keep the truth.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from queue import Empty, Full, Queue
from string import Template

from deployer.errors import SettingsError
from deployer.model.deployment import Outcome, Report
from deployer.model.image import Image

log = logging.getLogger(__name__)

GATHER_SECONDS = 5.0  # from the first report of a burst to its message
WAITING = 1_000  # reports; more are dropped
REMEMBERED = 1_000  # reports that are not told twice
LINES = 20  # of one message; the rest is counted
DEFAULT_TEMPLATE = "$service: $outcome, $image ($reason; $by, $duration s)"
FIELDS = frozenset(
    {
        "service",
        "outcome",
        "image",
        "repository",
        "tag",
        "digest",
        "previous",
        "reason",
        "by",
        "event",
        "task",
        "duration",
        "last_words",
    }
)
_NAMED = re.compile(r"([A-Za-z0-9_-]+)=(?=[A-Za-z][A-Za-z0-9+.-]*://)")
BAD = {Outcome.FAILED, Outcome.ROLLED_BACK}
TOLD = {Outcome.UPDATED, Outcome.FAILED, Outcome.ROLLED_BACK, Outcome.HELD}

Send = Callable[[str, str, str, bool], bool]
"""Sends a message (URL, title, body, whether it is bad news), and returns whether it was taken."""


def targets(text: str) -> list[tuple[str | None, str]]:
    """Return the targets of DEPLOYER_NOTIFY_URLS, each with its name if it has one.

    Args:
        text: Apprise URLs separated by white space, each as `URL` or `name=URL`.
    """
    found = []
    for word in text.split():
        named = _NAMED.match(word)
        found.append((named[1], word[named.end() :]) if named else (None, word))
    return found


def template(text: str) -> Template:
    """Return the template of a line.

    Raises:
        SettingsError: it names a field that does not exist.
    """
    made = Template(text)
    unknown = set(made.get_identifiers()) - FIELDS
    if unknown or not made.is_valid():
        told = f"has no ${', $'.join(sorted(unknown))}" if unknown else "has a $ that names nothing"
        raise SettingsError(f"DEPLOYER_NOTIFY_TEMPLATE {told}; fields are ${', $'.join(sorted(FIELDS))}")
    return made


class Notifier:
    """Tell people how deployments ended.

    Args:
        urls: name (or None) and Apprise URL of every target. Those without a name are notified of every
            service, the others of services whose label `deployer.notify` lists them.
        line: the template for one deployment.
        send: sends a message; Apprise by default.
        gather: seconds in which reports become one message.
        counted: called for every message with whether it was taken.
    """

    def __init__(
        self,
        urls: Sequence[tuple[str | None, str]],
        line: str = DEFAULT_TEMPLATE,
        send: Send | None = None,
        gather: float = GATHER_SECONDS,
        counted: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self._urls, self._line, self._gather = list(urls), template(line), gather
        self._send, self._counted = _apprise if send is None else send, counted
        self._queue: Queue[tuple[Report, str, Collection[str]]] = Queue(WAITING)
        self._told: OrderedDict[tuple[str, ...], None] = OrderedDict()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._hurry = threading.Event()

    def tell(self, report: Report, task: str = "") -> None:
        """Queue a notification of an end that changed something, or should have; return at once."""
        if not self._urls or report.outcome not in TOLD or not self._is_new(report):
            return
        try:
            self._queue.put_nowait((report, task, _names(report.notify)))
        except Full:
            log.warning("Too many notifications wait, one is dropped")
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="notify", daemon=True)
                self._thread.start()

    def flush(self, seconds: float) -> None:
        """Wait until everything is sent, for this many seconds at most."""
        if self._thread is not None:
            self._hurry.set()
            with self._queue.all_tasks_done:
                self._queue.all_tasks_done.wait_for(lambda: not self._queue.unfinished_tasks, seconds)

    def _is_new(self, report: Report) -> bool:
        """Return whether this is news: a repeated event is held back again and again."""
        if report.outcome is not Outcome.HELD:
            return True
        key = (report.service, report.outcome, report.reason, report.image or "")
        with self._lock:
            new = key not in self._told
            self._told[key] = None
            self._told.move_to_end(key)
            if len(self._told) > REMEMBERED:
                self._told.popitem(last=False)
        return new

    def _run(self) -> None:
        while True:
            burst = self._burst()
            try:
                self._send_all(burst)
            except Exception:
                log.exception("Notifications cannot be made")
            for _ in burst:
                self._queue.task_done()

    def _burst(self) -> list[tuple[Report, str, Collection[str]]]:
        """Return everything that comes within the time of gathering."""
        burst = [self._queue.get()]
        until = time.monotonic() + self._gather
        while len(burst) < WAITING and (time.monotonic() < until or not self._queue.empty()):
            try:
                burst.append(self._queue.get(timeout=0.1))
            except Empty:
                if self._hurry.is_set():
                    break
        return burst

    def _send_all(self, burst: Sequence[tuple[Report, str, Collection[str]]]) -> None:
        for name, url in self._urls:
            mine = [(report, task) for report, task, names in burst if _wants(name, names)]
            if not mine:
                continue
            bad = any(report.outcome in BAD and not report.refused for report, _ in mine)
            taken = self._try(url, *message(mine, self._line), bad)
            self._counted(taken)
            if not taken:
                # Never the URL: it holds the target's password.
                log.warning("A notification was not taken by %s", name or url.partition("://")[0])

    def _try(self, url: str, title: str, body: str, bad: bool) -> bool:
        try:
            return self._send(url, title, body, bad)
        except Exception as fault:  # noqa: BLE001 - whatever a target does, the next one is tried
            log.debug("A notification failed: %s", type(fault).__name__)
            return False


def message(reports: Sequence[tuple[Report, str]], line: Template) -> tuple[str, str]:
    """Return title and body for what happened within a few seconds."""
    kinds: dict[str, list[str]] = defaultdict(list)
    for report, _ in reports:
        kinds[_word(report)].append(report.service)
    told = [
        f"{names[0] if len(names) == 1 else f'{len(names)} services'} {word}" for word, names in kinds.items()
    ]
    lines = [line.safe_substitute(fields(report, task)) for report, task in reports[:LINES]]
    if len(reports) > LINES:
        lines.append(f"and {len(reports) - LINES} more")
    return ", ".join(told), "\n".join(lines)


def fields(report: Report, task: str) -> Mapping[str, str]:
    """Return the fields that a template may use."""
    image = Image.find(report.image)
    return {
        "service": report.service,
        "outcome": _word(report),
        "image": report.image or "-",
        "repository": image.name if image else "-",
        "tag": (image.tag if image else None) or "-",
        "digest": (image.digest if image else None) or "-",
        "previous": report.previous or "-",
        "reason": report.reason,
        "by": f"event {report.event}" if report.event else report.by,
        "event": report.event or "-",
        "task": task or "-",
        "duration": f"{report.duration:.0f}",
        "last_words": "\n".join(report.last_words),
    }


def _word(report: Report) -> str:
    if report.refused:
        return "refused"
    if report.outcome is Outcome.UPDATED and report.recovered:
        return "recovered"
    return {Outcome.HELD: "held back", Outcome.ROLLED_BACK: "rolled back"}.get(
        report.outcome, report.outcome.value
    )


def _names(label: str | None) -> Collection[str]:
    return {name.strip() for name in (label or "").split(",") if name.strip()}


def _wants(target: str | None, names: Collection[str]) -> bool:
    if target is None:
        return "none" not in names
    return target in names


def _apprise(url: str, title: str, body: str, bad: bool) -> bool:
    import apprise

    notifier = apprise.Apprise()
    if not notifier.add(url):
        return False
    kind = apprise.NotifyType.FAILURE if bad else apprise.NotifyType.SUCCESS
    text = apprise.NotifyFormat.TEXT
    return bool(notifier.notify(title=title, body=body, notify_type=kind, body_format=text))


def check(urls: Sequence[tuple[str | None, str]]) -> None:
    """Check that Apprise understands the URLs; nothing is sent.

    Raises:
        SettingsError: it does not; the message tells which one, and none of its secrets.
    """
    if not urls:
        return
    import apprise

    for number, (name, url) in enumerate(urls, 1):
        if apprise.Apprise.instantiate(url, suppress_exceptions=True) is None:
            told = name or f"number {number} ({url.partition('://')[0][:20]}://…)"
            raise SettingsError(f"DEPLOYER_NOTIFY_URLS: target {told} is not a URL that Apprise understands")
