import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.blocks.text import when
from bot.core.errors import UsageError
from bot.core.models import (
    Build,
    BuildKey,
    Change,
    Conclusion,
    IssueCounts,
    Person,
    Starter,
    Status,
    Transition,
    Trigger,
)
from bot.core.recurrence import zone_of
from bot.notifications.corrections import claims_of, corrections
from bot.notifications.decisions import (
    decide,
    outage_row,
    started_row,
    transition_of,
)
from bot.notifications.filters import EVENTS, PRESETS, SIGNALS, Filter, filter_of, judge, make_filter, read_filter
from bot.notifications.notification import AUTHOR, Decision, Event, Extra, Verdict
from bot.notifications.quiet_hours import Happening, in_quiet_hours, muted
from bot.notifications.reconsideration import reconsidered
from bot.notifications.summaries import gathered, release
from bot.store import Recorded
from bot.store.mapping import values
from bot.store.rows import AttemptRow, BuildRow, LinkRow, MuteRow, NewMute, NewNotification, NewWatch, NotificationRow
from bot.store.steps import pack, pack_counts
from tests.bot.store.rows import (
    CHANNEL,
    CONNECTION,
    NOW,
    PIPELINE,
    TEAM,
    ago,
    ended,
    link,
    notification,
    running,
    watch,
)

RED = Conclusion.FAILED
GREEN = Conclusion.PASSED
LONG_AGO = NOW - timedelta(days=30)
NUMBERS = itertools.count(1)


def followed(**fields: Any) -> LinkRow:
    return link(**{"id": next(NUMBERS), "created_at": LONG_AGO, "default_branch": "main", **fields})


def row_of(build: Build, **fields: Any) -> BuildRow:
    return BuildRow(
        id=0,
        connection=build.connection,
        pipeline=build.pipeline,
        build=build.id,
        data=pack(build),
        seen_at=NOW,
        **fields,
    )


def past(conclusion: Conclusion = GREEN, *, minutes: float = 60, counts: IssueCounts | None = None) -> AttemptRow:
    return AttemptRow(
        id=0,
        connection=CONNECTION,
        pipeline=PIPELINE,
        build=f"past-{minutes}",
        attempt_no=1,
        branch="main",
        ref_kind="branch",
        ref_name="main",
        commit_at=ago(minutes=minutes),
        built_at=ago(minutes=minutes),
        conclusion=conclusion.value,
        counts=pack_counts(counts or IssueCounts()),
        completed_at=ago(minutes=minutes),
        seen_at=NOW,
    )


def finished(build: Build | None = None, *history: AttemptRow, seen_running: bool = True, **fields: Any) -> Recorded:
    done = build or ended()
    row = past(done.conclusion or GREEN, minutes=0)
    row = replace(row, conclusion=done.conclusion or "", completed_at=done.completed_at or NOW)
    given: dict[str, Any] = {
        "row": row_of(done, started_by=fields.pop("started_by", "")),
        "before": running(done.id) if seen_running else None,
        "first_seen": not seen_running,
        "attempt_no": 1,
        "finished": row,
        "reopened": False,
        "blocked": False,
        "history": history,
        "links": (followed(),),
        **fields,
    }
    return Recorded(build=done, **given)


def blocked(build: Build | None = None, **fields: Any) -> Recorded:
    waiting = build or running(waiting=True)
    given: dict[str, Any] = {
        "row": row_of(waiting),
        "before": running(waiting.id),
        "first_seen": False,
        "attempt_no": 1,
        "finished": None,
        "reopened": False,
        "blocked": True,
        "links": (followed(),),
        **fields,
    }
    return Recorded(build=waiting, **given)


def decided(*batch: Recorded, now: datetime = NOW, **fields: Any) -> list[NewNotification]:
    return decide(batch, now=now, **{"can_count": False, **fields})


def fates(rows: Sequence[NewNotification]) -> list[tuple[str, str, str]]:
    return [(row.channel, row.event, row.state) for row in rows]


def judged(build: Build, transition: Transition | None = None, filters: str = "", **fields: Any) -> Decision:
    return judge(build, transition or Transition(), followed(filters=filters, **fields), Event.FINISHED)


# filters


@pytest.mark.parametrize(
    "words",
    [
        "--on all",
        "--on edges",
        "--on failed,broken",
        "--on all --branch main,release/* --trigger push,cron --by bot,!Renovate",
        "--on failures --min-streak 3 --min-delta warnings:1 --min-delta errors:2 --mention U0ANA",
        "--on all --by 'Ana Lima' --branch '!wip/it'\"'\"'s'",
        "--on quiet --mention none",
    ],
)
def test_a_filter_reads_back_as_it_was_written(words: str) -> None:
    assert read_filter(read_filter(words).words()) == read_filter(words)


NAMES = st.text(st.characters(exclude_characters=",", exclude_categories=["Cs"]), min_size=1).filter(
    lambda name: name.strip() and not name.startswith("--")
)


@given(st.lists(NAMES, max_size=3), st.lists(NAMES, max_size=3), st.integers(0, 99))
def test_any_names_of_branches_and_people_read_back(branches: list[str], people: list[str], streak: int) -> None:
    made = make_filter({"branch": branches, "by": people, "min-streak": [str(streak)]})
    assert read_filter(made.words()) == made


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"on": ["merged"]}, "no event `merged`"),
        ({"on": ["edges", "failed"]}, "no event `edges`"),
        ({"trigger": ["comet"]}, "no trigger `comet`"),
        ({"min-streak": ["few"]}, "takes a number"),
        ({"min-delta": ["warnings"]}, "NAME:NUMBER"),
        ({"min-delta": ["tests:3"]}, "NAME:NUMBER"),
        ({"mention": ["everybody"]}, "--mention"),
        ({"gate": ["any"]}, "no filter `--gate`"),
    ],
)
def test_a_filter_that_means_nothing_is_refused_by_name(flags: dict[str, list[str]], says: str) -> None:
    before = {name: list(values) for name, values in flags.items()}
    with pytest.raises(UsageError, match=says):
        make_filter(flags)
    assert flags == before


@pytest.mark.parametrize("words", ["on all", "--on", "--by 'Ana", "--branch main --on"])
def test_words_that_are_no_filter_are_refused(words: str) -> None:
    with pytest.raises(UsageError):
        read_filter(words)


