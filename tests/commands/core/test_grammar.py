"""What people type, and what Slack and their phones make of it, reads as they meant it."""

import contextlib
import shlex
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.errors import UsageError
from bot.core.models import Ref, RefKind, spoken
from commands.core.durations import parse_duration
from commands.core.grammar import (
    ParsedArgs,
    Target,
    clean,
    mentioned_channel,
    mentioned_group,
    mentioned_user,
    parse_target,
    plain,
    read,
    split,
)

TYPED = st.text(
    alphabet=st.one_of(st.sampled_from("<>@#!|&;:=-—–\"'“”‘’\\ \t\n\u00a0\u200b/.,²٣abcU1C9"), st.characters()),
    max_size=60,
)


@pytest.mark.parametrize(
    ("sent", "typed"),
    [
        ("run web --message “try again”", 'run web --message "try again"'),
        ("run web --message ‘try again’", "run web --message 'try again'"),
        ("approve --comment «now»", 'approve --comment "now"'),
        ("run web —dry-run", "run web --dry-run"),
        ("run web –watch", "run web --watch"),
        ("run web — KEY=1", "run web -- KEY=1"),
        ("a — b", "a — b"),
        ("run\u00a0web\u202f@main", "run web @main"),
        ("run web\u200b@main\ufeff", "run web@main"),
        ("run web A=1 &amp;&amp; B=2", "run web A=1 && B=2"),
        ("run web A=&amp;lt;", "run web A=&lt;"),
        ("run web A=&lt;x&gt;", "run web A=<x>"),
        ("link <https://ci.example/app/1>", "link https://ci.example/app/1"),
        ("link <https://ci.example/app?a=1&amp;b=2>", "link https://ci.example/app?a=1&b=2"),
        ("run <http://build.sh|build.sh>", "run build.sh"),
        ("run web URL=<https://build.sh|https://build.sh>", "run web URL=https://build.sh"),
        ("run web URL=<https://x.example/a|read this>", "run web URL=https://x.example/a"),
        ("me email <mailto:ana@acme.example|ana@acme.example>", "me email ana@acme.example"),
        ("run <mailto:nightly@main.io|nightly@main.io>", "run nightly@main.io"),
        ("me email <mailto:ana@acme.example>", "me email ana@acme.example"),
        ("run web N=<tel:+4930123|030 123>", "run web N=030 123"),
        ("mute <@U1>", "mute <@U1>"),
        ("mute <@U1|ana b>", "mute <@U1|ana_b>"),
        ("access grant runner <!subteam^S1|@mobile team>", "access grant runner <!subteam^S1|@mobile_team>"),
        ("access grant runner <#C1|ios>", "access grant runner <#C1|ios>"),
        ("  status  ", "status"),
        ("run web MSG=“say „Hallo“ now”", 'run web MSG="say „Hallo“ now"'),
        ("run web MSG=”closed like this”", 'run web MSG="closed like this"'),
        ("run web MSG=„zwei Worte“", 'run web MSG="zwei Worte"'),
        ('run web MSG=“say "hi" now”', 'run web MSG="say \\"hi\\" now"'),
        ('run web MSG="one — two\u00a0three"', 'run web MSG="one — two\u00a0three"'),
        ("run web MSG=don’t —watch", "run web MSG=don’t --watch"),
        ("run 👩\u200d💻-app", "run 👩\u200d💻-app"),
        ("run web NAME=می\u200cخواهم", "run web NAME=می\u200cخواهم"),
        ("run “web", "run “web"),
    ],
)
def test_what_slack_and_phones_changed_is_undone(sent: str, typed: str) -> None:
    assert clean(sent) == typed


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", []),
        ("a  b\tc\nd", ["a", "b", "c", "d"]),
        ('say "two words"', ["say", "two words"]),
        ("KEY='two words'", ["KEY=two words"]),
        ('web@"my branch"', ["web@my branch"]),
        ("don't stop", ["don't", "stop"]),
        ("it''s", ["it''s"]),
        (r"a\ b \"c", ["a b", '"c']),
        (r"'a\b'", ["a\\b"]),
        ('""', [""]),
        ('"a""b"', ["ab"]),
        ("'it'\"'\"'s'", ["it's"]),
        ('A="1","2"', ["A=1,2"]),
    ],
)
def test_words_are_quoted_as_in_a_shell(line: str, words: list[str]) -> None:
    assert split(line) == words


VALUES = st.text(
    alphabet=st.one_of(
        st.sampled_from("ab c'\"—–-“”„«»‚‘’\u00a0\u202f\u200b\u200c\u200d\u2060👩💻=@#:,\\"),
        st.characters(exclude_characters="<>&", exclude_categories=["Cs"]),
    ),
    max_size=30,
)


