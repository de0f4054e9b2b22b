"""When a window is open, by the clocks of its zone, compared with a look at every minute."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deployer.model.service import LabelError
from deployer.policies.window import Window

MINUTE = timedelta(minutes=1)
STOCKHOLM = ZoneInfo("Europe/Stockholm")  # clocks change on 2025-03-30 01:00Z and 2025-10-26 01:00Z


def at(text, zone=UTC, fold=0):
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold)


@pytest.mark.parametrize(
    ("text", "opened", "closed"),
    [
        ("09:00-17:00", "2025-03-03T09:00 2025-03-08T16:59:59", "2025-03-03T08:59:59 2025-03-03T17:00"),
        ("mon-fri 09:00-17:00", "2025-03-03T12:00 2025-03-07T12:00", "2025-03-08T12:00 2025-03-09T12:00"),
        ("MON, Wed ,fri 9:00 - 17:00", "2025-03-03T12:00 2025-03-05T12:00", "2025-03-04T12:00"),
        ("fri-mon 00:00-24:00", "2025-03-07T00:00 2025-03-10T23:59", "2025-03-06T23:59 2025-03-11T00:00"),
        ("22:00-06:00", "2025-03-03T23:00 2025-03-03T05:59", "2025-03-03T06:00 2025-03-03T21:59"),
        ("fri 22:00-06:00", "2025-03-07T22:00 2025-03-08T05:59", "2025-03-07T05:59 2025-03-08T22:00"),
        ("sun 22:00-06:00", "2025-03-10T00:00", "2025-03-09T00:00 2025-03-11T00:00"),
        ("sun 22:00-00:00", "2025-03-09T23:59", "2025-03-10T00:00"),
        ("mon 09:00-10:00; tue 11:00-12:00", "2025-03-03T09:30 2025-03-04T11:30", "2025-03-03T11:30"),
        ("09:00-10:00 Europe/Stockholm", "2025-03-03T08:00 2025-07-03T07:00", "2025-07-03T08:00"),
        (
            "mon 00:00-01:00 Asia/Tokyo;mon 00:00-01:00 UTC",
            "2025-03-02T15:30 2025-03-03T00:30",
            "2025-03-03T15:30",
        ),
    ],
)
def test_open_and_closed(text, opened, closed):
    window = Window.parse(text)
    assert {moment: window.is_open(at(moment)) for moment in opened.split()} == dict.fromkeys(
        opened.split(), True
    )
    assert {moment: window.is_open(at(moment)) for moment in closed.split()} == dict.fromkeys(
        closed.split(), False
    )


@pytest.mark.parametrize(
    ("text", "now", "opening"),
    [
        ("09:00-17:00", "2025-03-03T08:59:30", "2025-03-03T09:00"),
        ("09:00-17:00", "2025-03-03T12:00:30", "2025-03-03T12:00:30"),
        ("mon-fri 09:00-17:00", "2025-03-07T17:00", "2025-03-10T09:00"),
        ("mon 09:00-17:00", "2025-03-03T17:00", "2025-03-10T09:00"),
        ("sun 22:00-06:00; wed 04:00-05:00", "2025-03-03T06:00", "2025-03-05T04:00"),
        ("09:00-10:00 Europe/Stockholm", "2025-03-29T10:00", "2025-03-30T07:00"),
        ("09:00-10:00 Europe/Stockholm", "2025-10-25T10:00", "2025-10-26T08:00"),
        # What the clocks skip is no time in any window.
        ("02:30-04:00 Europe/Stockholm", "2025-03-30T00:00", "2025-03-30T01:00"),
        ("02:15-02:45 Europe/Stockholm", "2025-03-30T00:00", "2025-03-31T00:15"),
        ("sun 02:15-02:45 Europe/Stockholm", "2025-03-24T00:00", "2025-04-06T00:15"),
        # What they repeat is so twice.
        ("02:15-02:45 Europe/Stockholm", "2025-10-26T00:00", "2025-10-26T00:15"),
        ("02:15-02:45 Europe/Stockholm", "2025-10-26T00:45", "2025-10-26T01:15"),
        ("01:00-02:30 Europe/Stockholm", "2025-10-26T00:30", "2025-10-26T01:00"),
        # A day that begins at 01:00, and one that does not exist.
        ("00:30-02:00 America/Havana", "2025-03-09T04:59", "2025-03-09T05:00"),
        (
            "fri 00:00-24:00; mon 09:00-10:00 ".replace("24:00;", "24:00 Pacific/Apia;") + "Pacific/Apia",
            "2011-12-30T09:59",
            "2012-01-01T19:00",
        ),
    ],
)
def test_the_next_opening(text, now, opening):
    found = Window.parse(text).opens_at(at(now))
    assert found == at(opening)
    assert found.tzinfo is UTC


def test_a_moment_may_be_in_any_zone_but_must_have_one():
    window = Window.parse("09:00-10:00 Europe/Stockholm")
    assert window.is_open(at("2025-03-03T09:00", STOCKHOLM))
    assert window.opens_at(at("2025-03-03T08:00", STOCKHOLM)) == at("2025-03-03T08:00")
    for ask in (window.is_open, window.opens_at):
        with pytest.raises(ValueError, match="no time zone"):
            ask(datetime(2025, 3, 3))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "'' is no window"),
        ("always", "'always' is no window"),
        ("mon", "'mon' is no window"),
        ("09:00", "'09:00' is no window"),
        ("mon 09:00-10:00;", "'' is no window"),
        ("mon 09:00-10:00, tue 09:00-10:00", "a ; between two windows"),
        ("foo 09:00-10:00", "'foo' is no day (mon, tue"),
        ("mon-wed-fri 09:00-10:00", "no range of days"),
        ("09:00-25:00", "25:00 is no time of a day"),
        ("09:60-10:00", "09:60 is no time of a day"),
        ("09:00-09:00", "00:00-24:00"),
        ("24:00-09:00", "a beginning and an end"),
        ("09:00-10:00 Mars/Olympus", "'Mars/Olympus' is no time zone"),
        ("09:00-10:00 Europe", "'Europe' is no time zone"),
        ("09:00-10:00 ../../etc/passwd", "no time zone"),
        ("09:00-10:00; 12:00-13:00 Europe/Stockholm", "some of its windows name a time zone"),
        (";".join(["09:00-10:00"] * 50), "500 characters"),
    ],
)
def test_an_unusable_window_says_why_and_gives_an_example(text, hint):
    with pytest.raises(LabelError) as fault:
        Window.parse(text)
    assert f"label deployer.window={text[:40]!r}: " in str(fault.value)
    assert hint in str(fault.value)
    assert "mon-fri 09:00-17:00 Europe/Stockholm" in str(fault.value)


@given(st.text(alphabet="monfri;,-: 0129Zz/", max_size=30) | st.text(max_size=20))
def test_any_text_is_a_window_or_a_label_error(text):
    try:
        window = Window.parse(text)
    except LabelError:
        return
    assert window.is_open(window.opens_at(at("2025-03-03T12:00")))


days = st.sampled_from(["", "mon", "sun", "fri-mon", "mon-fri", "sat,sun", "tue,thu-sat"])
clocks = st.integers(0, 95).map(lambda quarter: f"{quarter // 4:02}:{quarter % 4 * 15:02}")
zones = st.sampled_from(
    [
        "UTC",
        "Europe/Stockholm",
        "America/Havana",
        "America/Sao_Paulo",
        "Australia/Lord_Howe",
        "Asia/Kathmandu",
    ]
)
windows = st.lists(
    st.tuples(days, clocks, clocks, zones).filter(lambda w: w[1] != w[2]), min_size=1, max_size=3
)
# Around a change of the clocks of one of these zones, or anywhere.
moments = st.sampled_from(
    [
        "2025-03-30T01:00",
        "2025-10-26T01:00",
        "2025-03-09T05:00",
        "2025-11-02T05:00",
        "2018-11-04T03:00",
        "2018-02-18T02:00",
    ]
).map(at) | st.datetimes(datetime(2000, 1, 1), datetime(2037, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def brute(parts, moment):
    """Whether any of the windows is open, said in another way: by days and times of its own zone."""
    for names, begin, end, zone in parts:
        local = moment.astimezone(ZoneInfo(zone))
        clock, today = f"{local:%H:%M}", local.weekday()
        if begin < end:
            opened = begin <= clock < end and on(names, today)
        else:
            opened = (clock >= begin and on(names, today)) or (clock < end and on(names, (today - 1) % 7))
        if opened:
            return True
    return False


def on(names, day):
    week = {"": "0123456", "mon": "0", "sun": "6", "fri-mon": "4560", "mon-fri": "01234", "sat,sun": "56"}
    return str(day) in week.get(names, "1345")


@given(windows, moments, st.integers(-2 * 24 * 3600, 2 * 24 * 3600))
@example([("sun", "02:15", "02:45", "Europe/Stockholm")], at("2025-03-30T01:00"), -3600)
@settings(max_examples=60)
def test_it_opens_at_the_first_open_minute(parts, moment, seconds):
    now = moment + timedelta(seconds=seconds)
    window = Window.parse("; ".join(f"{names} {begin}-{end} {zone}" for names, begin, end, zone in parts))
    opening = window.opens_at(now)
    assert brute(parts, opening)
    assert window.is_open(now) == brute(parts, now) == (opening == now)
    assert opening == now or (opening > now and opening.second == 0)
    minute = now
    while minute < min(opening, now + timedelta(days=7)):
        assert not brute(parts, minute)
        minute += 5 * MINUTE
    assert opening == now or not brute(parts, opening - MINUTE)
