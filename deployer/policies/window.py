"""The times at which a service may be updated, as the label `deployer.window` gives them.

An example is `mon-fri 09:00-17:00 Europe/Stockholm`. There are one or more windows with `;` between them,
each `[DAYS] HH:MM-HH:MM [ZONE]`. Days are names, lists and ranges of names (`mon,wed`, `fri-mon`), every day
without them. A window that ends before it begins goes on after midnight and belongs to the day on which it
begins; 24:00 is the end of a day. The zone is one of the IANA's names, UTC without one. Times are local: an
hour that the clocks skip in spring is never open, one that they repeat in autumn is open twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from deployer.model.label_names import WINDOW
from deployer.model.service import LabelError

EXAMPLE = "mon-fri 09:00-17:00 Europe/Stockholm; sat 22:00-02:00 Europe/Stockholm"
MAX_TEXT = 500  # characters

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WINDOW = re.compile(
    r"(?:(?P<days>[a-z]{3}(?:\s*[-,]\s*[a-z]{3})*)\s+)?"
    r"(?P<begin>[0-9]{1,2}:[0-9]{2})\s*-\s*(?P<end>[0-9]{1,2}:[0-9]{2})(?:\s+(?P<zone>\S+))?",
    re.IGNORECASE,
)
_MINUTE, _DAY = timedelta(minutes=1), timedelta(days=1)
_MINUTES = 24 * 60
# A weekly window may fall into the hour that the clocks skip, so that it is closed for two weeks.
_HORIZON = 22  # days

Span = tuple[int, int]  # minutes of a day, from the first to before the second


@dataclass(frozen=True)
class _Week:
    """The open times of a week by the clocks of one zone."""

    zone: ZoneInfo
    spans: tuple[tuple[Span, ...], ...]  # of each day from Monday on, sorted

    def is_open(self, moment: datetime) -> bool:
        local = moment.astimezone(self.zone)
        minute = local.hour * 60 + local.minute
        return any(begin <= minute < end for begin, end in self.spans[local.weekday()])

    def opens_after(self, now: datetime) -> datetime:
        """Return the first opening after a moment at which it is closed."""
        today = now.astimezone(self.zone).date()
        days = (today + count * _DAY for count in range(_HORIZON))
        return next(opening for day in days for opening in self._openings(day) if opening > now)

    def _openings(self, day: date) -> Iterator[datetime]:
        """Return the moments of a day at which it may open, in their order."""
        begin, end = self._midnight(day), self._midnight(day + _DAY)
        if end - begin == _DAY:
            yield from (begin + minute * _MINUTE for minute, _ in self.spans[day.weekday()])
            return
        # The clocks change on this day: look at each of its minutes.
        minutes = (begin + count * _MINUTE for count in range((end - begin) // _MINUTE))
        yield from (minute for minute in minutes if self.is_open(minute))

    def _midnight(self, day: date) -> datetime:
        return datetime.combine(day, time(), self.zone).astimezone(UTC)


@dataclass(frozen=True)
class Window:
    """The times at which a service may be updated."""

    text: str  # as it was written
    weeks: tuple[_Week, ...]  # one for each zone

    @classmethod
    def parse(cls, text: str) -> Window:
        """Read the label `deployer.window`.

        Raises:
            LabelError: it cannot be understood.
        """
        if len(text) > MAX_TEXT:
            raise _error(text, f"it is longer than {MAX_TEXT} characters")
        matches = [_match(text, part.strip()) for part in text.split(";")]
        zones = {match["zone"] for match in matches}
        if None in zones and len(zones) > 1:
            raise _error(text, "some of its windows name a time zone and some do not")
        weeks = tuple(
            _Week(_zone(text, zone), _spans(text, [match for match in matches if match["zone"] == zone]))
            for zone in sorted(zones, key=str)
        )
        return cls(text, weeks)

    def is_open(self, now: datetime) -> bool:
        """Return whether a service may be updated at a moment.

        Raises:
            ValueError: the moment has no time zone.
        """
        return any(week.is_open(_aware(now)) for week in self.weeks)

    def opens_at(self, now: datetime) -> datetime:
        """Return the moment itself if it is in a window, else the minute at which the next one opens; in UTC.

        Raises:
            ValueError: the moment has no time zone.
        """
        now = _aware(now)
        return now if self.is_open(now) else min(week.opens_after(now) for week in self.weeks)

    def __str__(self) -> str:
        """As it was written."""
        return self.text


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("the moment has no time zone")
    return moment.astimezone(UTC)


def _error(text: str, why: str) -> LabelError:
    return LabelError(f"label {WINDOW}={text[:40]!r}: {why}; it may be, for example, {EXAMPLE}")


def _match(text: str, part: str) -> re.Match[str]:
    match = _WINDOW.fullmatch(part)
    if not match:
        raise _error(text, f"{part[:40]!r} is no window (there is a ; between two windows)")
    return match


def _zone(text: str, name: str | None) -> ZoneInfo:
    try:
        return ZoneInfo(name or "UTC")
    except (ValueError, LookupError, OSError) as fault:  # OSError: a folder of the database, "Europe"
        raise _error(text, f"{str(name)[:40]!r} is no time zone") from fault


def _spans(text: str, matches: list[re.Match[str]]) -> tuple[tuple[Span, ...], ...]:
    """Return the open times of each day of the week; what goes on after midnight is the next day's."""
    spans: list[set[Span]] = [set() for _ in _DAYS]
    for match in matches:
        begin, end = _minute(text, match["begin"]), _minute(text, match["end"])
        if begin in (end, _MINUTES):
            raise _error(text, "a window needs a beginning and an end (a whole day is 00:00-24:00)")
        for day in _days(text, match["days"]):
            spans[day].add((begin, end if begin < end else _MINUTES))
            if 0 < end < begin:
                spans[(day + 1) % len(_DAYS)].add((0, end))
    return tuple(tuple(sorted(day)) for day in spans)


def _minute(text: str, clock: str) -> int:
    hours, minutes = (int(part) for part in clock.split(":"))
    if minutes > 59 or hours * 60 + minutes > _MINUTES:
        raise _error(text, f"{clock} is no time of a day")
    return hours * 60 + minutes


def _days(text: str, names: str | None) -> Iterator[int]:
    if not names:
        yield from range(len(_DAYS))
        return
    for part in names.lower().split(","):
        first, *last = (_day(text, name.strip()) for name in part.split("-"))
        if len(last) > 1:
            raise _error(text, f"{part[:40]!r} is no range of days")
        length = (last[0] - first) % len(_DAYS) if last else 0
        yield from ((first + step) % len(_DAYS) for step in range(length + 1))


def _day(text: str, name: str) -> int:
    if name not in _DAYS:
        raise _error(text, f"{name!r} is no day ({', '.join(_DAYS)})")
    return _DAYS.index(name)
