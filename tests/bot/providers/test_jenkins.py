"""What is Jenkins' own: names and paths, the poll, ids of queued builds, stopping, crumbs, words of error pages."""

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from pydantic import ValidationError
from typing_extensions import override

from bot.core.errors import AuthFailed, NotFound, Rejected, Unavailable, UnexpectedResponse, UsageError
from bot.core.models import (
    Build,
    BuildFilter,
    BuildKey,
    Conclusion,
    IssueCounts,
    Job,
    Page,
    ParameterType,
    Person,
    Ref,
    RefKind,
    StartRequest,
    StartTarget,
    Status,
    Trigger,
    Watched,
)
from bot.providers.base.capabilities import Capability
from bot.providers.base.memory import ABSENT_FOR, AbsentOperations
from bot.providers.jenkins import annotations, convert, errors, parameters, poll, stages, urls, wire
from bot.providers.jenkins.client import REMEMBERED
from bot.providers.jenkins.options import JenkinsOptions
from bot.providers.jenkins.provider import Jenkins
from bot.providers.jenkins.start import START_OPTIONS
from tests.bot.providers.case import CONNECTION, NOW, opened, result_of
from tests.bot.providers.cases.jenkins import CASE, GLOW, HOME, MAIN, SECRET, SHA, SWEEP, a_build
from tests.bot.providers.specs import ABSENT, FOLDER

SAMPLES = FOLDER / "samples" / "jenkins"
NEEDS_SAMPLES = pytest.mark.skipif(not FOLDER.exists(), reason=ABSENT)
OURS = [{"causes": [{"_class": "hudson.model.Cause$UserIdCause", "userId": "bell-bot", "userName": "Bell Bot"}]}]


def _later(span: timedelta) -> datetime:
    return NOW + span


class Scripted(httpx.AsyncBaseTransport):
    """Answers by method and path, 404 else, and remembers what was asked."""

    def __init__(self, answers: Mapping[str, Callable[[httpx.Request], httpx.Response] | object]) -> None:
        self.answers = dict(answers)
        self.asked: list[str] = []

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        asked = f"{request.method} {request.url.raw_path.decode().partition('?')[0]}"
        self.asked.append(asked)
        found = self.answers.get(asked)
        if callable(found):
            answer = found(request)
            assert isinstance(answer, httpx.Response)
            return answer
        return httpx.Response(404) if found is None else httpx.Response(200, json=found)


def sample(name: str) -> Any:
    return json.loads((SAMPLES / name).read_bytes())


# names and paths


@NEEDS_SAMPLES
def test_paths_fit_the_documented_vectors() -> None:
    for vector in sample("path_vectors.json"):
        assert f"/{urls.job_path(vector['fullName'])}/" == vector["path"]
        place = urls.place(vector["path"])
        assert place is not None
        assert place.job == vector["fullName"]
        if "branch" in vector:
            assert urls.branch_name(vector["branch"]) == vector["fullName"].rpartition("/")[2]


@NEEDS_SAMPLES
async def test_start_answers_fit_the_documented_vectors() -> None:
    for vector in sample("start_responses.json"):
        method, _, path = vector["request"].partition(" ")
        job = {"property": [{"parameterDefinitions": [{"name": "X"}]}] if path.endswith("Parameters") else []}
        transport = Scripted(
            {
                "GET /job/nightly/api/json": job,
                f"{method} {path}": lambda _, it=vector: httpx.Response(it["status"], headers=it["headers"]),
            }
        )
        async with opened(CASE, transport) as jenkins:
            if vector["queue_id"] is None:
                with pytest.raises(Rejected, match="did not queue"):
                    await jenkins.start("nightly", StartRequest())
            else:
                build = await jenkins.start("nightly", StartRequest())
                assert build.id == f"queue-{vector['queue_id']}"


@pytest.mark.parametrize(
    ("branch", "name"),
    [
        ("main", "main"),
        ("feature/x", "feature%2Fx"),
        ("50%", "50%25"),
        ("a#b?c[d]e\\f", "a%23b%3Fc%5Bd%5De%5Cf"),
        ("ä b", "ä b"),
        (".", "%2E"),
        ("..", "%2E."),
    ],
)
def test_branches_are_encoded_as_jenkins_does(branch: str, name: str) -> None:
    assert urls.branch_name(branch) == name
    assert urls.ref_of_job(name) == Ref(kind=RefKind.BRANCH, name=branch)


@pytest.mark.parametrize("name", ["", "a//b", "a/../b", ".", "a/."])
def test_what_is_no_name_is_no_path(name: str) -> None:
    with pytest.raises(NotFound):
        urls.job_path(name)


@pytest.mark.parametrize(
    ("path", "page"),
    [
        ("job/sweep/", Page(pipeline="sweep")),
        ("job/sweep/lastBuild/", Page(pipeline="sweep")),
        ("view/All/job/lamps/view/Mine/job/oil/7/console", Page(pipeline="lamps/oil", build="7", number=7)),
        (
            "job/lamps/job/beacon/job/feature%252Fglow/7/stages/?selected-node=15",
            Page(pipeline="lamps/beacon/feature%2Fglow", build="7", number=7, job="15"),
        ),
        ("job/lamps/job/oil/7/execution/node/6/", Page(pipeline="lamps/oil", build="7", number=7, job="6")),
        (
            "blue/organizations/jenkins/lamps%2Foil/detail/oil/7/pipeline",
            Page(pipeline="lamps/oil", build="7", number=7),
        ),
        (
            "blue/organizations/jenkins/lamps%2Fbeacon/detail/feature%2Fglow/7/pipeline/15",
            Page(pipeline="lamps/beacon/feature%2Fglow", build="7", number=7, job="15"),
        ),
        (
            "job/prisms/GLASS=clear,LAMP=oil/3/console",
            Page(pipeline="prisms", build="3", number=3, job="GLASS=clear,LAMP=oil"),
        ),
        ("job/prisms/GLASS=clear/", Page(pipeline="prisms")),
        ("job/kiln/org.harbor$core/12/", None),
        ("blue/organizations/jenkins/lamps%2Foil/activity", Page(pipeline="lamps/oil")),
        ("blue/organizations/jenkins", None),
        ("blue/organizations/jenkins/%2F/activity", None),
        ("blue/organizations/jenkins/a%2F..%2Fb/activity", None),
        ("job/a%2Fb/", None),
        ("job/..%2e/", Page(pipeline="...")),
        ("manage/", None),
        ("job", None),
    ],
)
async def test_pages_read(path: str, page: Page | None) -> None:
    async with opened(CASE, Scripted({}), {"url": "https://ci.lantern.example/jenkins/"}) as jenkins:
        assert jenkins.parse_url(f"https://ci.lantern.example/jenkins/{path}") == page
        assert jenkins.parse_url(f"https://ci.lantern.example/{path}") is None
        assert jenkins.parse_url(f"https://ci.lantern.example:8443/jenkins/{path}") is None
        assert jenkins.parse_url(f"ftp://ci.lantern.example/jenkins/{path}") is None