@given(VALUES)
def test_a_quoted_value_arrives_as_typed(value: str) -> None:
    line = f"run web MSG={shlex.quote(value)} --reason={shlex.quote(value)}"
    args = read(clean(line), values=("reason",), parameters=True)
    assert args.parameters == {"MSG": value}
    assert args.flag("reason") == value


@given(VALUES.filter(lambda value: not set("“”\\") & set(value)))
def test_a_value_between_a_phones_quotes_arrives_as_typed(value: str) -> None:
    args = read(clean(f"run web MSG=“{value}” —reason=“{value}”"), values=("reason",), parameters=True)
    assert (args.parameters["MSG"], args.flag("reason")) == (value, value)


@given(TYPED)
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    if not set("<>&") & set(text):
        assert clean(clean(text)) == clean(text)


def test_a_backslash_in_quotes_is_a_letter_but_before_a_quote() -> None:
    assert split(r'"a\d+ C:\new \"x\" \\"') == [r'a\d+ C:\new "x" ' + "\\"]


@given(st.text(max_size=40))
def test_what_a_shell_would_quote_is_read_back_as_it_was(word: str) -> None:
    assert split(shlex.quote(word)) == [word]


def test_a_quote_that_is_not_closed_is_reported() -> None:
    with pytest.raises(UsageError, match="not closed"):
        split('run "web')


@given(TYPED)
def test_nothing_that_is_typed_breaks_the_grammar(text: str) -> None:
    cleaned = clean(text)
    with contextlib.suppress(UsageError):
        args = read(cleaned, values=("reason", "n"), switches=("yes",), parameters=True)
        args.target()
        args.number("n", default=1, most=9)
    for word in (cleaned, text):
        with contextlib.suppress(UsageError):
            target = parse_target(word)
            if target.build is not None and target.build.removeprefix("-").isdigit():
                assert int(target.build) < 10**15
        with contextlib.suppress(UsageError):
            parse_duration(word)


REFS = st.one_of(
    st.none(),
    st.builds(Ref, kind=st.just(RefKind.BRANCH), name=st.from_regex(r"[a-z][a-z0-9/._-]{0,12}", fullmatch=True)),
    st.builds(Ref, kind=st.just(RefKind.TAG), name=st.from_regex(r"v[0-9](\.[0-9])?", fullmatch=True)),
    st.builds(Ref, kind=st.just(RefKind.PULL_REQUEST), name=st.integers(1, 999).map(str)),
)
NAMES = st.text(alphabet="abz09 /-_.'\"@#=\\<>&—", min_size=1, max_size=15).filter(lambda name: name.strip() == name)


@given(NAMES, REFS, st.one_of(st.none(), st.integers(1, 10**9)))
def test_a_button_names_what_it_was_made_for(pipeline: str, ref: Ref | None, number: int | None) -> None:
    target = read(spoken("works", pipeline, ref=ref, number=number)).target()
    assert target.pipeline == f"works:{pipeline}"
    assert target.ref == ref
    assert target.build == (None if number is None else str(number))


def branch(name: str) -> Ref:
    return Ref(kind=RefKind.BRANCH, name=name)


@pytest.mark.parametrize(
    ("word", "target"),
    [
        ("web", Target(pipeline="web")),
        ("bk:acme/web", Target(pipeline="bk:acme/web")),
        ("web@main", Target(pipeline="web", ref=branch("main"))),
        ("@release/2.1", Target(ref=branch("release/2.1"))),
        ("web@feat#1#412", Target(pipeline="web", ref=branch("feat#1"), build="412")),
        ("web@tag:v1.4", Target(pipeline="web", ref=Ref(kind=RefKind.TAG, name="v1.4"))),
        ("web@pr:42", Target(pipeline="web", ref=Ref(kind=RefKind.PULL_REQUEST, name="42"))),
        ("@!42", Target(ref=Ref(kind=RefKind.PULL_REQUEST, name="42"))),
        ("@A1B2C3D", Target(ref=Ref(kind=RefKind.COMMIT, name="a1b2c3d"))),
        ("#412", Target(build="412")),
        ("412", Target(build="412")),
        ("-2", Target(build="-2")),
        ("#-1", Target(build="-1")),
        ("web#LAST", Target(pipeline="web", build="last")),
        ("failed", Target(build="failed")),
        ("Mine", Target(scope="mine")),
        ("this", Target(scope="this")),
        ("https://ci.example/app#L3", Target(url="https://ci.example/app#L3")),
        ("web@<@U1|ana>", Target(pipeline="web", ref=branch("@ana"))),
        ("web<#C1|412>", Target(pipeline="web", build="412")),
        ("nightly<@U1|main>", Target(pipeline="nightly", ref=branch("main"))),
        ("nightly<!subteam^S1|@mobile>", Target(pipeline="nightly", ref=branch("mobile"))),
        ("nightly<!channel>", Target(pipeline="nightly", ref=branch("channel"))),
        ("nightly<!here|here>", Target(pipeline="nightly", ref=branch("here"))),
    ],
)
def test_targets_are_read(word: str, target: Target) -> None:
    assert parse_target(word) == target


