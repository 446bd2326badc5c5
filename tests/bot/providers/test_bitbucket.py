"""What is Bitbucket's own: signatures, addresses, states in two spellings, credentials, the poll's cost, the yml."""

import base64
import json
from datetime import timedelta
from urllib.parse import quote

import httpx
import pytest

from bot.core.errors import AuthFailed, UnexpectedResponse
from bot.core.models import Build, Conclusion, Page, ParameterType, StartRequest, Status, Watched
from bot.http.client import Quota
from bot.providers import PROVIDERS
from bot.providers.bitbucket import client, convert, parameters, start, wire
from bot.providers.bitbucket.provider import Bitbucket
from tests.bot.providers.case import NOW, opened
from tests.bot.providers.cases.bitbucket import (
    BUILD,
    CASE,
    FERRY,
    SECRET,
    STEP,
    TOKEN,
    WATCHED,
    a_run,
    key,
    run_id,
    sign,
)
from tests.bot.providers.specs import ABSENT, FOLDER

STEP_WORDS = (
    "PENDING READY PAUSED HALTED IN_PROGRESS COMPLETED SUCCESSFUL FAILED ERROR STOPPED EXPIRED NOT_RUN SKIPPED"
    " STARTING_AGENT CLONING PULLING_IMAGES DOWNLOADING_CACHES DOWNLOADING_ARTIFACTS RUNNING PARSING_TEST_RESULTS"
    " UPLOADING_CACHES UPLOADING_ARTIFACTS COMPLETING_LOGS SYSTEM_ERROR USER_ERROR"
)
STATUS = json.dumps(
    {
        "repository": {"uuid": FERRY, "full_name": "harbor/ferry"},
        "commit_status": {"url": "https://bitbucket.org/harbor/ferry/addon/pipelines/home#!/results/41"},
    }
).encode()


def nothing(_request: httpx.Request) -> httpx.Response:
    return httpx.Response(404)


SILENT = httpx.MockTransport(nothing)


# webhooks


async def test_webhook_is_named_by_its_request_or_else_by_what_it_says() -> None:
    headers, _ = sign(STATUS, {})
    async with opened(CASE, SILENT) as bitbucket:
        named = bitbucket.parse_webhook({**headers, "x-request-uuid": "one"}, STATUS)
        first, again = (bitbucket.parse_webhook(headers, STATUS) for _ in range(2))
    assert named is not None
    assert named.delivery == "one"
    assert first == again
    assert first is not None
    assert SECRET not in first.delivery


async def test_webhook_of_another_workspace_is_left_alone_unless_ours_is_named_by_its_id() -> None:
    headers, _ = sign(STATUS, {})
    async with opened(CASE, SILENT, {"workspace": "rival"}) as bitbucket:
        assert bitbucket.parse_webhook(headers, STATUS) is None
    async with opened(CASE, SILENT, {"workspace": "{0f1e2d3c-0000-4000-8000-000000000001}"}) as bitbucket:
        assert bitbucket.parse_webhook(headers, STATUS) is not None


@pytest.mark.skipif(not FOLDER.exists(), reason=ABSENT)
async def test_signatures_fit_the_documented_vectors() -> None:
    folder = FOLDER / "samples" / "bitbucket"
    for vector in json.loads((folder / "signature_vectors.json").read_bytes()):
        body = (folder / vector["body_file"]).read_bytes()
        headers = {"x-hub-signature": vector["header"]} if vector["header"] else {}
        async with opened(CASE, SILENT, {"webhook_secret": vector["secret"], "workspace": "sample-workspace"}) as it:
            if vector["valid"]:
                assert it.parse_webhook(headers, body) is not None
            else:
                with pytest.raises(AuthFailed, match="signature"):
                    it.parse_webhook(headers, body)


# addresses


