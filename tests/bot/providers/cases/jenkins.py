"""Jenkins in the common tests."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx

from bot.core.errors import AuthFailed, Rejected
from bot.core.models import (
    Approval,
    Artifact,
    Build,
    BuildFilter,
    BuildKey,
    Conclusion,
    IssueCounts,
    Job,
    Outcome,
    Parameter,
    ParameterType,
    Ref,
    RefKind,
    StartRequest,
    Status,
    Watched,
)
from tests.bot.providers.case import CONNECTION, Answer, Call, Case, Endless, Foreign, JobPage, Sample

TOKEN = "11made0up0for0these0tests"
SECRET = "a-made-up-path-secret"
HOME = "https://ci.lantern.example"
SHA = "4c1de09a7b3f5e6871920a3b4c5d6e7f8091a2b3"
MAIN, GLOW, SWEEP = "lamps/beacon/main", "lamps/beacon/feature%2Fglow", "sweep"


def a_build(number: int = 41, result: str = "SUCCESS") -> dict[str, object]:
    return {
        "_class": "org.jenkinsci.plugins.workflow.job.WorkflowRun",
        "number": number,
        "building": False,
        "result": result,
        "timestamp": 1_785_585_000_000,
        "duration": 185_000,
        "actions": [],
    }


def folder_without_end(_asked: httpx.Request, number: int) -> httpx.Response:
    """Folders in folders, deeper than one answer goes, with a job."""
    kind = "com.cloudbees.hudson.plugins.folder.Folder"
    inside: dict[str, object] = {"_class": kind, "fullName": f"deep{number}"}
    for level in range(3):
        job = {"_class": "hudson.model.FreeStyleProject", "fullName": f"deep{number}/{level}/job", "color": "blue"}
        inside = {"_class": kind, "fullName": f"deep{number}/{level}", "jobs": [job, inside]}
    return httpx.Response(200, json={"_class": "hudson.model.Hudson", "jobs": [inside]})


def page_of_builds(asked: httpx.Request, number: int) -> httpx.Response:
    found = re.search(r"(builds|allBuilds)\[_class.*\]\{(\d+),(\d+)\}$", asked.url.params["tree"])
    assert found, asked.url.params["tree"]
    listed = [a_build(100_000 - n) for n in range(int(found[2]), int(found[3]))]
    return httpx.Response(200, json={found[1]: listed})


def sign(_body: bytes, headers: Mapping[str, str]) -> tuple[Mapping[str, str], str]:
    return headers, SECRET


def folded(path: str) -> str:
    """The description knows no folders, and one part of an artifact's path."""
    path = re.sub(r"/job/[^/]+(?:/job/[^/]+)*", "/job/x", path)
    path = re.sub(r"(?:/pipelines/[^/]+)+(?=/)", "/pipelines/x", path)
    return re.sub(r"(/artifact/).+", r"\1x", path)


def branch(name: str) -> Ref:
    return Ref(kind=RefKind.BRANCH, name=name)


def key(number: int | str, pipeline: str = MAIN) -> BuildKey:
    return BuildKey(connection=CONNECTION, pipeline=pipeline, id=str(number))


STAGE = Job(id="15", build="41", pipeline=MAIN, name="south", stage="Try")
WHOLE = Job(id="build", build="14", pipeline=SWEEP, name="sweep")
LENS = Parameter(name="LENS", type=ParameterType.CHOICE, choices=(("clear", "clear"), ("red", "red")), default="clear")
FOG = Parameter(name="FOG", type=ParameterType.BOOLEAN, default="false")
GATE = Approval(
    id="Light",
    build="42",
    pipeline=MAIN,
    name="Light it?",
    can_reject=True,
    url=f"{HOME}/job/lamps/job/beacon/job/main/42/input/",
)
ASKING = Approval(id="Light", build="42", pipeline=MAIN, name="Light it?", fields=(LENS, FOG, Parameter(name="WHY")))
BUILD = Build(connection=CONNECTION, pipeline=MAIN, id="41", status=Status.COMPLETED, conclusion=Conclusion.FAILED)
WATCHED = Watched(pipelines=frozenset({MAIN, GLOW, SWEEP}))
BRANCHES = Watched(pipelines=frozenset({MAIN, GLOW}))
MARKS = (
    '{"marks": {"lamps/beacon/main": [41, ""], "lamps/beacon/feature%2Fglow": [0, ""], "sweep": [14, "SUCCESS"],'
    ' "gone": [1, ""]}}'
)
VALUES = {"TARGET": "south", "DRY_RUN": "off", "LENS": "red", "KEYWORD": "hush"}


