import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.errors import BotError
from bot.security.vault import Vault, new_key

OLD = ("old", bytes(range(32)))
NEW = ("new", bytes(range(32, 64)))
ABOUT = "acct-7/gitlab/token"

TEXTS = st.text(st.characters(codec="utf-8"), max_size=200)


@given(TEXTS, TEXTS)
def test_what_was_sealed_opens_again(plain: str, about: str) -> None:
    vault = Vault([NEW, OLD])
    sealed = vault.seal(plain, about=about)
    assert vault.open(sealed, about=about) == plain
    assert Vault.key_id_of(sealed) == "new"


@given(st.text("abcdef/", max_size=12), st.text("abcdef/", max_size=12))
def test_a_secret_moved_to_another_place_does_not_open(here: str, there: str) -> None:
    vault = Vault([OLD])
    sealed = vault.seal("glpat-made-up", about=here)
    if here == there:
        assert vault.open(sealed, about=there) == "glpat-made-up"
    else:
        with pytest.raises(BotError, match="does not open"):
            vault.open(sealed, about=there)


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_byte_anywhere_is_noticed(place: int, change: int) -> None:
    vault = Vault([OLD])
    data = bytearray(base64.urlsafe_b64decode(vault.seal("hush", about=ABOUT)))
    data[place % len(data)] ^= change
    with pytest.raises(BotError):
        vault.open(base64.urlsafe_b64encode(bytes(data)).decode(), about=ABOUT)


@given(st.text(max_size=120))
def test_any_text_that_was_never_sealed_is_refused_in_words(text: str) -> None:
    with pytest.raises(BotError):
        Vault([OLD]).open(text, about=ABOUT)


@given(st.binary(max_size=80))
def test_any_bytes_that_were_never_sealed_are_refused_in_words(data: bytes) -> None:
    sealed = base64.urlsafe_b64encode(b"\x01" + data).decode()
    with pytest.raises(BotError):
        Vault([OLD]).open(sealed, about=ABOUT)


def test_the_same_secret_is_never_sealed_into_the_same_text() -> None:
    vault = Vault([OLD])
    assert len({vault.seal("x", about=ABOUT) for _ in range(50)}) == 50


def test_a_sealed_text_is_safe_in_an_address_and_hides_its_secret() -> None:
    sealed = Vault([OLD]).seal("correct horse", about=ABOUT)
    assert set(sealed) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=")
    assert b"horse" not in base64.urlsafe_b64decode(sealed)


def test_the_first_key_seals_and_every_key_opens() -> None:
    before = Vault([OLD]).seal("hush", about=ABOUT)
    ring = Vault([NEW, OLD])
    assert ring.current == "new"
    assert ring.open(before, about=ABOUT) == "hush"
    assert Vault.key_id_of(ring.seal("hush", about=ABOUT)) == "new"


def test_resealing_moves_a_secret_to_the_current_key_so_that_the_old_one_can_go() -> None:
    before = Vault([OLD]).seal("hush", about=ABOUT)
    after = Vault([NEW, OLD]).reseal(before, ABOUT)
    assert Vault([NEW]).open(after, about=ABOUT) == "hush"
    assert Vault([NEW]).reseal(after, ABOUT) == after


def test_resealing_needs_the_place_it_was_sealed_for() -> None:
    before = Vault([OLD]).seal("hush", about=ABOUT)
    with pytest.raises(BotError, match="does not open"):
        Vault([NEW, OLD]).reseal(before, "acct-8/gitlab/token")


def test_an_unknown_key_is_named() -> None:
    sealed = Vault([OLD]).seal("hush", about=ABOUT)
    with pytest.raises(BotError, match="`old`") as caught:
        Vault([NEW]).open(sealed, about=ABOUT)
    assert "`old`" in (caught.value.hint or "")
    assert Vault.key_id_of(sealed) == "old"


def test_another_key_under_the_same_id_does_not_open() -> None:
    sealed = Vault([OLD]).seal("hush", about=ABOUT)
    with pytest.raises(BotError, match="another key is called `old`"):
        Vault([("old", NEW[1])]).open(sealed, about=ABOUT)


def test_without_keys_nothing_is_sealed_and_the_hint_says_how_to_make_one() -> None:
    assert not Vault.empty.can_seal
    assert Vault.empty.current is None
    with pytest.raises(BotError, match="no encryption key") as caught:
        Vault.empty.seal("hush", about=ABOUT)
    assert "buildbell doctor --new-key" in (caught.value.hint or "")
    with pytest.raises(BotError, match="`old`"):
        Vault.empty.open(Vault([OLD]).seal("hush", about=ABOUT), about=ABOUT)


def test_a_secret_of_a_later_format_says_so() -> None:
    with pytest.raises(BotError, match="form I don't know"):
        Vault([OLD]).open(base64.urlsafe_b64encode(b"\x02" + bytes(60)).decode(), about=ABOUT)


def test_new_keys_work_and_differ() -> None:
    one, two = new_key(), new_key("k2")
    assert one.startswith("k1:")
    assert one.partition(":")[2] != two.partition(":")[2]
    vault = Vault.from_text(f" {two} , {one},")
    assert (vault.current, vault.can_seal) == ("k2", True)
    assert Vault.from_text(one).reseal(Vault.from_text(one).seal("a", about="b"), "b")


def test_keys_are_read_in_both_alphabets_of_base64_padded_or_not() -> None:
    key = b"\xfb\xff" * 16
    forms = [base64.b64encode(key), base64.urlsafe_b64encode(key), base64.urlsafe_b64encode(key).rstrip(b"=")]
    sealed = Vault([("k", key)]).seal("hush", about=ABOUT)
    assert {Vault.from_text(f"k:{form.decode()}").open(sealed, about=ABOUT) for form in forms} == {"hush"}


def test_empty_text_is_an_empty_ring() -> None:
    assert not Vault.from_text("").can_seal
    assert not Vault.from_text(" , ").can_seal


SHORT = base64.b64encode(bytes(range(64, 80))).decode()
GOOD = base64.b64encode(bytes(range(64, 96))).decode()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"a:{GOOD},b", "number 2 does not read"),
        (GOOD, "number 1 does not read"),
        (f":{GOOD}", "number 1 does not read"),
        (f"a:{GOOD},b:not!base64", "number 2 is not base64"),
        (f"a:{SHORT}", "`a` has 16 bytes instead of 32"),
        (f"a:{GOOD},a:{GOOD}", "Two encryption keys have the id `a`"),
        (f"a b:{GOOD}", "id of an encryption key"),
    ],
)
def test_a_bad_key_ring_says_what_is_wrong_and_never_shows_a_key(text: str, said: str) -> None:
    with pytest.raises(BotError, match=said) as caught:
        Vault.from_text(text)
    shown = f"{caught.value} {caught.value.hint} {caught.value.__cause__}"
    assert GOOD not in shown
    assert SHORT not in shown
    assert "not!base64" not in shown
