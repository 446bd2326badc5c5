"""The tools of the adapters' tests are themselves able to fail."""

import socket
from typing import Any

import httpx
import pytest

from tests.bot.providers import specs
from tests.bot.providers.gnaw import gnawed
from tests.bot.providers.replay import Asked, Exchange, Replay, as_json
from tests.bot.providers.specs import ABSENT, FOLDER, Specs, fits

ORIGIN = "https://ci.example/api"
WITH_SPECS = pytest.mark.skipif(not FOLDER.exists(), reason=ABSENT)
BUILDKITE = Specs(kind="buildkite")
BUILDS = "https://api.buildkite.com/v2/organizations/o/pipelines/p/builds"


def one(**asked: Any) -> Exchange:
    return Exchange(request=Asked(**{"path": "/api/x", **asked}), body={"ok": True})


async def ask(
    replay: Replay, method: str = "GET", url: str = "https://ci.example/api/x", **more: Any
) -> httpx.Response:
    async with httpx.AsyncClient(transport=replay, trust_env=False) as client:
        return await client.request(method, url, **more)


# replay


async def test_replay_answers_what_is_written_once() -> None:
    replay = Replay([one(query={"a": ["1", "2"]})], ORIGIN)
    assert (await ask(replay, url="https://ci.example/api/x?a=2&a=1")).json() == {"ok": True}
    replay.finish()
    with pytest.raises(AssertionError, match="not written"):
        await ask(replay, url="https://ci.example/api/x?a=2&a=1")
    with pytest.raises(AssertionError, match="not written"):
        replay.finish()


@pytest.mark.parametrize(
    ("exchange", "asked"),
    [
        (one(), {"url": "https://ci.example/api/y"}),
        (one(), {"url": "https://elsewhere.example/api/x"}),
        (one(), {"url": "https://ci.example/api/x?page=2"}),
        (one(path="/api/a%2Fb"), {"url": "https://ci.example/api/a/b"}),
        (one(), {"method": "DELETE"}),
        (one(), {"json": {}}),
        (one(json={"a": 1}), {}),
        (one(json={"a": 1}), {"json": {"a": 2}}),
        (one(form={"a": "1"}), {"data": {"a": "2"}}),
        (one(text="hello"), {"content": b"hallo"}),
        (one(headers={"Range": "bytes=-9"}), {"headers": {"Range": "bytes=-8"}}),
    ],
)
async def test_replay_refuses_what_is_not_written(exchange: Exchange, asked: dict[str, Any]) -> None:
    with pytest.raises(AssertionError, match="not written"):
        await ask(Replay([exchange], ORIGIN), **asked)


def test_replay_minds_what_was_never_asked() -> None:
    with pytest.raises(AssertionError, match="never asked"):
        Replay([one()], ORIGIN).finish()


async def test_replay_minds_secrets_in_addresses_and_abroad() -> None:
    with pytest.raises(AssertionError, match="secret in the address"):
        await ask(
            Replay([one(query={"t": "s3 cret"})], ORIGIN, ("s3 cret",)), url="https://ci.example/api/x?t=s3%20cret"
        )
    abroad = one(path="https://store.example/x")
    with pytest.raises(AssertionError, match="another host"):
        await ask(
            Replay([abroad], ORIGIN, ("s3cret",)),
            url="https://store.example/x",
            headers={"Authorization": "Bearer s3cret"},
        )


async def test_replay_plays_faults() -> None:
    with pytest.raises(httpx.ReadTimeout):
        await ask(Replay([Exchange(request=Asked(path="/api/x"), fault="timeout")], ORIGIN))


def test_unknown_members_are_left_out_of_expected_json() -> None:
    assert as_json({"a": None, "b": {"c": None}, "d": [{"e": None, "f": 0}], "g": False}) == {
        "d": [{"f": 0}],
        "g": False,
    }
    assert as_json(b"\xff") == {"bytes": "\ufffd"}


# gnaw


def test_every_member_is_gnawed_in_turn() -> None:
    done = dict(gnawed({"id": 7, "user": {"name": "a"}, "tags": ["x", "y"]}))
    assert done["$.id is missing"] == {"user": {"name": "a"}, "tags": ["x", "y"]}
    assert done["$.user.name is NoneType None"] == {"id": 7, "user": {"name": None}, "tags": ["x", "y"]}
    assert done["$.tags[0] is int 7"] == {"id": 7, "user": {"name": "a"}, "tags": [7, "y"]}
    assert done["$ is list []"] == []
    assert not [said for said in done if "[1]" in said]