def start(pipeline: str = MAIN, ref: Ref | None = None, **more: Any) -> Call:
    return lambda p: p.start(pipeline, StartRequest(ref=ref, requested_by="Ada Quist", **more))


def rebuild(pipeline: str = MAIN, build: str = "41", **parameters: str) -> Call:
    return lambda p: p.rebuild(pipeline, build, StartRequest(parameters=parameters))


CALLS: Mapping[str, Call] = {
    "check": lambda p: p.check(),
    "check_stranger": lambda p: p.check(),
    "check_signed_out": lambda p: p.check(),
    "check_wrong_token": lambda p: p.check(),
    "pipelines": lambda p: p.pipelines(),
    "pipelines_query": lambda p: p.pipelines("pr-"),
    "pipelines_deep": lambda p: p.pipelines(),
    "pipeline": lambda p: p.pipeline(MAIN),
    "pipeline_freestyle": lambda p: p.pipeline(SWEEP),
    "pipeline_branch_parameter": lambda p: p.pipeline(SWEEP),
    "pipeline_pull_request": lambda p: p.pipeline("lamps/beacon/PR-12"),
    "pipeline_multibranch": lambda p: p.pipeline("/lamps/beacon/"),
    "pipeline_folder": lambda p: p.pipeline("lamps"),
    "pipeline_empty_folder": lambda p: p.pipeline("lamps"),
    "pipeline_no_main": lambda p: p.pipeline("lamps/beacon"),
    "pipeline_slashes": lambda p: p.pipeline("lamps/beacon/feature/glow"),
    "pipeline_missing": lambda p: p.pipeline("lamps/attic/stairs"),
    "pipeline_no_name": lambda p: p.pipeline("lamps/../script"),
    "builds": lambda p: p.builds(MAIN, BuildFilter(limit=2)),
    "builds_filtered": lambda p: p.builds(MAIN, BuildFilter(commit=SHA[:8], states=frozenset({"failed"}))),
    "builds_other_branch": lambda p: p.builds(MAIN, BuildFilter(branch="feature/glow")),
    "builds_other_branch_missing": lambda p: p.builds(MAIN, BuildFilter(branch="feature/glow")),
    "builds_plain_branch": lambda p: p.builds(SWEEP, BuildFilter(branch="winter")),
    "build": lambda p: p.build(MAIN, "41"),
    "commits_of": lambda p: p.commits_of(MAIN, "41"),
    "build_waiting": lambda p: p.build(MAIN, "42"),
    "build_pull_request": lambda p: p.build("lamps/beacon/PR-12", "3"),
    "build_branch": lambda p: p.build(GLOW, "7"),
    "build_freestyle": lambda p: p.build(SWEEP, "14"),
    "build_nightly": lambda p: p.build(SWEEP, "13"),
    "build_bare": lambda p: p.build(SWEEP, "12"),
    "build_ours": lambda p: p.build(SWEEP, "11"),
    "build_queued": lambda p: p.build(MAIN, "queue-950"),
    "build_queued_left": lambda p: p.build(MAIN, "queue-950"),
    "build_queued_gone": lambda p: p.build(MAIN, "queue-950"),
    "build_queued_vanished": lambda p: p.build(MAIN, "queue-950"),
    "build_queued_elsewhere": lambda p: p.build(MAIN, "queue-950"),
    "build_queued_cancelled": lambda p: p.build(GLOW, "queue-950"),
    "build_missing": lambda p: p.build(MAIN, "9"),
    "build_no_number": lambda p: p.build(MAIN, "queue-../9"),
    "build_forbidden": lambda p: p.build(MAIN, "41"),
    "build_starting_up": lambda p: p.build(MAIN, "41"),
    "build_by_number": lambda p: p.build_by_number(MAIN, 41),
    "changes": lambda p: p.changes(None, WATCHED),
    "changes_just_ended": lambda p: p.changes("[]", WATCHED),
    "changes_next": lambda p: p.changes(
        MARKS, Watched(pipelines=WATCHED.pipelines, unfinished=frozenset({key(40), key(41), key(9, SWEEP)}))
    ),
    "changes_queued": lambda p: p.changes(
        MARKS, Watched(pipelines=WATCHED.pipelines, unfinished=frozenset({key("queue-950")}))
    ),
    "changes_odd_job": lambda p: p.changes(
        '{"marks": {"lamps/beacon/main": [41, "SUCCESS"], "sweep": [14, ""]}}', WATCHED
    ),
    "changes_one_job": lambda p: p.changes(None, Watched(pipelines=frozenset({SWEEP}))),
    "changes_gone": lambda p: p.changes(MARKS, BRANCHES),
    "refs": lambda p: p.refs(MAIN),
    "refs_query": lambda p: p.refs(MAIN, "GLOW"),
    "refs_plain": lambda p: p.refs(SWEEP),
    "refs_in_folder": lambda p: p.refs("lamps/oil"),
    "parameters": lambda p: p.parameters(MAIN, None),
    "parameters_branch": lambda p: p.parameters(MAIN, branch("feature/glow")),
    "start": start(ref=branch("main")),
    "start_parameters": start(parameters=VALUES, options={"delay": "30"}),
    "start_defaults": start(),
    "start_joined": start(),
    "start_refused": start(),
    "start_signed_out": start(),
    "start_disabled": start(SWEEP),
    "start_not_buildable": start(SWEEP),
    "start_other_branch": start(ref=branch("feature/glow")),
    "start_other_branch_missing": start(ref=branch("feature/glow")),
    "start_pull_request": start(ref=Ref(kind=RefKind.PULL_REQUEST, name="12")),
    "start_commit_of_branch": start(ref=Ref(kind=RefKind.COMMIT, name=SHA)),
    "start_same_branch": start(SWEEP, branch("main")),
    "start_branch_parameter": start(SWEEP, branch("winter"), message="Before the frost"),
    "start_tag": start(SWEEP, Ref(kind=RefKind.TAG, name="v2"), commit=SHA),
    "start_commit": start(SWEEP, Ref(kind=RefKind.COMMIT, name=SHA), commit=SHA),
    "start_pull_request_parameter": start(SWEEP, Ref(kind=RefKind.PULL_REQUEST, name="5")),
    "start_tag_as_branch": start(SWEEP, Ref(kind=RefKind.TAG, name="v2")),
    "start_no_branch": start(SWEEP, branch("winter")),
    "start_unknown_parameter_of_none": start(SWEEP, parameters={"TARGET": "south"}),
    "start_no_message": start(SWEEP, message="Before the frost"),
    "start_unknown_parameter": start(parameters={"COLOUR": "red"}),
    "start_other_case": start(parameters={"target": "south"}),
    "start_bad_choice": start(parameters={"LENS": "green"}),
    "start_bad_yes": start(parameters={"DRY_RUN": "perhaps"}),
    "start_file": start(parameters={"CHART": "sea.png"}),
    "start_bad_delay": start(options={"delay": "soon"}),
    "start_unknown_option": start(options={"clean": "true"}),
    "start_still_queued": start(),
    "start_number_unread": start(),
    "start_taken_out": start(),
    "start_timeout": start(parameters={"TARGET": "south", "KEYWORD": "hush"}),
    "start_timeout_queued": start(),
    "start_timeout_unseen": start(),
    "start_timeout_two": start(),
    "start_unreached": start(),
    "start_crumb": start(),
    "start_no_crumb": start(),
    "cancel": lambda p: p.cancel(MAIN, "42"),
    "cancel_slow": lambda p: p.cancel(SWEEP, "14"),
    "cancel_done": lambda p: p.cancel(MAIN, "41"),
    "cancel_forbidden": lambda p: p.cancel(MAIN, "42"),
    "cancel_timeout": lambda p: p.cancel(MAIN, "42"),
    "cancel_queued": lambda p: p.cancel(MAIN, "queue-950"),
    "cancel_queued_left": lambda p: p.cancel(MAIN, "queue-950"),
    "cancel_queued_refused": lambda p: p.cancel(MAIN, "queue-950"),
    "cancel_queued_runs": lambda p: p.cancel(MAIN, "queue-950"),
    "cancel_queued_over": lambda p: p.cancel(MAIN, "queue-950"),
    "rebuild": rebuild(),
    "rebuild_core": rebuild(),
    "rebuild_unseen": rebuild(),
    "rebuild_no_replay": rebuild(),
    "rebuild_timeout": rebuild(),
    "rebuild_freestyle": rebuild(SWEEP, "14"),
    "rebuild_with_values": rebuild(SWEEP, "14", branch="spring"),
    "rebuild_secret": rebuild(SWEEP, "14"),
    "rebuild_secret_refused": rebuild(SWEEP, "14"),
    "rebuild_secret_missing": rebuild(SWEEP, "14", TARGET="east"),
    "rebuild_secret_given": rebuild(SWEEP, "14", KEYWORD="hush"),
    "rebuild_queued": rebuild(build="queue-950"),
    "retry": lambda p: p.retry(MAIN, "41"),
    "retry_job": lambda p: p.retry(MAIN, "41", job="6"),
    "retry_refused": lambda p: p.retry(MAIN, "41"),
    "retry_refused_silently": lambda p: p.retry(MAIN, "41"),
    "retry_no_stage": lambda p: p.retry(MAIN, "41"),
    "retry_job_unknown": lambda p: p.retry(MAIN, "41", job="99"),
    "retry_running": lambda p: p.retry(MAIN, "41"),
    "retry_scripted": lambda p: p.retry(MAIN, "41"),
    "retry_job_scripted": lambda p: p.retry(MAIN, "41", job="6"),
    "retry_missing": lambda p: p.retry(MAIN, "9"),
    "retry_all": lambda p: p.retry(MAIN, "41", failed_only=False),
    "jobs": lambda p: p.jobs(MAIN, "41"),
    "jobs_stage_view": lambda p: p.jobs(MAIN, "41"),
    "jobs_blue": lambda p: p.jobs("lamps/oil", "5"),
    "jobs_none": lambda p: p.jobs(GLOW, "7"),
    "jobs_freestyle": lambda p: p.jobs(SWEEP, "14"),
    "jobs_matrix": lambda p: p.jobs("prisms", "3"),
    "jobs_queued": lambda p: p.jobs(MAIN, "queue-950"),
    "log": lambda p: p.log(STAGE, 4096),
    "log_short": lambda p: p.log(STAGE, 32),
    "log_steps": lambda p: p.log(STAGE, 4096),
    "log_steps_silent": lambda p: p.log(STAGE, 4096),
    "log_console": lambda p: p.log(STAGE, 4096),
    "log_whole": lambda p: p.log(WHOLE, 20),
    "log_cell": lambda p: p.log(Job(id="GLASS=clear", build="3", pipeline="prisms", name="GLASS=clear")),
    "log_missing": lambda p: p.log(Job(id="build", build="99", pipeline=SWEEP, name="sweep")),
    "artifacts": lambda p: p.artifacts(MAIN, "41"),
    "artifacts_unsized": lambda p: p.artifacts(MAIN, "41"),
    "artifacts_none": lambda p: p.artifacts(MAIN, "41"),
    "download": lambda p: p.download(Artifact(id="out/lens 1.svg", build="41", pipeline=MAIN, name="lens 1.svg")),
    "download_outside": lambda p: p.download(Artifact(id="out/../../x", build="41", pipeline=MAIN, name="x")),
    "tests": lambda p: p.tests(MAIN, "41"),
    "tests_children": lambda p: p.tests("prisms", "3"),
    "tests_none": lambda p: p.tests(SWEEP, "14"),
    "tests_gone": lambda p: p.tests(SWEEP, "99"),
    "issues": lambda p: p.issues(MAIN, "41"),
    "issues_stages": lambda p: p.issues(MAIN, "41"),
    "issues_whole": lambda p: p.issues(SWEEP, "14"),
    "counts": lambda p: p.counts(BUILD),
    "counts_matrix": lambda p: p.counts(BUILD),
    "counts_carried": lambda p: p.counts(BUILD.with_issues(IssueCounts(test_failures=2, tests_total=40))),
    "counts_nothing": lambda p: p.counts(BUILD),
    "approvals": lambda p: p.approvals(MAIN, "42"),
    "gates_stage_view": lambda p: p.approvals(MAIN, "42"),
    "gates_untold": lambda p: p.approvals(MAIN, "42"),
    "gates_none": lambda p: p.approvals(MAIN, "41"),
    "gates_queued": lambda p: p.approvals(MAIN, "queue-950"),
    "decide": lambda p: p.decide(GATE, approve=True, comment="clear night"),
    "decide_fields": lambda p: p.decide(ASKING, approve=True, fields={"LENS": "red"}),
    "decide_reject": lambda p: p.decide(GATE, approve=False),
    "decide_refused": lambda p: p.decide(GATE, approve=True),
    "decide_unknown_field": lambda p: p.decide(ASKING, approve=True, fields={"COLOUR": "red"}),
    "decide_no_fields": lambda p: p.decide(GATE, approve=True, fields={"COLOUR": "red"}),
    "decide_timeout": lambda p: p.decide(GATE, approve=True),
}


