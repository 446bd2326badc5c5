"""The mechanisms that all providers share: addresses, requests sent once, options, what is remembered for a while."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.errors import NotFound, ProviderError, Rejected, Unavailable, UnexpectedResponse, UsageError
from bot.core.models import Build, BuildFilter
from bot.providers.base.memory import ABSENT_FOR, AbsentOperations
from bot.providers.base.options import check_options
from bot.providers.base.send_once import may_have_acted, read_back, send_once
from bot.providers.base.urls import page_below, page_segments, path, web_page
from tests.bot.providers.case import NOW, no_sleep

# addresses


@pytest.mark.parametrize(
    "segment",
    [
        "",
        ".",
        "..",
        " .. ",
        "../../v1/apps/9",
        "a/../b",
        "a//b",
        "/a",
        "a/",
        "a\\b",
        "a\x00b",
        "a\nb",
        "\ud83d",
        "a" * 2001,
    ],
)
def test_segment_that_could_reach_another_route_is_refused(segment: str) -> None:
    with pytest.raises(NotFound, match="is not an id"):
        path("v1", segment)


@pytest.mark.parametrize(
    ("segment", "encoded"),
    [
        ("group/project", "group%2Fproject"),
        ("%2e%2e", "%252e%252e"),
        ("a?x=1", "a%3Fx%3D1"),
        ("a#b", "a%23b"),
        ("...", "..."),
        (".hidden", ".hidden"),
        ("ü", "%C3%BC"),
        ("👩\u200d💻", "%F0%9F%91%A9%E2%80%8D%F0%9F%92%BB"),
    ],
)
def test_segment_is_escaped_whole(segment: str, encoded: str) -> None:
    assert path("v1", segment, 7) == f"v1/{encoded}/7"
    assert web_page("https://ci.example/", segment) == f"https://ci.example/{encoded}"


@given(st.text(max_size=60))
def test_any_text_is_one_segment_or_none(text: str) -> None:
    try:
        built = path("v1", text)
    except NotFound:
        return
    assert built.count("/") == 1
    assert built.isascii()
    assert not set("?#\\ ") & set(built)


@pytest.mark.parametrize(
    ("url", "segments"),
    [
        ("https://ci.example/a/b%20c", ("a", "b c")),
        ("http://CI.example:80/a", ("a",)),
        ("https://own.example:8443/root/a", ("a",)),
        ("https://own.example:8443/rooted/a", None),
        ("https://own.example/root/a", None),
        ("https://ci.example.evil.example/a", None),
        ("https://ci.example@evil.example/a", None),
        ("ftp://ci.example/a", None),
        ("https://[::1", None),
        ("https://ci.example:x/a", None),
        ("", None),
    ],
)
def test_page_is_cut_to_the_part_below_its_home(url: str, segments: tuple[str, ...] | None) -> None:
    page = page_below(url, "https://ci.example", "", "https://own.example:8443/root/")
    assert (page_segments(page) if page else None) == segments


# requests sent once


class Act:
    """A request with a fixed ending, and an effect that is seen at the n-th look (0: never)."""

    def __init__(self, error: ProviderError | None = None, *, seen_at: int = 0) -> None:
        self.error = error
        self.seen_at = seen_at
        self.sent = 0
        self.looks = 0

    async def send(self) -> str:
        self.sent += 1
        if self.error is not None:
            raise self.error
        return "answered"

    async def confirm(self) -> str | None:
        self.looks += 1
        if self.looks == 1:
            raise NotFound("not yet", provider="CI")
        return "seen" if self.looks == self.seen_at else None


def unreadable(status: int | None = None) -> UnexpectedResponse:
    return UnexpectedResponse("odd", provider="CI", status=status)


def silent(*, acted: bool) -> Unavailable:
    return Unavailable("silence", provider="CI", acted=acted)


@pytest.mark.parametrize("error", [silent(acted=True), unreadable(), unreadable(200), unreadable(201)])
async def test_effect_is_looked_for_without_a_usable_answer(error: ProviderError) -> None:
    act = Act(error, seen_at=2)
    assert await send_once(act.send, act.confirm, label="CI", sleep=no_sleep) == "seen"
    assert (act.sent, act.looks) == (1, 2)


@pytest.mark.parametrize("error", [silent(acted=True), unreadable(201)])
async def test_unseen_effect_may_have_happened(error: ProviderError) -> None:
    act = Act(error)
    with pytest.raises(Unavailable, match="can't see whether it acted") as refused:
        await send_once(act.send, act.confirm, label="CI", sleep=no_sleep)
    assert refused.value.acted
    assert (act.sent, act.looks) == (1, 3)


@pytest.mark.parametrize("error", [silent(acted=False), unreadable(302), Rejected("no", provider="CI")])
async def test_refusal_is_not_looked_for(error: ProviderError) -> None:
    assert not may_have_acted(error)
    act = Act(error, seen_at=2)
    with pytest.raises(type(error)):
        await send_once(act.send, act.confirm, label="CI", sleep=no_sleep)
    assert act.looks == 0


async def test_failed_read_after_an_accepted_request_does_not_make_it_fail() -> None:
    async def read() -> str:
        raise NotFound("gone", provider="CI", status=404)

    with pytest.raises(Unavailable, match="took the request") as refused:
        await read_back(read(), label="CI")
    assert refused.value.acted


# options


def test_option_is_known_by_its_name_or_its_prefix() -> None:
    options = {"clean": "afresh", "input.": "and a name"}
    check_options({"clean": "yes", "input.target": "qa"}, options, "CI")
    for name in ("colour", "input.", "input", "clean.x"):
        with pytest.raises(UsageError, match=f"no option `{name}`"):
            check_options({name: "x"}, options, "CI")


# memory


def test_absent_operation_is_asked_again_after_a_while_and_by_itself() -> None:
    now = NOW

    def clock() -> datetime:
        return now

    absent = AbsentOperations(clock)
    absent.add("tests")
    assert "tests" in absent
    assert "jobs" not in absent
    now += ABSENT_FOR - timedelta(seconds=1)
    assert "tests" in absent
    now += timedelta(seconds=1)
    assert "tests" not in absent


def test_builds_are_filtered_by_the_vendors_word_too() -> None:
    build = Build(connection="ci", pipeline="p", id="1", raw_state="Canceled")
    assert BuildFilter(states=frozenset({"canceled"})).admits(build)
    assert not BuildFilter(states=frozenset({"failing"})).admits(build)