async def test_server_below_a_path_is_asked_there_and_its_pages_lie_there() -> None:
    transport = Scripted({"GET /jenkins/job/sweep/41/api/json": a_build()})
    async with opened(CASE, transport, {"url": "https://ci.lantern.example/jenkins/"}) as jenkins:
        build = await jenkins.build(SWEEP, "41")
    assert build.web_url == "https://ci.lantern.example/jenkins/job/sweep/41/"


def test_address_and_user_must_be_given() -> None:
    good = {"url": HOME, "user": "bell-bot", "token": "t"}
    JenkinsOptions.model_validate(good)
    for name, value in (("url", ""), ("url", "ci.lantern.example"), ("user", ""), ("user", "a:b"), ("token", "")):
        with pytest.raises(ValidationError):
            JenkinsOptions.model_validate({**good, name: value})
        with pytest.raises(ValidationError):
            JenkinsOptions.model_validate({key: kept for key, kept in good.items() if key != name})


# queue items


@NEEDS_SAMPLES
async def test_left_item_is_the_build_it_became_under_the_id_it_was_asked_for() -> None:
    transport = Scripted(
        {
            "GET /queue/item/599/api/json": sample("queue_item_left.json"),
            "GET /job/folder/job/pipeline/54/api/json": {**a_build(54), "queueId": 599},
        }
    )
    async with opened(CASE, transport) as jenkins:
        build = await jenkins.build("folder/pipeline", "queue-599")
        again = await jenkins.build("folder/pipeline", "queue-599")
        by_number = await jenkins.build_by_number("folder/pipeline", 54)
        other = await jenkins.build("folder/pipeline", "54")
        jobs = await jenkins.jobs("folder/pipeline", "queue-599")
    assert (build.id, build.number) == ("queue-599", 54)
    assert build == again == by_number == other
    assert [job.build for job in jobs] == ["54"]
    assert transport.asked.count("GET /queue/item/599/api/json") == 1