@pytest.mark.parametrize(
    ("url", "page"),
    [
        ("https://bitbucket.org/harbor/ferry", Page(pipeline="ferry")),
        ("https://bitbucket.org/Harbor/ferry/src/main/", Page(pipeline="ferry")),
        ("https://bitbucket.org/harbor/ferry/pipelines", Page(pipeline="ferry")),
        ("https://bitbucket.org/harbor/ferry/pipelines/results/page/2", Page(pipeline="ferry")),
        ("https://bitbucket.org/harbor/ferry/pipelines/results/41", Page(pipeline="ferry", number=41)),
        (
            f"https://bitbucket.org/harbor/ferry/pipelines/results/41/steps/{quote(STEP.upper())}/test-report",
            Page(pipeline="ferry", number=41, job=STEP),
        ),
        (
            "https://bitbucket.org/harbor/ferry/addon/pipelines/home#!/results/41",
            Page(pipeline="ferry", number=41),
        ),
        (
            f"https://bitbucket.org/harbor/ferry/addon/pipelines/home#!/results/41/steps/{STEP}",
            Page(pipeline="ferry", number=41, job=STEP),
        ),
        (f"https://bitbucket.org/harbor/{FERRY}/pipelines/results/41", Page(pipeline=FERRY, number=41)),
        ("https://bitbucket.org/harbor/workspace/overview", None),
        ("https://bitbucket.org/rival/ferry/pipelines/results/41", None),
        ("https://bitbucket.org/harbor", None),
        ("https://bitbucket.org.evil.example/harbor/ferry/pipelines/results/41", None),
    ],
)
async def test_pages_read(url: str, page: Page | None) -> None:
    async with opened(CASE, SILENT) as bitbucket:
        assert bitbucket.parse_url(url) == page


# credentials


async def test_access_token_goes_as_bearer_and_an_api_token_with_its_owners_address() -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["Authorization"])
        return httpx.Response(200, json={"uuid": "{1}", "full_name": "harbor/ferry"})

    transport = httpx.MockTransport(answer)
    async with opened(CASE, transport) as bitbucket:
        await bitbucket.pipeline("ferry")
    async with opened(CASE, transport, {"email": "bells@harbor.example"}) as bitbucket:
        await bitbucket.pipeline("ferry")
    basic = base64.b64encode(f"bells@harbor.example:{TOKEN}".encode()).decode()
    assert seen == [f"Bearer {TOKEN}", f"Basic {basic}"]


async def test_lost_answer_of_a_start_is_looked_for_among_the_token_owners_runs() -> None:
    mine, theirs = {"uuid": "{me}"}, {"uuid": "{them}"}
    runs = [
        {**a_run(n, "PENDING", None), "creator": who, "created_on": NOW.isoformat()}
        for n, who in enumerate([theirs, mine])
    ]

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            raise httpx.ReadTimeout("timed out")
        return httpx.Response(200, json={"uuid": "{me}"} if request.url.path.endswith("/user") else {"values": runs})

    async with opened(CASE, httpx.MockTransport(answer), {"email": "bells@harbor.example"}) as bitbucket:
        build = await bitbucket.start(FERRY, StartRequest(options={"branch": "main"}))
    assert build.number == 1


@pytest.mark.parametrize("address", ["bells", "bells@", "be:lls@harbor.example"])
def test_user_name_is_no_address(address: str) -> None:
    with pytest.raises(ValueError, match="email"):
        PROVIDERS["bitbucket"].options_type.model_validate({**CASE.options, "email": address})


async def test_own_address_of_the_api_is_asked() -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        return httpx.Response(200, json={"uuid": "{1}"})

    async with opened(CASE, httpx.MockTransport(answer), {"url": "http://127.0.0.1:8099/2.0/"}) as bitbucket:
        await bitbucket.pipeline("ferry")
    assert seen == ["http://127.0.0.1:8099/2.0/repositories/harbor/ferry"]


# limits


def test_what_is_left_of_the_hour_is_counted_here() -> None:
    meter = client.Meter()
    assert meter.quota(10, None, NOW) == Quota(limit=1000, remaining=990, resets_at=NOW + client.WINDOW)
    assert meter.quota(400, None, NOW + timedelta(minutes=30)).remaining == 600
    assert meter.quota(410, None, NOW + timedelta(minutes=70)).remaining == 600
    assert meter.quota(420, None, NOW + timedelta(minutes=95)).remaining == 980
    assert meter.quota(9000, None, NOW + timedelta(minutes=95)).remaining == 0


def test_access_token_is_told_its_limit_and_whether_it_is_near() -> None:
    assert client.told(httpx.Headers({})) is None
    assert client.told(httpx.Headers({"X-RateLimit-Limit": "many"})) is None
    far = client.told(httpx.Headers({"X-RateLimit-Limit": "4000", "X-RateLimit-NearLimit": "false"}))
    near = client.told(httpx.Headers({"X-RateLimit-Limit": "4000", "X-RateLimit-NearLimit": "true"}))
    assert far == Quota(limit=4000, remaining=4000)
    assert near == Quota(limit=4000, remaining=800)
    assert client.Meter().quota(100, near, NOW).remaining == 800
    assert client.Meter().quota(100, far, NOW).remaining == 3900