def test_a_link_whose_filter_can_not_be_read_gets_everything_and_breaks_nothing() -> None:
    assert filter_of(followed(filters="--level brief")) == Filter()
    assert judged(ended(), filters="--by 'open").verdict is Verdict.POST


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("<@U0ANA|ana>", "U0ANA"),
        ("<@W1>", "W1"),
        ("@U0ANA1", "U0ANA1"),
        ("<!subteam^S0IOS|@ios>", "S0IOS"),
        ("author", ""),
        ("@author", ""),
        ("nobody", "none"),
    ],
)
def test_who_is_mentioned_is_kept_by_id(said: str, kept: str) -> None:
    assert make_filter({"mention": [said]}).mention == kept


def test_newly_broken_builds_notify_the_author_unless_somebody_else_is_named() -> None:
    assert Filter().mention_target == AUTHOR
    assert Filter(mention="U1").mention_target == "U1"
    assert Filter(mention="none").mention_target == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--on all", "every finished build on main"),
        ("--on edges", "changes only (broken, fixed, waiting for approval, stuck) on main"),
        ("--on failures --branch release/*", "failures only on release/*"),
        ("--on release", "releases (broken, fixed, waiting, tags that passed) on main"),
        ("--on quiet", "nothing (digests only) on main"),
        ("--on failed,worse", "failed, worse on main"),
        ("--on all --min-streak 2", "every finished build on main, from the 2nd failure in a row"),
        ("--on all --by <@U1>,!bot", "every finished build on main, by <@U1>, not bot"),
        (
            "--on all --trigger cron --min-delta analyzer_warnings:3",
            "every finished build on main, triggered by cron, analyzer warnings up by 3 or more",
        ),
        ("--on all --thread branch", "every finished build on main, one thread for each red branch"),
        (
            "--on edges --thread build --escalate 90m,U1",
            (
                "changes only (broken, fixed, waiting for approval, stuck) on main, each build in the channel,"
                " calls <@U1> when nobody is on it for 1 h 30 m"
            ),
        ),
    ],
)
def test_a_filter_is_said_as_a_part_of_a_sentence(words: str, said: str) -> None:
    assert read_filter(words).in_words("main") == said


@pytest.mark.parametrize(
    ("words", "has"),
    [
        ("--on all", False),
        ("--on edges", True),
        ("--on failures", True),
        ("--on release", False),
        ("--on broken,fixed", False),
        ("--on all --thread branch", True),
        ("--on edges --thread build", False),
    ],
)
def test_changes_and_failures_have_one_thread_for_each_red_branch_and_any_filter_may(words: str, has: bool) -> None:
    assert read_filter(words).has_branch_thread is has


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        (["30m"], (30, "")),
        (["2H"], (120, "")),
        (["7d"], (10080, "")),
        (["30m", "<@U1|ana>"], (30, "U1")),
        (["30m", "<!subteam^S1|@ios>"], (30, "S1")),
        (["30m", "author"], (30, "")),
        (["off"], (0, "")),
    ],
)
def test_an_escalation_is_a_time_and_somebody(values: list[str], kept: tuple[int, str]) -> None:
    made = make_filter({"escalate": values})
    assert (made.escalate_minutes, made.escalate_to) == kept
    assert read_filter(made.words()) == made


@pytest.mark.parametrize(
    "flags",
    [
        {"escalate": ["soon"]},
        {"escalate": ["0m"]},
        {"escalate": ["8d"]},
        {"escalate": ["30m", "nobody I know"]},
        {"escalate": ["30m", "U1", "U2"]},
        {"thread": ["channel"]},
    ],
)
def test_an_escalation_or_a_thread_in_other_words_is_refused(flags: dict[str, list[str]]) -> None:
    with pytest.raises(UsageError):
        make_filter(flags)


def test_a_filter_without_a_branch_says_none() -> None:
    assert Filter().in_words("") == "every finished build"


# what a link wants


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("conclusion", [*Conclusion, None])
@pytest.mark.parametrize("change", Change)
def test_presets_admit_what_they_say(preset: str, conclusion: Conclusion | None, change: Change) -> None:
    is_red = conclusion is not None and conclusion.is_red
    told = judged(ended(conclusion=conclusion), Transition(change=change, streak=1), f"--on {preset}")
    edge = change is Change.BROKEN or change is Change.FIXED or (change is Change.FIRST and is_red)
    wanted = {
        "all": conclusion is not Conclusion.RETRIED,
        "edges": edge,
        "release": edge,
        "failures": is_red,
        "quiet": False,
    }[preset]
    # A change without a fitting conclusion does not occur; `all` hears the rest by its result.
    assert (told.verdict is Verdict.POST) is (wanted or (preset == "all" and conclusion is None))


@pytest.mark.parametrize("event", [event for event in EVENTS if event not in {"blocked", *SIGNALS}])
def test_each_event_can_be_asked_for_alone(event: str) -> None:
    builds = {
        "broken": (RED, Transition(change=Change.BROKEN)),
        "fixed": (GREEN, Transition(change=Change.FIXED, streak=1)),
        "still-failing": (RED, Transition(change=Change.STILL_FAILING, streak=2)),
        "worse": (GREEN, Transition(change=Change.STILL_PASSING, worse=True)),
        "better": (GREEN, Transition(change=Change.STILL_PASSING, better=True)),
        "unknown": (None, Transition()),
    }
    conclusion, transition = builds.get(event, (Conclusion(event) if event not in builds else None, Transition()))
    assert judged(ended(conclusion=conclusion), transition, f"--on {event}").verdict is Verdict.POST
    others = ",".join(sorted(set(EVENTS) - {event, conclusion.value if conclusion else "unknown"}))
    assert judged(ended(conclusion=conclusion), transition, f"--on {others}").verdict is Verdict.SILENT


@pytest.mark.parametrize(
    ("build", "branches", "default", "heard"),
    [
        (ended(), "", "main", True),
        (ended(branch="dev"), "", "main", False),
        (ended(branch="dev"), "", "", True),
        (ended(branch=None), "", "main", True),
        (ended(branch=None, tag="v1"), "", "main", False),
        (ended(pull_request="7"), "", "main", False),
        (ended(pull_request="7"), "", "", True),
        (ended(branch="release/2"), "release/*", "main", True),
        (ended(), "release/*", "main", False),
        (ended(branch=None, tag="v1.4"), "tag:v*", "main", True),
        (ended(branch="x", pull_request="7"), "pr:*", "main", True),
        (ended(branch="wip/1"), "!wip/*", "main", False),
        (ended(branch="dev"), "!wip/*", "main", True),
        (ended(branch="release/old"), "release/*,!release/old", "main", False),
        (ended(branch="Main"), "main", "", True),
        (ended(branch="Pru\u0308fung"), "prüf*", "", True),
        (ended(branch="straße"), "!STRASSE", "", False),
        (ended(pull_request="7"), "main", "main", False),
        (ended(pull_request="7"), "!wip/*", "main", True),
        (ended(from_fork=True), "", "main", False),
        (ended(from_fork=True), "main", "main", False),
        (ended(branch=None), "main", "main", False),
        (ended(from_fork=True), "", "", True),
        (ended(branch=None, tag="v1"), "", "", True),
    ],
)
def test_branches_tags_and_pull_requests(build: Build, branches: str, default: str, heard: bool) -> None:
    words = f"--branch {branches}" if branches else ""
    decision = judged(build, Transition(), f"--on all {words}", default_branch=default)
    assert (decision.verdict is Verdict.POST) is heard