@NEEDS_SAMPLES
async def test_start_without_an_answer_is_found_in_the_queue() -> None:
    def silent(_: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("timed out")

    queue = sample("queue.json")
    for item in queue["items"]:
        item["inQueueSince"] = int(NOW.timestamp() * 1000)
    transport = Scripted(
        {
            "GET /job/folder/job/pipeline/api/json": {"nextBuildNumber": 169, "builds": []},
            "POST /job/folder/job/pipeline/build": silent,
            "GET /queue/api/json": queue,
            "GET /queue/item/669/api/json": queue["items"][0],
        }
    )
    async with opened(CASE, transport, {"user": "Admin"}) as jenkins:
        build = await jenkins.start("folder/pipeline", StartRequest())
    assert (build.id, build.status, build.triggered_by, build.trigger) == (
        "queue-669",
        Status.QUEUED,
        "alex",
        Trigger.API,
    )
    assert transport.asked.count("POST /job/folder/job/pipeline/build") == 1


async def test_build_shown_before_it_had_a_number_keeps_its_id_in_lists_and_in_the_poll() -> None:
    run = {**a_build(42), "building": True, "result": None, "queueId": 912}
    ended = {**a_build(42), "queueId": 912}
    tree: dict[str, object] = {"fullName": SWEEP, "lastBuild": {"number": 42, "building": True, "result": None}}
    item = {"id": 912, "task": {"url": f"{HOME}/job/sweep/"}}
    answers: dict[str, object] = {
        "GET /job/sweep/api/json": {"nextBuildNumber": 42, "lastBuild": None},
        "POST /job/sweep/build": lambda _: httpx.Response(201, headers={"Location": "/queue/item/912/"}),
        "GET /queue/item/912/api/json": item,
    }
    transport = Scripted(answers)
    async with opened(CASE, transport) as jenkins:
        started = await jenkins.start(SWEEP, StartRequest())
        assert (started.id, started.number) == ("queue-912", None)
        transport.answers |= {
            "GET /queue/item/912/api/json": {**item, "executable": {"number": 42}},
            "GET /job/sweep/api/json": {**tree, "builds": [run]},
            "GET /job/sweep/42/api/json": run,
        }
        listed = await result_of(jenkins.builds(SWEEP, BuildFilter(limit=1)))
        watched = Watched(pipelines=frozenset({SWEEP}), unfinished=frozenset({started.key}))
        first = await jenkins.changes(None, watched)
        transport.answers |= {
            "GET /job/sweep/api/json": {**tree, "lastBuild": {"number": 42, "building": False, "result": "SUCCESS"}},
            "GET /job/sweep/42/api/json": ended,
        }
        second = await jenkins.changes(first.cursor, watched)
        third = await jenkins.changes(second.cursor, Watched(pipelines=frozenset({SWEEP})))
    assert isinstance(listed, list)
    assert [build.id for build in listed] == ["queue-912"]
    assert [(build.id, build.number) for build in first.builds] == [("queue-912", 42)]
    assert [(build.id, build.conclusion) for build in second.builds] == [("queue-912", Conclusion.PASSED)]
    assert third.builds == ()


async def test_build_that_begins_between_two_requests_of_a_poll_pushes_none_out() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        asked_for = re.search(r"\{0,(\d+)\}", str(request.url.params.get("tree")))
        if asked_for is None:  # the newest was #20 then
            last = {"number": 20, "building": False, "result": "SUCCESS"}
            return httpx.Response(200, json={"fullName": SWEEP, "lastBuild": last})
        newest_first = [a_build(number) for number in (21, 20, 19, 18, 17)]
        return httpx.Response(200, json={"builds": newest_first[: int(asked_for[1])]})

    transport = Scripted({"GET /job/sweep/api/json": answer})
    async with opened(CASE, transport) as jenkins:
        cursor = json.dumps({"marks": {SWEEP: [18, "SUCCESS"]}})
        changes = await jenkins.changes(cursor, Watched(pipelines=frozenset({SWEEP})))
    assert sorted(build.number or 0 for build in changes.builds) == [19, 20, 21]
    assert len(transport.asked) == 3


async def test_what_is_remembered_is_bounded() -> None:
    async with opened(CASE, Scripted({})) as jenkins:
        assert isinstance(jenkins, Jenkins)
        for item in range(REMEMBERED + 1):
            jenkins._server.aliases[SWEEP, item] = None
        assert len(jenkins._server.aliases) == REMEMBERED
        assert (SWEEP, 0) not in jenkins._server.aliases


async def test_queue_item_of_another_job_is_refused_by_every_act_and_names_its_job() -> None:
    item = {"id": 912, "task": {"url": f"{HOME}/job/oil/"}, "executable": {"number": 7}}
    transport = Scripted({"GET /queue/item/912/api/json": item})
    async with opened(CASE, transport) as jenkins:
        for act in (
            jenkins.build(SWEEP, "queue-912"),
            jenkins.cancel(SWEEP, "queue-912"),
            jenkins.rebuild(SWEEP, "queue-912", StartRequest()),
            jenkins.retry(SWEEP, "queue-912"),
            jenkins.artifacts(SWEEP, "queue-912"),
        ):
            with pytest.raises(NotFound, match="belongs to oil, not to sweep"):
                await act
        transport.answers["GET /queue/item/912/api/json"] = {"id": 912, "task": {}}
        with pytest.raises(NotFound, match="is no build"):
            await jenkins.cancel(SWEEP, "queue-912")
    assert not [asked for asked in transport.asked if asked.startswith("POST")]


# the poll


async def test_quiet_tick_costs_one_request_for_all_jobs_and_one_more_for_each_running_build() -> None:
    names_ = [f"folder{number % 10}/job{number}" for number in range(1000)]
    last = {"number": 7, "building": False, "result": "SUCCESS", "timestamp": 1, "duration": 1}
    root = {
        "jobs": [
            {
                "fullName": f"folder{folder}",
                "jobs": [
                    {"fullName": name, "lastBuild": last} for name in names_ if name.startswith(f"folder{folder}/")
                ],
            }
            for folder in range(10)
        ]
    }
    running = {**a_build(6), "building": True, "result": None}
    transport = Scripted({"GET /api/json": root, "GET /job/folder0/job/job0/6/api/json": running})
    async with opened(CASE, transport) as jenkins:
        watched = Watched(pipelines=frozenset(names_))
        cursor, costs = None, []
        for _ in range(3):
            before = jenkins.requests
            cursor = (await jenkins.changes(cursor, watched)).cursor
            costs.append(jenkins.requests - before)
        key = BuildKey(connection=CONNECTION, pipeline="folder0/job0", id="6")
        before = jenkins.requests
        changes = await jenkins.changes(cursor, Watched(pipelines=watched.pipelines, unfinished=frozenset({key})))
        costs.append(jenkins.requests - before)
        before = jenkins.requests
        await jenkins.changes(cursor, Watched(pipelines=watched.pipelines, unfinished=frozenset({key})))
        costs.append(jenkins.requests - before)
    # the stage view, which is not there, is asked once for input steps
    assert costs == [1, 1, 1, 3, 2]
    assert [build.key for build in changes.builds] == [key]


@pytest.mark.parametrize(
    ("jobs", "folder", "levels"),
    [
        ({"a/b/c", "a/b/d"}, "a/b", 1),
        ({"a/b/c", "a/x"}, "a", 2),
        ({"a", "b/c/d/e"}, "", 4),
        ({"a/b"}, "a/b", 0),
        ({"a", "a/b"}, "a", 1),
    ],
)
def test_the_poll_begins_at_the_narrowest_folder_and_goes_no_deeper_than_the_jobs(
    jobs: set[str], folder: str, levels: int
) -> None:
    assert poll.common_folder(jobs) == folder
    assert poll.tree(folder, jobs).count("jobs[") == levels


def test_cursor_that_does_not_read_knows_nothing() -> None:
    for text in (None, "", "{", "[]", '{"marks": 1}', '{"marks": {"a": ["x", ""]}}'):
        assert poll.Cursor.decode(text) is None
    assert poll.Cursor.decode('{"sweep": [3, "SUCCESS"]}') == poll.Cursor()  # as older versions wrote it
    cursor = poll.Cursor(marks={"b": poll.Mark(number=0), "a": poll.Mark(number=3, result="SUCCESS")})
    assert poll.Cursor.decode(cursor.encode()) == cursor


async def test_more_builds_than_one_list_holds_are_read_from_the_longer_one() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        tree = request.url.params["tree"]
        member = "allBuilds" if "allBuilds" in tree else "builds"
        start, end = (int(part) for part in tree.rpartition("{")[2].rstrip("}").split(","))
        asked.append(f"{member} {start}-{end}")
        return httpx.Response(200, json={member: [a_build(1000 - n) for n in range(start, min(end, 120))]})

    async with opened(CASE, Scripted({"GET /job/sweep/api/json": answer})) as jenkins:
        builds = await result_of(jenkins.builds(SWEEP, BuildFilter(states=frozenset({"passed"}), limit=1000)))
    assert isinstance(builds, list)
    assert len(builds) == 120
    assert asked == ["builds 0-50", "builds 50-100", "allBuilds 100-150"]


async def test_odd_build_of_a_list_spoils_only_itself() -> None:
    listed = {"builds": [{"number": "odd"}, a_build(40)]}
    async with opened(CASE, Scripted({"GET /job/sweep/api/json": listed})) as jenkins:
        builds = await result_of(jenkins.builds(SWEEP, BuildFilter(limit=3)))
    assert isinstance(builds, list)
    assert [build.number for build in builds] == [40]


async def test_branch_is_known_before_the_first_checkout_and_of_builds_that_never_got_there() -> None:
    bare = {**a_build(1, "FAILURE"), "actions": []}
    project = {"_class": "org.jenkinsci.plugins.workflow.multibranch.BranchJobProperty"}
    last = {
        "number": 1,
        "building": False,
        "result": "FAILURE",
        "timestamp": int(NOW.timestamp() * 1000),
        "duration": 0,
    }
    path = "/job/lamps/job/beacon/job/main"
    tree = {"fullName": MAIN, "property": [project], "lastBuild": last}
    transport = Scripted({f"GET {path}/api/json": tree, f"GET {path}/1/api/json": bare})
    async with opened(CASE, transport) as jenkins:
        assert (await jenkins.build(MAIN, "1")).branch is None
        changes = await jenkins.changes(None, Watched(pipelines=frozenset({MAIN})))
    assert [build.branch for build in changes.builds] == ["main"]


async def test_poll_of_a_server_that_is_not_there_is_an_error_and_an_item_without_a_name_is_passed_over() -> None:
    watched = Watched(pipelines=frozenset({"a", "b"}))
    async with opened(CASE, Scripted({})) as jenkins:
        with pytest.raises(NotFound):
            await jenkins.changes(None, watched)
    nameless = {"jobs": [{"lastBuild": None}, {"name": "b", "lastBuild": None}]}
    async with opened(CASE, Scripted({"GET /api/json": nameless})) as jenkins:
        assert (await jenkins.changes(None, watched)).cursor == '{"marks":{"b":[0,""]}}'


# stopping


async def test_asked_again_later_a_pipeline_is_stopped_more_firmly_and_a_plain_job_is_not() -> None:
    for kind, wanted in (
        ("org.jenkinsci.plugins.workflow.job.WorkflowRun", ["stop", "stop", "term", "kill", "kill"]),
        ("hudson.model.FreeStyleBuild", ["stop"] * 5),
    ):
        run = {**a_build(42), "_class": kind, "building": True, "result": None}
        posts: dict[str, object] = {f"POST /job/sweep/42/{verb}": {} for verb in ("stop", "term", "kill")}
        transport = Scripted({"GET /job/sweep/42/api/json": run, **posts})
        async with opened(CASE, transport) as jenkins:
            assert isinstance(jenkins, Jenkins)
            for seconds in (0, 5, 16, 40, 60):
                jenkins._stops._clock = partial(_later, timedelta(seconds=seconds))
                assert (await jenkins.cancel(SWEEP, "42")).status is Status.IN_PROGRESS
        assert [asked.rpartition("/")[2] for asked in transport.asked if asked.startswith("POST")] == wanted


# crumbs and errors


async def test_crumb_is_asked_for_once_and_sent_with_its_session_only_where_it_is_wanted() -> None:
    posts: list[tuple[str | None, str | None]] = []

    def stop(request: httpx.Request) -> httpx.Response:
        posts.append((request.headers.get("jenkins-crumb"), request.headers.get("cookie")))
        if posts[-1] != ("c0ffee", "JSESSIONID=n1"):
            page = "<html><body><h2>HTTP ERROR 403 No valid crumb was included in the request</h2></body></html>"
            return httpx.Response(403, headers={"Content-Type": "text/html"}, text=page)
        return httpx.Response(200)

    def crumb(_: httpx.Request) -> httpx.Response:
        body = {"crumb": "c0ffee", "crumbRequestField": "Jenkins-Crumb"}
        return httpx.Response(200, headers={"Set-Cookie": "JSESSIONID=n1; Path=/"}, json=body)

    run = {**a_build(42), "building": True, "result": None}
    transport = Scripted(
        {
            "GET /job/sweep/42/api/json": run,
            "POST /job/sweep/42/stop": stop,
            "GET /crumbIssuer/api/json": crumb,
        }
    )
    async with opened(CASE, transport) as jenkins:
        for _ in range(2):
            await jenkins.cancel(SWEEP, "42")
    assert transport.asked.count("GET /crumbIssuer/api/json") == 1
    assert posts[1:] == [("c0ffee", "JSESSIONID=n1")] * 2


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("<html><title>Error 404 Not Found</title><h2>HTTP ERROR 404 Not Found</h2></html>", "Not Found"),
        ("<h1>Error</h1><p>This input has been already given</p>", "This input has been already given"),
        ("<title>Jenkins</title><h1>Oops!</h1><p>A problem &amp; <b>more</b></p>", "A problem & more"),
        (
            "<h1>Access Denied</h1><p>kim is missing the Job/Build permission</p>",
            "kim is missing the Job/Build permission",
        ),
        ("<html></html>", None),
        ("", None),
        ("<p>" * 30_000, None),
    ],
)
def test_error_pages_are_read_into_words(page: str, words: str | None) -> None:
    assert errors.page_words(page) == words


