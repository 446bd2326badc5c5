"""When something recurs is next due, in every zone of tzdata from 2024 to 2030."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.core.errors import UsageError
from bot.core.recurrence import (
    EVERY_DAY,
    Daily,
    Hours,
    Interval,
    instant_of,
    parse_days,
    parse_hours,
    parse_rule,
    parse_time_of_day,
    upcoming,
    zone_of,
)

DAY, HOUR, MINUTE, SECOND = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
QUARTER = timedelta(minutes=15)
FIRST, LAST = datetime(2024, 1, 1, tzinfo=UTC), datetime(2031, 1, 1, tzinfo=UTC)
ZONES = sorted(available_timezones() - {"localtime", "Factory"})
ODD_ZONES = [
    "Australia/Lord_Howe",  # half an hour
    "Antarctica/Troll",  # two hours
    "Africa/Casablanca",  # four changes a year
    "America/Nuuk",  # a gap from 23:00 to midnight
    "America/Santiago",  # a gap at midnight
    "America/Havana",
    "Africa/Cairo",
    "Asia/Beirut",
    "Asia/Gaza",
    "Atlantic/Azores",
    "Pacific/Apia",
    "Pacific/Kiritimati",
    "Pacific/Chatham",
    "Asia/Kathmandu",
    "Europe/Berlin",
    "America/New_York",
]


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@cache
def changes_of(name: str) -> tuple[datetime, ...]:
    """Return the quarters of an hour at which a zone's offset changes."""
    zone = ZoneInfo(name)
    found = []
    before = FIRST
    while before < LAST:
        after = before + 7 * DAY  # no zone goes there and back within a week
        if before.astimezone(zone).utcoffset() != after.astimezone(zone).utcoffset():
            early, late = before, after
            while late - early > QUARTER:
                middle = early + QUARTER * ((late - early) // QUARTER // 2)
                same = middle.astimezone(zone).utcoffset() == before.astimezone(zone).utcoffset()
                early, late = (middle, late) if same else (early, middle)
            found.append(late)
        before = after
    return tuple(found)


@cache
def zones_by_behaviour() -> tuple[str, ...]:
    """Return one zone for each set of changes and offsets that zones have in these years."""
    kinds: dict[object, str] = {}
    for name in ZONES:
        zone = ZoneInfo(name)
        offsets = tuple(instant.astimezone(zone).utcoffset() for instant in (FIRST, *changes_of(name)))
        kinds.setdefault((changes_of(name), offsets), name)
    return tuple(kinds.values())


def shown(around: datetime, zone: ZoneInfo) -> dict[date, list[tuple[datetime, time]]]:
    """Return, for the local days around an instant, each quarter of an hour and what the clock on the wall shows."""
    days: dict[date, list[tuple[datetime, time]]] = {}
    for step in range(-4 * 60, 4 * 60):
        instant = around + QUARTER * step
        local = instant.astimezone(zone)
        days.setdefault(local.date(), []).append((instant, local.time()))
    return {day: days[day] for day in sorted(days)[1:-1]}


def expected(quarters: list[tuple[datetime, time]], at: time) -> datetime:
    """Return the first quarter that shows a time or a later one; without any, the last minute of the day."""
    reached = [instant for instant, clock in quarters if clock >= at]
    return reached[0] if reached else quarters[-1][0] + QUARTER - MINUTE


def test_every_zone_and_change_of_seven_years_has_one_run_for_each_local_day_at_the_first_instant_of_its_time() -> None:
    times = [time(minute // 60, minute % 60) for minute in range(0, 1440, 30)] + [
        time(0, 15),
        time(2, 45),
        time(23, 45),
    ]
    changes = 0
    for name in zones_by_behaviour():
        zone = ZoneInfo(name)
        for change in changes_of(name):
            changes += 1
            days = shown(change, zone)
            for at in times:
                rule = Daily(at)
                run = next(iter(days.values()))[0][0] - MINUTE
                for day, quarters in days.items():
                    run = rule.next_after(run, zone)
                    assert run == expected(quarters, at), (name, day, at)
                    assert run.astimezone(zone).date() == day
                    assert rule.last_until(run, zone, due=FIRST) == run
    assert len(zones_by_behaviour()) > 60
    assert changes > 400


def test_every_zone_has_as_many_runs_as_days_in_seven_years() -> None:
    for name in ODD_ZONES:
        zone = ZoneInfo(name)
        for at in (time(0, 0), time(1, 30), time(2, 30), time(23, 30)):
            run = instant_of(date(2023, 12, 31), time(23, 59), zone)
            days = []
            for _day in range(7 * 365 + 2):
                run = Daily(at).next_after(run, zone)
                days.append(run.astimezone(zone).date())
            assert days == [date(2024, 1, 1) + DAY * offset for offset in range(7 * 365 + 2)], (name, at)


@given(
    name=st.sampled_from(ZONES),
    instant=st.timedeltas(timedelta(0), LAST - FIRST).map(lambda since: FIRST + since),
    at=st.times().map(lambda clock: clock.replace(second=0, microsecond=0)),
    days=st.frozensets(st.integers(0, 6), min_size=1),
)
@example("Europe/Berlin", datetime(2026, 10, 25, 0, 30, tzinfo=UTC), time(2, 30), EVERY_DAY)
@example("America/Santiago", datetime(2026, 9, 6, 4, 0, tzinfo=UTC), time(0, 0), EVERY_DAY)
def test_the_next_run_is_later_on_a_wanted_day_and_the_latest_one_is_not(
    name: str, instant: datetime, at: time, days: frozenset[int]
) -> None:
    zone = ZoneInfo(name)
    rule = Daily(at, days)
    after = rule.next_after(instant, zone)
    before = rule.last_until(instant, zone, due=FIRST - 8 * DAY)
    assert before <= instant < after
    assert after.tzinfo is UTC
    assert rule.next_after(before, zone) == after
    assert rule.next_after(after, zone) > after
    assert after.astimezone(zone).weekday() in days
    assert len({run.astimezone(zone).date() for run in (before, after)}) == 2
    if days == EVERY_DAY:
        assert after.astimezone(zone).date() - before.astimezone(zone).date() == DAY
    assert parse_rule(str(rule)) == rule


@pytest.mark.parametrize(
    ("name", "day", "at", "instant"),
    [
        ("Europe/Berlin", "2026-03-29", time(2, 0), "2026-03-29T01:00"),  # 2:00 to 3:00 is left out
        ("Europe/Berlin", "2026-03-29", time(2, 30), "2026-03-29T01:00"),
        ("Europe/Berlin", "2026-03-29", time(3, 0), "2026-03-29T01:00"),
        ("Europe/Berlin", "2026-10-25", time(2, 30), "2026-10-25T00:30"),  # shown at 0:30 and at 1:30 UTC
        ("Australia/Lord_Howe", "2026-10-04", time(2, 10), "2026-10-03T15:30"),  # half an hour
        ("Australia/Lord_Howe", "2026-04-05", time(1, 45), "2026-04-04T14:45"),
        ("Antarctica/Troll", "2026-03-29", time(2, 30), "2026-03-29T01:00"),  # two hours
        ("America/Santiago", "2026-09-06", time(0, 0), "2026-09-06T04:00"),  # midnight is left out
        ("America/Havana", "2026-03-08", time(0, 30), "2026-03-08T05:00"),
        ("Asia/Beirut", "2026-03-29", time(0, 0), "2026-03-28T22:00"),
        ("Africa/Cairo", "2026-04-24", time(0, 0), "2026-04-23T22:00"),
        ("America/Nuuk", "2026-03-28", time(23, 30), "2026-03-29T01:00"),  # the gap ends at midnight
        ("Pacific/Kiritimati", "2026-06-01", time(0, 0), "2026-05-31T10:00"),
    ],
)
def test_a_time_left_out_means_the_end_of_the_gap_and_a_repeated_one_its_first_showing(
    name: str, day: str, at: time, instant: str
) -> None:
    assert instant_of(date.fromisoformat(day), at, ZoneInfo(name)) == utc(instant)


def test_a_gap_that_reaches_to_midnight_runs_in_the_last_minute_of_its_day() -> None:
    zone = ZoneInfo("America/Nuuk")
    runs = upcoming(Daily(time(23, 30)), zone, utc("2026-03-28T12:00"), 2)
    assert [run.astimezone(zone).strftime("%a %H:%M") for run in runs] == ["Sat 22:59", "Sun 23:30"]


def test_a_day_that_a_zone_left_out_has_no_run() -> None:
    zone = ZoneInfo("Pacific/Apia")  # crossed the date line: no 30 December 2011
    runs = upcoming(Daily(time(9)), zone, utc("2011-12-29T12:00"), 2)
    assert [run.astimezone(zone).date().isoformat() for run in runs] == ["2011-12-29", "2011-12-31"]
    friday = upcoming(Daily(time(9), frozenset({4})), zone, utc("2011-12-29T12:00"), 1)
    assert friday[0].astimezone(zone).date() == date(2012, 1, 6)


def test_an_instant_never_returns_itself_not_even_in_the_repeated_hour() -> None:
    zone = ZoneInfo("Europe/Berlin")
    rule = Daily(time(2, 30))
    first, second, next_day = utc("2026-10-25T00:30"), utc("2026-10-25T01:30"), utc("2026-10-26T01:30")
    assert rule.next_after(first - MINUTE, zone) == first
    assert rule.next_after(first, zone) == next_day
    assert rule.next_after(second, zone) == next_day
    assert rule.next_after(second - MINUTE, zone) == next_day


@pytest.mark.parametrize("minutes", [5, 7, 45, 60, 90, 300, 1380, 10080])
def test_an_interval_keeps_its_gap_through_changes_of_the_clocks_and_downtimes(minutes: int) -> None:
    zone = ZoneInfo("Europe/Berlin")
    rule = Interval(minutes)
    gap = MINUTE * minutes
    runs = upcoming(rule, zone, utc("2026-10-24T12:00:40"), 400)
    assert runs[0] == utc("2026-10-24T12:00") + gap
    assert {after - before for before, after in pairwise(runs)} == {gap}
    late = runs[0] + 3 * gap + MINUTE
    assert rule.next_after(late, zone, due=runs[0]) == runs[4]
    assert rule.last_until(late, zone, due=runs[0]) == runs[3]
    assert rule.last_until(runs[0], zone, due=runs[0]) == runs[0]
    assert parse_rule(str(rule)) == rule


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns"])
def test_hourly_begins_on_the_hour_of_the_wall_and_keeps_a_gap_of_an_hour(name: str) -> None:
    zone = ZoneInfo(name)
    runs = upcoming(Interval(60, on_the_hour=True), zone, utc("2026-03-28T12:34:56.789"), 48)
    assert {run.astimezone(zone).minute for run in runs} == {0}
    assert {after - before for before, after in pairwise(runs)} == {HOUR}
    assert timedelta(0) < runs[0] - utc("2026-03-28T12:34:56.789") <= HOUR


@pytest.mark.parametrize(
    ("name", "after", "walls"),
    [
        ("Australia/Lord_Howe", "2026-04-04T13:10", ["01:00", "02:00", "03:00"]),  # 2:00 becomes 1:30
        ("Australia/Lord_Howe", "2026-10-03T14:10", ["01:00", "02:30", "03:00"]),  # 2:00 becomes 2:30
        ("Europe/Berlin", "2026-10-24T22:10", ["01:00", "02:00", "02:00", "03:00"]),
        ("Europe/Berlin", "2026-03-28T23:10", ["01:00", "03:00", "04:00"]),
        ("America/Havana", "2026-03-08T03:10", ["23:00", "01:00", "02:00"]),  # 0:00 becomes 1:00
        ("Antarctica/Troll", "2026-03-28T23:10", ["00:00", "03:00", "04:00"]),  # two hours at once
        ("Africa/Casablanca", "2026-02-14T23:10", ["01:00", "02:00", "02:00", "03:00"]),
        ("Asia/Kathmandu", "2026-01-01T00:00", ["06:00", "07:00"]),
        ("Pacific/Apia", "2011-12-30T08:10", ["23:00", "00:00", "01:00"]),  # a day is left out
    ],
)
def test_hourly_runs_once_for_each_hour_of_the_wall(name: str, after: str, walls: list[str]) -> None:
    zone = ZoneInfo(name)
    rule = Interval(60, on_the_hour=True)
    runs = upcoming(rule, zone, utc(after), len(walls))
    assert [f"{run.astimezone(zone):%H:%M}" for run in runs] == walls
    for before, run in pairwise(runs):
        assert rule.last_until(run, zone, due=runs[0]) == run
        assert rule.last_until(run - SECOND, zone, due=runs[0]) == before


@pytest.mark.parametrize("name", ["Australia/Lord_Howe", "America/St_Johns", "Pacific/Chatham", "Africa/Casablanca"])
def test_hourly_does_not_drift_over_a_year(name: str) -> None:
    zone = ZoneInfo(name)
    hours = upcoming(Interval(60, on_the_hour=True), zone, utc("2026-01-01T00:00:30"), 366 * 24)
    assert max(after - before for before, after in pairwise(hours)) <= HOUR * 3 / 2
    assert sum(after - before != HOUR for before, after in pairwise(hours)) <= 3
    assert sum(run.astimezone(zone).minute != 0 for run in hours) <= 1


@pytest.mark.parametrize(
    ("stored", "rule"),
    [
        ("0 7 * * mon-fri", Daily(time(7), frozenset(range(5)))),
        ("30 18 * * mon,wed", Daily(time(18, 30), frozenset({0, 2}))),
        ("5 0 * * *", Daily(time(0, 5))),
        ("@every 45m", Interval(45)),
        ("@hourly", Interval(60, on_the_hour=True)),
        ("0 * * * *", Interval(60, on_the_hour=True)),
        ("0 */5 * * *", Interval(300)),
        ("*/45 * * * *", Interval(45)),
    ],
)
def test_stored_rules_are_read_those_of_older_rows_too(stored: str, rule: Daily | Interval) -> None:
    assert parse_rule(stored) == rule


@pytest.mark.parametrize("stored", ["", "0 0 1 * *", "@every 0m", "*/0 * * * *", "0 24 * * *", "0 7 * * someday"])
def test_a_stored_rule_that_cannot_be_read_is_refused(stored: str) -> None:
    with pytest.raises(UsageError):
        parse_rule(stored)


def test_rules_that_would_never_or_always_run_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Daily(time(7), frozenset())
    with pytest.raises(ValueError, match="0 to 6"):
        Daily(time(7), frozenset({7}))
    with pytest.raises(ValueError, match="at least a minute"):
        Interval(0)


def test_an_unknown_zone_is_utc() -> None:
    assert [zone_of(name).key for name in ("Mars/Olympus", "", "../etc/passwd", "Asia/Tokyo")] == [
        "UTC",
        "UTC",
        "UTC",
        "Asia/Tokyo",
    ]


@pytest.mark.parametrize(
    ("words", "days"),
    [
        ("", {0, 1, 2, 3, 4, 5, 6}),
        ("Weekends", {5, 6}),
        ("mon-fri", {0, 1, 2, 3, 4}),
        ("fri-mon", {4, 5, 6, 0}),
        ("mon-tue,sat", {0, 1, 5}),
        ("wed, mon and sun", {0, 2, 6}),
        ("Tuesdays,thurs", {1, 3}),
        ("sun-sun", {6}),
    ],
)
def test_days_are_read(words: str, days: set[int]) -> None:
    assert parse_days(words) == days


@pytest.mark.parametrize("words", ["mon,,", "monster", "mon-holiday", "-mon", "mon-"])
def test_other_words_are_no_days(words: str) -> None:
    with pytest.raises(UsageError, match="know the days"):
        parse_days(words)


@pytest.mark.parametrize(
    ("text", "hint"), [("25:00", "0 to 23"), ("24:00", "0:00"), ("7:60", "00 to 59"), ("7:5", "9:30")]
)
def test_what_is_no_time_of_day_is_refused(text: str, hint: str) -> None:
    with pytest.raises(UsageError, match=f"`{text}` is no time of day") as refused:
        parse_time_of_day(text)
    assert hint in (refused.value.hint or "")


# hours


def inside(hours: Hours, start: str, zone: str, quarters: int) -> list[bool]:
    return [hours.contain(utc(start) + QUARTER * step, ZoneInfo(zone)) for step in range(quarters)]


def runs_of(states: list[bool]) -> Iterator[tuple[int, bool]]:
    begin = 0
    for index in range(1, len(states) + 1):
        if index == len(states) or states[index] != states[begin]:
            yield index - begin, states[begin]
            begin = index


@pytest.mark.parametrize("name", ODD_ZONES)
def test_quiet_hours_begin_and_end_once_a_night_whatever_the_clocks_do(name: str) -> None:
    zone = ZoneInfo(name)
    for change in changes_of(name)[:4]:
        for hours in (parse_hours("22:00-07:00"), parse_hours("02:15-05:00"), parse_hours("23:30-00:30")):
            start = instant_of((change - 2 * DAY).astimezone(zone).date(), time(12), zone)
            states = inside(hours, start.isoformat()[:16], name, 4 * 24 * 4)
            spans = [length for length, state in runs_of(states) if state]
            assert len(spans) in {3, 4}, (name, change, hours)
            for step, state in enumerate(states):
                clock = (start + QUARTER * step).astimezone(zone).time()
                if time(12) <= clock < time(22) or time(7) <= clock < time(12):
                    assert not state


def test_hours_in_the_repeated_hour_are_not_interrupted() -> None:
    hours = parse_hours("02:30-05:00")  # Berlin shows 2:30 at 0:30 UTC and again at 1:30
    assert list(runs_of(inside(hours, "2026-10-25T00:00", "Europe/Berlin", 24))) == [(2, False), (14, True), (8, False)]


def test_a_night_belongs_to_the_day_it_begins_on() -> None:
    hours = parse_hours("22:00-07:00 fri")
    friday, saturday = utc("2026-03-06T22:00"), utc("2026-03-07T06:59")
    assert hours.contain(friday, UTC_ZONE)
    assert hours.contain(saturday, UTC_ZONE)
    assert not hours.contain(saturday + MINUTE, UTC_ZONE)
    assert not hours.contain(friday - DAY, UTC_ZONE)
    assert not hours.contain(saturday - DAY, UTC_ZONE)


UTC_ZONE = ZoneInfo("UTC")


@pytest.mark.parametrize(
    "words",
    ["22-07", "22:00", "22:00-22:00", "25:00-07:00", "22:60-07:00", "22:00-07:00 someday", "-", "２2:00-07:00", ""],
)
def test_hours_that_make_no_sense_are_refused(words: str) -> None:
    with pytest.raises(UsageError):
        parse_hours(words)