async def test_quota_follows_the_requests() -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json={"uuid": "{1}"}))
    async with opened(CASE, transport) as bitbucket:
        await bitbucket.pipeline("ferry")
        assert bitbucket.quota is not None
        assert bitbucket.quota.remaining == 999


# the poll


async def test_quiet_tick_costs_one_request() -> None:
    asked: list[str] = []
    runs = [a_run(44, "IN_PROGRESS", None), a_run(41)]

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(200, json={"values": runs if request.url.path.endswith("/pipelines") else []})

    async with opened(CASE, httpx.MockTransport(answer)) as bitbucket:
        first = await bitbucket.changes(None, WATCHED)
        assert len(asked) == 2, "the list, and the steps of the one that somebody watches"
        asked.clear()
        second = await bitbucket.changes(first.cursor, WATCHED)
        assert len(asked) == 1
        runs[0] = a_run(44)
        asked.clear()
        third = await bitbucket.changes(second.cursor, WATCHED)
    assert len(asked) == 2, "the list, and the steps of the one that ended"
    assert [build.completed for build in third.builds] == [True, True]


async def test_repository_without_builds_is_news_at_its_first_one() -> None:
    runs: list[object] = []
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(200, json={"values": runs if request.url.path.endswith("/pipelines") else []})

    async with opened(CASE, httpx.MockTransport(answer)) as bitbucket:
        first = await bitbucket.changes(None, Watched(pipelines=frozenset({FERRY})))
        runs.append(a_run(1))
        asked.clear()
        await bitbucket.changes(first.cursor, Watched(pipelines=frozenset({FERRY})))
    assert len(asked) == 2


async def test_unfinished_build_further_down_is_read_alone() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith(("/pipelines", "/steps")):
            return httpx.Response(200, json={"values": []})
        return httpx.Response(200, json=a_run(44))

    async with opened(CASE, httpx.MockTransport(answer)) as bitbucket:
        changes = await bitbucket.changes(None, WATCHED)
    assert [build.key for build in changes.builds] == [key(44)]


async def test_each_repository_has_a_poll_target_of_its_own() -> None:
    async with opened(CASE, SILENT) as bitbucket:
        assert bitbucket.poll_target(FERRY) == key(41).pipeline


async def test_commit_is_read_once_and_few_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.providers.bitbucket.provider.COMMITS_KEPT", 2)
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(200, json={"message": "Rails"})

    async with opened(CASE, httpx.MockTransport(answer)) as bitbucket:
        assert isinstance(bitbucket, Bitbucket)
        for commit in ("a1", "a1", "b2", "c3", "a1"):
            await bitbucket._learn(FERRY, commit)
    assert [path[-2:] for path in asked] == ["a1", "b2", "c3", "a1"]


# states


def test_every_documented_step_state_is_known() -> None:
    assert set(STEP_WORDS.split()) <= convert.STEP_STATES.keys()


@pytest.mark.parametrize(
    ("state", "word", "waiting"),
    [
        (None, None, False),
        (wire.State(), None, False),
        (wire.State(name="in_progress", stage=wire.Word(type="pipeline_state_in_progress_paused")), "PAUSED", True),
        (wire.State(type="pipeline_state_in_progress"), "IN_PROGRESS", False),
        (wire.State(type="pipeline_step_state_completed", result=wire.Word(type="x")), "X", False),
        (
            wire.State(
                type="pipeline_step_state_completed", result=wire.Word(type="pipeline_step_state_completed_not_run")
            ),
            "NOT_RUN",
            False,
        ),
        (wire.State(name="COMPLETED", stage=wire.Word(name="PAUSED")), "COMPLETED", False),
        (wire.State(name="PENDING", stage=wire.Word(name="PAUSED")), "PAUSED", True),
        (wire.State(name="PENDING", stage=wire.Word(name="PENDING")), "PENDING", False),
    ],
)
def test_state_is_read_by_name_or_by_type(state: wire.State | None, word: str | None, waiting: bool) -> None:
    assert convert.state_word(state) == word
    assert convert.is_waiting(state) is waiting


