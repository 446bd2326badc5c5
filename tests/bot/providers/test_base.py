"""The helpers that all adapters share."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, ClassVar

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError
from typing_extensions import override

from bot.core.errors import AuthFailed, NotFound, RateLimited, Rejected, Unavailable, UnexpectedResponse, Unsupported
from bot.core.models import (
    Account,
    Build,
    BuildFilter,
    BuildKey,
    Conclusion,
    Job,
    Pipeline,
    StartRequest,
    Status,
    Watched,
)
from bot.http.client import ApiClient
from bot.http.reply import Reply
from bot.providers import PROVIDERS
from bot.providers.base import capabilities, convert
from bot.providers.base.capabilities import OVERRIDES, Capability
from bot.providers.base.convert import StateMap, job_counts, repository, state_from, with_jobs
from bot.providers.base.listing import parse_items
from bot.providers.base.logs import clean_log
from bot.providers.base.options import Options
from bot.providers.base.provider import Provider
from bot.providers.base.times import latest, parse_time
from bot.providers.base.webhooks import same_secret, within_window
from bot.providers.base.wire import Wire
from bot.providers.github_actions import wire as github_wire
from bot.providers.jenkins import wire as jenkins_wire

NOW = datetime(2031, 5, 4, 12, 0, tzinfo=UTC)

STATES: StateMap = {
    "created": (Status.QUEUED, None),
    "success": (Status.COMPLETED, Conclusion.PASSED),
    "ABORTED": (Status.COMPLETED, Conclusion.CANCELLED),
}


def build(number: int, **more: object) -> Build:
    return Build(connection="own", pipeline="p", id=f"b{number}", number=number, **more)  # type: ignore[arg-type]


class Hand(Provider[Options]):
    """A system that knows what it is handed."""

    kind = "hand"
    label = "Hand"
    default_url = "https://hand.example/"
    states = STATES
    options_type = Options
    refusals: ClassVar = {
        Capability.CANCEL: ("Hand cannot stop.", ""),
        Capability.ERASE: ("Hand keeps all.", "Wait a year."),
    }
    known: tuple[Build, ...] = ()
    read = 0

    @override
    async def check(self) -> Account:
        return Account(name="hand")

    @override
    async def pipelines(self, query: str | None = None) -> AsyncIterator[Pipeline]:
        yield await self.pipeline("p")

    @override
    async def pipeline(self, path: str) -> Pipeline:
        return Pipeline(id=path, path=path, name=path)

    @override
    async def builds(self, pipeline: str, wanted: BuildFilter) -> AsyncIterator[Build]:
        for one in [one for one in self.known if one.pipeline == pipeline and wanted.admits(one)][: wanted.limit]:
            self.read += 1
            yield one

    @override
    async def build(self, pipeline: str, build: str) -> Build:
        for one in self.known:
            if one.id == build:
                return one
        raise NotFound("gone", provider=self.label)


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def hand(pauses: list[float]) -> Hand:
    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    api = ApiClient(httpx.AsyncClient(), base_url=Hand.base_url(Options()), provider=Hand.label, clock=lambda: NOW)
    return Hand(api, Options(), connection="own", clock=lambda: NOW, sleep=sleep)


# states


@pytest.mark.parametrize(
    ("raw", "finished", "state"),
    [
        ("created", False, (Status.QUEUED, None)),
        (" Success ", False, (Status.COMPLETED, Conclusion.PASSED)),
        ("aborted", True, (Status.COMPLETED, Conclusion.CANCELLED)),
        ("created", True, (Status.QUEUED, None)),
        ("frozen", False, (Status.IN_PROGRESS, None)),
        ("frozen", True, (Status.COMPLETED, None)),
        ("", False, (Status.IN_PROGRESS, None)),
        (None, True, (Status.COMPLETED, None)),
    ],
)
def test_a_vendors_state_is_read_as_ours(
    raw: str | None, finished: bool, state: tuple[Status, Conclusion | None]
) -> None:
    assert state_from(raw, STATES, finished=finished) == state


def test_an_unknown_state_is_logged_once_and_in_part(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convert, "_UNKNOWN", set())
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            state_from("melting", STATES)
            state_from("very" * 100, STATES)
            state_from("", STATES)
    assert [record.__dict__["state"] for record in caplog.records] == ["melting", "very" * 20]


# times


@pytest.mark.parametrize(
    "value",
    [
        "2031-05-04T12:00:00Z",
        "2031-05-04T12:00:00.000Z",
        "2031-05-04T12:00:00.000000000Z",
        "2031-05-04T12:00:00+00:00",
        "2031-05-04T12:00:00.0000000+00:00",
        "2031-05-04T14:00:00+02:00",
        "2031-05-04T14:00:00+0200",
        "2031-05-04T12:00:00",
        "2031-05-04 12:00:00 UTC",
        "2031-05-04 12:00:00.0 UTC",
        "2031-05-04 12:00:00Z",
        " 2031-05-04T12:00:00Z ",
        "20310504T120000Z",
        1935662400,
        1935662400.0,
        1935662400000,
    ],
)
def test_times_are_read_in_every_form_vendors_send(value: str | float) -> None:
    assert parse_time(value) == NOW
    assert (parse_time(value) or NOW).utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "soon",
        "0001-01-01T00:00:00",
        "0001-01-01T00:00:00+05:00",
        "9999-12-31T23:59:59-05:00",
        "2031-13-01",
        float("nan"),
        float("inf"),
        1e300,
        -1e300,
        -5,
    ],
)
def test_what_is_no_time_is_none(value: str | float | None) -> None:
    assert parse_time(value) is None


@given(st.text(max_size=40) | st.floats() | st.integers() | st.none())
def test_any_stamp_is_an_aware_time_or_none(value: str | float | None) -> None:
    read = parse_time(value)
    assert read is None or (read.utcoffset() == timedelta(0) and read.year >= 1970)


@given(st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1)), st.integers(-840, 840))  # noqa: DTZ001 - zones follow
def test_a_time_in_any_zone_is_the_same_instant(naive: datetime, minutes: int) -> None:
    zoned = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    if zoned.astimezone(UTC).year >= 1970:
        assert parse_time(zoned.isoformat()) == zoned


def test_the_latest_known_time_counts() -> None:
    assert latest(None, NOW, NOW - timedelta(days=1)) == NOW
    assert latest(None) is None
    assert latest() is None


# webhooks


def test_secrets_are_equal_or_not() -> None:
    assert same_secret("hush", "hush")
    assert not same_secret("hush", "hush ")
    assert not same_secret("", "hush")
    assert same_secret("häsch", "häsch")


@pytest.mark.parametrize(
    ("timestamp", "is_fresh"),
    [
        (NOW.timestamp(), True),
        (str(int(NOW.timestamp()) - 300), True),
        (str(int(NOW.timestamp()) + 300), True),
        (str(int(NOW.timestamp()) - 301), False),
        (str(int(NOW.timestamp()) + 301), False),
        (str(int(NOW.timestamp()) * 1000), False),
        ("nan", False),
        ("inf", False),
        ("yesterday", False),
        ("", False),
        (0, False),
        (None, False),
    ],
)
def test_a_webhook_is_fresh_for_five_minutes_either_way(timestamp: str | float | None, is_fresh: bool) -> None:
    assert within_window(timestamp, NOW) is is_fresh


def test_a_path_secret_must_fit_and_must_be_set(hand: Hand) -> None:
    with pytest.raises(AuthFailed, match="No webhook secret is set for own"):
        hand.check_path_secret("x")
    hand.options = Options(webhook_secret=SecretStr("hush"))
    hand.check_path_secret("hush")
    for other in (None, "", "Hush"):
        with pytest.raises(AuthFailed, match="does not fit"):
            hand.check_path_secret(other)
    hand.options = Options(webhook_secret=SecretStr(""))
    with pytest.raises(AuthFailed, match="No webhook secret"):
        hand.check_path_secret("")


# logs


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("plain\nlines\n", "plain\nlines\n"),
        ("\x1b[31mred\x1b[0m and \x1b[1;38;5;12mblue\x1b[m", "red and blue"),
        ("\x1b[2K\x1b[1Gline", "line"),
        ("\x1b]8;;https://x.example\x07link\x1b]8;;\x07", "link"),
        ("\x1b]0;title\x1b\\text", "text"),
        ("\x1b_bk;t=1700000000000\x07step", "step"),
        ("10%\r50%\r100%\ndone", "100%\ndone"),
        ("one\r\ntwo\r\n", "one\ntwo\n"),
        ("kept\r\nand kept\r", "kept\nand kept"),
        ("tab\tstays, bell\x07 and nul\x00 go\x7f", "tab\tstays, bell and nul go"),
        ("", ""),
    ],
)
def test_a_log_loses_its_colours_and_overwritten_lines(raw: str, clean: str) -> None:
    assert clean_log(raw) == clean
    assert clean_log(raw.encode()) == clean


@given(st.binary(max_size=200))
def test_any_bytes_become_a_log_without_control_characters(data: bytes) -> None:
    text = clean_log(data)
    assert all(c in "\n\t" or c >= " " for c in text if c < "\x80")
    assert "\x7f" not in text


# jobs


def test_jobs_are_counted_by_how_they_stand_without_superseded_ones() -> None:
    def job(status: Status, conclusion: Conclusion | None = None, *, retried: bool = False) -> Job:
        return Job(id="1", build="b1", pipeline="p", name="x", status=status, conclusion=conclusion, retried=retried)

    jobs = [
        job(Status.COMPLETED, Conclusion.PASSED),
        job(Status.COMPLETED, Conclusion.PASSED),
        job(Status.COMPLETED, Conclusion.FAILED),
        job(Status.COMPLETED, Conclusion.FAILED, retried=True),
        job(Status.IN_PROGRESS),
        job(Status.COMPLETED),
    ]
    assert job_counts(jobs) == {"passed": 2, "failed": 1, "in_progress": 1, "completed": 1}
    assert with_jobs(build(1), jobs).jobs == job_counts(jobs)
    assert job_counts([]) == {}


# wire models


class _Thing(Wire):
    id: int
    name: str = ""
    inner: "_Thing | None" = None


def test_an_object_is_read_from_raw_bytes_or_decoded_json() -> None:
    wanted = _Thing(id=1, inner=_Thing(id=2))
    body = b'{"id":1,"inner":{"id":2,"extra":[]},"more":null}'
    assert _Thing.of(body) == wanted
    assert _Thing.of(msgspec.Raw(body)) == wanted
    assert _Thing.of({"id": 1, "inner": {"id": 2}, "more": None}) == wanted


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (b'{"id":"x"}', r"could not be read \(thing, field `id`\)"),
        (b'{"name":"x"}', r"\(thing, field `id` is missing\)"),
        (b'{"id":1,"inner":{"id":null}}', r"\(thing, field `inner\.id`\)"),
        (b"{", r"\(thing, it is not valid JSON\)"),
        (b"\xff", r"\(thing, it is not valid JSON\)"),
        ({"id": []}, r"\(thing, field `id`\)"),
        (None, r"\(thing, not an object of that kind\)"),
        (7, r"\(thing, not an object of that kind\)"),
        (b'{"id":1,"inner":' * 5000, r"\(thing, nested too deeply\)"),
    ],
)
def test_an_odd_object_is_unexpected_and_names_the_field(payload: object, said: str) -> None:
    with pytest.raises(UnexpectedResponse, match=said):
        _Thing.of(payload)


# options


def test_options_refuse_unknown_names_and_do_not_show_what_was_put_in() -> None:
    assert Options(url=" https://x ").url == "https://x"
    with pytest.raises(ValidationError) as caught:
        Options.model_validate({"tokn": "hush-hush"})
    assert "hush-hush" not in str(caught.value)
    assert Hand.base_url(Options()) == "https://hand.example"
    assert Hand.base_url(Options(url="https://own.example/ci/")) == "https://own.example/ci"


# what the base does by itself


async def test_a_build_is_found_by_its_number_without_reading_past_it(hand: Hand) -> None:
    hand.known = tuple(build(number) for number in range(50, 0, -1))
    assert (await hand.build_by_number("p", 48)).id == "b48"
    assert hand.read == 3
    hand.known = (build(9), build(7))
    with pytest.raises(NotFound, match="no build #8"):
        await hand.build_by_number("p", 8)


async def test_changes_are_the_newest_of_each_watched_pipeline_and_unfinished_stragglers(hand: Hand) -> None:
    hand.known = tuple(build(number) for number in range(40, 0, -1))
    gone = BuildKey(connection="own", pipeline="p", id="b99")
    watched = Watched(pipelines=frozenset({"p", "q"}), unfinished=frozenset({build(3).key, build(39).key, gone}))
    found = await hand.changes("c1", watched)
    assert sorted(one.number or 0 for one in found.builds) == [3, *range(11, 41)]
    assert found.cursor == "c1"
    assert hand.poll_target("p") == ""


async def test_what_is_not_overridden_is_refused_in_words(hand: Hand) -> None:
    thing = build(1)
    job = Job(id="1", build="b1", pipeline="p", name="x")
    asked: list[Callable[[], Awaitable[object]]] = [
        lambda: hand.parameters("p", None),
        lambda: hand.start("p", StartRequest()),
        lambda: hand.rebuild("p", "b1", StartRequest()),
        lambda: hand.retry("p", "b1"),
        lambda: hand.jobs("p", "b1"),
        lambda: hand.log(job),
        lambda: hand.artifacts("p", "b1"),
        lambda: hand.tests("p", "b1"),
        lambda: hand.issues("p", "b1"),
        lambda: hand.counts(thing),
        lambda: hand.approvals("p", "b1"),
    ]
    for ask in asked:
        with pytest.raises(Unsupported, match=r"^Hand can't .+ for me\.$"):
            await ask()
    with pytest.raises(Unsupported, match=r"^Hand cannot stop\.$"):
        await hand.cancel("p", "b1")
    with pytest.raises(Unsupported) as caught:
        await hand.erase("p", "b1")
    assert caught.value.hint == "Wait a year."
    for plain in (lambda: hand.refs("p"), hand.pipeline_admin, lambda: hand.parse_webhook({}, b"")):
        with pytest.raises(Unsupported):
            plain()
    assert hand.parse_url("https://hand.example/p") is None
    assert not hand.can(Capability.START)


def test_a_refusal_reports_where_the_thing_can_be_done(hand: Hand) -> None:
    url = "https://hand.example/p/1"
    assert hand.unsupported(Capability.CANCEL, url).hint == f"Do it on its page: {url}"
    assert hand.unsupported(Capability.ERASE, url).hint == f"Wait a year. {url}"
    assert hand.unsupported(Capability.TESTS).hint is None


@pytest.mark.parametrize("capability", list(Capability))
def test_every_capability_has_its_words_and_its_method(capability: Capability) -> None:
    assert callable(getattr(Provider, OVERRIDES[capability]))
    assert capabilities.ABILITIES[capability]


# once


class Deed:
    """Something done once, and what a look for its effect finds in turn."""

    def __init__(self, outcome: object, *looks: object) -> None:
        self.outcome = outcome
        self.looks = list(looks)
        self.acts = self.looked = 0

    async def send(self) -> str:
        self.acts += 1
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return str(self.outcome)

    async def confirm(self) -> str | None:
        self.looked += 1
        found = self.looks.pop(0)
        if isinstance(found, Exception):
            raise found
        return None if found is None else str(found)


UNSURE = Unavailable("no answer", provider="Hand", status=504, acted=True)


async def test_an_act_that_was_answered_is_not_looked_for(hand: Hand, pauses: list[float]) -> None:
    deed = Deed("b7")
    assert await hand.send_once(deed.send, deed.confirm) == "b7"
    assert (deed.acts, deed.looked, pauses) == (1, 0, [])


@pytest.mark.parametrize(
    "refusal", [Rejected("no", provider="Hand"), Unavailable("down", provider="Hand"), NotFound("?", provider="Hand")]
)
async def test_an_act_that_was_refused_is_not_looked_for(hand: Hand, refusal: Exception) -> None:
    deed = Deed(refusal)
    with pytest.raises(type(refusal)):
        await hand.send_once(deed.send, deed.confirm)
    assert (deed.acts, deed.looked) == (1, 0)


async def test_an_act_without_an_answer_is_looked_for_and_never_done_again(hand: Hand, pauses: list[float]) -> None:
    deed = Deed(UNSURE, None, RateLimited("wait", provider="Hand", retry_after=1), "b7")
    assert await hand.send_once(deed.send, deed.confirm) == "b7"
    assert (deed.acts, deed.looked, pauses) == (1, 3, [0.5, 1.5, 3.0, 1.0])


async def test_an_act_whose_effect_is_not_seen_is_reported_as_uncertain(hand: Hand) -> None:
    deed = Deed(UNSURE, None, None, None)
    with pytest.raises(Unavailable, match=r"can't see whether it acted\. I did not try again") as caught:
        await hand.send_once(deed.send, deed.confirm)
    assert (deed.acts, caught.value.status) == (1, 504)
    assert "before you repeat" in (caught.value.hint or "")


# lists and addresses


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("git@github.com:harbor/ferry.git", "harbor/ferry"),
        ("https://github.com/harbor/ferry", "harbor/ferry"),
        ("ssh://git@git.harbor.example:7999/coast/ferry.git", "coast/ferry"),
        ("ferry", "ferry"),
        ("", None),
        (None, None),
    ],
)
def test_repository_is_named_by_owner_and_name(address: str | None, name: str | None) -> None:
    assert repository(address) == name


def test_odd_item_spoils_only_itself_unless_nothing_reads(caplog: pytest.LogCaptureFixture) -> None:
    class Thing(Wire):
        name: str

    good, odd = msgspec.Raw(b'{"name": "quay"}'), msgspec.Raw(b'{"name": 7}')
    assert [it.name for it in parse_items([odd, good], Thing.of)] == ["quay"]
    assert "does not read" in caplog.text
    assert list(parse_items([], Thing.of)) == []
    with pytest.raises(UnexpectedResponse):
        list(parse_items([odd], Thing.of))


def test_a_converter_that_stumbles_over_one_item_spoils_only_that(caplog: pytest.LogCaptureFixture) -> None:
    def number(item: msgspec.Raw) -> int:
        return {"one": 1}[msgspec.json.decode(item, type=str)]

    assert list(parse_items([msgspec.Raw(b'"two"'), msgspec.Raw(b'"one"')], number)) == [1]
    assert "KeyError" in caplog.text or "does not read" in caplog.text
    with pytest.raises(UnexpectedResponse, match="could not be read"):
        list(parse_items([msgspec.Raw(b'"two"')], number))


@pytest.mark.parametrize("odd", [rb'"half \ud83d"', rb'"nul \u0000"', b'"bad \xff"', b'"raw \x01 control"'])
def test_one_odd_text_spoils_neither_its_list_nor_its_item(odd: bytes) -> None:
    class Thing(Wire):
        name: str

    listed = Reply(
        status=200,
        headers=httpx.Headers(),
        content=b'{"values": [{"name": "before"}, {"name": ' + odd + b'}, {"name": "after"}]}',
        url="https://hand.example",
        provider="Hand",
    )
    names = [it.name for it in parse_items(listed.items("values"), Thing.of)]
    assert (names[0], names[2]) == ("before", "after")
    assert names[1].encode()
    assert "\x00" not in names[1]
    assert Thing.of(b'{"name": ' + odd + b"}").name == names[1]
    assert Thing.of({"name": "half \ud83d"}).name == "half \N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("GitHub", "GitHub Actions' answer could not be read (run, field `id`)."),
        ("Jenkins", "Jenkins' answer could not be read (git branch, field `name`)."),
    ],
)
def test_an_unreadable_answer_names_vendor_object_and_field_and_no_class(kind: str, said: str) -> None:
    wire: Any = {"GitHub": github_wire.Run, "Jenkins": jenkins_wire.GitBranch}[kind]
    assert PROVIDERS["github_actions" if kind == "GitHub" else "jenkins"].label  # imported: it tells its name
    payload = b'{"id": [], "name": []}'
    with pytest.raises(UnexpectedResponse) as caught:
        wire.of(payload)
    assert str(caught.value) == said


def test_no_origin_beside_the_root_gets_the_credentials_unless_an_adapter_names_it() -> None:
    assert Hand.credential_origins(Options()) == ()
