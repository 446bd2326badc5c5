"""Jenkins' objects as they come, and the `tree` that asks for no more than is read."""

import html
import re

import msgspec

from bot.providers.base.wire import Wire

_PARAMETER_FIELDS = "_class,name,type,description,choices,defaultParameterValue[value]"
_GIT = "lastBuiltRevision[SHA1,branch[name]],remoteUrls"
_CAUSES = "causes[_class,shortDescription,userId,userName,upstreamProject,upstreamBuild]"
_CHANGES = "items[commitId,msg,comment,authorEmail,author[fullName]]"
RUN = (
    "_class,number,displayName,description,timestamp,duration,estimatedDuration,building,inProgress,result,queueId,"
    "keepLog,builtOn,culprits[fullName],"
    f"actions[_class,{_CAUSES},parameters[_class,name,value],{_GIT},failCount,skipCount,totalCount,waitingForInput],"
    f"changeSets[{_CHANGES}],changeSet[{_CHANGES}]"
)
LATER = f"number,queueId,timestamp,actions[_class,{_CAUSES},parameters[name,value]]"
JOB = (
    "_class,name,fullName,displayName,color,buildable,nextBuildNumber,"
    f"property[_class,parameterDefinitions[{_PARAMETER_FIELDS}]],lastBuild[number,actions[_class,{_GIT}]],"
    "jobs[_class,name,fullName,displayName,color,buildable]"
)
SHAPE = "_class,number,building,result,timestamp,duration,runs[number,url,building,result]"
INPUTS = (
    "building,actions[_class,waitingForInput,executions[id,displayName,settled,input[id,message,submitter,"
    f"parameters[{_PARAMETER_FIELDS}]]]]"
)
ITEM = "_class,id,inQueueSince,task[url],cancelled,executable[number]," + f"actions[{_CAUSES},parameters[name,value]]"
CASES = "name,cases[className,name,status,duration,errorDetails,skippedMessage]"
TESTS = f"suites[{CASES}],childReports[result[suites[{CASES}]]]"
TEST_COUNTS = "failCount,passCount,skipCount,totalCount"
TOOLS = "tools[id,name,size,errorSize,highSize,normalSize,lowSize]"
ISSUES = "issues[fileName,lineStart,severity,type,category,message]{0,500}"


def html_text(text: str | None) -> str:
    """Return the text of HTML as one line: plugins write descriptions and messages in it."""
    return " ".join(html.unescape(re.sub(r"<[^<>]*>", " ", text or "")).split())


class WhoAmI(Wire):
    """GET /whoAmI/api/json."""

    name: str
    anonymous: bool | None = None
    authenticated: bool | None = None


class Crumb(Wire, rename="camel"):
    """GET /crumbIssuer/api/json."""

    crumb: str
    crumb_request_field: str


class Cause(Wire, rename="camel"):
    """Why a build started."""

    class_: str = msgspec.field(name="_class", default="")
    short_description: str | None = None
    user_id: str | None = None
    user_name: str | None = None
    upstream_project: str | None = None
    upstream_build: int | None = None


class ParameterValue(Wire):
    """A value that a build was given; secret ones come without `value`."""

    needed_whole = True

    name: str
    class_: str = msgspec.field(name="_class", default="")
    value: object = None


class GitBranch(Wire):
    """A branch as git names it, with or without its remote."""

    name: str | None = None


class Revision(Wire):
    """What was checked out."""

    sha: str | None = msgspec.field(name="SHA1", default=None)
    branch: list[GitBranch] | None = None


class Default(Wire):
    """A parameter's default."""

    value: object = None


class Definition(Wire, rename="camel"):
    """A parameter that a job or an input step declares."""

    name: str
    class_: str = msgspec.field(name="_class", default="")
    type: str | None = None
    description: str | None = None
    choices: list[str] | None = None
    default_parameter_value: Default | None = None


class Input(Wire):
    """What an input step asks."""

    id: str | None = None
    message: str | None = None
    submitter: str | None = None
    parameters: list[Definition] | None = None


class Execution(Wire, rename="camel"):
    """An input step of a build."""

    id: str
    display_name: str | None = None
    settled: bool | None = None
    input: Input | None = None


