import io
import json
import logging
import re
from collections.abc import Iterator

import pytest

from bot import logs
from bot.core.tracing import traced


@pytest.fixture
def put_back() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level


def drawn(form: str, level: str = "INFO") -> tuple[logging.Logger, io.StringIO]:
    logs.set_up(level, form)
    handler = logging.getLogger().handlers[0]
    assert isinstance(handler, logging.StreamHandler)
    written = io.StringIO()
    handler.setStream(written)
    return logging.getLogger("bot.test"), written


@pytest.mark.parametrize(
    "secret",
    [
        "xoxb-" + "1234-56789ab",
        "xoxe.xoxb-1-" + "Mi0yLTabcdef",
        "xapp-1-" + "A0123-456789",
        "glpat-" + "abc_DEF-1234567890",
        "ghp_" + "abcdef" * 4,
        "github_pat_" + "11AB_cd" * 4,
        "bkua_" + "0123456789" * 2,
        "eyJhbGciOi" + "Je.eyJpc3Mi.c2lnbmF0",
        "ATATT3xFfGF0-" + "abcdefghijklmnop=1",
    ],
)
def test_tokens_are_masked_wherever_they_stand(secret: str) -> None:
    assert re.fullmatch(r"sent \[masked: [^\]]+\], refused", logs.masked(f"sent {secret}, refused"))


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("Authorization: Bearer abc.def", "Authorization: Bearer [masked: credentials]"),
        ("Authorization: Basic dXNlcjpwYXNz", "Authorization: Basic [masked: credentials]"),
        ("postgres://bot:pa55@db/x", "postgres://[masked: credentials]@db/x"),
        ("GET /x?access_token=abc&page=2", "GET /x?access_token=[masked: secret]&page=2"),
        ("GET /x?X-Amz-Signature=abc", "GET /x?X-Amz-Signature=[masked: secret]"),
        ("https://hooks.slack.com/commands/T1/2/abc", "[masked: Slack webhook]"),
        ("-----BEGIN PRIVATE KEY-----\nMII\n-----END PRIVATE KEY-----", "[masked: private key]"),
        ("nothing to hide: eyJ, Bearer, token", "nothing to hide: eyJ, Bearer, token"),
    ],
)
def test_other_secrets_are_masked_by_their_place(line: str, shown: str) -> None:
    assert logs.masked(line) == shown


def test_json_lines_carry_values_and_no_secrets(put_back: None) -> None:
    log, written = drawn("json")
    try:
        int("xoxb-1-hush-hush")
    except ValueError:
        log.exception(
            "a post failed for %s",
            "xoxb-2-hush-hush",
            extra={
                "channel": "C1",
                "tries": 3,
                "seen": ["xapp-1-hush-hush", {"token": "ghp_hush"}],
                "odd": KeyError("glpat-hush-hush-hush-hush"),
            },
        )
    line = json.loads(written.getvalue())
    assert line["event"] == "a post failed for [masked: Slack token]"
    assert (line["level"], line["channel"], line["tries"], line["seen"]) == (
        "error",
        "C1",
        3,
        ["[masked: Slack token]", {"token": "[masked: secret]"}],
    )
    assert line["timestamp"].endswith("Z")
    assert "ValueError: invalid literal" in line["exception"]
    assert "hush" not in written.getvalue()


def test_people_read_lines_with_the_same_care(put_back: None) -> None:
    log, written = drawn("console")
    log.warning("a webhook was refused", extra={"connection": "works", "why": "Authorization: Bearer abcd"})
    assert "a webhook was refused" in written.getvalue()
    assert "works" in written.getvalue()
    assert "abcd" not in written.getvalue()


def test_libraries_are_quiet_unless_it_matters(put_back: None) -> None:
    _log, written = drawn("json", "DEBUG")
    logging.getLogger("slack_bolt").info("a body nobody should log")
    logging.getLogger("httpx").debug("a request")
    assert written.getvalue() == ""
    logging.getLogger("slack_bolt").warning("something is off")
    assert "something is off" in written.getvalue()


def test_a_line_carries_the_id_of_what_it_belongs_to(put_back: None) -> None:
    logger, written = drawn("json")
    with traced("d7"):
        logger.info("inside")
    logger.info("outside")
    inside, outside = (json.loads(line) for line in written.getvalue().splitlines())
    assert inside["trace"] == "d7"
    assert "trace" not in outside
