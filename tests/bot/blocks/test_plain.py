"""Messages as a terminal shows them."""

import pytest

from bot.blocks import message as m
from bot.blocks.plain import as_text, mrkdwn, plainly


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("*Bold* and _soft_ `co*de*` 2*3*4 a_b_c", "Bold and soft co*de* 2*3*4 a_b_c"),
        ("<https://ci.example/?a=1&amp;b=2|the build>", "the build (https://ci.example/?a=1&b=2)"),
        ("<https://ci.example/>", "https://ci.example/"),
        ("<https://ci.example/|https://ci.example/>", "https://ci.example/"),
        ("<@U07NOOR> <@U1|noor> <#C1|ios> <#C1>", "@U07NOOR @noor #ios #C1"),
        ("<!subteam^S07> <!date^1^{time}|then>", "@S07 then"),
        ("a &amp; b &lt;c&gt; `&lt;x&gt;`", "a & b <c> <x>"),
        ("```\n*as it stands*\n```", "\n*as it stands*\n"),
    ],
)
def test_mrkdwn_reads_as_plain_words(given: str, shown: str) -> None:
    assert mrkdwn(given) == shown


def test_every_part_is_drawn() -> None:
    message = m.Message(
        text="unused",
        blocks=(
            m.header("Title"),
            m.divider(),
            m.section("line", accessory=m.menu([("Logs", "logs a#1")]), fields=["one", "two"]),
            m.preformatted("raw *text*"),
            m.context("small", "print"),
        ),
        attached=(m.actions(m.button("Run…", "run a"), m.link_button("Open", "https://ci.example/")),),
    )
    assert as_text(message.payload(), command="/ci").splitlines() == [
        "== Title ==",
        "-" * 20,
        "line",
        "one",
        "two",
        "[Logs: /ci logs a#1]",
        "raw *text*",
        "small · print",
        "[Run…: /ci run a] [Open: https://ci.example/]",
    ]


def test_a_message_without_blocks_is_its_text() -> None:
    assert as_text(m.Message(text="*done* &amp; dusted").payload()) == "done & dusted"


def test_a_form_shows_its_fields() -> None:
    view = m.View(
        title="Start",
        blocks=(
            m.input_block("Branch", m.select([("main", "main"), ("next", "next")]), name="branch"),
            m.input_block("Note", m.text_field(initial="hello"), name="note"),
            m.input_block("Tag", m.text_field(), name="tag"),
            {"type": "image", "image_url": "https://ci.example/a.png", "alt_text": "a"},
        ),
        submit="Start",
    )
    assert as_text(view.payload()).splitlines() == [
        "Start",
        "Branch: main / next",
        "Note: (hello)",
        "Tag: (…)",
        "(image)",
    ]


def test_plainly_keeps_everything_in_words_and_pings_nobody_new() -> None:
    message = m.Message(
        text="Failed",
        blocks=(m.section("*FAILED* <https://ci.example/|web #3> by <@U0ANAVIDAL> &lt;!channel&gt;"),),
        attached=(m.actions(m.button("Logs", "logs web#3")),),
        colour="#C4314B",
    )
    payload = plainly(message, command="/ci").payload()
    assert payload["blocks"] == []
    assert payload["attachments"] == []
    assert (
        payload["text"]
        == "FAILED web #3 (https://ci.example/) by <@U0ANAVIDAL> &lt;!channel&gt;\n[Logs: /ci logs web#3]"
    )