class Action(Wire, rename="camel"):
    """What a plugin adds to a build; each plugin fills other members, most fill none."""

    class_: str = msgspec.field(name="_class", default="")
    causes: list[Cause] | None = None
    parameters: list[ParameterValue] | None = None
    last_built_revision: Revision | None = None
    remote_urls: list[str] | None = None
    fail_count: int | None = None
    skip_count: int | None = None
    total_count: int | None = None
    waiting_for_input: bool | None = None
    executions: list[Execution] | None = None


class Author(Wire, rename="camel"):
    """Who wrote a commit."""

    full_name: str | None = None


class Change(Wire, rename="camel"):
    """A commit of a build."""

    commit_id: str | None = None
    msg: str | None = None
    comment: str | None = None
    author_email: str | None = None
    author: Author | None = None


class ChangeSet(Wire):
    """The commits from one repository."""

    items: list[Change] | None = None


class Cell(Wire):
    """A combination of a matrix build."""

    number: int
    url: str
    building: bool | None = None
    result: str | None = None


class Run(Wire, rename="camel"):
    """A build. Times are milliseconds since the epoch, durations milliseconds."""

    number: int
    class_: str = msgspec.field(name="_class", default="")
    timestamp: int | None = None
    duration: int | None = None
    building: bool | None = None
    in_progress: bool | None = None
    result: str | None = None
    queue_id: int | None = None
    display_name: str | None = None
    description: str | None = None
    estimated_duration: int | None = None
    keep_log: bool | None = None
    built_on: str | None = None
    culprits: list[Author] | None = None
    actions: list[msgspec.Raw] | None = None
    change_sets: list[msgspec.Raw] | None = None
    change_set: ChangeSet | None = None
    runs: list[msgspec.Raw] | None = None


class RunInputs(Wire):
    """A build, but for what shows its input steps."""

    building: bool | None = None
    actions: list[msgspec.Raw] | None = None


class FileWire(Wire, rename="camel"):
    """An artifact of a build."""

    relative_path: str
    file_name: str | None = None


class Files(Wire):
    """A build's artifacts."""

    artifacts: list[msgspec.Raw] | None = None


class SizedFile(Wire):
    """An artifact as the stage view lists it."""

    path: str
    size: int | None = None


class Property(Wire, rename="camel"):
    """A setting of a job."""

    class_: str = msgspec.field(name="_class", default="")
    parameter_definitions: list[Definition] | None = None


class LastBuild(Wire, rename="camel"):
    """A job's newest build."""

    number: int
    building: bool | None = None
    result: str | None = None
    timestamp: int | None = None
    duration: int | None = None
    actions: list[msgspec.Raw] | None = None


class Item(Wire, rename="camel"):
    """A job, a folder or a multibranch project, with what stands in it."""

    class_: str = msgspec.field(name="_class", default="")
    name: str | None = None
    full_name: str | None = None
    display_name: str | None = None
    color: str | None = None
    buildable: bool | None = None
    next_build_number: int | None = None
    property: list[msgspec.Raw] | None = None
    last_build: LastBuild | None = None
    jobs: list[msgspec.Raw] | None = None


class Executable(Wire):
    """What a queue item became."""

    number: int | None = None


class Task(Wire):
    """What a queue item will run; steps of pipelines that wait for a node have no address."""

    url: str | None = None


class QueueItem(Wire, rename="camel"):
    """An item of the queue, for five minutes also after it left."""

    id: int
    in_queue_since: int | None = None
    cancelled: bool | None = None
    task: Task | None = None
    executable: Executable | None = None
    actions: list[msgspec.Raw] | None = None


class Builds(Wire, rename="camel"):
    """A job's builds, and its first queued one where asked for."""

    class_: str = msgspec.field(name="_class", default="")
    property: list[msgspec.Raw] | None = None
    queue_item: QueueItem | None = None
    builds: list[msgspec.Raw] | None = None
    all_builds: list[msgspec.Raw] | None = None


class Numbered(Wire, rename="camel"):
    """A build with the queue item it was."""

    number: int
    queue_id: int | None = None
    timestamp: int | None = None
    actions: list[msgspec.Raw] | None = None


# stages


class GraphStage(Wire, rename="camel"):
    """A stage in the graph view."""

    id: str | int
    name: str | None = None
    state: str | None = None
    start_time_millis: int | None = None
    total_duration_millis: int | None = None
    children: list[msgspec.Raw] | None = None
    agent: str | None = None
    placeholder: bool | None = None