async def test_credentials_in_an_error_page_are_not_repeated() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        page = f"<html><h1>Error</h1><p>{request.headers['authorization']} may not</p></html>"
        return httpx.Response(403, headers={"Content-Type": "text/html"}, text=page)

    async with opened(CASE, Scripted({"GET /job/sweep/1/api/json": refuse})) as jenkins:
        with pytest.raises(AuthFailed) as refused:
            await jenkins.build(SWEEP, "1")
    assert "may not" in str(refused.value)
    assert "Basic" not in str(refused.value)


# logs


async def test_growing_log_is_read_on_from_where_it_ended_and_a_huge_one_from_the_whole_text() -> None:
    starts: list[str] = []

    def progressive(request: httpx.Request) -> httpx.Response:
        starts.append(request.url.params["start"])
        return httpx.Response(200, headers={"X-Text-Size": "1000"}, text="half a line\r\nlast line\r\n")

    whole = Job(id="build", build="41", pipeline=SWEEP, name="sweep")
    transport = Scripted({"GET /job/sweep/41/logText/progressiveText": progressive})
    async with opened(CASE, transport) as jenkins:
        first = await jenkins.log(whole, 100)
        second = await jenkins.log(whole, 100)
        transport.answers["GET /job/sweep/41/logText/progressiveText"] = lambda _: httpx.Response(
            200, content=b" " * (16 * 1024 * 1024 + 1)
        )
        transport.answers["GET /job/sweep/41/consoleText"] = lambda _: httpx.Response(200, text="x\n" * 100 + "end\n")
        third = await jenkins.log(whole, 10)
    assert starts == ["0", "900"]
    assert (first.text, first.truncated) == ("half a line\nlast line\n", False)
    assert (second.text, second.truncated) == ("last line\n", True)
    assert (third.text.endswith("end\n"), third.truncated) == (True, True)


