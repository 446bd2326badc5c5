"""Text from outside becomes valid, clean and short, and names compare as people mean them."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core import text
from bot.core.models import Build, Issue, IssueKind, Job, Person

BAD = "\N{REPLACEMENT CHARACTER}"
ANYTHING = st.text(
    alphabet=st.one_of(st.sampled_from("\x1b[]PX^_()\\\x07\x08\r\n\t0;3m\x9b\x9c\x90K"), st.characters()), max_size=80
)


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b[31mred\x1b[0m \x1b[1;38;5;196mbold\x1b[m", "red bold"),
        ("\x9b31mred\x9b0m", "red"),
        ("\x1b[?25l\x1b[2J\x1b[1;1Hhome\x1b[0K", "home"),
        ("\x1b(BERROR:\x1b)0 x\x1b#8\x1b%G", "ERROR: x"),
        ("\x1b7saved\x1b8 \x1b=keys\x1b> \x1bcreset\x1bM", "saved keys reset"),
        ("\x1b]0;a title\x07text", "text"),
        ("\x1b]8;;https://x.example\x1b\\label\x1b]8;;\x1b\\", "label"),
        ("\x9d0;title\x9ctext", "text"),
        ("before \x1b]0;never ended\nafter", "before \nafter"),
        ("a\x1bP1$r0m\x1b\\b\x1bXsos\x1b\\c\x1b^pm\x1b\\d\x1b_apc\x1b\\e", "abcde"),
        ("a\x1bPq\nsixel data\n\x1b\\b", "ab"),
        ("a\x1bPnever ended\nb", "a\nb"),
        ("\x1b[", ""),
        ("cut off \x1b", "cut off "),
        ("10%\b\b\b90%", "90%"),
        ("100%\b\b\b\b9%", "9%"),
        ("N\bN_\bx", "Nx"),
        ("kept\b\b\n", "kept\n"),
        ("|\b/\b-\bdone", "done"),
        (" 1%\r50%\r100%\r\ndone\r\n", "100%\ndone\n"),
        ("a\x00b\x0ec\x7fd\x85e", "abcde"),
        ("tab\tstays", "tab\tstays"),
        ("expected \x1b[32mtrue \x1b[39m received \x1b[31mfalse", "expected true  received false"),
        ("expected [32mtrue[39m received [31mfalse[39m", "expected true received false"),
        ("\u241b[31mred\u241b[0m \\u001b[1mbold\\u001b[22m &#27;[2mdim", "red bold dim"),
        ("took [5m 3s], [main] and array[3m]", "took [5m 3s], [main] and array[3m]"),
        ("half \ud83d and whole \ud83d\ude00", f"half {BAD} and whole 😀"),
    ],
)
def test_terminal_output_reads_as_its_reader_saw_it(raw: str, shown: str) -> None:
    assert text.clean_terminal(raw) == shown


@given(ANYTHING)
def test_nothing_of_a_terminals_language_is_left(raw: str) -> None:
    shown = text.clean_terminal(raw)
    assert not [char for char in shown if (char < " " and char not in "\n\t") or "\x7f" <= char <= "\x9f"]
    assert text.valid(shown) is shown
    assert shown.count("\n") <= raw.count("\n")


@given(
    st.text(
        alphabet=st.characters(
            min_codepoint=32, max_codepoint=0xD7FF, exclude_characters="[\\\u241b", exclude_categories=["Cc"]
        )
    )
)
def test_ordinary_text_is_left_alone(words: str) -> None:
    assert text.clean_terminal(words) is words


def test_bytes_keep_their_eight_bit_controls_for_the_cleaner() -> None:
    assert text.clean_terminal(text.text_of(b"\x9b31mred\x9b0m caf\xc3\xa9 \xff")) == f"red café {BAD}"


@given(st.text(alphabet=st.characters(), max_size=30) | st.text(alphabet="\ud83d\ude00\x00a", max_size=10))
def test_made_valid_any_text_can_be_stored_and_sent(raw: str) -> None:
    sound = text.valid(raw)
    assert msgspec.json.decode(msgspec.json.encode(sound)) == sound
    assert "\x00" not in sound
    assert text.valid(sound) is sound


@pytest.mark.parametrize(
    ("body", "read"),
    [
        (rb'["\ud83d"]', [BAD]),
        (rb'["\uDE00 \ud83d\ude00"]', [f"{BAD} 😀"]),
        (rb'["\\ud83d \\u0000"]', ["\\ud83d \\u0000"]),
        (rb'["a\u0000b"]', ["ab"]),
        (b'["\xff\xfe"]', [BAD * 2]),
        (b'\xef\xbb\xbf["bom"]', ["bom"]),
        (b'["line\nbreak\x1b[0m"]', ["line\nbreak\x1b[0m"]),
        (rb'{"k\ud83d": "v"}', {f"k{BAD}": "v"}),
        (rb'["\u00e9 \n"]', ["é \n"]),
    ],
)
def test_json_with_odd_texts_is_read_all_the_same(body: bytes, read: object) -> None:
    assert text.read_json(body, object) == read


@pytest.mark.parametrize("body", [b"", b"[1, 2", b"{]", b"nul", b"<html>"])
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        text.read_json(body, object)


@given(
    st.recursive(
        st.none() | st.integers(-9, 9) | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_any_json_reads_as_its_valid_self(value: object) -> None:
    body = json.dumps(value).encode()
    assert text.read_json(body, object) == text.valid_tree(value)


def test_what_others_wrote_is_clean_in_every_model() -> None:
    person = Person(name="Mi\x1b[1mka", email="m@x.example\x00")
    assert (person.name, person.email) == ("Mika", "m@x.example")
    build = Build(connection="c", pipeline="p", id="1", message="fix \ud83d\x1b[0m" + "x" * 50_000, branch="a\ud83d")
    assert build.message is not None
    assert build.message.startswith(f"fix {BAD}x")
    assert len(build.message) <= text.MESSAGE_CHARACTERS
    assert build.branch == f"a{BAD}"
    issue = Issue(kind=IssueKind.ERROR, message="\x1b[31mreceived\x1b[39m", job=":jest: Unit tests")
    assert (issue.message, issue.job) == ("received", "Unit tests")
    assert Job(id="1", build="1", pipeline="p", name=":rocket: Deploy").name == "🚀 Deploy"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (":jest: Unit tests", "Unit tests"),
        (":rocket: Deploy :whale:", "🚀 Deploy 🐳"),
        (":pipeline: :docker:", "pipeline docker"),
        ("std::vector::push", "std::vector::push"),
        ("12:30:45", "12:30:45"),
        ("a:b:c", "a:b:c"),
        ("ratio :12: of", "ratio :12: of"),
        ("Deploy: web", "Deploy: web"),
        ("", ""),
    ],
)
def test_emoji_short_codes_are_drawn_or_left_out(name: str, shown: str) -> None:
    assert text.without_short_codes(name) == shown


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Pru\u0308fung", "PRÜFUNG"),
        ("straße", "STRASSE"),
        ("web", "WEB"),
        ("Ǆ", "ǆ"),
        ("ﬁx", "FIX"),
        ("\u1e9b\u0323", "\u1e69"),
    ],
)
def test_names_compare_composed_and_folded(one: str, other: str) -> None:
    assert text.same_name(one, other)
    assert text.holds_name(f"a {other} b", one)
    assert text.among_names(one, (None, "x", other))
    assert text.fits_glob(f"{other}-1", f"{one}-*")


def test_other_names_are_others_and_no_name_is_like_none() -> None:
    assert not text.same_name("web", "web2")
    assert not text.same_name("", "")
    assert not text.same_name(None, "web")
    assert not text.among_names("", ("", None))
    assert not text.holds_name(None, "web")
    assert not text.fits_glob("Main", "main", case=True)
    assert text.fits_glob("Pru\u0308fung", "Prü*", case=True)


@given(st.text(max_size=20))
def test_folding_twice_is_folding_once(name: str) -> None:
    assert text.folded(text.folded(name)) == text.folded(name)
    assert text.same_name(name, name.upper()) == bool(name) or text.folded(name.upper()) != text.folded(name)
