"""What refusals say in words, and what they never repeat."""

import base64
from collections.abc import Generator

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from bot.core.errors import (
    ProviderError,
    Rejected,
)
from bot.http.errors import message_of
from tests.bot.http.wire import TOKEN, Make, Wire, reply


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"message":"Not  found\\n."}', "Not found"),
        (b'{"error":{"message":"no such ref"}}', "no such ref"),
        (b'{"errors":[{"title":"Bad","detail":"id is wrong"},{"detail":"so is name"}]}', "id is wrong; so is name"),
        (b'{"error":"invalid_grant","error_description":"Token expired"}', "Token expired"),
        (b'{"message":{"base":["Reference not found"]}}', "Reference not found"),
        (b'{"message":{"name":["is too long"]}}', "name is too long"),
        (b'["a","b"]', "a; b"),
        (b'"plain"', "plain"),
        (b"just text\n", "just text"),
        (b'{"error":true,"code":7}', None),
        (b"{}", None),
        (b"", None),
        (b"7", None),
        (b'{"error":' * 40 + b'"deep"' + b"}" * 40, None),
        (b'{"message":"see <a href=\\"/x\\">the page</a> &amp; more"}', "see the page & more"),
        (b'{"message":"expected List<String> got 3 < 4"}', "expected List<String> got 3 < 4"),
        (
            b'{"message":"Validation Failed","errors":[{"resource":"Workflow","code":"missing_field","field":"ref"}]}',
            "Validation Failed: Workflow ref: missing field",
        ),
        (b'{"message":"Validation Failed","errors":[{"message":"No ref found"}]}', "Validation Failed: No ref found"),
        (b'{"message":"Validation Failed","errors":["Unexpected inputs"]}', "Validation Failed: Unexpected inputs"),
        (b'{"message":"No ref found","errors":[{"message":"No ref found"}]}', "No ref found"),
        (b'{"message":{"base":["No stages"],"ref":["is invalid"]}}', "No stages; ref is invalid"),
        (b'{"errors":{"branch":["is unknown"]}}', "branch is unknown"),
        (b'{"fault":{"faultstring":"Quota exceeded"}}', "Quota exceeded"),
        (b'{"messages":["first","second"]}', "first; second"),
        (b'{"detail":[{"loc":["body","ref"],"msg":"field required"}]}', "ref: field required"),
        (
            b'{"errors":[{"status":"409","title":"Conflict","detail":"is taken","source":{"pointer":"/data/attributes/name"}}]}',
            "name: is taken",
        ),
        (
            b'{"error":{"message":"Bad","details":[{"field":"branch","message":"is unknown"}]}}',
            "Bad: branch: is unknown",
        ),
        (b'{"error_type":"not_found","error_message":"repository not found"}', "repository not found"),
        (b'{"message":"half \\ud83d an emoji\\u0000"}', "half \N{REPLACEMENT CHARACTER} an emoji"),
        (b'{"message":"\\u001b[31mred\\u001b[0m"}', "red"),
    ],
)
def test_a_refusals_words_are_found_in_the_shapes_vendors_use(body: bytes, said: str | None) -> None:
    assert message_of(reply(400, body)) == said


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"<!DOCTYPE html><html><title>502</title></html>", "text/plain"),
        (b"Oops <b>no</b>", "text/plain"),
        (b"all fine here", "text/html;charset=utf-8"),
        (b'{"message":"<html><body>secret page</body></html>"}', "application/json"),
        (b'{"message":"&lt;!DOCTYPE html&gt;"}', "application/json"),
    ],
)
def test_a_web_page_is_never_quoted(body: bytes, kind: str) -> None:
    said = message_of(reply(400, body, kind))
    assert said is None or "<" not in said


def test_long_words_are_cut() -> None:
    said = message_of(reply(400, msgspec.json.encode({"message": "x" * 1000})))
    assert said is not None
    assert len(said) == 300
    assert said.endswith("…")


BASIC = base64.b64encode(f"me:{TOKEN}".encode()).decode()


@pytest.mark.parametrize(
    ("header", "value", "echo"),
    [
        ("Authorization", f"Bearer {TOKEN}", f"invalid token {TOKEN}"),
        ("Authorization", f"Bearer {TOKEN}", f"got Bearer {TOKEN}!"),
        ("Authorization", f"Basic {BASIC}", f"bad password {TOKEN} for me"),
        ("Authorization", f"Basic {BASIC}", f"bad header {BASIC}"),
        ("Private-Token", TOKEN, f"<{TOKEN}> is revoked"),
        ("Circle-Token", TOKEN, f"Circle-Token={TOKEN}"),
        ("X-Api-Key", TOKEN, f"key:{TOKEN}"),
    ],
)
async def test_a_token_that_the_vendor_echoes_is_not_repeated(
    api_over: Make, header: str, value: str, echo: str
) -> None:
    class Given(httpx.Auth):
        @override
        def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
            request.headers[header] = value
            yield request

    for status in (400, 401, 403, 404):
        with pytest.raises(ProviderError) as caught:
            await api_over(Wire(httpx.Response(status, json={"message": echo})), auth=Given()).get("a")
        assert TOKEN not in str(caught.value)
        assert BASIC not in str(caught.value)
        assert "[…]" in str(caught.value)


async def test_credentials_in_an_odd_form_are_not_repeated_either(api_over: Make) -> None:
    wire = Wire(httpx.Response(400, json={"message": "what is !!not-base64?"}))
    with pytest.raises(Rejected, match=r"what is \[…\]\?") as caught:
        await api_over(wire, auth=None, headers={"Authorization": "Basic !!not-base64"}).get("a")
    assert "not-base64" not in str(caught.value)


def test_signed_addresses_and_tokens_by_their_look_are_not_repeated() -> None:
    body = {
        "message": "GET https://me:pw@files.example/a.zip?X-Amz-Signature=abc#f failed with eyJhbGciOiJI.eyJzdWIi.x_y"
    }
    assert (
        message_of(reply(400, msgspec.json.encode(body))) == "GET https://files.example/a.zip failed with [masked: JWT]"
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["message", "error", "errors", "detail", "title", "base", "other"]), inner, max_size=4
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_any_json_is_words_or_none(body: object) -> None:
    said = message_of(reply(400, msgspec.json.encode(body)))
    assert said is None or (0 < len(said) <= 300 and "\n" not in said)