async def test_plugin_that_is_not_there_is_not_asked_for_again_for_half_an_hour() -> None:
    path = "/job/lamps/job/beacon/job/main/41"
    described = {"stages": [{"id": "6", "name": "Trim", "status": "SUCCESS"}]}
    transport = Scripted({f"GET {path}/api/json": a_build(), f"GET {path}/wfapi/describe": described})
    now = NOW
    async with opened(CASE, transport) as jenkins:
        assert isinstance(jenkins, Jenkins)
        jenkins._stages.absent = AbsentOperations(lambda: now)
        for later in (timedelta(0), ABSENT_FOR - timedelta(minutes=1), ABSENT_FOR + timedelta(minutes=1)):
            now = NOW + later
            assert [job.name for job in await jenkins.jobs(MAIN, "41")] == ["Trim"]
        job = Job(id="6", build="41", pipeline=MAIN, name="Trim")
        transport.answers[f"GET {path}/logText/progressiveText"] = lambda _: httpx.Response(200, text="all of it")
        jenkins._stages.absent.add(stages.STAGE_VIEW)
        assert (await jenkins.log(job)).text == "all of it"
    assert transport.asked.count(f"GET {path}/stages/tree") == 2
    assert f"GET {path}/stages/log" not in transport.asked


@pytest.mark.parametrize("job", ["../../9", "x", "", "6/../7", "a=b/../c", "=\\", "a?x=1"])
async def test_log_of_what_is_no_stage_is_not_found(job: str) -> None:
    transport = Scripted({})
    async with opened(CASE, transport) as jenkins:
        with pytest.raises(NotFound):
            await jenkins.log(Job(id=job, build="41", pipeline=MAIN, name="Trim"))
    assert all("/41/" in asked and ".." not in asked for asked in transport.asked)


# input steps

PENDING = [{"id": "Light", "message": "Light it?", "inputs": []}]
RUNNING_MAIN = {**a_build(42), "building": True, "result": None}
PATH_42 = "/job/lamps/job/beacon/job/main/42"


async def test_input_step_that_only_the_stage_view_reports_is_seen_in_the_build_the_poll_and_the_list() -> None:
    tree = {"fullName": MAIN, "lastBuild": {"number": 42, "building": True, "result": None}}
    transport = Scripted(
        {
            f"GET {PATH_42}/api/json": RUNNING_MAIN,
            f"GET {PATH_42}/wfapi/pendingInputActions": PENDING,
            "GET /job/lamps/job/beacon/job/main/api/json": tree,
        }
    )
    async with opened(CASE, transport) as jenkins:
        assert (await jenkins.build(MAIN, "42")).waiting
        changes = await jenkins.changes(None, Watched(pipelines=frozenset({MAIN})))
        (approval,) = await jenkins.approvals(MAIN, "42")
    assert [build.waiting for build in changes.builds] == [True]
    assert (approval.id, approval.name, approval.build) == ("Light", "Light it?", "42")


async def test_stage_view_is_not_asked_where_builds_report_of_their_input_steps_or_where_there_are_none() -> None:
    telling = {**RUNNING_MAIN, "actions": [{"waitingForInput": False}]}
    freestyle = {**RUNNING_MAIN, "_class": "hudson.model.FreeStyleBuild"}
    transport = Scripted({f"GET {PATH_42}/api/json": freestyle})
    async with opened(CASE, transport) as jenkins:
        for run in (freestyle, a_build(42), telling, RUNNING_MAIN):
            transport.answers[f"GET {PATH_42}/api/json"] = run
            assert not (await jenkins.build(MAIN, "42")).waiting
        assert await jenkins.approvals(MAIN, "42") == ()
    assert not [asked for asked in transport.asked if "wfapi" in asked]


async def test_stage_view_that_fails_leaves_the_build_as_it_is() -> None:
    transport = Scripted(
        {
            f"GET {PATH_42}/api/json": RUNNING_MAIN,
            f"GET {PATH_42}/wfapi/pendingInputActions": lambda _: httpx.Response(500, text="odd"),
        }
    )
    async with opened(CASE, transport) as jenkins:
        assert (await jenkins.build(MAIN, "42")).status is Status.IN_PROGRESS


# default branches and refs


def plain_job(*declared: object, last: str | None = None) -> dict[str, object]:
    revision = {"lastBuiltRevision": {"SHA1": SHA, "branch": [{"name": last}]}}
    return {
        "_class": "hudson.model.FreeStyleProject",
        "fullName": SWEEP,
        "nextBuildNumber": 15,
        "property": [{"parameterDefinitions": list(declared)}],
        "lastBuild": {"number": 14, "actions": [revision]} if last else None,
    }


GIT_PARAMETER = "net.uaznia.lukanus.hudson.plugins.gitparameter.GitParameterDefinition"


def branch_parameter(default: str | None, name: str = "BRANCH") -> dict[str, object]:
    return {
        "_class": "hudson.model.StringParameterDefinition",
        "name": name,
        "defaultParameterValue": {"value": default},
    }


@pytest.mark.parametrize(
    ("declared", "branch"),
    [
        ((), None),
        ((branch_parameter(None),), None),
        ((branch_parameter("origin/trunk"),), "trunk"),
        ((branch_parameter("refs/heads/trunk"),), "trunk"),
        ((branch_parameter("*/main"),), None),
        ((branch_parameter("${WHAT}"),), None),
        ((branch_parameter(":^(?!x).*"),), None),
    ],
)
async def test_default_branch_is_what_the_job_says_and_never_what_was_built_last(
    declared: tuple[object, ...], branch: str | None
) -> None:
    transport = Scripted({"GET /job/sweep/api/json": plain_job(*declared, last="refs/remotes/origin/winter")})
    async with opened(CASE, transport) as jenkins:
        assert (await jenkins.pipeline(SWEEP)).default_branch == branch
        # rights are judged on the branch built last, where nothing else is known
        assert (await jenkins.start_target(SWEEP, StartRequest())).branch == (branch or "winter")