def test_a_pinned_branch_stands_for_the_default() -> None:
    assert judged(ended(branch="next"), branch="next").verdict is Verdict.POST
    silent = judged(ended(), branch="next")
    assert silent.reason == "main is not among the branches this channel follows (next)"


def test_a_tag_that_passed_is_a_release_on_any_branch() -> None:
    tagged = ended(branch=None, tag="v1")
    assert judged(tagged, filters="--on release").verdict is Verdict.POST
    assert judged(replace(tagged, conclusion=RED), filters="--on release").verdict is Verdict.SILENT


def test_triggers_narrow() -> None:
    assert judged(ended(trigger=Trigger.CRON), filters="--on all --trigger cron,push").verdict is Verdict.POST
    silent = judged(ended(trigger=Trigger.API), filters="--on all --trigger cron")
    assert silent.reason == "it was triggered by api"


@pytest.mark.parametrize(
    ("by", "heard"),
    [
        ("mika", True),
        ("@Mika", True),
        ("ana", True),
        ("ana@acme.example", True),
        ("<@U7|mika>", True),
        ("!<@U7>", False),
        ("!mika", False),
        ("bot", False),
        ("bo", False),
        ("!bo", True),
    ],
)
def test_who_started_it_narrows(by: str, heard: bool) -> None:
    build = ended(triggered_by="Mika", author=Person(name="Ana", email="ana@acme.example"))
    wanted = make_filter({"by": [by]}).words()
    decision = judge(build, Transition(), followed(filters=wanted), Event.FINISHED, started_by="U7")
    assert (decision.verdict is Verdict.POST) is heard


def test_machines_are_called_bot() -> None:
    assert judged(ended(triggered_by_type=Starter.BOT), filters="--on all --by bot").verdict is Verdict.POST
    assert judged(ended(triggered_by_type=Starter.BOT), filters="--on all --by !bot").verdict is Verdict.SILENT


@pytest.mark.parametrize(
    ("conclusion", "change", "streak", "heard"),
    [
        (RED, Change.STILL_FAILING, 3, True),
        (RED, Change.STILL_FAILING, 2, False),
        (RED, Change.BROKEN, 9, False),
        (RED, Change.FIRST, 1, False),
        (GREEN, Change.FIXED, 3, True),
        (GREEN, Change.FIXED, 2, False),
        (GREEN, Change.STILL_PASSING, 0, True),
    ],
)
def test_a_streak_must_be_long_enough(conclusion: Conclusion, change: Change, streak: int, heard: bool) -> None:
    transition = Transition(change=change, streak=streak)
    decision = judged(ended(conclusion=conclusion), transition, "--on all --min-streak 3")
    assert (decision.verdict is Verdict.POST) is heard


def test_counts_must_move_far_enough_and_unknown_ones_did_not_move() -> None:
    transition = Transition(change=Change.STILL_PASSING, baseline=IssueCounts(errors=0, warnings=4))
    wanted = "--on all --min-delta warnings:2 --min-delta errors:1"
    assert judged(ended(issues=IssueCounts(warnings=6)), transition, wanted).verdict is Verdict.POST
    assert judged(ended(issues=IssueCounts(errors=1)), transition, wanted).verdict is Verdict.POST
    assert judged(ended(issues=IssueCounts(warnings=5)), transition, wanted).verdict is Verdict.SILENT
    assert judged(ended(), transition, wanted).verdict is Verdict.SILENT


def test_approvals_are_posted_whatever_the_counts_and_streaks() -> None:
    wanted = followed(filters="--on edges --min-delta warnings:2 --min-streak 4")
    assert judge(running(waiting=True), Transition(), wanted, Event.BLOCKED).verdict is Verdict.POST
    assert (
        judge(running(waiting=True), Transition(), followed(filters="--on failures"), Event.BLOCKED).verdict
        is Verdict.SILENT
    )


def test_paused_and_unsubscribed_links_are_silent() -> None:
    assert judged(ended(), paused_reason="is archived").reason == "the link is paused: is archived"
    assert "unsubscribed" in judged(ended(), subscribed=False).reason


# what a change of a build makes


def test_a_attempt_that_has_not_ended_is_no_news() -> None:
    assert decided(finished(running(), finished=None)) == []


def test_by_default_a_link_gets_every_end_on_the_default_branch() -> None:
    (row,) = decided(finished(ended(), past()))
    assert (row.state, row.event, row.attempt_no, row.due_at) == ("pending", "finished", 1, NOW)
    assert row.reason == "this channel gets a post for every finished build on main"
    assert Extra.of(row.extra).transition.change is Change.STILL_PASSING


def test_why_not_is_kept_with_the_row() -> None:
    (row,) = decided(finished(ended(branch="dev")))
    assert (row.state, row.reason) == ("silent", "dev is not among the branches this channel follows (main)")


@pytest.mark.parametrize(
    ("can_count", "can_list", "conclusion", "issues", "seconds"),
    [
        (True, True, GREEN, IssueCounts(), 30),
        (True, True, GREEN, IssueCounts(errors=0), 0),
        (True, True, RED, IssueCounts(errors=1), 5),
        (True, False, RED, IssueCounts(errors=1), 0),
        (False, False, GREEN, IssueCounts(), 0),
        (False, True, RED, IssueCounts(), 5),
    ],
)
def test_a_notification_waits_for_counts_at_most_thirty_seconds(
    can_count: bool, can_list: bool, conclusion: Conclusion, issues: IssueCounts, seconds: int
) -> None:
    case = finished(ended(conclusion=conclusion, issues=issues))
    (row,) = decided(case, can_count=can_count, can_list=can_list)
    assert row.due_at == NOW + timedelta(seconds=seconds)