class GraphData(Wire):
    """The graph view's stages."""

    stages: list[msgspec.Raw] | None = None


class Graph(Wire):
    """GET …/stages/tree."""

    data: GraphData


class Rerun(Wire, rename="camel"):
    """What a rerun from the graph view became."""

    queue_id: int | None = None


class Rerunning(Wire):
    """POST …/stages/rerun."""

    data: Rerun | None = None


class StageError(Wire):
    """Why a stage failed."""

    message: str | None = None


class Stage(Wire, rename="camel"):
    """A stage or a step in the stage view."""

    id: str
    name: str | None = None
    status: str | None = None
    error: StageError | None = None
    start_time_millis: int | None = None
    duration_millis: int | None = None
    stage_flow_nodes: list["Stage"] | None = None


class Described(Wire):
    """GET …/wfapi/describe."""

    stages: list[msgspec.Raw] | None = None


class NodeLog(Wire, rename="camel"):
    """The log of a step, at most 10 KiB, as HTML."""

    text: str | None = None
    has_more: bool | None = None


class BlueNode(Wire, rename="camel"):
    """A stage in Blue Ocean."""

    id: str
    display_name: str | None = None
    state: str | None = None
    result: str | None = None
    start_time: str | None = None
    duration_in_millis: int | None = None


class PendingDefault(Wire, rename="camel"):
    """A field's default and choices as the stage view reports them."""

    default_val: object = None
    choices: list[str] | None = None


class PendingField(Wire):
    """A field of a waiting input step as the stage view reports it."""

    name: str
    type: str | None = None
    description: str | None = None
    definition: PendingDefault | None = None


class PendingInput(Wire):
    """A waiting input step as the stage view reports it."""

    id: str
    message: str | None = None
    inputs: list[PendingField] | None = None


class Restart(Wire, rename="camel"):
    """GET …/restart/api/json."""

    restart_enabled: bool | None = None
    restartable_stages: list[str] | None = None


class RestartOutcome(Wire):
    """How a restart went; `success` is a text in some versions."""

    success: bool | str | None = None
    message: str | None = None


class Restarted(Wire):
    """POST …/restart/restartPipeline."""

    data: RestartOutcome | None = None


# tests and warnings


class CaseWire(Wire, rename="camel"):
    """A test."""

    name: str | None = None
    class_name: str | None = None
    status: str | None = None
    duration: float | None = None
    error_details: str | None = None
    skipped_message: str | None = None


class Suite(Wire):
    """A suite of tests."""

    name: str | None = None
    cases: list[msgspec.Raw] | None = None


class Report(Wire, rename="camel"):
    """A test report, or its counts: matrix and Maven builds count in `totalCount`, others in `passCount`."""

    fail_count: int | None = None
    pass_count: int | None = None
    skip_count: int | None = None
    total_count: int | None = None
    suites: list[msgspec.Raw] | None = None
    child_reports: list[msgspec.Raw] | None = None


class ChildReport(Wire):
    """The report of a part of a matrix or Maven build."""

    result: Report | None = None


class Tool(Wire, rename="camel"):
    """A tool whose warnings were recorded."""

    id: str
    name: str | None = None
    size: int | None = None
    error_size: int | None = None
    high_size: int | None = None
    normal_size: int | None = None
    low_size: int | None = None


class Tools(Wire):
    """GET …/warnings-ng/api/json."""

    tools: list[msgspec.Raw] | None = None


class Finding(Wire, rename="camel"):
    """One warning."""

    file_name: str | None = None
    line_start: int | None = None
    severity: str | None = None
    type: str | None = None
    message: str | None = None


class Findings(Wire):
    """GET …/{tool}/all/api/json."""

    issues: list[msgspec.Raw] | None = None


# webhooks


class HookBuild(Wire):
    """A build as the Notification plugin names it; `url` is relative."""

    number: int | None = None
    url: str | None = None
    full_url: str | None = None


class Hook(Wire):
    """A webhook's body: the Notification plugin's, or `{job, number, url, result}` from a step of one's own."""

    build: HookBuild | None = None
    url: str | None = None
    job: str | None = None
    number: int | None = None