def as_facts(check: Callable[[Any], object]) -> Callable[[Any], None]:
    """A sample's facts from a claim about what was read."""

    def facts(found: Any) -> None:
        assert check(found), found

    return facts


def event_of(pipeline: str, build: str) -> Sample:
    return Sample(facts=as_facts(lambda event: (event.pipeline, event.build) == (pipeline, build)))


RUNS = "folder/pipeline"
SAMPLES: Mapping[str, Sample] = {
    "whoami.json": Sample(call=lambda p: p.check(), facts=as_facts(lambda it: it.name == "ci-bot")),
    "crumb.json": Sample(
        call=start(),
        also=("start_crumb",),
        facts=as_facts(lambda it: it.number == 42 and it.triggered_by == "Bell Bot"),
    ),
    "root_nested.json": Sample(
        call=lambda p: p.pipelines(),
        at="/api/json",
        facts=as_facts(
            lambda it: [one.id for one in it] == ["folder/freestylejob", "folder/pipeline", "folder/maxtrixjob"]
        ),
    ),
    "multibranch.json": Sample(
        call=lambda p: p.refs("Level1_multibranchjob/master"),
        facts=as_facts(lambda it: [ref.name for ref in it] == ["feature/github-commands", "master"]),
    ),
    "job_pipeline.json": Sample(
        call=lambda p: p.builds("Level1_WorkflowJob", BuildFilter(limit=5)),
        facts=as_facts(lambda it: [build.number for build in it] == [52, 51, 50, 49, 48]),
    ),
    "queue_item_blocked.json": Sample(
        call=lambda p: p.build(RUNS, "queue-669"),
        facts=as_facts(
            lambda it: (
                it.status is Status.QUEUED and it.number is None and it.created_at.year == 2019 and it.triggered_by
            )
        ),
    ),
    "build_freestyle.json": Sample(
        call=lambda p: p.build("freestylejob", "14"),
        facts=as_facts(
            lambda it: it.conclusion is Conclusion.PASSED and it.seconds == 599.334 and it.triggered_by == "admin"
        ),
    ),
    "build_pipeline_failed.json": Sample(
        call=lambda p: p.build(RUNS, "52"),
        facts=as_facts(lambda it: it.conclusion is Conclusion.FAILED and it.trigger == "web" and it.number == 52),
    ),
    "build_pipeline_waiting_input.json": Sample(
        call=lambda p: p.build(RUNS, "53"),
        facts=as_facts(
            lambda it: (
                it.waiting
                and it.branch == "main"
                and it.author.name == "Mona"
                and it.message.startswith("Fix the flaky upload test")
                and it.issues == IssueCounts(test_failures=1, tests_total=40)
                and it.completed_at is None
                and it.repo == "acme/widgets"
            )
        ),
    ),
    "poll_tree.json": Sample(
        call=lambda p: p.changes(
            '{"marks": {"folder/app/feature%2Flogin": [7, "SUCCESS"], "nightly": [14, "SUCCESS"]}}',
            Watched(pipelines=frozenset({"folder/app/feature%2Flogin", "nightly", "old"})),
        ),
        at="/api/json",
        # only the moved job is read, and here nobody answers for it
        facts=as_facts(lambda it: it.builds == () and '"old":[0,""]' in it.cursor and '[7,"SUCCESS"]' in it.cursor),
    ),
    "wfapi_describe_paused.json": Sample(
        call=lambda p: p.jobs(MAIN, "41"),
        at="/job/{name*}/{number}/wfapi/describe",
        also=("jobs_stage_view",),
        facts=as_facts(
            lambda it: (
                [(job.name, job.status.value, job.seconds) for job in it]
                == [("Build", "completed", 5.228), ("Test", "completed", 4.994), ("Deploy", "in_progress", None)]
            )
        ),
    ),
    "wfapi_pending_input.json": Sample(
        call=lambda p: p.approvals(MAIN, "42"),
        at="/job/{name*}/{number}/wfapi/pendingInputActions",
        also=("gates_stage_view",),
        facts=as_facts(lambda it: it[0].fields == (Parameter(name="notes", default="none", help="Release notes"),)),
    ),
    "wfapi_artifacts.json": Sample(
        call=lambda p: p.artifacts(MAIN, "41"),
        at="/job/{name*}/{number}/wfapi/artifacts",
        also=("artifacts",),
        facts=as_facts(lambda it: len(it) == 2 and it[0].size_bytes is None),  # files of another build
    ),
    "wfapi_node_failed.json": Sample(
        call=lambda p: p.log(STAGE),
        at="/job/{name*}/{number}/execution/node/{node}/wfapi/describe",
        also=("log_console",),
        facts=as_facts(lambda it: it.job is None and it.text),  # the failed step's log is not there
    ),
    "wfapi_node_log.json": Sample(
        call=lambda p: p.log(STAGE),
        at="/job/{name*}/{number}/execution/node/{node}/wfapi/log",
        also=("log_steps",),
        facts=as_facts(lambda it: it.text.startswith(" > git rev-parse") and it.job == "south"),
    ),
    "warnings_tools.json": Sample(
        call=lambda p: p.counts(BUILD.with_issues(IssueCounts(test_failures=0))),
        at="/job/{name*}/{number}/warnings-ng/api/json",
        facts=as_facts(lambda it: (it.errors, it.warnings, it.analyzer_warnings) == (1, 9, 805)),
    ),
    "warnings_issues.json": Sample(
        call=lambda p: p.issues(MAIN, "41"),
        at="/job/{name*}/{number}/pmd/all/api/json",
        also=("issues",),
        facts=as_facts(
            lambda it: (
                sum(one.kind.value == "analyzer_warning" for one in it) == 3
                and all(one.line for one in it if one.kind.value == "analyzer_warning")
            )
        ),
    ),
    "test_report.json": Sample(
        call=lambda p: p.tests(MAIN, "41"),
        at="/job/{name*}/{number}/testReport/api/json",
        facts=as_facts(lambda it: (it[0].name, it[0].outcome, it[0].seconds) == ("test_exists", Outcome.PASSED, 0.645)),
    ),
    "graph_tree.json": Sample(
        call=lambda p: p.jobs(MAIN, "41"),
        at="/job/{name*}/{number}/stages/tree",
        also=("jobs",),
        facts=as_facts(lambda it: (it[0].name, it[0].conclusion, it[0].seconds) == ("Build", Conclusion.PASSED, 30)),
    ),
    "graph_rerun.json": Sample(
        call=rebuild(),
        at="/job/{name*}/{number}/stages/rerun",
        also=("rebuild",),
        facts=as_facts(lambda it: it.id == "queue-712"),
    ),
    "blueocean_nodes_failed.json": Sample(
        call=lambda p: p.jobs("lamps/oil", "5"),
        at="/blue/rest/organizations/jenkins/pipelines/{name*}/runs/{run}/nodes/",
        also=("jobs_blue",),
        facts=as_facts(
            lambda it: (
                [(job.name, job.conclusion) for job in it]
                == [("build", Conclusion.PASSED), ("unit", Conclusion.FAILED), ("deploy", Conclusion.SKIPPED)]
                and it[0].started_at == datetime(2016, 5, 6, 22, 39, 18, 569_000, UTC)
            )
        ),
    ),
    "restart_info.json": Sample(
        call=lambda p: p.retry(MAIN, "41"),
        at="/job/{name*}/{number}/restart/api/json",
        also=("retry",),
        raises=Rejected,  # its stages are not those that failed here
        facts=as_facts(lambda it: "`Build`, `Test`, `Deploy`" in it.hint),
    ),
    "error_403_crumb.html": Sample(
        call=start(),
        at="/job/{name*}/build",
        also=("start_no_crumb",),
        raises=AuthFailed,
        facts=as_facts(lambda it: "crumb" in str(it) and "API token" in it.hint),
    ),
    "webhook_notification_started.json": event_of("folder/app/feature%2Flogin", "8"),
    "webhook_notification_finalized_failure.json": event_of("folder/app/feature%2Flogin", "8"),
    "webhook_notification_finalized_freestyle.json": event_of("nightly", "14"),
}