def placed(row: AttemptRow, *, number: int, created: float) -> AttemptRow:
    """Give an attempt its place in the history of its branch: its build's number, and minutes since its creation."""
    at = ago(minutes=created)
    return replace(row, build=f"b{number}", number=number, built_at=at, commit_at=at)


def late_end(conclusion: Conclusion = RED, *history: AttemptRow) -> Recorded:
    """Build #14, which ends after #15 did."""
    case = finished(ended("b14", conclusion=conclusion, number=14), *history)
    assert case.finished is not None
    return replace(case, finished=placed(case.finished, number=14, created=50))


def test_an_end_that_comes_after_a_newer_build_s_changes_nothing_of_how_its_branch_stands() -> None:
    green, newer = placed(past(GREEN), number=13, created=90), placed(past(GREEN, minutes=10), number=15, created=20)
    case = late_end(RED, green, newer)
    transition = transition_of(case)
    assert (transition.change, transition.is_outdated, transition.newer) == (Change.BROKEN, True, 15)
    edges = followed(filters="--on edges")
    author = replace(case.build, author=Person(email="a@b.c"))
    (row,) = decided(replace(case, build=author, links=(edges,)))
    assert (row.state, row.reason) == (
        "silent",
        (
            "failed is not among what this channel is notified of "
            "(changes only (broken, fixed, waiting for approval, stuck) on main)"
        ),
    )


def test_a_late_end_corrects_what_was_said_of_the_newer_build() -> None:
    green, newer = placed(past(GREEN), number=13, created=90), placed(past(RED, minutes=10), number=15, created=20)
    case = late_end(RED, green, newer)
    claims = claims_of(case)
    key = BuildKey(connection=CONNECTION, pipeline=PIPELINE, id="b15")
    assert [
        (place, claim.transition.change, claim.transition.streak, claim.transition.red_since)
        for place, claim in claims.items()
    ] == [((key, 1), Change.STILL_FAILING, 2, 14)]
    false = Extra(transition=Transition(change=Change.BROKEN, streak=1, red_since=15, baseline=IssueCounts()))
    rows = [
        notification("b15", id=1, extra=false.as_json(), state="sent"),
        notification("b15", id=2, extra=false.as_json(), state="pending"),
        notification("b15", id=3, extra=Extra(transition=claims[key, 1].transition).as_json()),
        notification("b16", id=4),
    ]
    changed = corrections(rows, claims, "#14", NOW)
    assert list(changed.extras) == [1, 2]
    assert [(extra.transition.change, extra.corrected) for extra in map(Extra.of, changed.extras.values())] == [
        (Change.STILL_FAILING, "#14"),
        (Change.STILL_FAILING, ""),
    ]
    assert changed.replies == ()


def test_a_cancelled_end_corrects_nothing() -> None:
    newer = placed(past(RED, minutes=10), number=15, created=20)
    claims = claims_of(late_end(Conclusion.CANCELLED, newer))
    (claim,) = claims.values()
    posted = notification("b15", id=1, state="sent", extra=Extra(transition=claim.transition).as_json())
    assert corrections([posted], claims, "#14", NOW).extras == {}
    assert claims_of(blocked()) == {}


def posted_as(claimed: Transition, **fields: Any) -> NotificationRow:
    return notification("b15", id=1, state="sent", ts="5.1", extra=Extra(transition=claimed).as_json(), **fields)


def test_only_another_sentence_is_called_a_correction() -> None:
    green = placed(past(GREEN), number=13, created=90)
    newer = placed(past(RED, minutes=10), number=15, created=20)
    newer = replace(newer, counts=pack_counts(IssueCounts(warnings=5)))
    case = late_end(GREEN, green, newer)
    assert case.finished is not None
    case = replace(case, finished=replace(case.finished, counts=pack_counts(IssueCounts(warnings=9))))
    before = Transition(change=Change.BROKEN, streak=2, red_since=15, red_seconds=0.0, baseline=IssueCounts(warnings=1))
    (text,) = corrections([posted_as(before)], claims_of(case), "#14", NOW).extras.values()
    assert Extra.of(text).corrected == ""
    assert Extra.of(text).transition.baseline == IssueCounts(warnings=9)
    one_less = replace(before, streak=1)
    (text,) = corrections([posted_as(one_less)], claims_of(case), "#14", NOW).extras.values()
    assert Extra.of(text).corrected == "#14"


def test_a_false_fix_is_taken_back_in_its_thread_once_it_was_posted() -> None:
    red, newer = placed(past(RED), number=13, created=90), placed(past(GREEN, minutes=10), number=15, created=20)
    claims = claims_of(late_end(GREEN, red, newer))
    false = Transition(change=Change.FIXED, streak=1, red_since=13)
    (reply,) = corrections([posted_as(false, link=3)], claims, "#14", NOW).replies
    assert (reply.event, reply.thread, reply.channel, reply.link) == ("corrected", "5.1", CHANNEL, 3)
    assert Extra.of(reply.extra).text == "Taken back when #14 ended: this was no fix. Still green"
    unposted = replace_row(posted_as(false), state="pending", ts="")
    assert corrections([unposted], claims, "#14", NOW).replies == ()


def test_an_attempt_whose_own_conclusion_is_corrected_is_compared_anew() -> None:
    green = placed(past(GREEN), number=13, created=90)
    case = late_end(GREEN, green)
    end = case.finished
    assert end is not None
    claims = claims_of(replace(case, finished=None, corrected=end))
    changes = {key.id: claim.transition.change for (key, _attempt), claim in claims.items()}
    assert changes == {case.build.id: Change.STILL_PASSING, green.build: Change.FIRST}


def test_what_is_not_posted_yet_is_judged_anew_after_a_correction_unless_somebody_waits_for_it() -> None:
    green, newer = placed(past(GREEN), number=13, created=90), placed(past(RED, minutes=10), number=15, created=20)
    claims = claims_of(late_end(RED, green, newer))
    false = Extra(transition=Transition(change=Change.BROKEN, streak=1, red_since=15))
    rows = [
        notification("b15", id=1, link=1, extra=false.as_json()),
        notification("b15", id=2, link=1, user="U5", extra=false.as_json()),
    ]
    changed = corrections(rows, claims, "#14", NOW).extras
    assert [Extra.of(changed[number]).undecided for number in (1, 2)] == [True, False]


def replace_row(row: NotificationRow, **fields: Any) -> NotificationRow:
    return replace(row, **fields)


