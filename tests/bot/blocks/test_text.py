"""Escaping, cutting, links, durations and marks."""

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.blocks import text
from bot.blocks.lines import details_line, first_line
from bot.core.models import Conclusion, Status
from tests.bot.blocks import samples as s

SHY = text.SOFT_HYPHEN


def test_control_characters_are_entities_and_lines_stay() -> None:
    assert text.escape("a & b <!channel>\nz") == "a &amp; b &lt;!channel&gt;\nz"


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("*all* _x_ ~y~", f"{SHY}*{SHY}all{SHY}*{SHY} {SHY}_{SHY}x{SHY}_{SHY} {SHY}~{SHY}y{SHY}~{SHY}"),
        ("fix (*b*)", f"fix ({SHY}*{SHY}b{SHY}*{SHY})"),
        ("**bold**", f"{SHY}*{SHY}*{SHY}bold{SHY}*{SHY}*{SHY}"),
        ("snake_case_name and 2*3", "snake_case_name and 2*3"),
        ("a * b ~ c", "a * b ~ c"),
        ("release/*", f"release/{SHY}*{SHY}"),
        ("> quoted", f"{SHY}&gt; quoted"),
        ("a > b", "a &gt; b"),
        ("one\n>two", f"one\n{SHY}&gt;two"),
        ("`run` it", f"{text.GRAVE}run{text.GRAVE} it"),
    ],
)
def test_marks_in_outside_text_show_and_style_nothing(typed: str, sent: str) -> None:
    assert text.escape(typed) == sent


@given(st.text(alphabet="*_~ ab.>\n`", max_size=40))
def test_marks_are_held_apart_once_and_can_be_read_back(typed: str) -> None:
    sent = text.escape(typed)
    assert sent.replace(SHY, "").replace("&gt;", ">") == typed.replace("`", text.GRAVE)
    assert text.harmless(sent, styles=False) == sent


def test_sentences_of_ours_keep_their_code_and_a_vendors_words_in_them_style_nothing() -> None:
    assert text.harmless("I don't know `a_b_`, *sorry*") == "I don't know `a_b_`, *sorry*"
    assert text.harmless("say `*a*` or *b*", styles=False) == f"say `*a*` or {SHY}*{SHY}b{SHY}*{SHY}"


def test_a_code_span_holds_marks_as_they_are_and_no_backtick() -> None:
    assert text.code("*a* _b_ `c`") == f"`*a* _b_ {text.GRAVE}c{text.GRAVE}`"
    assert text.link("https://x.example", "*a*|b") == f"<https://x.example|{SHY}*{SHY}a{SHY}*{SHY}¦b>"


def test_characters_nobody_sees_and_colours_are_dropped() -> None:
    assert text.escape("pass\u202eed\u200b\x1b[0m") == "passed"
    assert text.safe("expected \x1b[32mtrue\x1b[39m received \x1b[31mfalse") == "expected true received false"


def test_safe_text_is_one_line_without_backticks() -> None:
    assert text.safe(" a\n`b`  <c> ") == f"a {text.GRAVE}b{text.GRAVE} &lt;c&gt;"


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (text.Markup("<!channel> `x`"), "<!channel> `x`"),
        ("<@U07NOOR> and <!channel>", "<@U07NOOR> and &lt;!channel&gt;"),
        ("a &amp; b & c", "a &amp; b &amp; c"),
        ("<https://evil.example|Approve>", "&lt;https://evil.example|Approve&gt;"),
        ("<!date^1^{time}|then>\nline", "<!date^1^{time}|then> line"),
        ("<!here>`run`", "&lt;!here&gt;`run`"),
    ],
)
def test_a_sentence_of_ours_keeps_names_and_moments_and_no_more(given: str, shown: str) -> None:
    assert text.markup(given) == shown


def test_a_long_sentence_is_cut() -> None:
    assert text.markup("word " * 40, 20) == "word word word word…"


@pytest.mark.parametrize(("given", "shown"), [("a`b", f"`a{text.GRAVE}b`"), ("", "`—`"), ("a\nb", "`a b`")])
def test_code_stands_in_one_span(given: str, shown: str) -> None:
    assert text.code(given) == shown


def test_bold_text_has_no_stars_inside() -> None:
    assert text.bold("a*b") == f"*a{text.STAR}b*"
    assert text.bold("") == "*—*"


@pytest.mark.parametrize(
    ("url", "label", "shown"),
    [
        ("https://ci.example/a b|c>d?x=1&y=2", "go", "<https://ci.example/a%20b%7Cc%3Ed?x=1&amp;y=2|go>"),
        ("https://ci.example/", "a|b>", "<https://ci.example/|a¦b&gt;>"),
        ("https://ci.example/", "", "<https://ci.example/|—>"),
        ("javascript:alert(1)", "go", "go"),
        (None, "<go>", "&lt;go&gt;"),
        ("https://ci.example/" + "a" * 3000, "go", "go"),
    ],
)
def test_a_link_goes_to_the_web_or_nowhere(url: str | None, label: str, shown: str) -> None:
    assert text.link(url, label) == shown