@pytest.mark.parametrize(
    ("git", "recorded", "ref"),
    [
        ("origin/main", {}, convert.BuiltRef(branch="main")),
        ("refs/tags/v2", {}, convert.BuiltRef(tag="v2")),
        ("origin/pr/12/merge", {}, convert.BuiltRef(pull_request="12")),
        ("refs/pull/12/head", {}, convert.BuiltRef(pull_request="12")),
        ("origin/pull-requests/12/from", {}, convert.BuiltRef(pull_request="12")),
        ("origin/pr/fixes", {}, convert.BuiltRef(branch="pr/fixes")),
        (
            "origin/main",
            {"ghprbPullId": "12", "ghprbSourceBranch": "main", "ghprbTargetBranch": "trunk"},
            convert.BuiltRef(pull_request="12", branch="main", target_branch="trunk"),
        ),
        ("origin/main", {"ghprbPullId": ""}, convert.BuiltRef(branch="main")),
        (
            "origin/pr/12/merge",
            {"ghprbPullId": "12", "ghprbActualCommit": "a1b2"},
            convert.BuiltRef(pull_request="12", head_commit="a1b2"),
        ),
        (
            "origin/pr/12/merge",
            {
                "ghprbPullId": "12",
                "ghprbAuthorRepoGitUrl": "https://github.com/mallory/sweep.git",
                "ghprbPullLink": "https://github.com/acme/sweep/pull/12",
            },
            convert.BuiltRef(pull_request="12", from_fork=True),
        ),
        (
            "origin/pr/12/merge",
            {
                "gitlabMergeRequestIid": "12",
                "gitlabSourceRepoHttpUrl": "https://gitlab.example/Acme/sweep.git",
                "gitlabTargetRepoHttpUrl": "https://gitlab.example/acme/sweep",
            },
            convert.BuiltRef(pull_request="12", from_fork=False),
        ),
    ],
)
def test_plain_jobs_show_pull_requests_by_their_parameters_and_by_what_git_checked_out(
    git: str, recorded: dict[str, str], ref: convert.BuiltRef
) -> None:
    actions = [
        {"lastBuiltRevision": {"SHA1": SHA, "branch": [{"name": git}]}},
        {"parameters": [{"name": name, "value": value} for name, value in recorded.items()]},
    ]
    run = wire.Run.of(json.dumps({**a_build(14), "actions": actions}).encode())
    context = convert.ReadContext(connection=CONNECTION, pipeline=SWEEP, page=f"{HOME}/job/sweep/", user="bell-bot")
    build = convert.build(run, context)
    assert (build.branch, build.tag, build.pull_request, build.target_branch, build.from_fork) == (
        ref.branch,
        ref.tag,
        ref.pull_request,
        ref.target_branch,
        ref.from_fork,
    )


def test_login_in_a_no_reply_address_is_the_authors() -> None:
    email = "12345+ada@users.noreply.github.com"
    change = {"commitId": SHA, "msg": "Trim", "authorEmail": email, "author": {"fullName": "Ada"}}
    revision = {"lastBuiltRevision": {"SHA1": SHA, "branch": [{"name": "main"}]}}
    whole = {**a_build(14), "actions": [revision], "changeSets": [{"items": [change]}]}
    run = wire.Run.of(json.dumps(whole).encode())
    context = convert.ReadContext(connection=CONNECTION, pipeline=SWEEP, page=f"{HOME}/job/sweep/", user="bell-bot")
    assert convert.build(run, context).author == Person(name="Ada", email=email, login="ada")


# targets and values


@pytest.mark.parametrize(
    ("request_", "target"),
    [
        (StartRequest(), StartTarget(branch="main")),
        (StartRequest(ref=Ref(kind=RefKind.BRANCH, name="winter")), StartTarget(branch="winter")),
        (StartRequest(parameters={"BRANCH": "origin/winter"}), StartTarget(branch="winter")),
        (StartRequest(parameters={"BRANCH": "refs/heads/winter"}), StartTarget(branch="winter")),
        (StartRequest(parameters={"BRANCH": "remotes/origin/winter"}), StartTarget(branch="winter")),
        (StartRequest(parameters={"BRANCH": "*/winter"}), StartTarget(branch="winter")),
        (StartRequest(parameters={"BRANCH": "**/winter"}), StartTarget(branch="winter")),
        (StartRequest(parameters={"BRANCH": "refs/tags/v2"}), StartTarget(tag="v2")),
        (StartRequest(ref=Ref(kind=RefKind.TAG, name="v2")), StartTarget(tag="v2")),
        (
            StartRequest(ref=Ref(kind=RefKind.BRANCH, name="winter"), parameters={"BRANCH": "main"}),
            StartTarget(branch="main"),
        ),
        (StartRequest(parameters={"COMMIT": SHA}), StartTarget(branch="main", commit=SHA)),
        (StartRequest(ref=Ref(kind=RefKind.COMMIT, name=SHA)), StartTarget(branch="main", commit=SHA)),
    ],
)
async def test_target_of_a_plain_job_is_read_from_the_values_that_are_sent(
    request_: StartRequest, target: StartTarget
) -> None:
    job = plain_job(branch_parameter("main"), branch_parameter(None, "COMMIT"))
    async with opened(CASE, Scripted({"GET /job/sweep/api/json": job})) as jenkins:
        assert await jenkins.start_target(SWEEP, request_) == target


@pytest.mark.parametrize("pattern", ["**", "*", "ma*", ":main", "${OTHER}", "*/ma?n"])
async def test_pattern_that_may_be_any_branch_is_refused_for_the_target(pattern: str) -> None:
    job = plain_job(branch_parameter("main"))
    async with opened(CASE, Scripted({"GET /job/sweep/api/json": job})) as jenkins:
        with pytest.raises(UsageError, match="may be any branch"):
            await jenkins.start_target(SWEEP, StartRequest(parameters={"BRANCH": pattern}))