MAIN_41 = "/job/lamps/job/beacon/job/main/41"
ITEM_OF_SWEEP = Answer(
    path="/queue/item/950/api/json",
    body={"id": 950, "task": {"url": f"{HOME}/job/sweep/"}, "executable": {"number": 14}},
)


def part_page(address: str, job: str | None = None) -> JobPage:
    answers = (Answer(path=f"{MAIN_41}/api/json", body=a_build()),)
    return JobPage(url=f"{HOME}{address}", pipeline=MAIN, build="41", job=job, answers=answers)


def kind_of_ref(git: str, **recorded: str) -> tuple[Answer, ...]:
    actions = [
        {"lastBuiltRevision": {"SHA1": SHA, "branch": [{"name": git}]}},
        {"parameters": [{"name": name, "value": value} for name, value in recorded.items()]},
    ]
    return (Answer(path=f"{MAIN_41}/api/json", body={**a_build(), "actions": actions}),)


CASE = Case(
    kind="jenkins",
    options={"url": HOME, "user": "bell-bot", "token": TOKEN, "webhook_secret": SECRET},
    secrets=(TOKEN, SECRET),
    states=frozenset({"SUCCESS", "UNSTABLE", "FAILURE", "ABORTED", "NOT_BUILT"}),
    calls=CALLS,
    pipeline=MAIN,
    build="41",
    unknown_state=lambda state: (Answer(path="/job/lamps/job/beacon/job/main/41/api/json", body=a_build(41, state)),),
    foreign=Foreign(pipeline=MAIN, build="queue-950", answers=(ITEM_OF_SWEEP,), belongs_to=SWEEP),
    job_pages=(
        part_page(f"{MAIN_41}/stages/?selected-node=15", "15"),
        part_page(f"{MAIN_41}/pipeline-overview/?selected-node=15&start-byte=0", "15"),
        part_page(f"{MAIN_41}/execution/node/6/log/", "6"),
        part_page(f"{MAIN_41}/testReport/junit/harbor/Wick/"),
        part_page(f"{MAIN_41}/artifact/out/lens.svg"),
        part_page(f"{MAIN_41}/input/"),
        part_page("/view/All/job/lamps/job/beacon/view/Mine/job/main/41/console"),
        part_page("/blue/organizations/jenkins/lamps%2Fbeacon/detail/main/41/pipeline/15", "15"),
        JobPage(
            url=f"{HOME}/job/prisms/GLASS=clear,LAMP=oil/3/console",
            pipeline="prisms",
            build="3",
            job="GLASS=clear,LAMP=oil",
            answers=(Answer(path="/job/prisms/3/api/json", body=a_build(3)),),
        ),
    ),
    ref_builds={
        "branch": kind_of_ref("origin/main"),
        "pull_request": kind_of_ref("origin/pr/77/merge", ghprbPullId="77", ghprbTargetBranch="main"),
        "fork": "the job of a pull request, PR-77, is the same for forks; its builds never count as a branch's",
        "tag": kind_of_ref("refs/tags/v2.1"),
    },
    endless={
        "pipelines": Endless(call=lambda p: p.pipelines(), page=folder_without_end),
        "builds": Endless(call=lambda p: p.builds(MAIN, BuildFilter(limit=100_000)), page=page_of_builds),
    },
    sign=sign,
    samples=SAMPLES,
    unread={
        "queue.json": "read in test_jenkins, after a start that got no answer",
        "queue_item_left.json": "read in test_jenkins, with the build it became",
        "wfapi_runs.json": "stages are read build by build",
        "wfapi_runs_failed.json": "stages are read build by build",
        "wfapi_runs_in_progress.json": "stages are read build by build",
        "blueocean_run.json": "builds are read from core, from Blue Ocean only stages",
        "blueocean_error_400.json": "nothing is sent to Blue Ocean",
    },
    unlisted={
        "/blue/rest/organizations/jenkins/pipelines/x/branches/{branch}/runs/{run}/nodes/": "the nodes of a branch's run",
        "/job/x/{axes}/{number}/logText/progressiveText": "a combination of a matrix",
    },
    undeclared={"tree": "every api/json takes it"},
    spec_path=folded,
)
