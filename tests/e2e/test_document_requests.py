"""What goes over the wire to the documented APIs, and what their refusals are in words, from signed slash commands."""

from typing import Any

import jwt

from tests.e2e import vendor_bodies as bodies
from tests.e2e.document_servers import TRUTO_NEEDS, Servers
from tests.e2e.stage import Stage

RUN = f"/v1/ciBuildRuns/{bodies.XCODE_RUN['id']}"
SHOW = f"show xc7:Slipway --id {bodies.XCODE_RUN['id']}"


async def answer(stage: Stage, words: str, *sees: str) -> str:
    """Type a command and return the message that holds all of some words."""
    before = stage.snapshot()
    await stage.says(words)
    shown: list[str] = await stage.until(
        lambda: [text for text in stage.fresh(before) if all(part in text for part in sees)], f"`{words}` shows {sees}"
    )
    return shown[0]


async def test_a_build_of_buildkite_is_created_with_every_property_of_the_document(
    recorded: Stage, servers: Servers
) -> None:
    await answer(
        recorded,
        "run bk7:ferry@winch --commit a1b2c3d4e5f60718293a4b5c6d7e8f9001122334 DECK=upper --message 'Oil it' --clean"
        " --option 'author=Kaia Holm <kaia@quay.example>' --option 'meta_data.on deck=true' --option meta_data.crew=two"
        " --option pull_request_id=42 --option pull_request_base_branch=harbour --option pull_request_labels=wet,deck"
        " --option pull_request_repository=git://github.com/aksel/ferry.git"
        " --option ignore_pipeline_branch_filters=true",
        "started #8",
    )
    (created,) = [sent for sent in servers["bk7"][0].sent if sent.method == "POST"]
    assert created.json == {
        "commit": "a1b2c3d4e5f60718293a4b5c6d7e8f9001122334",
        "branch": "winch",
        "message": "Oil it",
        "author": {"name": "Kaia Holm", "email": "kaia@quay.example"},
        "env": {"DECK": "upper"},
        "meta_data": {"on deck": True, "crew": "two"},
        "clean_checkout": True,
        "ignore_pipeline_branch_filters": True,
        "pull_request_id": 42,
        "pull_request_base_branch": "harbour",
        "pull_request_labels": ["wet", "deck"],
        "pull_request_repository": "git://github.com/aksel/ferry.git",
    }


async def test_a_scope_that_a_token_of_buildkite_lacks_is_named(recorded: Stage, servers: Servers) -> None:
    refusal = {"message": "Forbidden. Your access token doesn't have the write_builds scope"}
    servers["bk7"][0].on("POST", ".*/builds", (403, refusal))
    servers["bk7"][0].on("GET", ".*/builds/7", (403, {"message": "Forbidden"}))
    await answer(recorded, "run bk7:ferry@winch", "write_builds")
    await answer(recorded, "show bk7:ferry#7", "read_builds")


async def test_each_system_behind_truto_is_asked_with_what_it_requires(recorded: Stage, servers: Servers) -> None:
    for system, needs in TRUTO_NEEDS.items():
        name = f"truto-{system.replace('_', '-')}"
        await answer(recorded, f"list builds {name}", "Timed out")
        listed = [sent for sent in servers[name][0].sent if sent.path == "/unified/ci-cd/builds"]
        query = dict(listed[-1].query)
        assert {key: query.get(key) for key in needs} == needs
        assert query["integrated_account_id"] == f"account-{system}"


TRUTO_STATES = [
    ("queued", None, "Queued"),
    ("in_progress", None, "Running"),
    ("completed", "passed", "Passed"),
    ("completed", "failed", "Failed"),
    ("completed", "cancelled", "Cancelled"),
    ("completed", "timeout", "Timed out"),
    ("completed", "skipped", "Skipped"),
    ("completed", "retried", "Retried"),
    ("completed", "partial", "Partly passed"),
    ("completed", "capsized", "capsized"),
]


async def test_every_status_and_conclusion_of_truto_is_shown_in_words(recorded: Stage, servers: Servers) -> None:
    for status, conclusion, word in TRUTO_STATES:
        build: dict[str, Any] = {**bodies.TRUTO_BUILD, "status": status, "conclusion": conclusion}
        build["completed_at"] = build["completed_at"] if conclusion else None
        servers["tr7"][0].on("GET", "/unified/ci-cd/builds/900001", build)
        await answer(recorded, "show tr7:ferry#77 --all", f"State  {word}" if word != "capsized" else word)


APPLES_REFUSALS = [
    (401, "NOT_AUTHORIZED", "Compare key_id, issuer_id and the .p8 file"),
    (403, "FORBIDDEN_ERROR", "The key's role is too small"),
    (403, "FORBIDDEN.REQUIRED_AGREEMENTS_MISSING_OR_EXPIRED", "The Account Holder signs it"),
    (404, "NOT_FOUND", "has no such thing"),
    (409, "ENTITY_ERROR", "the hull is wet"),
    (429, "RATE_LIMIT_EXCEEDED", "slow down"),
]


async def test_what_apple_refuses_is_said_with_what_to_do(recorded: Stage, servers: Servers) -> None:
    for status, code, words in APPLES_REFUSALS:
        error = {"status": str(status), "code": code, "title": "Refused", "detail": "the hull is wet"}
        servers["xc7"][0].on("GET", RUN, (status, {"errors": [error]}))
        await answer(recorded, SHOW, words)


async def test_apples_keys_make_tokens_of_twenty_minutes(recorded: Stage, servers: Servers) -> None:
    for connection, names_issuer in (("xc7", True), ("own7", False)):
        await _sends_a_short_token(recorded, servers, connection, names_issuer=names_issuer)


async def _sends_a_short_token(recorded: Stage, servers: Servers, connection: str, *, names_issuer: bool) -> None:
    await answer(recorded, f"list builds {connection}:Slipway", "#19")
    sent = servers[connection][0].sent[-1]
    token = sent.headers["authorization"].removeprefix("Bearer ")
    claims = jwt.decode(token, options={"verify_signature": False})
    assert jwt.get_unverified_header(token)["alg"] == "ES256"
    assert jwt.get_unverified_header(token)["kid"] == servers[connection][1]["key_id"]
    assert claims["aud"] == "appstoreconnect-v1"
    assert claims["exp"] - claims["iat"] <= 20 * 60
    assert ("iss" in claims) is names_issuer
    assert claims.get("sub") == (None if names_issuer else "user")


async def test_what_stands_around_workflows_is_listed_and_a_pull_request_is_built(stage: Stage) -> None:
    await stage.says("link demo-xcode:Nightly as nightly --default")
    await stage.sees("Here it is called nightly")
    await answer(stage, "list providers", "GitHub")
    await answer(stage, "list repositories", "acme/aurora-ios", "default main", "last read")
    await answer(stage, "list references aurora-ios", "main", "v2.4.0")
    await answer(stage, "list tags nightly", "tag:v2.4.0", "pr:42")
    await answer(stage, "list pulls nightly", "42", "main")
    await answer(stage, "run nightly@pr:42", "started #")
    paths = " ".join(stage.requests)
    for part in ("/v1/scmProviders", "/v1/scmRepositories?", "/gitReferences", "/pullRequests"):
        assert part in paths