@pytest.mark.parametrize(
    ("filters", "undecided"), [("", False), ("--on edges", True), ("--on all --min-streak 3", True)]
)
def test_a_ref_whose_history_is_still_to_be_read_is_decided_when_it_is_known(filters: str, undecided: bool) -> None:
    build = ended(conclusion=RED, number=9)
    (row,) = decided(finished(build, needs_history=True, links=(followed(filters=filters),)))
    extra = Extra.of(row.extra)
    assert (row.state, extra.undecided, row.due_at) == ("pending", undecided, NOW + timedelta(seconds=10))
    link_ = followed(filters=filters)
    row = replace(row, extra=replace(extra, transition=Transition(change=Change.STILL_FAILING, streak=2)).as_json())
    assert bool(reconsidered(row, link_, build, IssueCounts(), started_by="")) is undecided


def test_one_channel_gets_one_post_of_a_build_however_many_links_it_has() -> None:
    rows = decided(finished(links=(followed(), followed())))
    assert [(row.state, row.reason) for row in rows][1] == ("silent", "posted for another link of this channel")
    assert [row.state for row in rows] == ["pending", "silent"]


def test_notifications_are_ordered_by_the_end_and_the_number_of_their_build() -> None:
    (row,) = decided(finished(ended(number=7, completed_at=ago(seconds=5))))
    assert (row.ordered_at, row.number) == (ago(seconds=5), 7)


def test_a_channel_gets_one_decision_for_each_link_and_each_channel_its_own() -> None:
    rows = decided(finished(links=(followed(), followed(channel="C2", filters="--on failures"))))
    assert fates(rows) == [(CHANNEL, "finished", "pending"), ("C2", "finished", "silent")]


def test_muted_channels_are_notified_later() -> None:
    mute = NewMute(team=TEAM, channel=CHANNEL, until=NOW + timedelta(hours=1), made_by="U1", made_at=NOW)
    (row,) = decided(finished(mutes=(mute,)))
    assert (row.state, row.reason) == ("held", f"muted by <@U1> until {when(NOW + timedelta(hours=1))}")


def test_somebody_who_started_a_build_here_is_notified_of_its_end_whatever_the_channel_follows() -> None:
    mute = NewMute(team=TEAM, channel=CHANNEL, until=NOW + timedelta(hours=1), made_by="U1", made_at=NOW)
    asked = watch(channel=CHANNEL, user="U5", why="started")
    (row,) = decided(finished(ended(branch="dev"), watches=(asked,), mutes=(mute,)))
    assert (row.state, row.reason, row.user) == ("pending", "<@U5> started it here", "U5")
    assert Extra.of(row.extra).mention == "U5"


def test_somebody_who_started_a_build_where_nothing_is_linked_is_notified_in_the_thread() -> None:
    asked = watch(channel="C9", user="U5", why="started", thread="1.5")
    (row,) = decided(finished(links=(), watches=(asked,)))
    assert (row.channel, row.thread, row.link, row.user) == ("C9", "1.5", 0, "U5")


def test_a_paused_link_keeps_no_notification_from_people_who_asked_for_it() -> None:
    asked = watch(channel=CHANNEL, user="U5", why="asked")
    rows = decided(finished(links=(followed(paused_reason="is archived"),), watches=(asked,)))
    assert fates(rows) == [(CHANNEL, "finished", "silent"), (CHANNEL, "finished", "pending")]
    assert rows[1].reason == "<@U5> is watching it"


def test_watchers_are_notified_by_direct_message_without_being_named() -> None:
    rows = decided(finished(links=(), watches=(watch(why="asked"), watch(channel="U2", user="U2", why="started"))))
    assert [(row.channel, row.reason, Extra.of(row.extra).mention) for row in rows] == [
        ("U1", "you are watching it", ""),
        ("U2", "you started it", ""),
    ]


def test_followers_get_what_they_chose_once() -> None:
    follower = watch("", filters="--on edges")
    broken = finished(ended(conclusion=RED), past(), watches=(follower,), links=())
    assert fates(decided(broken)) == [("U1", "finished", "pending")]
    assert decided(finished(ended(), past(), watches=(follower,), links=())) == []
    both = finished(ended(conclusion=RED), past(), watches=(watch(), follower), links=())
    assert fates(decided(both)) == [("U1", "finished", "pending")]


def test_a_follower_gets_nothing_from_before_they_followed() -> None:
    follower = watch("", filters="--on all")
    old = ended(completed_at=ago(hours=1))
    assert decided(finished(old, seen_running=False, watches=(follower,), links=())) == []


def test_an_approval_that_opens_is_posted_and_held_like_an_end() -> None:
    assert fates(decided(blocked())) == [(CHANNEL, "blocked", "pending")]
    assert fates(decided(blocked(links=(followed(filters="--on failures"),)))) == [(CHANNEL, "blocked", "silent")]


@pytest.mark.parametrize(
    ("began", "state"),
    [(NOW - timedelta(minutes=5), "pending"), (LONG_AGO - timedelta(days=1), "silent"), (None, "silent")],
)
def test_an_approval_first_seen_open_is_news_unless_the_build_is_older_than_the_link(
    began: datetime | None, state: str
) -> None:
    case = blocked(running(waiting=True, created_at=began), before=None, first_seen=True)
    assert [row.state for row in decided(case)] == [state]


@pytest.mark.parametrize(
    ("seen_running", "completed", "linked", "state"),
    [
        (True, ago(hours=2), NOW, "pending"),
        (False, ago(hours=2), NOW, "silent"),
        (False, ago(seconds=30), NOW, "silent"),
        (False, NOW, NOW, "pending"),
        (False, ago(seconds=30), LONG_AGO, "pending"),
    ],
)
def test_builds_that_finished_before_a_link_are_silent(
    seen_running: bool, completed: datetime, linked: datetime, state: str
) -> None:
    case = finished(ended(completed_at=completed), seen_running=seen_running, links=(followed(created_at=linked),))
    assert [row.state for row in decided(case)] == [state]


def test_a_build_first_seen_at_its_end_without_any_time_may_be_any_old_one() -> None:
    case = finished(ended(completed_at=None, created_at=None), seen_running=False)
    (row,) = decided(case)
    assert (row.state, row.reason) == ("silent", "it finished before the pipeline was linked here")


def test_a_attempt_that_was_reopened_and_ends_again_is_news() -> None:
    case = finished(before=ended(completed_at=ago(hours=3)), first_seen=False, attempt_no=2)
    (row,) = decided(case)
    assert (row.state, row.attempt_no) == ("pending", 2)