def test_completed_in_an_unknown_word_is_completed() -> None:
    build = convert.build(
        wire.PipelineRun(uuid="{1}", state=wire.State(name="COMPLETED", result=wire.Word(name="SUNK"))), "ci", FERRY
    )
    assert (build.status, build.conclusion, build.raw_state) == (Status.COMPLETED, None, "SUNK")
    job = convert.job(
        wire.Step(uuid="{2}", state=wire.State(name="COMPLETED", result=wire.Word(name="SUNK"))), build, None
    )
    assert (job.status, job.conclusion, job.web_url) == (Status.COMPLETED, None, None)


def test_bare_run_reads_without_guesses() -> None:
    build = convert.build(wire.PipelineRun(uuid="{1}"), "ci", FERRY)
    assert build == Build(connection="ci", pipeline=FERRY, id="{1}", status=Status.IN_PROGRESS)
    assert convert.with_steps(build, []) == build
    assert convert.with_steps(build, [wire.Step(uuid="{2}")]).attempt is None


def test_waiting_run_whose_steps_have_all_ended_has_no_approval() -> None:
    done = wire.Step(uuid="{2}", state=wire.State(name="COMPLETED", result=wire.Word(name="SUCCESSFUL")))
    assert convert.approval([done], BUILD) is None
    assert BUILD.conclusion is Conclusion.FAILED


# what is sent


def test_run_of_the_same_branch_with_another_custom_pipeline_is_not_ours() -> None:
    asked = start.start_body(start.ref_target("branch", "main", None), StartRequest(options={"selector": "sail"}))
    target = wire.Target(ref_name="main", selector=wire.Selector(type="custom", pattern="sail"))
    assert start.fits(wire.PipelineRun(uuid=run_id(1), target=target), asked)
    target.selector = wire.Selector(type="custom", pattern="scrub")
    assert not start.fits(wire.PipelineRun(uuid=run_id(1), target=target), asked)
    assert not start.fits(wire.PipelineRun(uuid=run_id(1)), asked)


@pytest.mark.parametrize(
    ("text", "selector"),
    [
        ("", None),
        ("sail", {"type": "custom", "pattern": "sail"}),
        ("sail: fast", {"type": "custom", "pattern": "sail: fast"}),
        ("custom:sail", {"type": "custom", "pattern": "sail"}),
        ("default", {"type": "default"}),
        ("pull-requests:feature/*", {"type": "pull-requests", "pattern": "feature/*"}),
        ("branches:", {"type": "custom", "pattern": "branches:"}),
    ],
)
def test_selector_reads(text: str, selector: dict[str, str] | None) -> None:
    assert start.selector(StartRequest(options={"selector": text})) == selector


def test_pull_request_without_its_ends_is_no_target() -> None:
    def end(branch: str | None, commit: str | None) -> wire.BranchName:
        return wire.BranchName(branch=wire.Named(name=branch), commit=wire.Commit(hash=commit))

    assert start.pull_request_target("7", wire.PullRequest()) is None
    assert start.pull_request_target("7", wire.PullRequest(source=end(None, "a"), destination=end("m", "b"))) is None
    assert start.pull_request_target("7", wire.PullRequest(source=end("r", None), destination=end("m", "b"))) is None


# the yml


def test_variable_that_one_pipeline_leaves_free_takes_any_value() -> None:
    text = """
pipelines:
  custom:
    sail:
      - variables:
          - {name: QUAY, allowed-values: [north]}
          - {name: ~}
          - QUAY
    scrub:
      - variables: [{name: QUAY}]
    rest: ~
"""
    found = parameters.parameters(text)
    assert [(one.name, one.type) for one in found] == [
        ("selector", ParameterType.CHOICE),
        ("QUAY", ParameterType.TEXT),
    ]
    assert [value for value, _ in found[0].choices] == ["sail", "scrub", "rest"]


def test_file_that_would_swell_is_only_looked_at() -> None:
    layers = "\n".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 30))
    text = f"a0: &a0 {{x: y}}\n{layers}\npipelines: {{custom: {{sail: [{{variables: [{{name: QUAY}}]}}]}}}}"
    assert [one.name for one in parameters.parameters(text)] == ["selector", "QUAY"]


@pytest.mark.parametrize("text", ["[" * 100_000, "x" * 300_000, "", "- a", "a: \x00", "a: [b"])
def test_what_is_no_yml_is_refused_in_words(text: str) -> None:
    with pytest.raises(UnexpectedResponse, match=r"bitbucket-pipelines\.yml"):
        parameters.parameters(text)


def test_objects_are_not_made_of_the_file() -> None:
    assert parameters.parameters("a: !!python/object/apply:os.system [ls]\npipelines: !!python/name:os.system x") == ()