async def test_values_that_choose_another_ref_are_the_target_of_a_rebuild() -> None:
    job = plain_job(branch_parameter("main"), {**branch_parameter("origin/main", "WHAT"), "_class": GIT_PARAMETER})
    async with opened(CASE, Scripted({"GET /job/sweep/api/json": job})) as jenkins:
        both = StartRequest(parameters={"branch": "origin/main", "GIT_REF": "winter", "DEPLOY": "prod"})
        assert await jenkins.rebuild_target(SWEEP, both) == StartTarget(branch="main", also=("winter",))
        named = StartRequest(parameters={"TAG": "v2", "COMMIT": "main", "PR": "7"})
        assert await jenkins.rebuild_target(SWEEP, named) == StartTarget(tag="v2", commit="main", pull_request="7")
        plain = StartRequest(parameters={"DEPLOY": "main"})
        assert await jenkins.rebuild_target(SWEEP, plain) == StartTarget()
        chosen = StartRequest(parameters={"WHAT": "origin/main"})
        assert await jenkins.rebuild_target(SWEEP, chosen) == StartTarget(also=("origin/main",))
    async with opened(CASE, Scripted({})) as jenkins:
        assert await jenkins.rebuild_target(SWEEP, StartRequest()) == StartTarget()
        assert await jenkins.rebuild_target(SWEEP, plain) == StartTarget(also=("main",)), "which it is, nobody says"


async def test_two_parameters_that_name_different_branches_are_refused_for_the_target() -> None:
    job = plain_job(branch_parameter("main"), branch_parameter(None, "GIT_REF"))
    async with opened(CASE, Scripted({"GET /job/sweep/api/json": job})) as jenkins:
        request_ = StartRequest(parameters={"BRANCH": "winter", "GIT_REF": "main"})
        with pytest.raises(UsageError, match="different branches"):
            await jenkins.start_target(SWEEP, request_)


@pytest.mark.parametrize(
    ("ref", "job", "target"),
    [
        (None, MAIN, StartTarget(branch="main")),
        (Ref(kind=RefKind.BRANCH, name="feature/glow"), GLOW, StartTarget(branch="feature/glow")),
        (Ref(kind=RefKind.TAG, name="main"), MAIN, StartTarget(branch="main", tag="main")),
        (Ref(kind=RefKind.PULL_REQUEST, name="12"), "lamps/beacon/PR-12", StartTarget(pull_request="12")),
    ],
)
async def test_target_in_a_multibranch_project_is_the_branch_of_the_job_that_starts(
    ref: Ref | None, job: str, target: StartTarget
) -> None:
    setting = {"_class": "org.jenkinsci.plugins.workflow.multibranch.BranchJobProperty"}
    answers = {f"GET /{urls.job_path(name)}/api/json": {"property": [setting]} for name in (MAIN, job)}
    async with opened(CASE, Scripted(answers)) as jenkins:
        assert await jenkins.start_target(MAIN, StartRequest(ref=ref)) == target


async def test_recorded_value_that_the_job_no_longer_declares_is_not_dropped_from_a_rebuild() -> None:
    run = {
        **a_build(14),
        "_class": "hudson.model.FreeStyleBuild",
        "actions": [{"parameters": [{"name": "DEPLOY", "value": "prod"}]}],
    }
    transport = Scripted({"GET /job/sweep/14/api/json": run, "GET /job/sweep/api/json": plain_job()})
    async with opened(CASE, transport) as jenkins:
        with pytest.raises(UsageError, match="`DEPLOY`, which the job no longer declares"):
            await jenkins.rebuild(SWEEP, "14", StartRequest())
    assert not [asked for asked in transport.asked if asked.startswith("POST")]


@pytest.mark.parametrize(("status", "headers"), [(201, {}), (200, {"Content-Type": "text/html"})])
async def test_start_whose_answer_names_no_queue_item_may_have_started(status: int, headers: dict[str, str]) -> None:
    transport = Scripted(
        {
            "GET /job/sweep/api/json": plain_job(),
            "POST /job/sweep/build": lambda _: httpx.Response(status, headers=headers, text="<html></html>"),
            "GET /queue/api/json": {"items": []},
        }
    )
    async with opened(CASE, transport) as jenkins:
        with pytest.raises(Unavailable) as lost:
            await jenkins.start(SWEEP, StartRequest())
    assert lost.value.acted
    assert transport.asked.count("POST /job/sweep/build") == 1


@pytest.mark.parametrize(
    ("build", "refused"),
    [
        ({"status": Status.QUEUED, "number": None}, {Capability.RETRY_FAILED, Capability.REBUILD}),
        ({"status": Status.IN_PROGRESS}, {Capability.RETRY_FAILED, Capability.RETRY_JOB}),
        ({"status": Status.COMPLETED, "conclusion": Conclusion.FAILED}, {Capability.CANCEL}),
        (
            {"status": Status.COMPLETED, "conclusion": Conclusion.CANCELLED, "number": None},
            {Capability.CANCEL, Capability.REBUILD, Capability.RETRY_JOB},
        ),
    ],
)
async def test_what_jenkins_takes_depends_on_the_builds_state(build: dict[str, Any], refused: set[Capability]) -> None:
    async with opened(CASE, Scripted({})) as jenkins:
        accepted = jenkins.accepts(
            Build(**{"connection": CONNECTION, "pipeline": SWEEP, "id": "14", "number": 14, **build})
        )
    assert not accepted & refused
    assert (Capability.CANCEL in accepted) == (build["status"] is not Status.COMPLETED)


# readers


@pytest.mark.parametrize(
    ("raw", "branch", "tag"),
    [
        ("main", "main", None),
        ("origin/main", "main", None),
        ("refs/remotes/origin/feature/x", "feature/x", None),
        ("refs/heads/main", "main", None),
        ("refs/tags/v2", None, "v2"),
        ("detached", None, None),
        ("refs/", None, None),
        (None, None, None),
    ],
)
def test_branches_lose_gits_prefixes(raw: str | None, branch: str | None, tag: str | None) -> None:
    found = wire.Action(last_built_revision=wire.Revision(sha="1", branch=[wire.GitBranch(name=raw)]))
    assert convert.git_ref(found) == (branch, tag)


@pytest.mark.parametrize(
    ("kinds", "trigger"),
    [
        (["hudson.model.Cause$UserIdCause"], Trigger.WEB),
        (["hudson.model.Cause$RemoteCause"], Trigger.API),
        (["hudson.triggers.TimerTrigger$TimerTriggerCause"], Trigger.CRON),
        (["hudson.triggers.SCMTrigger$SCMTriggerCause"], Trigger.PUSH),
        (["com.cloudbees.jenkins.GitHubPushCause"], Trigger.PUSH),
        (["jenkins.branch.BranchIndexingCause"], Trigger.PUSH),
        (["some.plugin.OtherCause", "hudson.model.Cause$UpstreamCause"], Trigger.API),
        (["some.plugin.OtherCause"], Trigger.UNKNOWN),
        ([], Trigger.UNKNOWN),
    ],
)
def test_first_known_cause_is_the_trigger(kinds: list[str], trigger: Trigger) -> None:
    causes = [wire.Cause(class_=kind, user_id="kim") for kind in kinds]
    assert convert.trigger(causes, "bell-bot", is_pull_request=False) is trigger