# specs


def get(url: str) -> list[str]:
    return BUILDKITE.faults_of(httpx.Request("GET", url))


@WITH_SPECS
def test_described_request_has_no_faults() -> None:
    assert get(f"{BUILDS}?state[]=failed&state[]=running&per_page=100&exclude_jobs=true") == []
    post = httpx.Request("POST", BUILDS, json={"commit": "HEAD", "branch": "main", "env": {"A": "1"}})
    assert BUILDKITE.faults_of(post) == []


@WITH_SPECS
@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (httpx.Request("GET", "https://api.buildkite.com/v3/builds"), "no GET /v3/builds"),
        (httpx.Request("DELETE", BUILDS), "no DELETE"),
        (httpx.Request("GET", f"{BUILDS}?colour=red"), "colour is not declared"),
        (httpx.Request("GET", f"{BUILDS}?per_page=many"), "per_page"),
        (httpx.Request("GET", f"{BUILDS}?per_page=101"), "per_page"),
        (httpx.Request("GET", f"{BUILDS}?state[]=asleep"), "state"),
        (httpx.Request("GET", f"{BUILDS}?page=1&page=2"), "2 times"),
        (httpx.Request("GET", f"{BUILDS}?exclude_jobs=yes"), "exclude_jobs"),
        (httpx.Request("POST", BUILDS, json={"commit": "HEAD"}), "branch"),
        (httpx.Request("POST", BUILDS, json={"commit": "HEAD", "branch": "m", "env": {"A": 1}}), "env/A"),
        (httpx.Request("POST", BUILDS, data={"commit": "HEAD"}), "x-www-form-urlencoded"),
        (httpx.Request("POST", BUILDS), "body is required"),
        (httpx.Request("PUT", f"{BUILDS}/1/cancel", json={"a": 1}), "none is described"),
    ],
)
def test_request_that_is_not_described_is_found_out(request_: httpx.Request, words: str) -> None:
    assert words in "\n".join(BUILDKITE.faults_of(request_))


@WITH_SPECS
def test_answers_are_held_to_the_description_and_null_only_where_it_may_be() -> None:
    request = httpx.Request("GET", f"{BUILDS}/1")
    body = {"id": "a", "number": 1, "state": "passed"}
    assert BUILDKITE.faults_of_answer(request, 200, {**body, "finished_at": None, "creator": None}) == []
    assert BUILDKITE.faults_of_answer(request, 200, {**body, "number": None})
    assert BUILDKITE.faults_of_answer(request, 200, {**body, "state": "asleep"})
    assert Specs(kind="buildkite", check_answers=False).faults_of_answer(request, 200, {}) == []


@WITH_SPECS
def test_exceptions_have_to_be_named() -> None:
    named = Specs(kind="buildkite", unlisted={"/v3/{any*}": "a preview"}, undeclared={"colour": "a preview"})
    assert named.faults_of(httpx.Request("GET", "https://api.buildkite.com/v3/a/b")) == []
    assert named.faults_of(httpx.Request("GET", f"{BUILDS}?colour=red")) == []


@WITH_SPECS
@pytest.mark.parametrize("kind", sorted(file.name.partition(".")[0] for file in FOLDER.glob("*.openapi.json")))
def test_every_description_reads(kind: str) -> None:
    assert specs.operations(kind)
    for operation in specs.operations(kind):
        schema = specs._json_schema(operation.body)
        if schema is not None:
            operation.document.annotations(schema, {}, "body")


def test_paths_fit_their_templates() -> None:
    assert fits("/a/{x}/c", "/a/b/c")
    assert not fits("/a/{x}/c", "/a/b/b/c")
    assert fits("/a/{x*}/c", "/a/b/b/c")


# the guard of tests/conftest.py


def test_nothing_leaves_this_machine() -> None:
    with socket.socket() as outside:
        outside.settimeout(0.1)
        for connect in (outside.connect, outside.connect_ex):
            with pytest.raises(AssertionError, match=r"192\.0\.2\.1"):
                connect(("192.0.2.1", 80))
    with socket.socket(socket.AF_INET6) as outside, pytest.raises(AssertionError):
        outside.connect(("2001:db8::1", 80))


def test_this_machine_can_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert client.getpeername() == server.getsockname()