def test_nobody_is_notified_of_a_connection_their_workspace_may_not_see() -> None:
    mine, theirs = followed(), followed(team="T2")
    spies = (watch(team="T2"), watch("", team="T2", user="U3", channel="U3"))
    case = finished(ended(conclusion=RED, author=Person(email="a@b.c")), links=(mine, theirs), watches=spies)
    rows = decided(case, sees=lambda team: team == TEAM)
    assert [(row.team, row.state) for row in rows] == [(TEAM, "pending"), ("T2", "silent"), (TEAM, "pending")]
    assert rows[1].reason == "this workspace may not see the connection any more"


# who broke it


def test_the_author_of_a_newly_broken_build_may_be_notified_once_in_each_workspace() -> None:
    author = Person(name="Ana", email="ana@acme.example")
    links = (followed(), followed(channel="C2"), followed(team="T2"))
    rows = decided(finished(ended(conclusion=RED, author=author), past(), links=links))
    assert [(row.team, row.channel) for row in rows if row.channel == AUTHOR] == [(TEAM, AUTHOR), ("T2", AUTHOR)]
    assert rows[-1].reason == "your commit broke it"


@pytest.mark.parametrize(
    "case",
    [
        finished(ended(conclusion=RED), past()),
        finished(ended(author=Person(email="a@b.c")), past(RED)),
        finished(ended(conclusion=RED, author=Person(email="a@b.c")), past(RED)),
        finished(ended(conclusion=RED, author=Person(email="a@b.c")), links=()),
        finished(ended(conclusion=RED, author=Person(email="a@b.c"), completed_at=ago(hours=1)), past(minutes=90)),
        blocked(running(waiting=True, author=Person(email="a@b.c"))),
    ],
)
def test_no_author_is_notified_of_anything_else(case: Recorded) -> None:
    assert AUTHOR not in [row.channel for row in decided(case)]


@pytest.mark.parametrize(
    ("conclusion", "history", "mention"),
    [(RED, (past(),), AUTHOR), (RED, (), AUTHOR), (GREEN, (), ""), (RED, (past(RED),), ""), (GREEN, (past(RED),), "")],
)
def test_a_notification_names_the_author_of_what_newly_broke(
    conclusion: Conclusion, history: tuple[AttemptRow, ...], mention: str
) -> None:
    (row,) = decided(finished(ended(conclusion=conclusion), *history))
    assert Extra.of(row.extra).mention == mention


# counts that come later


def test_a_filter_that_needs_counts_waits_for_them() -> None:
    wanted = followed(filters="--on worse")
    case = finished(ended(), past(counts=IssueCounts(warnings=1)), links=(wanted, followed(channel="C2")))
    rows = decided(case, can_count=True)
    assert [(row.state, Extra.of(row.extra).undecided) for row in rows] == [("pending", True), ("pending", False)]
    worse = reconsidered(rows[0], wanted, case.build, IssueCounts(warnings=2), started_by="")
    same = reconsidered(rows[0], wanted, case.build, IssueCounts(warnings=1), started_by="")
    assert worse == ""
    assert same == "passed is not among what this channel is notified of (worse on main)"


def test_a_least_delta_is_decided_once_the_counts_are_known() -> None:
    wanted = followed(filters="--on all --min-delta errors:2")
    case = finished(ended(conclusion=RED), past(counts=IssueCounts(errors=1)), links=(wanted,))
    (row,) = decided(case, can_count=True)
    assert row.state == "pending"
    assert reconsidered(row, wanted, case.build, IssueCounts(errors=3), started_by="") == ""
    assert "moved less" in reconsidered(row, wanted, case.build, IssueCounts(errors=2), started_by="")
    assert [one.state for one in decided(case)] == ["silent"]


def test_a_follower_who_waits_for_counts_is_notified_when_they_come() -> None:
    follower = watch("", filters="--on worse")
    (row,) = decided(finished(links=(), watches=(follower,)), can_count=True)
    assert Extra.of(row.extra).undecided


# late news


def late_batch(count: int, **fields: Any) -> list[Recorded]:
    wanted = followed(**fields)
    return [
        finished(ended(f"b{n}", completed_at=ago(minutes=60 - n)), links=(wanted,), before=running(f"b{n}"))
        for n in range(count)
    ]


def test_up_to_five_late_ends_are_posted_one_by_one_and_marked() -> None:
    rows = decided(*late_batch(5))
    assert [(row.build, row.state) for row in rows] == [(f"b{n}", "pending") for n in range(5)]
    assert all(Extra.of(row.extra).late for row in rows)


def test_more_than_five_late_ends_become_one_summary_in_order() -> None:
    rows = decided(*late_batch(7))
    assert [row.state for row in rows] == ["silent"] * 7 + ["pending"]
    assert rows[0].reason == "posted in one summary with 6 others that finished while I was away"
    summary = rows[-1]
    assert (summary.event, summary.channel, summary.build) == ("summary", CHANNEL, "b6")
    assert [build for _connection, _pipeline, build in Extra.of(summary.extra).builds] == [f"b{n}" for n in range(7)]


def test_each_channel_has_its_own_summary_and_fresh_ends_stay_out_of_it() -> None:
    rows = decided(*late_batch(6), *late_batch(2, channel="C2"), finished(ended("new")))
    assert [(row.channel, row.build) for row in rows if row.state == "pending"] == [
        ("C2", "b0"),
        ("C2", "b1"),
        (CHANNEL, "new"),
        (CHANNEL, "b5"),
    ]


def test_what_is_silent_or_held_is_in_no_summary() -> None:
    rows = decided(*late_batch(7, filters="--on failures"))
    assert {row.state for row in rows} == {"silent"}
    assert Event.SUMMARY not in [row.event for row in rows]


@pytest.mark.parametrize(("minutes", "late"), [(10, False), (11, True)])
def test_news_is_late_after_ten_minutes(minutes: int, late: bool) -> None:
    (row,) = decided(finished(ended(completed_at=ago(minutes=minutes))))
    assert Extra.of(row.extra).late is late


def test_without_an_end_the_last_change_says_whether_news_is_late() -> None:
    (row,) = decided(finished(ended(completed_at=None, updated_at=ago(hours=1))))
    assert Extra.of(row.extra).late