def test_parent_build_is_named_and_its_number_only_where_reported() -> None:
    assert convert.starter([wire.Cause(upstream_project="a/b%2Fc", upstream_build=4)])[0] == "a » b/c #4"
    assert convert.starter([wire.Cause(upstream_project="a")])[0] == "a"


def test_odd_action_of_a_plugin_spoils_only_itself() -> None:
    raw = [msgspec.Raw(b'{"parameters": "odd"}'), msgspec.Raw(b'{"totalCount": 3}')]
    assert [action.total_count for action in convert.actions(raw)] == [3]


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("hudson.model.StringParameterDefinition", ParameterType.TEXT),
        ("hudson.model.BooleanParameterDefinition", ParameterType.BOOLEAN),
        ("hudson.model.PasswordParameterDefinition", ParameterType.SECRET),
        ("com.michelin.cio.hudson.plugins.passwordparam.PasswordParameterDefinition", ParameterType.SECRET),
        ("com.cloudbees.plugins.credentials.CredentialsParameterDefinition", ParameterType.SECRET),
        ("net.uaznia.lukanus.hudson.plugins.gitparameter.GitParameterDefinition", ParameterType.TEXT),
    ],
)
def test_parameters_of_every_type_are_asked_for(kind: str, wanted: ParameterType) -> None:
    assert parameters.parameter_type(wire.Definition(name="X", class_=kind)) is wanted
    assert parameters.parameter_type(wire.Definition(name="X", type=kind.rpartition(".")[2])) is wanted


def test_choices_of_unknown_types_are_choices_and_odd_defaults_are_none() -> None:
    odd = wire.Definition(name="X", choices=["a"], default_parameter_value=wire.Default(value={"file": 1}))
    parameter = parameters.parameter(odd)
    assert (parameter.type, parameter.choices, parameter.default) == (ParameterType.CHOICE, (("a", "a"),), None)


@pytest.mark.parametrize("states", [convert.STATES, stages.GRAPH_STATES, stages.STAGE_STATES, stages.BLUE_STATES])
def test_only_what_is_over_has_a_conclusion(states: Mapping[str, tuple[Status, Conclusion | None]]) -> None:
    assert all(conclusion is None or status is Status.COMPLETED for status, conclusion in states.values())


@NEEDS_SAMPLES
def test_every_documented_stage_state_is_known() -> None:
    schemas = json.loads((FOLDER / "jenkins.openapi.json").read_bytes())["components"]["schemas"]
    assert set(schemas["GraphPipelineState"]["enum"]) == stages.GRAPH_STATES.keys()
    assert set(schemas["WfNode"]["properties"]["status"]["enum"]) == stages.STAGE_STATES.keys()
    blue = {"QUEUED", "RUNNING", "PAUSED", "SKIPPED", "NOT_BUILT", "FINISHED"}
    assert blue | {"SUCCESS", "UNSTABLE", "FAILURE", "UNKNOWN", "ABORTED"} <= stages.BLUE_STATES.keys()


def test_warnings_are_counted_once_and_unknown_without_tools() -> None:
    assert annotations.warning_counts([]) == IssueCounts()
    tools = [
        wire.Tool(id="gcc", error_size=1, high_size=2, low_size=1),
        wire.Tool(id="my-compiler", normal_size=1),
        wire.Tool(id="spotbugs", error_size=2, normal_size=5),
    ]
    assert annotations.warning_counts(tools) == IssueCounts(errors=3, warnings=4, analyzer_warnings=5)


@pytest.mark.parametrize(
    ("tools", "counts"),
    [
        ([wire.Tool(id="gcc", size=7)], IssueCounts(warnings=7, analyzer_warnings=0)),
        ([wire.Tool(id="pmd", size=7), wire.Tool(id="gcc", size=0)], IssueCounts(warnings=0, analyzer_warnings=7)),
        ([wire.Tool(id="gcc", size=7, error_size=2)], IssueCounts(errors=2, warnings=5, analyzer_warnings=0)),
        ([wire.Tool(id="gcc", size=0)], IssueCounts(errors=0, warnings=0, analyzer_warnings=0)),
        ([wire.Tool(id="gcc")], IssueCounts(analyzer_warnings=0)),
    ],
)
def test_older_plugin_that_reports_only_sizes_is_counted_and_what_it_does_not_report_is_unknown(
    tools: list[wire.Tool], counts: IssueCounts
) -> None:
    assert annotations.warning_counts(tools) == counts


def test_every_start_option_is_explained() -> None:
    assert START_OPTIONS.keys() == {"delay"}
    assert Jenkins.start_options == START_OPTIONS


# webhooks


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"build": {"number": 7, "url": "job/a/job/b/7/"}}, ("a/b", "7")),
        ({"url": "job/a/", "build": {"number": 7}}, ("a", "7")),
        ({"url": "job/a/", "build": {"number": -7}}, ("a", None)),
        ({"build": {"full_url": "http://inner/prefix/job/a/7/", "number": 8}}, ("a", "7")),
        ({"job": "a/b%2Fc", "number": 7, "result": "FAILURE"}, ("a/b%2Fc", "7")),
        ({"job": "../x", "number": 7}, None),
        ({"build": {"number": 7}}, None),
        ({}, None),
    ],
)
async def test_webhooks_are_placed_by_their_address(body: object, place: tuple[str, str | None] | None) -> None:
    async with opened(CASE, Scripted({})) as jenkins:
        event = jenkins.parse_webhook({}, json.dumps(body).encode(), SECRET)
        with pytest.raises(UnexpectedResponse):
            jenkins.parse_webhook({}, b"[]", SECRET)
    assert (None if event is None else (event.pipeline, event.build)) == place


def test_payloads_are_our_own() -> None:
    for file in Path(CASE.payloads).glob("*.json"):
        text = file.read_text()
        assert "acme" not in text, file.name
        assert "jenkins.example.com" not in text, file.name
