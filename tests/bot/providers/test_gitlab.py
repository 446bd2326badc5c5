"""What the payload pairs of GitLab don't show: polling, signatures, addresses, refusals, settings."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pydantic import ValidationError
from typing_extensions import override

from bot.core.errors import (
    AuthFailed,
    BotError,
    NotFound,
    Rejected,
    Unavailable,
    UnexpectedResponse,
    Unsupported,
    UsageError,
)
from bot.core.models import (
    BuildFilter,
    Changes,
    Conclusion,
    IssueCounts,
    Page,
    Ref,
    RefKind,
    Starter,
    StartRequest,
    Status,
    Trigger,
    Watched,
)
from bot.http.quota import Quota
from bot.providers import open_provider
from bot.providers.base.capabilities import Capability
from bot.providers.gitlab import convert, parameters, wire
from bot.providers.gitlab.options import GitLabOptions
from bot.providers.gitlab.poll import Cursor
from bot.providers.gitlab.provider import GitLab
from bot.providers.gitlab.v3 import GitLabV3
from tests.bot.providers.case import CONNECTION, NOW, Case, clock, no_sleep, opened, result_of
from tests.bot.providers.cases.gitlab import (
    ARCHIVE,
    BLOCKED,
    BUILD,
    CASE,
    MANUAL,
    PROJECT,
    REPORT,
    ROOT,
    SECRET,
    key,
    merge,
    red,
    sign,
)
from tests.bot.providers.cases.gitlab_v3 import CASE as V3
from tests.bot.providers.specs import ABSENT, FOLDER

SAMPLES = FOLDER / "samples" / "gitlab"
Handler = Callable[[httpx.Request], httpx.Response]


class Server(httpx.AsyncBaseTransport):
    """Answers by a function and keeps what it was asked."""

    def __init__(self, answer: Handler) -> None:
        self.answer = answer
        self.asked: list[httpx.Request] = []

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        return self.answer(request)

    @property
    def paths(self) -> list[str]:
        return [f"{request.method} {request.url.path}" for request in self.asked]


def nothing(_request: httpx.Request) -> httpx.Response:
    return httpx.Response(404, json={"message": "404 Not Found"})


def run(number: int, status: str = "success", project: int = 4711, **more: object) -> dict[str, object]:
    return {
        "id": number,
        "iid": number - 90000,
        "project_id": project,
        "status": status,
        "ref": "main",
        "source": "push",
        "updated_at": "2026-08-01T11:59:00.500Z",
        **more,
    }


def graphql(nodes: list[dict[str, object]]) -> httpx.Response:
    return httpx.Response(200, json={"data": {"projects": {"nodes": nodes}}})


def node(project: int, *runs: dict[str, object], more: bool = False) -> dict[str, object]:
    return {
        "id": f"gid://gitlab/Project/{project}",
        "pipelines": {"pageInfo": {"hasNextPage": more}, "nodes": list(runs)},
    }


def graph_run(number: int, status: str = "SUCCESS", at: str = "2026-08-01T11:59:00Z") -> dict[str, object]:
    return {"id": f"gid://gitlab/Ci::Pipeline/{number}", "iid": str(number - 90000), "status": status, "updatedAt": at}


def decoded(text: str | None) -> Cursor:
    read = Cursor.decode(text)
    assert read is not None
    return read


def cursor(*projects: int, swept: datetime = NOW, seen: dict[str, str] | None = None) -> str:
    at = {str(each): int(NOW.timestamp()) - 60 for each in projects}
    return Cursor(at=at, seen=seen or {}, swept=int(swept.timestamp())).encode()


async def polled(server: Server, before: str | None, watched: Watched) -> Changes:
    async with opened(CASE, server) as provider:
        return await provider.changes(before, watched)


def watching(*projects: int, unfinished: tuple[str, ...] = ()) -> Watched:
    return Watched(
        pipelines=frozenset(str(each) for each in projects), unfinished=frozenset(key(each) for each in unfinished)
    )


# the poll


async def test_a_hundred_and_twenty_quiet_projects_cost_three_requests() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.content)["variables"]["projects"]
        return graphql([node(int(gid.rpartition("/")[2])) for gid in asked])

    server = Server(answer)
    projects = range(1, 121)
    after = await polled(server, cursor(*projects), watching(*projects))
    assert server.paths == ["POST /api/graphql"] * 3
    assert not after.builds
    assert len(decoded(after.cursor).at) == 120


async def test_a_build_seen_in_the_same_state_is_no_news_and_one_in_another_state_is() -> None:
    mark = f"running {int(datetime(2026, 8, 1, 11, 59, tzinfo=UTC).timestamp())}"
    before = cursor(1, seen={"90001": mark, "90002": mark})
    server = Server(lambda _: graphql([node(1, graph_run(90001, "RUNNING"), graph_run(90002, "SUCCESS"))]))
    after = await polled(server, before, watching(1))
    assert [(build.id, build.conclusion) for build in after.builds] == [("90002", Conclusion.PASSED)]


async def test_a_question_too_complex_is_halved() -> None:
    sizes: list[int] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.content)["variables"]["projects"]
        sizes.append(len(asked))
        if len(asked) > 3:
            return httpx.Response(200, json={"errors": [{"message": "Query has complexity of 300, which exceeds max"}]})
        return graphql([node(int(gid.rpartition("/")[2])) for gid in asked])

    projects = range(1, 11)
    await polled(Server(answer), cursor(*projects), watching(*projects))
    assert sizes == [10, 5, 2, 2, 2, 2, 2]


async def test_where_graphql_is_refused_rest_is_asked_and_graphql_left_alone_for_an_hour() -> None:
    server = Server(lambda request: nothing(request) if "graphql" in request.url.path else httpx.Response(200, json=[]))
    now = NOW
    options = GitLabOptions.model_validate(dict(CASE.options))
    async with httpx.AsyncClient(transport=server, trust_env=False) as client:
        provider = open_provider(CONNECTION, "gitlab", options, client=client, clock=lambda: now, sleep=no_sleep)
        first = await provider.changes(cursor(1), watching(1))
        await provider.changes(first.cursor, watching(1))
        assert [path.rpartition("/")[2] for path in server.paths] == ["graphql", "pipelines", "pipelines"]
        now += timedelta(minutes=61)
        await provider.changes(first.cursor, watching(1))
        assert "POST /api/graphql" in server.paths[3:]


async def test_a_project_with_more_changes_than_graphql_shows_and_a_hidden_one_are_asked_about_singly() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        match request.url.path:
            case "/api/graphql":
                return graphql([node(1, graph_run(90001), more=True)])
            case "/api/v4/projects/1/pipelines":
                return httpx.Response(200, json=[run(90001, project=1), run(90002, project=1)])
            case "/api/v4/projects/1/pipelines/90001" | "/api/v4/projects/1/pipelines/90002" as path:
                return httpx.Response(200, json=run(int(path[-5:]), project=1))
            case _:
                return nothing(request)

    after = await polled(Server(answer), cursor(1, 2), watching(1, 2))
    assert [build.id for build in after.builds] == ["90001", "90002"]
    assert decoded(after.cursor).at["2"] == decoded(cursor(2)).at["2"], "what was not seen is asked again"


async def test_unfinished_builds_without_news_are_read_once_a_minute_and_foreign_ones_at_every_tick() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if "graphql" in request.url.path:
            return graphql([node(4711)])
        number = int(request.url.path.rpartition("/")[2])
        return httpx.Response(200, json=run(number, "running", project=int(request.url.path.split("/")[4])))

    foreign = replace(key("90009"), pipeline="9")
    watched = replace(watching(4711), unfinished=frozenset({key("90001"), foreign}))
    within_window = await polled(Server(answer), cursor(4711), watched)
    assert [build.id for build in within_window.builds] == ["90009"]
    due = await polled(Server(answer), cursor(4711, swept=NOW - timedelta(seconds=60)), watched)
    assert sorted(build.id for build in due.builds) == ["90001", "90009"]
    assert decoded(due.cursor).swept == int(NOW.timestamp())


async def test_one_project_out_of_reach_stops_no_other_and_all_of_them_is_an_error() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        match request.url.path:
            case "/api/v4/projects/1/pipelines":
                return httpx.Response(200, json=[])
            case "/api/v4/projects/2/pipelines":
                return httpx.Response(403, json={"message": "403 Forbidden"})
            case _:
                return nothing(request)

    after = await polled(Server(answer), cursor(1, 2), watching(1, 2))
    assert decoded(after.cursor).at["1"] == int(NOW.timestamp())
    with pytest.raises(AuthFailed):
        await polled(Server(answer), cursor(2), watching(2))


@pytest.mark.parametrize("before", [None, "", "no json", '{"at": 7}', "[]"])
async def test_a_missing_or_unreadable_cursor_begins_anew(before: str | None) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/pipelines"):
            assert request.url.params["per_page"] == "3"
            return httpx.Response(200, json=[run(90001)])
        return httpx.Response(200, json=run(90001)) if request.url.path.endswith("90001") else nothing(request)

    after = await polled(Server(answer), before, watching(4711))
    assert [build.id for build in after.builds] == ["90001"]


async def test_the_cursor_goes_by_the_servers_clock() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=[], headers={"Date": "Sat, 01 Aug 2026 11:40:00 GMT"})

    after = await polled(Server(answer), None, watching(4711))
    assert decoded(after.cursor).at == {"4711": int(datetime(2026, 8, 1, 11, 40, tzinfo=UTC).timestamp())}


@pytest.mark.parametrize(
    "answer",
    [
        {"data": None},
        {"data": {"projects": {"nodes": [{"id": "no number", "pipelines": {"nodes": []}}]}}},
        {"data": {"projects": {"nodes": [node(1, {"id": "gid://gitlab/Ci::Pipeline/x"})]}}},
        [],
    ],
)
async def test_graphql_in_a_form_we_do_not_know_falls_back_to_rest(answer: object) -> None:
    server = Server(lambda request: httpx.Response(200, json=answer if "graphql" in request.url.path else []))
    after = await polled(server, cursor(1), watching(1))
    assert server.paths == ["POST /api/graphql", "GET /api/v4/projects/1/pipelines"]
    assert not after.builds


async def test_an_outage_during_the_poll_is_reported() -> None:
    with pytest.raises(Unavailable):
        await polled(Server(lambda _: httpx.Response(502)), cursor(1), watching(1))


async def test_a_single_project_too_complex_for_graphql_is_asked_by_rest() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if "graphql" in request.url.path:
            return httpx.Response(200, json={"errors": [{"message": "Query has complexity of 300"}]})
        return httpx.Response(200, json=[])

    server = Server(answer)
    await polled(server, cursor(1), watching(1))
    assert server.paths == ["POST /api/graphql", "GET /api/v4/projects/1/pipelines"]


async def test_a_build_deleted_between_list_and_read_is_left_out() -> None:
    server = Server(
        lambda r: httpx.Response(200, json=[run(90001)]) if r.url.path.endswith("pipelines") else nothing(r)
    )
    assert not (await polled(server, None, watching(4711))).builds


@pytest.mark.parametrize("before", [None, cursor(1)])
async def test_a_refused_token_is_reported_by_the_poll(before: str | None) -> None:
    with pytest.raises(AuthFailed):
        await polled(Server(lambda _: httpx.Response(401, json={"message": "401 Unauthorized"})), before, watching(1))


# webhooks


def vectors() -> list[Any]:
    file = SAMPLES / "signature_vectors.json"
    return json.loads(file.read_bytes()) if file.exists() else []


@pytest.mark.skipif(not SAMPLES.exists(), reason=ABSENT)
@pytest.mark.parametrize("vector", vectors(), ids=lambda one: one.get("why", "signed"))
async def test_signature_vectors_hold(vector: Mapping[str, Any]) -> None:
    secrets = " ".join(vector[name] for name in ("signing_token", "secret_token") if name in vector)
    headers = {name.lower(): value for name, value in vector["header"].items()}
    body = (SAMPLES / vector["body_file"]).read_bytes()
    at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC) + timedelta(seconds=30)
    options = GitLabOptions.model_validate({**CASE.options, "webhook_secret": secrets})
    async with httpx.AsyncClient(transport=Server(nothing), trust_env=False) as client:
        provider = open_provider(CONNECTION, "gitlab", options, client=client, clock=lambda: at)
        if not vector["valid"]:
            with pytest.raises(AuthFailed):
                provider.parse_webhook(headers, body)
            return
        event = provider.parse_webhook(headers, body)
        assert event is not None
        assert (event.pipeline, event.build, event.delivery) == ("1", "31", headers["webhook-id"])


HOOK = json.dumps({"object_kind": "pipeline", "object_attributes": {"id": 5}, "project": {"id": 6}}).encode()


async def test_a_signed_webhook_outside_the_window_is_refused() -> None:
    headers, _ = sign(HOOK, {})
    options = GitLabOptions.model_validate(dict(CASE.options))
    at = NOW
    async with httpx.AsyncClient(transport=Server(nothing), trust_env=False) as client:
        provider = open_provider(CONNECTION, "gitlab", options, client=client, clock=lambda: at)
        for shift in (-400, 400):
            at = NOW + timedelta(seconds=shift)
            with pytest.raises(AuthFailed, match="old"):
                provider.parse_webhook(headers, HOOK)


@pytest.mark.parametrize(
    ("secret", "headers", "fits"),
    [
        ("plain", {"x-gitlab-token": "plain"}, True),
        ("plain", {"x-gitlab-token": "other"}, False),
        ("plain", {}, False),
        ("old new", {"x-gitlab-token": "new"}, True),
        ("old new", {"x-gitlab-token": "old new"}, False),
        (SECRET, {"x-gitlab-token": SECRET}, False),
        (f"{SECRET} plain", {"x-gitlab-token": "plain"}, True),
        (f"{SECRET} plain", {"x-gitlab-token": "plain", "webhook-signature": "v1,bm8="}, False),
        ("whsec_no-base64!", {"webhook-signature": "v1,"}, False),
        (SECRET, {"webhook-signature": ""}, False),
    ],
)
async def test_plain_tokens_and_signatures_are_kept_apart(secret: str, headers: dict[str, str], fits: bool) -> None:
    given = {"webhook-id": "one", "webhook-timestamp": str(int(NOW.timestamp())), **headers}
    async with opened(CASE, Server(nothing), {"webhook_secret": secret}) as provider:
        if fits:
            assert provider.parse_webhook(given, HOOK) is not None
        else:
            with pytest.raises(AuthFailed):
                provider.parse_webhook(given, HOOK)


async def test_the_same_delivery_bears_the_same_name_where_gitlab_gives_none() -> None:
    async with opened(CASE, Server(nothing), {"webhook_secret": "plain"}) as provider:
        first = provider.parse_webhook({"x-gitlab-token": "plain"}, HOOK)
        again = provider.parse_webhook({"x-gitlab-token": "plain"}, HOOK)
        other = provider.parse_webhook({"x-gitlab-token": "plain"}, HOOK.replace(b"5", b"7"))
    assert first == again
    assert first is not None
    assert other is not None
    assert first.delivery != other.delivery


# addresses


@pytest.mark.parametrize(
    ("root", "url", "page"),
    [
        (ROOT, "/a/b/-/pipelines/7", Page(pipeline="a/b", build="7")),
        (ROOT, "/a/b/-/pipelines/7/test_report?job=x#top", Page(pipeline="a/b", build="7")),
        (ROOT, "/a/b/c/d/-/jobs/9", Page(pipeline="a/b/c/d", job="9")),
        (ROOT, "/a/b/-/commit/5e1f9a3c", Page(pipeline="a/b")),
        (ROOT, "/a/b/-/pipelines", Page(pipeline="a/b")),
        (ROOT, "/a/b", Page(pipeline="a/b")),
        (ROOT, "/a/b.git", Page(pipeline="a/b")),
        (ROOT, "/a/b/pipelines/7", Page(pipeline="a/b", build="7")),
        (ROOT, "/a/b/builds/9", Page(pipeline="a/b", job="9")),
        (ROOT, "/a/pipelines", Page(pipeline="a/pipelines")),
        (ROOT, "/a/b/merge_requests/3", Page(pipeline="a/b")),
        (ROOT, "/a", None),
        (ROOT, "/", None),
        (ROOT, "/-/profile", None),
        (ROOT, "/groups/a/-/settings", None),
        (ROOT, "/users/sign_in", None),
        (f"{ROOT}/gitlab", "/gitlab/a/b/-/pipelines/7", Page(pipeline="a/b", build="7")),
        (f"{ROOT}/gitlab", "/gitlabber/a/b/-/pipelines/7", None),
        (f"{ROOT}/gitlab", "/a/b/-/pipelines/7", None),
    ],
)
async def test_pages_are_read_below_the_servers_root(root: str, url: str, page: Page | None) -> None:
    async with opened(CASE, Server(nothing), {"url": root}) as provider:
        assert provider.parse_url(f"{ROOT}{url}") == page
        assert provider.parse_url(f"https://other.example{url}") is None
        assert provider.parse_url(f"ftp://git.harbour.example{url}") is None


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ("", "https://gitlab.com/api/v4"),
        ("https://git.example", "https://git.example/api/v4"),
        ("https://git.example/", "https://git.example/api/v4"),
        ("https://git.example/api/v4/", "https://git.example/api/v4"),
        ("https://git.example/api/v3", "https://git.example/api/v4"),
        ("https://git.example/sub/api/graphql", "https://git.example/sub/api/v4"),
        ("https://git.example/api", "https://git.example/api/v4"),
        ("https://git.example/apiary", "https://git.example/apiary/api/v4"),
    ],
)
def test_a_pasted_api_address_is_a_base_address(given: str, base: str) -> None:
    assert GitLab.base_url(GitLabOptions.model_validate({"token": "t", "url": given})) == base


def test_settings_are_checked() -> None:
    for bad in ({}, {"token": "t", "api_version": "v5"}, {"token": "t", "grup": "x"}):
        with pytest.raises(ValidationError):
            GitLabOptions.model_validate(bad)
    assert GitLabOptions.model_validate({"token": "t", "group": "/a/b/"}).group == "a/b"


async def test_a_project_path_goes_into_the_address_whole() -> None:
    server = Server(lambda _: httpx.Response(200, json={"id": 1, "path_with_namespace": "a b/c/d"}))
    async with opened(CASE, server) as provider:
        await provider.pipeline("a b/c/d")
    assert server.asked[0].url.raw_path == b"/api/v4/projects/a%20b%2Fc%2Fd"


async def test_a_group_narrows_the_projects() -> None:
    server = Server(lambda _: httpx.Response(200, json=[{"id": 1, "path_with_namespace": "sea/lamps/c", "name": "C"}]))
    async with opened(CASE, server, {"group": "sea/lamps"}) as provider:
        assert [each.path for each in await result_of(provider.pipelines())] == ["sea/lamps/c"]  # type: ignore[attr-defined]
        assert await result_of(provider.pipelines("lamp/xyz")) == []
    assert server.asked[0].url.raw_path.startswith(b"/api/v4/groups/sea%2Flamps/projects?")
    assert server.asked[0].url.params["include_subgroups"] == "true"
    assert server.asked[1].url.params["search"] == "xyz"


# credentials


@pytest.mark.parametrize(("version", "name"), [("v4", "authorization"), ("v3", "private-token")])
def test_each_api_has_its_own_header(version: str, name: str) -> None:
    options = GitLabOptions.model_validate({"token": "secret-token", "api_version": version})
    flow = GitLab.auth(options, clock).auth_flow(httpx.Request("GET", ROOT))
    sent = next(flow)
    assert "secret-token" in sent.headers[name]
    assert {"authorization", "private-token"} & set(sent.headers) == {name}


async def test_a_token_without_a_page_of_its_own_is_checked_by_its_user() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return (
            httpx.Response(200, json={"username": "mara"}) if request.url.path.endswith("/user") else nothing(request)
        )

    async with opened(CASE, Server(answer)) as provider:
        account = await provider.check()
    assert (account.name, account.missing, account.detail) == ("mara", (), None)


async def test_a_token_without_any_reading_scope_lacks_both() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/self"):
            return httpx.Response(200, json={"scopes": ["read_user"], "expires_at": "2026-08-03"})
        return httpx.Response(200, json={"username": "mara", "version": "18.1"})

    async with opened(CASE, Server(answer)) as provider:
        account = await provider.check()
    assert len(account.missing) == 2
    assert account.expires_at == datetime(2026, 8, 3, tzinfo=UTC)
    assert account.warnings == ("The token ends on 03 August 2026.",)


def test_quota_is_read_and_its_absence_is_none() -> None:
    headers = httpx.Headers({"RateLimit-Limit": "2000", "RateLimit-Remaining": "12", "RateLimit-Reset": "1785585660"})
    resets = datetime.fromtimestamp(1785585660, UTC)
    assert GitLab.read_quota(headers, NOW) == Quota(limit=2000, remaining=12, resets_at=resets)
    assert GitLab.read_quota(httpx.Headers({"RateLimit-Limit": "many"}), NOW) is None
    assert GitLab.read_quota(httpx.Headers(), NOW) is None


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (400, {"message": {"base": ["Reference not found"]}}, NotFound, "no such branch"),
        (400, {"message": {"ref": ["is missing", "is empty"]}}, Rejected, "is missing"),
        (400, {"error": "ref is missing"}, Rejected, "ref is missing"),
        (401, {"error": "invalid_token", "error_description": "Token was revoked."}, AuthFailed, "revoked"),
        (403, {"error": "insufficient_scope", "scope": "api"}, AuthFailed, "scope is too small"),
        (403, {"message": "403 Forbidden"}, AuthFailed, "does not let"),
        (409, {"message": "Conflict: branch is locked"}, Rejected, "locked"),
    ],
)
async def test_the_families_of_refusals_become_sentences(
    status: int, body: object, kind: type[BotError], words: str
) -> None:
    async with opened(CASE, Server(lambda _: httpx.Response(status, json=body))) as provider:
        with pytest.raises(kind, match=words):
            await provider.pipeline("4711")


# starting and stopping


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (StartRequest(commit="5e1f9a3c7b2d4e6f8a0b1c2d3e4f5a6b7c8d9e0f"), "not single commits"),
        (StartRequest(ref=Ref(kind=RefKind.COMMIT, name="5e1f9a3c")), "not single commits"),
        (StartRequest(message="please"), "no message"),
        (StartRequest(options={"clean": "true"}), "`clean`"),
        (StartRequest(options={"input.": "x"}), "`input.`"),
        (StartRequest(ref=merge(12), parameters={"A": "1"}), "merge request"),
    ],
)
async def test_what_a_start_cannot_take_is_refused_by_name_and_nothing_is_sent(
    request_: StartRequest, words: str
) -> None:
    server = Server(nothing)
    async with opened(CASE, server) as provider:
        with pytest.raises((Unsupported, UsageError), match=words):
            await provider.start(PROJECT, request_)
    assert not server.asked


async def test_a_trigger_token_starts_and_where_it_does_not_fit_the_access_token_does() -> None:
    bodies: list[dict[str, object]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json=[])
        bodies.append(json.loads(request.content))
        fits = request.url.path.endswith("/pipeline") and (len(bodies) != 2 or "trigger" not in request.url.path)
        return httpx.Response(201, json=run(90001, "created")) if fits else nothing(request)

    main = StartRequest(ref=Ref(kind=RefKind.BRANCH, name="main"), parameters={"A": "1"})
    server = Server(answer)
    async with opened(CASE, server, {"trigger_token": "glptt-made-up"}) as provider:
        build = await provider.start(PROJECT, main)
        assert build.status is Status.QUEUED
        assert bodies == [{"ref": "main", "token": "glptt-made-up", "variables": {"A": "1"}}]
        await provider.start(PROJECT, main)
    assert server.paths[-1] == "POST /api/v4/projects/4711/pipeline"
    assert bodies[-1] == {"ref": "main", "variables": [{"key": "A", "value": "1"}]}


async def test_a_start_without_answer_is_not_sent_twice_and_not_guessed_among_several() -> None:
    listed = [run(90002, "pending", source="api"), run(90001, "pending", source="api"), run(90000)]

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            raise httpx.ReadTimeout("timed out")
        return httpx.Response(200, json=listed if "ref" in request.url.params else listed[2:])

    server = Server(answer)
    async with opened(CASE, server) as provider:
        with pytest.raises(Unavailable, match="did not try again"):
            await provider.start(PROJECT, StartRequest(ref=Ref(kind=RefKind.BRANCH, name="main")))
    assert sum(request.method == "POST" for request in server.asked) == 1


@pytest.mark.parametrize(("theirs", "is_ours"), [("ours", True), ("theirs", False), (None, True)])
async def test_a_start_without_answer_is_found_by_its_variables_not_by_its_branch_alone(
    theirs: str | None, is_ours: bool
) -> None:
    listed = [run(90001, "pending", source="api"), run(90000)]

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            raise httpx.ReadTimeout("timed out")
        if request.url.path.endswith("/pipelines/90001/variables"):
            return (
                httpx.Response(403) if theirs is None else httpx.Response(200, json=[{"key": "MARK", "value": theirs}])
            )
        return httpx.Response(200, json=listed if "ref" in request.url.params else listed[1:])

    start = StartRequest(ref=Ref(kind=RefKind.BRANCH, name="main"), parameters={"MARK": "ours"})
    async with opened(CASE, Server(answer)) as provider:
        if is_ours:
            assert (await provider.start(PROJECT, start)).id == "90001"
        else:
            with pytest.raises(Unavailable, match="did not try again"):
                await provider.start(PROJECT, start)


async def test_a_project_without_a_default_branch_is_reported() -> None:
    server = Server(lambda _: httpx.Response(200, json={"id": 4711, "path_with_namespace": "a/b"}))
    async with opened(CASE, server) as provider:
        with pytest.raises(Rejected, match="no default branch"):
            await provider.start(PROJECT, StartRequest())


async def test_inputs_go_as_texts_where_their_types_are_not_reported() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        match request.url.path:
            case "/api/v4/projects/4711/pipelines":
                return httpx.Response(200, json=[])
            case "/api/v4/projects/4711/pipeline":
                assert json.loads(request.content)["inputs"] == {"dry": "true"}
                return httpx.Response(201, json=run(90001, "created"))
            case "/api/v4/projects/4711":
                return httpx.Response(200, json={"id": 4711, "path_with_namespace": "a/b", "default_branch": "main"})
            case _:
                return nothing(request)

    async with opened(CASE, Server(answer)) as provider:
        assert (await provider.start(PROJECT, StartRequest(options={"input.dry": "true"}))).id == "90001"


async def test_a_post_that_is_answered_in_an_unknown_form_is_not_repeated() -> None:
    server = Server(lambda _: httpx.Response(200, text="<html>"))
    async with opened(CASE, server) as provider:
        with pytest.raises(Unavailable, match="can't read") as refused:
            await provider.retry(PROJECT, BUILD)
    assert refused.value.acted
    posts = [path for path in server.paths if path.startswith("POST")]
    assert posts == [f"POST /api/v4/projects/{PROJECT}/pipelines/{BUILD}/retry"]


async def test_a_post_redirected_within_the_same_project_is_not_repeated_for_ever() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return httpx.Response(301, headers={"Location": f"{ROOT}/elsewhere"})
        return httpx.Response(200, json={"id": 4711, "path_with_namespace": "a/b"})

    server = Server(answer)
    async with opened(CASE, server) as provider:
        with pytest.raises(UnexpectedResponse):
            await provider.cancel(PROJECT, BUILD)
    assert server.paths.count("POST /api/v4/projects/4711/pipelines/90210/cancel") == 1


async def test_retrying_all_rejecting_a_job_and_downloading_a_report_are_refused_without_a_request() -> None:
    server = Server(nothing)
    async with opened(CASE, server) as provider:
        with pytest.raises(Unsupported) as refused:
            await provider.retry(PROJECT, BUILD, failed_only=False)
        assert "rebuild" in (refused.value.hint or "")
        with pytest.raises(Unsupported):
            await provider.decide(MANUAL, approve=False)
        with pytest.raises(Unsupported) as report:
            await result_of(provider.download(REPORT))
        assert "/junit" in (report.value.hint or "")
    assert not server.asked


async def test_an_approval_that_is_not_there_is_reported() -> None:
    async with opened(CASE, Server(nothing)) as provider:
        with pytest.raises(NotFound):
            await provider.decide(BLOCKED, approve=True)


async def test_a_report_that_is_too_big_is_refused_and_issues_do_without() -> None:
    huge = b" " * (9 * 1024 * 1024)

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("test_report"):
            return httpx.Response(200, content=huge)
        return httpx.Response(200, json=[{"id": 1, "name": "unit", "status": "failed"}])

    async with opened(CASE, Server(answer)) as provider:
        with pytest.raises(UnexpectedResponse, match="more than 8 MiB"):
            await provider.tests(PROJECT, BUILD)
        assert [issue.message for issue in await provider.issues(PROJECT, BUILD)] == ["failed"]


async def test_a_commit_is_asked_for_once() -> None:
    sha = "5e1f9a3c7b2d4e6f8a0b1c2d3e4f5a6b7c8d9e0f"

    def answer(request: httpx.Request) -> httpx.Response:
        if "commits" in request.url.path:
            return httpx.Response(200, json={"id": sha, "title": "Trim"})
        return httpx.Response(200, json=run(90001, sha=sha))

    server = Server(answer)
    async with opened(CASE, server) as provider:
        for _ in range(3):
            assert (await provider.build(PROJECT, "90001")).message == "Trim"
    assert len(server.asked) == 4


async def test_what_is_remembered_has_a_bound() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        number = int(request.url.path.rpartition("/")[2])
        if "commits" in request.url.path:
            return httpx.Response(200, json={"id": f"{number:040d}", "title": "Trim"})
        return httpx.Response(200, json=run(number, sha=f"{number:040d}"))

    server = Server(answer)
    async with opened(CASE, server) as provider:
        for number in (*range(1, 520), 1):
            await provider.build(PROJECT, str(number))
    assert sum("commits" in path for path in server.paths) == 520


async def test_what_a_build_can_do_without_is_left_unknown_where_it_may_not_be_read() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/90001"):
            return httpx.Response(
                200, json=run(90001, "failed", ref="refs/merge-requests/3/head", sha="5e1f9a3c7b2d4e6f")
            )
        if request.url.path.endswith("/jobs"):
            return httpx.Response(200, json=[{"id": 1, "name": "lint", "status": "failed", "allow_failure": True}])
        return httpx.Response(403, json={"message": "403 Forbidden"})

    async with opened(CASE, Server(answer)) as provider:
        build = await provider.build(PROJECT, "90001")
        assert (build.message, build.branch, build.pull_request) == (None, None, "3")
        assert build.conclusion is Conclusion.FAILED
        assert build.issues.errors is None, "a tolerated failure is not what failed the build"
        assert [job.name for job in await provider.jobs(PROJECT, "90001")] == ["lint"]


async def test_a_refused_token_is_reported_and_not_taken_for_a_missing_page() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/jobs"):
            return httpx.Response(200, json=[])
        return httpx.Response(401, json={"message": "401 Unauthorized"})

    async with opened(CASE, Server(answer)) as provider:
        with pytest.raises(AuthFailed):
            await provider.jobs(PROJECT, BUILD)


async def test_counts_do_without_a_summary_and_without_a_number() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith("/jobs"):
            return nothing(request)
        kinds = [{"file_type": "junit"}, {"file_type": "codequality"}]
        return httpx.Response(200, json=[{"id": 1, "name": "unit", "status": "success", "artifacts": kinds}])

    async with opened(CASE, Server(answer)) as provider:
        build = replace(red(), number=None, conclusion=Conclusion.PASSED)
        assert await provider.counts(build) == IssueCounts(errors=0, warnings=0)


async def test_a_build_by_number_is_sought_beyond_builds_that_have_none() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/pipelines"):
            return httpx.Response(200, json=[{"id": 90003, "status": "success"}, run(90002)])
        return httpx.Response(200, json=run(90002))

    async with opened(CASE, Server(answer)) as provider:
        assert (await provider.build_by_number(PROJECT, 2)).id == "90002"


async def test_variables_that_gitlab_goes_on_computing_are_left_out() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if "graphql" not in request.url.path:
            return httpx.Response(200, json={"id": 4711, "path_with_namespace": "a/b"})
        field = "ciConfigVariables" if b"ciConfigVariables" in request.content else "ciPipelineCreationInputs"
        return httpx.Response(200, json={"data": {"project": {field: None}}})

    server = Server(answer)
    async with opened(CASE, server) as provider:
        assert await provider.parameters(PROJECT, Ref(kind=RefKind.BRANCH, name="main")) == ()
    assert sum("graphql" in path for path in server.paths) == 4


async def test_where_only_one_kind_of_parameter_is_reported_that_one_is_returned() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if "graphql" not in request.url.path:
            return httpx.Response(200, json={"id": 4711, "path_with_namespace": "a/b", "default_branch": "main"})
        if b"ciConfigVariables" in request.content:
            return httpx.Response(200, json={"errors": [{"message": "no"}]})
        return httpx.Response(
            200, json={"data": {"project": {"ciPipelineCreationInputs": [{"name": "dry", "type": "BOOLEAN"}]}}}
        )

    async with opened(CASE, Server(answer)) as provider:
        assert [each.name for each in await provider.parameters(PROJECT, None)] == ["input.dry"]
    assert parameters.prefilled(wire.ConfigVariable(key=None, value="x")) is None


async def test_a_build_without_a_ref_is_not_rebuilt() -> None:
    async with opened(CASE, Server(lambda _: httpx.Response(200, json=run(90001, ref=None)))) as provider:
        with pytest.raises(Rejected, match="made from"):
            await provider.rebuild(PROJECT, "90001", StartRequest())


async def test_issues_of_a_sound_build_without_reports_are_none() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith(("/jobs", "/bridges")):
            return httpx.Response(200, json=[])
        return httpx.Response(200, json=run(90001)) if request.url.path.endswith("90001") else nothing(request)

    async with opened(CASE, Server(answer)) as provider:
        assert await provider.issues(PROJECT, "90001") == ()


async def test_when_every_job_refuses_the_first_reason_is_given() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return httpx.Response(403, json={"message": "403 Forbidden - Job is not erasable!"})
        return httpx.Response(200, json=[{"id": 1, "name": "unit", "status": "success"}])

    async with opened(CASE, Server(answer)) as provider:
        with pytest.raises(Rejected, match=r"^GitLab refused: Job is not erasable\.$"):
            await provider.erase(PROJECT, BUILD)


@pytest.mark.parametrize("doing", ["retryable", "erasable!", "cancelable"])
async def test_the_old_api_refusing_an_act_for_a_builds_state_is_no_lack_of_rights(doing: str) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return httpx.Response(403, json={"message": f"403 Forbidden - Build is not {doing}"})
        job = {"id": 4, "name": "unit", "stage": "test", "status": "running", "ref": "main"}
        return httpx.Response(200, json={**job, "path_with_namespace": "harbor/ferry"})

    async with opened(V3, Server(answer)) as provider:
        with pytest.raises(Rejected, match=rf"^GitLab refused: Build is not {doing.rstrip('!')}\.$") as raised:
            await provider.retry(PROJECT, "4")
    assert raised.value.hint is None


@pytest.mark.parametrize(("case", "word"), [(CASE, "v3"), (V3, "v4")])
async def test_an_address_without_the_api_says_which_other_to_try(case: Case, word: str) -> None:
    async with opened(case, Server(nothing)) as provider:
        with pytest.raises(NotFound) as raised:
            await provider.check()
    assert word in (raised.value.hint or "")


# readers


@pytest.mark.parametrize(
    ("source", "login", "starter", "trigger"),
    [
        ("push", "mara", Starter.USER, Trigger.PUSH),
        ("push", "project_4711_bot_9f", Starter.BOT, Trigger.PUSH),
        ("api", "group_3_bot", Starter.BOT, Trigger.API),
        ("push", "project_lead", Starter.USER, Trigger.PUSH),
        ("schedule", "mara", Starter.BOT, Trigger.CRON),
        ("web", None, None, Trigger.WEB),
        ("duo_workflow", "mara", Starter.USER, Trigger.UNKNOWN),
        (None, None, None, Trigger.UNKNOWN),
    ],
)
def test_who_started_a_build_and_why(
    source: str | None, login: str | None, starter: Starter | None, trigger: Trigger
) -> None:
    user = wire.User(username=login) if login else None
    build = convert.build(
        wire.PipelineRun(id=1, status="running", source=source, user=user), connection="c", pipeline="1", root=ROOT
    )
    assert (build.triggered_by_type, build.trigger) == (starter, trigger)


@pytest.mark.parametrize(
    ("group", "errors", "warnings"),
    [("success", 0, 0), ("success-with-warnings", 0, None), ("success_with_warnings", 0, None), (None, None, None)],
)
def test_what_a_pass_says_about_errors_and_warnings(
    group: str | None, errors: int | None, warnings: int | None
) -> None:
    detailed = wire.Detailed(group=group) if group else None
    it = wire.PipelineRun(id=1, status="SUCCESS", detailed_status=detailed)
    build = convert.build(it, connection="c", pipeline="1", root=ROOT)
    assert (build.issues.errors, build.issues.warnings) == (errors, warnings)
    assert build.raw_state == "success"


@pytest.mark.parametrize(
    ("url", "path"),
    [
        (f"{ROOT}/a/b/-/pipelines/1", "a/b"),
        (f"{ROOT}/a/b/pipelines/1", "a/b"),
        (f"{ROOT}/a/b", None),
        ("https://other.example/a/b/-/pipelines/1", None),
        (None, None),
    ],
)
def test_the_repository_is_read_from_the_page(url: str | None, path: str | None) -> None:
    assert convert.repository(url, ROOT) == path


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("  text ", "text"),
        ("", None),
        (None, None),
        (7, None),
        ({"message": "m"}, "m"),
        ({"message": "m", "type": "T"}, "T: m"),
        ({"message": {"message": "deep"}}, "deep"),
        ({}, None),
        (["a", "", "b"], "a\nb"),
        ([], None),
    ],
)
def test_what_a_test_printed_reads_in_every_form(output: object, said: str | None) -> None:
    assert convert.printed_text(output) == said


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("true", "BOOLEAN", True),
        ("False", "boolean", False),
        ("maybe", "BOOLEAN", "maybe"),
        ("3", "NUMBER", 3),
        ("3.5", "NUMBER", 3.5),
        ("three", "NUMBER", "three"),
        ('["a", 1]', "ARRAY", ["a", 1]),
        ("a, b,", "ARRAY", ["a", "b"]),
        ("3", "STRING", "3"),
        ("true", None, "true"),
    ],
)
def test_inputs_are_sent_as_their_type_wants_them(text: str, kind: str | None, value: object) -> None:
    assert parameters.typed(text, kind) == value


# v3


async def test_a_v3_connection_offers_less_and_says_so() -> None:
    async with opened(V3, Server(nothing)) as old, opened(CASE, Server(nothing)) as new:
        assert old.capabilities == GitLabV3.capabilities
        assert new.capabilities == GitLab.capabilities
        assert old.capabilities < new.capabilities
        assert not old.can(Capability.TESTS)
        for refused in (old.tests("31", "1"), old.parameters("31", None)):
            with pytest.raises(Unsupported) as raised:
                await refused
            assert "old" in raised.value.message


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (StartRequest(message="x"), "no message"),
        (StartRequest(options={"input.a": "b"}), "no option `input.a`"),
        (StartRequest(commit="abcdef12"), "not single commits"),
        (StartRequest(ref=merge(1)), "only branches and tags"),
    ],
)
async def test_what_v3_cannot_start_is_refused_by_name(request_: StartRequest, words: str) -> None:
    server = Server(nothing)
    async with opened(V3, server) as provider:
        with pytest.raises((Unsupported, UsageError), match=words):
            await provider.start("31", request_)
    assert not server.asked


async def test_v3_without_a_trigger_token_says_what_is_missing() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/31"):
            return httpx.Response(
                200, json={"id": 31, "path_with_namespace": "harbour/gate", "default_branch": "master"}
            )
        return nothing(request)

    async with opened(V3, Server(answer), {"trigger_token": None}) as provider:
        with pytest.raises(Unsupported, match="trigger token"):
            await provider.start("31", StartRequest(parameters={"A": "1"}))


def old_server(answers: Mapping[str, object]) -> Server:
    """A v3 server with one project; `answers` are by the path below it, a number being a status."""

    def answer(request: httpx.Request) -> httpx.Response:
        path = request.url.path.partition("/api/v3/")[2]
        if path == "projects/31":
            return httpx.Response(200, json={"id": 31, "path_with_namespace": "harbour/gate"})
        body = answers.get(path.removeprefix("projects/31/"), 404)
        return httpx.Response(body, json={"message": "no"}) if isinstance(body, int) else httpx.Response(200, json=body)

    return Server(answer)


def an_old_build(number: int, status: str = "success", **fields: object) -> dict[str, object]:
    return {"id": number, "status": status, "name": f"job {number}", "ref": "main", "commit": {"id": "abc"}, **fields}


@pytest.mark.parametrize(
    ("states", "scope"),
    [
        ((), []),
        (("failed",), ["failed"]),
        (("failed", "pending"), ["failed", "pending"]),
        (("passed", "cancelled"), ["canceled", "success"]),
        (("success", "canceled"), ["canceled", "success"]),
        (("running",), ["running"]),
        (("in_progress",), ["running"]),
        (("timeout",), ["failed"]),
        (("queued",), []),
        (("failed", "blocked"), []),
    ],
)
async def test_states_go_out_as_scope_where_v3_knows_them_all(states: tuple[str, ...], scope: list[str]) -> None:
    server = old_server({"builds": [], "repository/commits/abc1234/builds": []})
    async with opened(V3, server) as provider:
        for commit in (None, "abc1234"):
            wanted = BuildFilter(states=frozenset(states), commit=commit)
            assert await result_of(provider.builds("31", wanted)) == []
            params = server.asked[-1].url.params
            assert params.get_list("scope[]" if len(scope) > 1 else "scope") == scope
            assert not params.get_list("scope" if len(scope) > 1 else "scope[]")
    assert server.paths[-1].endswith("/repository/commits/abc1234/builds")


@pytest.mark.parametrize("verb", ["cancel", "retry", "erase", "erase_job", "rebuild", "decide"])
async def test_act_on_one_v3_build_touches_nothing_beside_it(verb: str) -> None:
    route = {"erase_job": "erase", "rebuild": "retry", "decide": "play"}.get(verb, verb)
    listed = [an_old_build(number, "failed") for number in (8, 7, 6)]
    server = old_server({"builds": listed, f"builds/7/{route}": an_old_build(7, "pending")})
    calls = {
        "cancel": lambda p: p.cancel("31", "7"),
        "retry": lambda p: p.retry("31", "7"),
        "erase": lambda p: p.erase("31", "7"),
        "erase_job": lambda p: p.erase_job("31", "7"),
        "rebuild": lambda p: p.rebuild("31", "7", StartRequest()),
        "decide": lambda p: p.decide(replace(MANUAL, id="job/7", build="7", pipeline="31"), approve=True),
    }
    async with opened(V3, server) as provider:
        build = await result_of(calls[verb](provider))
    assert build.id == "7"  # type: ignore[attr-defined]
    writes = [path for path in server.paths if not path.startswith("GET")]
    assert writes == [f"POST /gitlab/api/v3/projects/31/builds/7/{route}"]


async def test_v3_build_is_its_own_only_job_with_its_own_file_and_log() -> None:
    file = {"filename": "a.zip", "size": 1}
    siblings = [an_old_build(8, artifacts_file=file), an_old_build(7)]
    server = old_server({"builds": siblings, "builds/7": an_old_build(7), "builds/8": siblings[0]})
    async with opened(V3, server) as provider:
        assert [job.id for job in await provider.jobs("31", "7")] == ["7"]
        assert await provider.artifacts("31", "7") == ()
        assert [each.id for each in await provider.artifacts("31", "8")] == ["8/archive"]
        with pytest.raises(NotFound, match="has no artifacts"):
            await result_of(provider.download(replace(ARCHIVE, id="7/archive", build="7", pipeline="31")))


async def test_v3_build_reports_coverage_runner_stage_and_the_commits_time() -> None:
    commit = {"id": "abc", "created_at": "2015-12-24T16:51:14.000+01:00"}
    raw = an_old_build(7, stage="test", coverage=91.25, runner={"description": "quay"}, commit=commit)
    async with opened(V3, old_server({"builds/7": raw})) as provider:
        build = await provider.build("31", "7")
    reported = {"stage": "test", "coverage": "91.25 %", "runner": "quay", "committed": "2015-12-24 15:51:14 UTC"}
    assert build.job == build.name
    assert build.details == reported


async def test_page_of_a_whole_v3_pipeline_is_no_build() -> None:
    server = old_server({"builds": [an_old_build(8)], "builds/8": an_old_build(8)})
    async with opened(V3, server) as provider:
        page = provider.parse_url("https://old.harbour.example/gitlab/harbour/gate/pipelines/8")
        assert page is not None
        assert page.build is not None
        for call in (provider.build, provider.cancel, provider.erase, provider.jobs, provider.artifacts):
            with pytest.raises(NotFound, match="The page of pipeline 8 shows several builds"):
                await call("31", page.build)
    assert not [path for path in server.paths if path.startswith("POST")]


@pytest.mark.parametrize("before", [None, "no json", '{"at": 7}'])
async def test_a_v3_poll_begins_anew_with_an_unreadable_cursor(before: str | None) -> None:
    async with opened(V3, old_server({"builds": [an_old_build(5)]})) as provider:
        after = await provider.changes(before, watching(31))
        assert [build.id for build in after.builds] == ["5"]
        assert not (await provider.changes(after.cursor, watching(31))).builds


async def test_v3_build_run_again_and_ended_alike_is_news() -> None:
    first = an_old_build(5, "failed", finished_at="2016-08-01T08:03:00.000Z")
    again = {**first, "finished_at": "2016-08-01T09:03:00.000Z"}
    async with opened(V3, old_server({"builds": [first]})) as provider:
        cursor = (await provider.changes(None, watching(31))).cursor
    async with opened(V3, old_server({"builds": [again]})) as provider:
        assert [build.id for build in (await provider.changes(cursor, watching(31))).builds] == ["5"]


@pytest.mark.parametrize("status", [403, 404])
async def test_a_v3_project_out_of_reach_stops_no_other_and_all_of_them_is_an_error(status: int) -> None:
    good = old_server({"builds": []})

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(status, json={}) if "/projects/9" in request.url.path else good.answer(request)

    async with opened(V3, Server(answer)) as provider:
        assert not (await provider.changes(None, watching(9, 31))).builds
        with pytest.raises((AuthFailed, NotFound)):
            await provider.changes(None, watching(9))


async def test_a_v3_poll_reports_of_a_refused_token() -> None:
    async with opened(V3, Server(lambda _: httpx.Response(401, json={}))) as provider:
        with pytest.raises(AuthFailed):
            await provider.changes(None, watching(31))


async def test_a_v3_list_ends_at_its_limit() -> None:
    async with opened(V3, old_server({"builds": [an_old_build(n) for n in (3, 2, 1)]})) as provider:
        assert len(await result_of(provider.builds("31", BuildFilter(limit=2)))) == 2  # type: ignore[arg-type]


async def test_a_v3_list_with_paging_headers_follows_them() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.params.get("page") == "2":
            return httpx.Response(200, json=[], headers={"X-Next-Page": ""})
        body = [{"id": 1, "path_with_namespace": "harbour/a"}]
        return httpx.Response(200, json=body, headers={"X-Next-Page": "2"})

    server = Server(answer)
    async with opened(V3, server) as provider:
        await result_of(provider.pipelines())
    assert len(server.asked) == 2


async def test_what_v3_does_not_report_is_admitted_and_not_guessed() -> None:
    async with opened(V3, old_server({"builds/5": an_old_build(5)})) as provider:
        with pytest.raises(Rejected, match="no default branch"):
            await provider.start("31", StartRequest())
        with pytest.raises(Unsupported, match="does not tell the values"):
            await provider.rebuild("31", "5", StartRequest(parameters={"A": "1"}))
        with pytest.raises(Unsupported, match="one job"):
            await provider.retry("31", "5", failed_only=False)
        with pytest.raises(Unsupported, match="no variables"):
            await provider.decide(MANUAL, approve=True, fields={"A": "1"})
        with pytest.raises(Unsupported):
            await provider.decide(MANUAL, approve=False)
        with pytest.raises(NotFound):
            await provider.build("31", "abc@main")


@pytest.mark.parametrize(("status", "kind"), [(405, Unsupported), (400, Rejected)])
async def test_a_v3_start_that_is_not_there_falls_to_the_trigger_and_one_that_is_refused_does_not(
    status: int, kind: type[BotError]
) -> None:
    server = old_server({"builds": [], "pipeline": status})
    async with opened(V3, server, {"trigger_token": None}) as provider:
        with pytest.raises(kind):
            await provider.start("31", StartRequest(ref=Ref(kind=RefKind.BRANCH, name="master")))


# identity, and questions that never stop an act


async def test_jobs_own_pipeline_is_acted_on_whatever_build_was_named() -> None:
    job = {"id": 9, "status": "pending", "pipeline": {"id": 90001, "project_id": 4711}}

    def answer(request: httpx.Request) -> httpx.Response:
        match request.url.path.removeprefix("/api/v4/projects/4711/"):
            case "jobs/9" | "jobs/9/retry" | "jobs/9/erase":
                return httpx.Response(200, json=job)
            case "pipelines/90001":
                return httpx.Response(200, json=run(90001, "running"))
            case _:
                return nothing(request)

    server = Server(answer)
    async with opened(CASE, server) as provider:
        assert (await provider.build_of_job(PROJECT, "9")).id == "90001"
        assert (await provider.retry(PROJECT, "90002", job="9")).id == "90001"
        assert (await provider.erase_job(PROJECT, "9")).id == "90001"
    assert [path for path in server.paths if path.startswith("POST")] == [
        "POST /api/v4/projects/4711/jobs/9/retry",
        "POST /api/v4/projects/4711/jobs/9/erase",
    ]


async def test_start_goes_on_where_side_questions_fail() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST" and request.url.path.endswith("/pipeline"):
            assert json.loads(request.content)["inputs"] == {"dry": "true"}
            return httpx.Response(201, json=run(90001, "created"))
        if request.url.path == "/api/v4/projects/4711":
            return httpx.Response(200, json={"id": 4711, "path_with_namespace": "a/b", "default_branch": "main"})
        return httpx.Response(501)

    async with opened(CASE, Server(answer)) as provider:
        assert (await provider.start(PROJECT, StartRequest(options={"input.dry": "true"}))).id == "90001"


async def test_target_of_a_tag_is_a_branch_of_that_name_too() -> None:
    async with opened(CASE, Server(nothing)) as provider:
        target = await provider.start_target(PROJECT, StartRequest(ref=Ref(kind=RefKind.TAG, name="main")))
    assert (target.branch, target.tag) == ("main", "main")


def test_variant_is_chosen_by_the_option() -> None:
    for version, kind in (("v4", GitLab), ("v3", GitLabV3)):
        options = GitLabOptions.model_validate({"token": "t", "api_version": version})
        assert GitLab.variant(options) is kind


async def test_two_commits_are_compared_by_one_request_newest_first() -> None:
    commits = [
        {
            "id": "a1" * 20,
            "title": "First",
            "author_name": "Mika",
            "created_at": "2026-08-01T10:00:00Z",
            "web_url": "u1",
        },
        {"id": "b2" * 20, "message": "Second\n\nWhy", "created_at": "2026-08-01T11:00:00Z"},
        "odd",
    ]
    server = Server(lambda _request: httpx.Response(200, json={"commits": commits}))
    async with opened(CASE, server) as provider:
        second, first = await provider.commits(PROJECT, "00" * 20, "b2" * 20)
    assert (first.sha, first.subject, first.author, first.url) == ("a1" * 20, "First", "Mika", "u1")
    assert (second.sha, second.subject) == ("b2" * 20, "Second")
    (asked,) = server.asked
    assert asked.url.path.endswith("/repository/compare")
    assert dict(asked.url.params) == {"from": "00" * 20, "to": "b2" * 20}


async def test_an_old_start_that_was_taken_is_not_sent_again_as_a_trigger() -> None:
    """The pipeline was made and its builds do not show: the trigger would make a second one."""
    posts: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if request.method == "POST":
            posts.append(path.rpartition("/")[2])
            return httpx.Response(201, json={"id": 900, "status": "pending"})
        return httpx.Response(200, json=[] if path.endswith("/builds") else {"id": 31, "path_with_namespace": "a/b"})

    async with opened(V3, httpx.MockTransport(answer)) as provider:
        with pytest.raises(Unavailable, match="can't") as refused:
            await provider.start("31", StartRequest(ref=Ref(kind=RefKind.BRANCH, name="main")))
    assert refused.value.acted
    assert posts == ["pipeline"]