def test_late_news_of_several_systems_are_gathered_and_given_time_to_come() -> None:
    late = [row for n in range(6) for row in decided(*late_batch(1, connection=f"c{n}"))]
    rows = [NotificationRow(id=number, **values(row)) for number, row in enumerate(late, 1)]
    assert {row.due_at for row in rows} == {NOW + timedelta(seconds=5)}
    fresh = held("new", id=99, state="pending")
    assert gathered(rows[0], [*rows[1:5], fresh], NOW) is None
    assert gathered(fresh, rows, NOW) is None
    together = gathered(rows[0], [*rows[:0:-1], fresh], NOW)
    assert together is not None
    members, reason, summary = together
    assert members == (1, 2, 3, 4, 5, 6)
    assert reason == "posted in one summary with 5 others that finished while I was away"
    assert summary.reason == "6 builds finished while I was away"


# mutes and quiet hours


@pytest.mark.parametrize(
    ("target", "quiet"),
    [("all", True), ("works:p-app", True), ("app", True), ("App", True), ("other", False), ("", False)],
)
def test_a_mute_hits_its_target(target: str, quiet: bool) -> None:
    mute = NewMute(
        team=TEAM, channel=CHANNEL, target=target, until=NOW + timedelta(minutes=1), made_by="U1", made_at=NOW
    )
    assert bool(muted([mute], followed(), CHANNEL, NOW)) is quiet
    assert muted([mute], followed(), "C2", NOW) is None
    assert muted([mute], followed(), CHANNEL, NOW + timedelta(minutes=1)) is None


def happening(build: Build, change: Change = Change.BROKEN, **fields: Any) -> Happening:
    event = fields.pop("event", Event.FINISHED)
    return Happening(build=build, event=event, transition=Transition(change=change), **fields)


@pytest.mark.parametrize(
    ("exceptions", "what", "quiet"),
    [
        ("broken@main", happening(ended(conclusion=RED)), False),
        ("broken@main", happening(ended(conclusion=RED, branch="wip")), True),
        ("broken@release/*", happening(ended(conclusion=RED)), True),
        ("broken@release/*", happening(ended(conclusion=RED, branch="release/2")), False),
        ("broken", happening(ended(conclusion=RED), Change.STILL_FAILING), True),
        ("fixed,blocked", happening(running(waiting=True), event=Event.BLOCKED), False),
        ("fixed,blocked@release/*", happening(running(waiting=True), event=Event.BLOCKED), True),
        ("failures@main", happening(ended(conclusion=Conclusion.CANCELLED)), True),
        ("", happening(ended(conclusion=RED)), True),
        ("of another version", happening(ended(conclusion=RED)), True),
        ("broken@main", None, True),
    ],
)
def test_quiet_hours_let_their_exceptions_through(exceptions: str, what: Happening | None, quiet: bool) -> None:
    mute = NewMute(
        team=TEAM,
        channel=CHANNEL,
        target="hours",
        hours="00:00-23:59",
        tz="UTC",
        exceptions=exceptions,
        made_by="U1",
        made_at=NOW,
    )
    assert bool(muted([mute], followed(), CHANNEL, NOW, what)) is quiet


@pytest.mark.parametrize(
    ("what", "quiet"),
    [
        (happening(ended(), started_by="U7"), True),
        (happening(ended(), started_by="U8"), False),
        (happening(ended(author=Person(login="Ana-GH"))), True),
        (happening(ended(author=Person(email="ana@acme.example"))), True),
        (happening(ended(triggered_by="ana-gh")), True),
        (happening(ended(author=Person(name="Bo"))), False),
        (None, False),
    ],
)
def test_a_mute_of_a_person_hits_what_they_started_or_wrote(what: Happening | None, quiet: bool) -> None:
    mute = NewMute(
        team=TEAM,
        channel=CHANNEL,
        target="user:U7",
        people="U7\nana-gh\nana@acme.example",
        until=NOW + timedelta(1),
        made_by="U1",
        made_at=NOW,
    )
    assert bool(muted([mute], followed(), CHANNEL, NOW, what)) is quiet


def test_a_broken_build_is_posted_in_quiet_hours_that_let_it_through() -> None:
    mute = NewMute(
        team=TEAM,
        channel=CHANNEL,
        target="hours",
        hours="00:00-23:59",
        tz="UTC",
        exceptions="broken@main",
        made_by="U1",
        made_at=NOW,
    )
    stored = MuteRow(id=1, **values(mute))
    broken = finished(ended(conclusion=RED), past(), links=(followed(),), mutes=(stored,))
    green = finished(ended(), past(), links=(followed(),), mutes=(stored,))
    assert [row.state for row in decided(broken) if row.link] == ["pending"]
    assert [row.state for row in decided(green) if row.link] == ["held"]


def test_more_than_five_ends_within_a_minute_become_one_summary() -> None:
    rows = [held(f"b{n}", id=n, state="pending") for n in range(1, 7)]
    rest = rows[1:]
    assert gathered(rows[0], rest[:4], NOW) is None
    together = gathered(rows[0], rest, NOW)
    assert together is not None
    members, reason, summary = together
    assert members == (1, 2, 3, 4, 5, 6)
    assert reason == "posted in one summary with 5 others that finished within a minute"
    assert [build for _connection, _pipeline, build in Extra.of(summary.extra).builds] == [f"b{n}" for n in range(1, 7)]
    assert Extra.of(summary.extra).storm


@pytest.mark.parametrize(
    "fields",
    [
        {"user": "U1"},
        {"event": Event.BLOCKED},
        {"created_at": NOW - timedelta(minutes=2)},
        {"extra": Extra(undecided=True).as_json()},
        {"thread": "1.1"},
    ],
)
def test_what_is_somebodys_or_of_another_time_is_no_part_of_a_storm(fields: dict[str, Any]) -> None:
    rows = [held(f"b{n}", id=n, state="pending") for n in range(1, 7)]
    other = replace(rows[5], **fields)
    assert gathered(rows[0], [*rows[1:5], other], NOW) is None


def test_without_a_link_only_mutes_of_everything_hit() -> None:
    everything = NewMute(team=TEAM, channel=CHANNEL, until=NOW + timedelta(1), made_by="U1", made_at=NOW)
    one = NewMute(team=TEAM, channel=CHANNEL, target="app", until=NOW + timedelta(1), made_by="U1", made_at=NOW)
    assert muted([everything], None, CHANNEL, NOW)
    assert muted([one], None, CHANNEL, NOW) is None


