"""Block Kit's limits, and the parts messages are made of."""

from typing import Any

import pytest

from bot.blocks import message as m
from tests.bot.blocks.checks import check


def lines(count: int) -> tuple[dict[str, Any], ...]:
    return tuple(m.section(f"line {n}") for n in range(count))


def test_a_payload_always_holds_all_three_so_that_an_edit_replaces_everything() -> None:
    assert m.Message(text="done").payload() == {"text": "done", "blocks": [], "attachments": []}


def test_attached_blocks_stand_beside_the_colour() -> None:
    payload = m.Message(text="x", attached=(m.section("a"),), colour="#123456").payload()
    assert payload["attachments"] == [{"fallback": "x", "blocks": [m.section("a")], "color": "#123456"}]
    bare = m.Message(text="x", attached=(m.section("a"),)).payload()
    assert "color" not in bare["attachments"][0]


@pytest.mark.parametrize(
    ("above", "beside"), [(60, 0), (0, 60), (30, 30), (60, 60), (3, 48), (50, 0), (1, 49), (5, 50)]
)
def test_a_message_never_has_more_than_fifty_blocks_and_says_what_it_leaves_out(above: int, beside: int) -> None:
    row = m.actions(m.button("More", "list"))
    attached = (*lines(beside - 1), row) if beside else ()
    payload = m.Message(text="x", blocks=lines(above), attached=attached).payload()
    check(payload)
    held = [*payload["blocks"], *(block for one in payload["attachments"] for block in one["blocks"])]
    left = sum(int(block["elements"][0]["text"].split()[1]) - 1 for block in held if block["type"] == "context")
    assert len(held) + left == above + beside
    assert (row in held) == bool(beside)


def test_long_texts_are_cut() -> None:
    payload = m.Message(
        text="&amp;" * 2000,
        blocks=(
            m.section("&lt;" * 2000, fields=["f" * 3000] * 12),
            m.header("h" * 200),
            m.context(*["c" * 4000] * 12),
            m.divider(),
            m.actions(m.button("b" * 100, "status"), m.menu([("o" * 100, "status")])),
            m.preformatted("p" * 4000),
        ),
    ).payload()
    check(payload)
    assert payload["blocks"][1]["text"]["text"].endswith("…")


def test_empty_texts_are_filled() -> None:
    check(m.Message(text="", blocks=(m.section(""), m.header(" "), m.context(""), m.preformatted(""))).payload())


def test_repeated_action_ids_are_distinguished() -> None:
    row = m.actions(
        m.button("A", "run a"),
        m.button("B", "run b"),
        m.link_button("O", "https://ci.example/"),
        m.button("C", "run c"),
    )
    assert [element["action_id"] for element in row["elements"]] == [
        "build.run",
        "build.run:2",
        "build.open",
        "build.run:3",
    ]


def test_what_nobody_could_press_is_left_out() -> None:
    row = m.actions(
        m.button("long", "run " + "x" * 2000),
        m.button("empty", ""),
        m.link_button("nowhere", None),
        m.link_button("script", "javascript:1"),
        m.menu([("long", "x" * 151), ("none", "")]),
    )
    assert row["elements"] == []
    assert m.Message(text="x", blocks=(row,)).payload()["blocks"] == []
    assert "accessory" not in m.section("x", accessory=m.menu([]))
    assert "accessory" in m.section("x", accessory=m.menu([("a", "status")]))
    picture = {"type": "image", "image_url": "https://ci.example/a.png", "alt_text": "a graph"}
    assert m.section("x", accessory=picture)["accessory"] == picture


def test_a_row_has_at_most_25_elements_and_a_menu_five() -> None:
    assert len(m.actions(*(m.button(str(n), f"run {n}") for n in range(40)))["elements"]) == 25
    assert len(m.menu([(str(n), f"run {n}") for n in range(9)])["options"]) == 5
    assert len(m.picker([(str(n), f"run {n}") for n in range(120)], "Pick")["options"]) == 100


def test_a_button_carries_what_one_could_type() -> None:
    sure = m.confirm("Erase?", "It cannot be undone.", "Erase")
    assert m.button("Erase", "erase a#1", style="danger", confirm=sure, url="https://ci.example/") == {
        "type": "button",
        "text": {"type": "plain_text", "text": "Erase", "emoji": False},
        "action_id": "build.erase",
        "value": "erase a#1",
        "style": "danger",
        "confirm": sure,
        "url": "https://ci.example/",
    }
    check(m.Message(text="x", blocks=(m.actions(m.button("Erase", "erase a#1", confirm=sure)),)).payload())


def test_lines_are_packed_into_sections() -> None:
    packed = m.sections(["a" * 1400, "b" * 1400, "c" * 1400, "d" * 5000])
    assert [len(block["text"]["text"]) for block in packed] == [2801, 1400, 3000]
    assert m.sections([]) == ()


def form() -> tuple[dict[str, Any], ...]:
    options = [("Main", "main"), ("Release", "release"), ("Long", "x" * 200)]
    return (
        m.input_block(
            "Text", m.text_field(initial="a" * 4000, placeholder="type", multiline=True), name="text", hint="h"
        ),
        m.input_block("Bare", m.text_field(), name="bare", optional=True),
        m.input_block("Number", m.number_field(initial="3", decimal=False), name="number"),
        m.input_block("Bare number", m.number_field(), name="bare_number"),
        m.input_block("Branch", m.select(options, initial="main", placeholder="pick"), name="branch", dispatch=True),
        m.input_block("Other", m.select(options, initial="none"), name="other"),
        m.input_block("Several", m.multi_select(options, initial=["release"]), name="several"),
        m.input_block("None", m.multi_select(options), name="none"),
        m.input_block(
            "Search", m.external_select(initial=("Main", "main"), placeholder="find", after=1), name="search"
        ),
        m.input_block("Search more", m.external_select(), name="search_more"),
        m.input_block("Ticks", m.checkboxes(options, initial=["main"]), name="ticks"),
        m.input_block("No ticks", m.checkboxes(options), name="no_ticks"),
        m.input_block("One", m.radios(options, initial="main"), name="one"),
        m.input_block("No one", m.radios(options), name="no_one"),
    )


def test_a_form_is_a_modal_slack_takes() -> None:
    view = m.View(
        title="Start a build of something long",
        blocks=form(),
        callback_id="run",
        submit="Start",
        private_metadata="key",
        notify_on_close=True,
        external_id="one",
    ).payload()
    check(view)
    assert view["title"]["text"] == "Start a build of someth…"
    assert view["submit"]["text"] == "Start"
    assert view["notify_on_close"] is True
    assert (view["callback_id"], view["private_metadata"], view["external_id"]) == ("run", "key", "one")
    assert {block["block_id"] for block in view["blocks"]} == {
        block["element"]["action_id"] for block in view["blocks"]
    }


def test_a_modal_without_a_form_has_nothing_to_submit() -> None:
    view = m.View(title="Wait", blocks=(m.section("Loading…"),)).payload()
    check(view)
    assert "submit" not in view
    assert "callback_id" not in view


def test_app_home_has_neither_title_nor_buttons_of_its_own_and_at_most_a_hundred_blocks() -> None:
    view = m.View(title="Home", blocks=lines(140), kind="home").payload()
    check(view)
    assert set(view) == {"type", "blocks"}
    assert view["blocks"][-1]["elements"][0]["text"] == "… 41 more"


def test_suggestions_are_what_a_search_answers() -> None:
    assert m.suggestions([("Main", "main"), ("Long", "x" * 151)]) == {
        "options": [{"text": {"type": "plain_text", "text": "Main", "emoji": False}, "value": "main"}]
    }