@pytest.mark.parametrize("word", ["web@", "<@U1>", "web<#C1>", "<!subteam^S1>", f"#{'9' * 40}"])
def test_targets_that_say_nothing_are_refused(word: str) -> None:
    with pytest.raises(UsageError):
        parse_target(word)


def test_an_empty_target_is_known_as_such() -> None:
    assert Target().empty
    assert not Target(scope="mine").empty


def test_long_flags_name_what_signs_cannot() -> None:
    args = read("--pipeline 'a@b#c' --ref tag:v1 --build LAST --id x1 --attempt 2")
    assert args.target() == Target(
        pipeline="a@b#c", ref=Ref(kind=RefKind.TAG, name="v1"), build="last", id="x1", attempt=2
    )
    assert args.flag("attempt") == "2"


@pytest.mark.parametrize("build", ["soon", "²", "9" * 20, "--1", ""])
def test_a_build_flag_takes_a_number_or_a_word(build: str) -> None:
    with pytest.raises(UsageError):
        read(f"--build='{build}'").target()


def test_parameters_repeat_keep_signs_and_may_follow_a_bare_dash_dash() -> None:
    args = read("web A=1 B='x, y=z' C=<@U1|ana> -- -D=4 --E=5", parameters=True)
    assert args.words == ("web",)
    assert args.parameters == {"A": "1", "B": "x, y=z", "C": "<@U1|ana>", "-D": "4", "--E": "5"}
    assert read("https://ci.example/?a=1", parameters=True).words == ("https://ci.example/?a=1",)
    assert read("A=1").words == ("A=1",)


@pytest.mark.parametrize(
    "text",
    ["-- word", "-- =1", "--nope", "--yes=1", "--reason", "--reason --yes", "-n 3"],
)
def test_flags_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        read(text, values=("reason",), switches=("yes",), parameters=True)


def test_flags_are_suggested_and_a_value_may_begin_with_dashes() -> None:
    with pytest.raises(UsageError, match="Did you mean `--reason`"):
        read("--reson x", values=("reason",))
    args = read("--reason=--odd --reason last -n 3", values=("reason", "n"))
    assert args.flags["reason"] == ("--odd", "last")
    assert args.flag("reason") == "last"
    assert args.number("n", default=5, most=9) == 3


def test_numbers_have_a_default_and_a_limit() -> None:
    assert ParsedArgs().number("n", default=5, most=9) == 5
    for bad in ("0", "10", "x", "²", "9" * 5000):
        with pytest.raises(UsageError, match="from 1 to 9"):
            ParsedArgs(flags={"n": (bad,)}).number("n", default=5, most=9)


@pytest.mark.parametrize(
    ("words", "span"),
    [
        ("30m", timedelta(minutes=30)),
        ("2h", timedelta(hours=2)),
        ("1.5 H", timedelta(minutes=90)),
        ("3d", timedelta(days=3)),
        ("1w", timedelta(days=7)),
        ("90s", timedelta(seconds=90)),
    ],
)
def test_spans_of_time_are_read(words: str, span: timedelta) -> None:
    assert parse_duration(words) == span


@pytest.mark.parametrize("words", ["", "2", "h", "0h", "-1h", "²h", "999999999w", f"{'9' * 400}s", "until"])
def test_spans_that_are_none_are_refused(words: str) -> None:
    with pytest.raises(UsageError):
        parse_duration(words)


def test_people_channels_and_groups_are_distinguished() -> None:
    assert mentioned_user("<@U1|ana>") == "U1"
    assert mentioned_user("<#C1|ios>") is None
    assert mentioned_channel("<#C1|>") == "C1"
    assert mentioned_channel("ios") is None
    assert mentioned_group("<!subteam^S1|@mobile>") == "S1"
    assert mentioned_group("<@U1>") is None
    assert plain("nothing <b> here") == "nothing <b> here"