@pytest.mark.parametrize(
    ("hours", "tz", "at", "quiet"),
    [
        ("22:00-07:00", "UTC", "2026-03-04T21:59", False),
        ("22:00-07:00", "UTC", "2026-03-04T22:00", True),
        ("22:00-07:00", "UTC", "2026-03-04T06:59", True),
        ("22:00-07:00", "UTC", "2026-03-04T07:00", False),
        ("12:00-13:00", "UTC", "2026-03-04T12:30", True),
        ("12:00-13:00", "UTC", "2026-03-04T13:00", False),
        ("22:00-07:00", "Europe/Berlin", "2026-03-04T21:30", True),
        ("22:00-07:00", "Mars/Olympus", "2026-03-04T22:30", True),
        ("22:00-07:00 mon-fri", "UTC", "2026-03-07T03:00", True),  # Friday's night
        ("22:00-07:00 mon-fri", "UTC", "2026-03-08T03:00", False),
        ("22:00-07:00 sat,sun", "UTC", "2026-03-07T23:00", True),
        ("00:00-23:59 fri-mon", "UTC", "2026-03-08T12:00", True),
        ("00:00-23:59 fri-mon", "UTC", "2026-03-04T12:00", False),
    ],
)
def test_quiet_hours(hours: str, tz: str, at: str, quiet: bool) -> None:
    now = datetime.fromisoformat(at).replace(tzinfo=UTC)
    assert in_quiet_hours(hours, tz, now) is quiet
    mute = NewMute(team=TEAM, channel=CHANNEL, target="hours", hours=hours, tz=tz, made_by="U1", made_at=NOW)
    assert muted([mute], None, CHANNEL, now) == (f"quiet hours ({hours} {zone_of(tz).key})" if quiet else None)


@pytest.mark.parametrize("hours", ["22-7", "24:00-07:00", "07:00-07:00", "22:00-07:00 someday", "-", "２2:00-07:00"])
def test_stored_hours_that_are_none_are_never_quiet(hours: str) -> None:
    assert not any(in_quiet_hours(hours, "UTC", NOW + timedelta(hours=hour)) for hour in range(24))


def held(build: str, **fields: Any) -> NotificationRow:
    return notification(
        build, **{"id": next(NUMBERS), "state": "held", "reason": "quiet hours (22:00-07:00)", **fields}
    )


def test_a_single_held_notification_becomes_a_summary_too() -> None:
    one = held("b1")
    done = release([one], NOW)
    assert (done.free, done.silent) == ((), ((one.id, "in the summary of 1 notification: quiet hours (22:00-07:00)"),))
    assert done.summary is not None
    assert done.summary.reason == "1 notification was held back: quiet hours (22:00-07:00)"


def test_what_is_let_go_as_it_is_says_why_it_was_to_be_posted() -> None:
    lasting = held("2026-03-01", pipeline="", event="outage", extra=Extra(posted_because="it is so").as_json())
    assert release([lasting], NOW).free == ((lasting.id, "it is so"),)


def test_several_held_notifications_become_one_summary() -> None:
    rows = [held("b1"), held("b2", event="blocked"), held("b3")]
    done = release(rows, NOW)
    assert done.free == ()
    assert [number for number, _why in done.silent] == [row.id for row in rows]
    assert done.silent[0][1] == "in the summary of 3 notifications: quiet hours (22:00-07:00)"
    assert done.summary is not None
    extra = Extra.of(done.summary.extra)
    assert extra.quiet
    assert [build for *_place, build in extra.builds] == ["b1", "b2", "b3"]
    assert (done.summary.event, done.summary.state, done.summary.due_at) == ("summary", "pending", NOW)


def test_summaries_of_two_nights_are_two_even_about_the_same_build() -> None:
    first = release([held("b0"), held("b1", event="blocked")], NOW).summary
    second = release([held("b2"), held("b1")], NOW).summary
    assert first is not None
    assert second is not None
    assert (first.build, first.attempt_no) != (second.build, second.attempt_no)


def test_an_approval_whose_build_has_ended_since_is_not_in_the_summary() -> None:
    approval, end = held("b1", event="blocked"), held("b1")
    done = release([approval, end], NOW)
    assert done.silent[0] == (approval.id, "the build had ended before the channel was unmuted")
    assert done.summary is not None
    assert [build for *_place, build in Extra.of(done.summary.extra).builds] == [end.build]


def test_an_outage_that_came_and_went_is_not_posted() -> None:
    since = NOW.isoformat()
    went = [held(since, pipeline="", event="outage"), held(since, pipeline="", event="outage-over")]
    lasting = held("2026-03-01", pipeline="", event="outage")
    done = release([*went, lasting, held("b1")], NOW)
    assert [number for number, _why in done.silent][:2] == [row.id for row in went]
    assert [number for number, _why in done.free] == [lasting.id]


# other rows


def test_a_started_build_has_a_card_to_be() -> None:
    row = started_row(
        running(),
        team=TEAM,
        channel=CHANNEL,
        user="U1",
        attempt_no=2,
        headline="<@U1> started it",
        response_url="https://hooks.example/1",
        thread="1.1",
        now=NOW,
    )
    assert (row.event, row.attempt_no, row.user, row.thread, row.state) == ("started", 2, "U1", "1.1", "pending")
    assert Extra.of(row.extra).response_url == "https://hooks.example/1"


def test_an_outage_is_posted_and_held_where_it_is_quiet() -> None:
    told = outage_row(TEAM, "C1", connection=CONNECTION, since=NOW, error="It is down.", over=False, now=NOW)
    quiet = outage_row(TEAM, "C2", connection=CONNECTION, since=NOW, error="", over=True, now=NOW, quiet="quiet hours")
    assert [(row.event, row.state) for row in (told, quiet)] == [("outage", "pending"), ("outage-over", "held")]
    assert Extra.of(told.extra).text == "It is down."
    assert (told.build, told.reason) == (quiet.build, "a connection fails or works again")
    assert quiet.reason == "quiet hours"


def test_what_the_renderer_needs_survives_the_store() -> None:
    extra = Extra(
        transition=Transition(change=Change.FIXED, baseline=IssueCounts(errors=1)),
        builds=(("a", "b", "c"),),
        lines=("x",),
        late=True,
    )
    assert Extra.of(extra.as_json()) == extra
    assert Extra.of("{}") == Extra()


def test_a_watch_row_of_a_pipeline_needs_no_link() -> None:
    follower = NewWatch(
        team=TEAM, channel="U1", user="U1", connection=CONNECTION, pipeline=PIPELINE, created_at=LONG_AGO
    )
    (row,) = decided(finished(ended(status=Status.COMPLETED), links=(), watches=(follower,)))
    assert row.reason == "you follow this pipeline"