@pytest.mark.parametrize(
    ("given", "shown"),
    [("U07AB", "<@U07AB>"), ("W1", "<@W1>"), ("S07", "<!subteam^S07>"), ("<!here>", "&lt;!here&gt;"), ("noor", "noor")],
)
def test_only_ids_are_notified(given: str, shown: str) -> None:
    assert text.mention(given) == shown


@pytest.mark.parametrize(
    ("seconds", "shown", "roughly"),
    [
        (-4, "0 s", "0 s"),
        (40.4, "40 s", "40 s"),
        (60, "1 m 00 s", "1 m"),
        (723, "12 m 03 s", "12 m"),
        (3599.7, "1 h 00 m", "1 h 00 m"),
        (7800, "2 h 10 m", "2 h 10 m"),
        (90061, "1 d 1 h", "1 d 1 h"),
    ],
)
def test_durations_are_spelled(seconds: float, shown: str, roughly: str) -> None:
    assert text.duration(seconds) == shown
    assert text.roughly(seconds) == roughly


def test_a_time_is_shown_in_each_readers_zone() -> None:
    time = datetime(2026, 11, 20, 16, 30, tzinfo=timezone(timedelta(hours=2)))
    assert text.when(time) == "<!date^1795185000^{date_short_pretty} {time}|2026-11-20 14:30 UTC>"


def test_counts_agree_with_their_nouns() -> None:
    assert [text.plural(n, "build") for n in (0, 1, 1200)] == ["0 builds", "1 build", "1,200 builds"]
    assert text.plural(2, "branch", "branches") == "2 branches"
    assert [text.ordinal(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 112)] == [
        "1st",
        "2nd",
        "3rd",
        "4th",
        "11th",
        "12th",
        "13th",
        "21st",
        "112th",
    ]
    assert [text.signed(n) for n in (2, -3)] == ["+2", "\N{MINUS SIGN}3"]


@pytest.mark.parametrize(
    ("given", "limit", "shown"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdefg", 6, "abcde…"),
        ("ab &amp; c", 7, "ab…"),
        ("ab &amp; c d e", 9, "ab &amp;…"),
        ("see <https://ci.example|it> now", 20, "see…"),
        ("see <https://ci.example|it> now then", 30, "see <https://ci.example|it> n…"),
    ],
)
def test_mrkdwn_is_cut_between_its_parts(given: str, limit: int, shown: str) -> None:
    assert text.cut(given, limit) == shown


@given(st.text(alphabet="a &<>", max_size=60), st.integers(8, 40))
def test_a_cut_never_leaves_half_an_entity(raw: str, limit: int) -> None:
    found = text.cut(text.escape(raw), limit)
    assert len(found) <= limit
    assert "&" not in found.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "")


def test_every_state_has_a_mark_of_its_own() -> None:
    marks = [text.mark_of(Status.COMPLETED, conclusion) for conclusion in (*Conclusion, None)]
    marks += [
        text.mark_of(status, None, waiting=waiting)
        for status in (Status.QUEUED, Status.IN_PROGRESS)
        for waiting in (False, True)
    ][:3]
    assert len({mark.word for mark in marks}) == len(marks)
    assert len({mark.shape for mark in marks}) == len(marks)


def test_a_cancelled_build_is_never_red_and_a_waiting_one_never_green() -> None:
    assert text.mark_of(Status.COMPLETED, Conclusion.CANCELLED).colour == text.GREY
    assert text.mark_of(Status.COMPLETED, None, waiting=True).word == "Waiting for approval"
    assert text.mark_of(Status.COMPLETED, Conclusion.FAILED, waiting=True).word == "Failed"


def test_new_warnings_show_on_green_builds_alone() -> None:
    assert text.mark(s.passed(), new_warnings=1).word == "Passed, +1 warning"
    assert text.mark(s.passed()).word == "Passed"
    assert text.mark(s.build(), new_warnings=1).word == "Failed"


def test_a_pull_requests_card_names_its_number_and_both_branches() -> None:
    pulled = s.build(pull_request="7", branch="dark", target_branch="main")
    assert "#7 `dark` → `main`" in first_line(pulled, label="Nightly", mark=text.mark(pulled))
    assert first_line(s.build(), label="Nightly", mark=text.mark(s.build())).endswith("`main`")


def test_what_else_a_system_reports_of_a_build_is_one_line() -> None:
    assert details_line(s.build(details={"TestFlight": "build 42 (2.1.0), processing"})) == (
        "TestFlight: build 42 (2.1.0), processing"
    )
    assert details_line(s.build()) == ""
