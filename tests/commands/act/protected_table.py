"""The table of `test_protected_starts`: every connection that starts builds, and what is typed at it.

`OPTIONS` holds a row for every start option that a provider declares; an option without one fails the test. What counts as
building `main` is read from the request as sent, by the rules of the vendors' pages, not by those of the adapters.
"""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import parse_qsl, unquote

import httpx

from tests.bot.providers.case import Answer, Case, cases
from tests.bot.providers.cases.jenkins import SWEEP
from tests.bot.providers.cases.truto import OPTIONS as TRUTO

SHA = "5f3a9c1e7b2d4860a1c3e5f708192a3b4c5d6e7f"
GIT = "net.uaznia.lukanus.hudson.plugins.gitparameter.GitParameterDefinition"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """A connection that starts builds. `answers` stand before the case's own; `base` are options that each start needs.

    `sends_other`: whether `other` is enough to be let through.
    """

    name: str
    case: Case
    pipeline: str
    answers: tuple[Answer, ...] = ()
    base: Mapping[str, str] = field(default_factory=dict)
    sends_other: bool = True


def _case(name: str, **options: str) -> Case:
    (case,) = (case for case in cases()[0] if str(case) == name)
    return replace(case, options={**case.options, **options}) if options else case


def _job(name: str, *declared: Mapping[str, object], branch: bool = True) -> Answer:
    kinds = [{"_class": "org.jenkinsci.plugins.workflow.multibranch.BranchJobProperty"}] if branch else []
    body = {
        "_class": "org.jenkinsci.plugins.workflow.job.WorkflowJob",
        "fullName": name,
        "nextBuildNumber": 15,
        "property": [*kinds, {"_class": "x.ParametersDefinitionProperty", "parameterDefinitions": list(declared)}],
    }
    path = "/job/".join(["", *name.split("/")])
    return Answer(path=f"{path}/api/json", body=body)


def _parameter(
    name: str, default: str = "", class_: str = "hudson.model.StringParameterDefinition"
) -> dict[str, object]:
    return {"_class": class_, "name": name, "defaultParameterValue": {"value": default}}


DECLARED = (
    _parameter("BRANCH"),
    _parameter("branch"),
    _parameter("COMMIT"),
    _parameter("TAG"),
    _parameter("PR_NUMBER"),
    _parameter("SOURCE_BRANCH"),
    _parameter("WORD"),
    _parameter("STAGE"),
    _parameter("IMAGE_TAG"),
    _parameter("WHAT", "origin/other", GIT),
)
JOBS = tuple(_job(f"lamps/beacon/{name}", *DECLARED) for name in ("main", "other", "v1", "PR-7"))
MERGE_REQUESTS = tuple(
    Answer(
        path=f"/api/v4/projects/4711/merge_requests/{iid}",
        body={"iid": iid, "source_branch": "main", "source_project_id": source, "target_project_id": 4711},
    )
    for iid, source in ((7, 99), (8, 4711))
)


def _bitbucket_request(number: int, source: str) -> Answer:
    def end(branch: str, repository: str) -> dict[str, object]:
        return {"branch": {"name": branch}, "commit": {"hash": SHA}, "repository": {"uuid": repository}}

    return Answer(
        path=f"/2.0/repositories/harbor/{{repository}}/pullrequests/{number}",
        body={"id": number, "source": end("main", source), "destination": end("trunk", "{harbor}")},
    )


STANDS = (
    Stand(name="azure_devops", case=_case("azure_devops"), pipeline=_case("azure_devops").pipeline),
    Stand(
        name="bitbucket",
        case=_case("bitbucket"),
        pipeline=_case("bitbucket").pipeline,
        answers=(_bitbucket_request(7, "{fork}"), _bitbucket_request(8, "{harbor}")),
    ),
    Stand(name="buildkite", case=_case("buildkite"), pipeline="ferry"),
    Stand(name="circleci", case=_case("circleci"), pipeline=_case("circleci").pipeline),
    Stand(name="github_actions", case=_case("github_actions"), pipeline=_case("github_actions").pipeline),
    Stand(name="gitlab", case=_case("gitlab"), pipeline=_case("gitlab").pipeline, answers=MERGE_REQUESTS),
    Stand(
        name="gitlab with a trigger token",
        case=_case("gitlab", trigger_token="made-up"),
        pipeline=_case("gitlab").pipeline,
        answers=MERGE_REQUESTS,
    ),
    Stand(name="gitlab_v3", case=_case("gitlab_v3"), pipeline=_case("gitlab_v3").pipeline),
    Stand(name="jenkins, a branch's job", case=_case("jenkins"), pipeline="lamps/beacon/other", answers=JOBS),
    Stand(
        name="jenkins, a plain job",
        case=_case("jenkins"),
        pipeline=SWEEP,
        answers=(_job(SWEEP, *DECLARED, branch=False),),
    ),
    Stand(
        name="jenkins, a job whose branch has a default",
        case=_case("jenkins"),
        pipeline=SWEEP,
        answers=(_job(SWEEP, *DECLARED[1:-1], _parameter("WHERE", "origin/main", GIT), branch=False),),
        sends_other=False,
    ),
    Stand(name="travis", case=_case("travis"), pipeline="61"),
    Stand(name="truto, azure_devops", case=_case("truto_azure_devops"), pipeline="ferry", base={"workflow": "7"}),
    Stand(name="truto, bitbucket", case=_case("truto_bitbucket"), pipeline="ferry"),
    Stand(
        name="truto, circleci",
        case=replace(
            _case("truto_bitbucket"),
            options={**TRUTO, "integration": "circleci", "repo_id": "gh/harbor/ferry"},
            ref_builds={},
        ),
        pipeline="gh/harbor/ferry",
        answers=(
            Answer(path="/unified/ci-cd/repos/{slug}", body={"id": "1", "name": "ferry", "default_branch": "main"}),
        ),
    ),
    Stand(name="truto, github", case=_case("truto"), pipeline="ferry", base={"workflow": "ci.yml"}),
    Stand(name="truto, travis_ci", case=_case("truto_travis_ci"), pipeline=_case("truto_travis_ci").pipeline),
    Stand(name="xcode_cloud", case=_case("xcode_cloud"), pipeline=_case("xcode_cloud").pipeline),
)
CANNOT_START = {
    "azure_devops_entra": "the same adapter under other credentials",
    "github_actions_app": "the same adapter under other credentials",
    "truto_jenkins": "Truto starts no Jenkins builds",
    "xcode_cloud_token": "such a token only reads",
}

SPELLINGS = (
    "main",
    "MAIN",
    "refs/heads/main",
    "heads/main",
    "origin/main",
    "refs/remotes/origin/main",
    "remotes/upstream/main",
    " main",
    "main ",
    "/main",
    "+main",
    "main~0",
    "main^{commit}",
    "main@{0}",
    "*/main",
    "ma*",
    "m?in",
    "{main,other}",
    "other,main",
    "refs/heads/refs/heads/main",
    "ma%69n",
    "refs%2Fheads%2Fmain",
    "x TRAVIS_BRANCH=main",
    "x' BRANCH='main",
    "branches:main",
    "branches:{main,other}",
    "tags:main",
    "branches:ma*",
)
IN_VALUES = ("main", "refs/heads/main", "origin/main", "main~0", "*/main", "other,main", *SPELLINGS[-6:-4])
REFS = (None, "other", "river-maps", "tag:v1", "pr:7", "pr:8", "pr:88", SHA)

Row = tuple[str, ...]
OPTIONS: Mapping[str, Mapping[str, Row]] = {
    "azure_devops": {
        "branch": ("other", "refs/heads/other"),
        "parameter.": ("x",),
        "variable.": ("x",),
        "stages_to_skip": ("Deploy",),
    },
    "bitbucket": {"selector": ("sail", "default", "branches:other"), "branch": ("other",), "secured.": ("x",)},
    "buildkite": {
        "branch": ("other",),
        "clean": ("yes",),
        "clean_checkout": ("no",),
        "ignore_pipeline_branch_filters": ("yes",),
        "pull_request_id": ("7",),
        "pull_request_base_branch": ("trunk",),
        "pull_request_labels": ("one, two",),
        "pull_request_repository": ("https://github.com/rival/ferry",),
        "author": ("Ana",),
        "meta_data.": ("x",),
    },
    "circleci": {
        "definition": ("0198aa10-0000-4000-8000-0000000000d1",),
        "config_branch": ("other",),
        "merge": ("yes",),
    },
    "github_actions": {},
    "gitlab": {"input.": ("x",)},
    "jenkins": {"delay": ("5",)},
    "travis": {"branch": ("other",), "merge_mode": ("replace",)},
    "truto": {"workflow": ("7",), "custom": ("sail",)},
    "xcode_cloud": {"clean": ("yes",)},
}
"""Kind -> declared start option -> values of it that name no protected ref. `main` in all its spellings is added."""

NAMES_OF_REFS = (
    "CI_COMMIT_BRANCH",
    "CI_COMMIT_REF_NAME",
    "CI_COMMIT_TAG",
    "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME",
    "BUILDKITE_BRANCH",
    "BUILDKITE_COMMIT",
    "TRAVIS_BRANCH",
    "BITBUCKET_BRANCH",
    "GITHUB_REF",
    "GITHUB_HEAD_REF",
    "CIRCLE_BRANCH",
    "Build.SourceBranch",
    "build_sourcebranchname",
    "BRANCH",
    "branch",
    "BRANCH_NAME",
    "branchName",
    "GIT_BRANCH",
    "SOURCE_BRANCH",
    "ref",
    "git-ref",
    "gitRef",
    "GIT_REF",
    "REVISION",
    "COMMIT",
    "GIT_COMMIT",
    "SHA1",
    "TAG",
    "GIT_TAG",
    "TAG_NAME",
)
"""Values under which builds are told what to check out or what they are of."""
OTHER_NAMES = ("WORD", "STAGE", "IMAGE_TAG", "selector")
GIT_PARAMETERS = ("WHAT", "WHERE")
"""Jenkins parameters of the Git plugin: whatever their name, they choose what is checked out."""

HARMLESS: Mapping[str, tuple[str, ...]] = {
    "bitbucket": ("target/destination",),
    "buildkite": ("pull_request_base_branch", "pull_request_labels", "pull_request_repository", "author/.*", "message"),
    "travis": ("request/message",),
    "truto": ("target/destination", "request/message"),
    "azure_devops": ("stagesToSkip",),
}
"""Places of a request that may hold `main` though another ref is built: where it goes to, labels, people, words."""
CUSTOM = ("target/selector/pattern", ("target/selector/type", "custom"))
OF_ANOTHER: Mapping[str, tuple[tuple[str, tuple[str, str]], ...]] = {
    "bitbucket": (
        CUSTOM,
        ("target/selector/pattern", ("target/selector/type", "pull-requests")),
        ("target/source", ("target/pullrequest/id", "7")),
    ),
    "buildkite": (("branch", ("pull_request_repository", "https://github.com/stranger/ferry.git")),),
    "truto": (CUSTOM,),
}
"""Places that hold a name of another kind where something stands beside it: a custom pipeline's, a fork's branch."""
VALUES = re.compile(
    r"(?:env|variables|inputs|parameters|templateParameters|meta_data|env/global|form)(?:/(?P<name>[^/]+))?(?:/value)?"
)
"""Places that hold values for the build. `form` is Jenkins'."""


def reads_main(text: str) -> bool:
    """Whether a text makes git, or a vendor that hands it to git, take the branch `main`, or may do so."""
    name = re.split(r"[~^:]|@\{", text.strip().lstrip("+:"))[0].strip("/").casefold()
    while (shorter := re.sub(r"^(?:refs/|heads/|tags/|remotes/[^/]+/|origin/)", "", name)) != name:
        name = shorter
    if name == "main" or (set("*?[") & set(name) and fnmatchcase("main", name.rpartition("/")[2])):
        return True
    return bool(re.search(r"\{(?:[^{}]*,)?main(?:,[^{}]*)?\}", text))


def leaves(request: httpx.Request) -> Iterator[tuple[str, str]]:
    """Every text of a request as sent, with its place: `target/ref_name`, `variables/NAME`, `query/delay`, `path`."""
    for segment in request.url.raw_path.decode().partition("?")[0].split("/"):
        yield "path", unquote(unquote(segment))
    for name, value in parse_qsl(request.url.query.decode()):
        yield f"query/{name}", value
    text = request.content.decode()
    if text.startswith(("{", "[")):
        yield from _leaves("", json.loads(text))
    else:
        for name, value in parse_qsl(text):
            match = re.fullmatch(r"variables\[(.*)\]", name)
            yield (f"variables/{match[1]}" if match else f"form/{name}"), value


def _leaves(place: str, value: Any) -> Iterator[tuple[str, str]]:
    match value:
        case {"key": str(key), "value": inner}:
            yield from _leaves(f"{place}/{key}".lstrip("/"), inner)
        case dict():
            for name, inner in value.items():
                yield from _leaves(f"{place}/{name}".lstrip("/"), inner)
        case list():
            for inner in value:
                yield from _leaves(place, inner)
        case str() if place.endswith("env/global"):
            for word in shlex.split(value):
                name, _, rest = word.partition("=")
                yield f"env/{name}", rest
        case str() if place == "parameters" and value.startswith("{"):
            yield from _leaves("parameters", json.loads(value))
        case str():
            yield place, value
        case _:
            pass


REF_PLACES: Mapping[str, str] = {
    "azure_devops": r"resources/repositories/self/refName",
    "bitbucket": r"target/(?:ref_name|pullrequest/id|source)",
    "buildkite": r"branch",
    "circleci": r"checkout/(?:branch|tag)|branch|tag",
    "github_actions": r"ref",
    "gitlab": r"ref|form/ref|path",
    "travis": r"request/(?:branch|tag_name)",
    "truto": r"sourceBranch|target/ref_name|branch|tag|ref|request/(?:branch|tag_name)",
    "xcode_cloud": r"data/relationships/(?:sourceBranchOrTag|pullRequest|buildRun)/data/id",
}
"""Where a request says what is built; without it the vendor takes the default branch, which is `main` here."""


def names_main(stand: Stand, request: httpx.Request, ids_of_main: frozenset[str] = frozenset()) -> str | None:
    """The place of a request by which a vendor may build `main`; None without one. `ids_of_main` stand for it (Xcode Cloud).

    Paths name pipelines and builds, which rights are judged on by themselves; only a Jenkins branch's job is a branch.
    """
    kind = stand.case.kind
    is_job_of_branch = stand.name == "jenkins, a branch's job" and stand.pipeline.endswith("/other")
    texts = list(leaves(request))
    for place, text in texts:
        if any(re.fullmatch(pattern, place) for pattern in HARMLESS.get(kind, ())):
            continue
        if any(re.fullmatch(pattern, place) and beside in texts for pattern, beside in OF_ANOTHER.get(kind, ())):
            continue
        match = VALUES.fullmatch(place)
        name = match["name"] if match else None
        is_ref = place == "form/ref" or name in {*NAMES_OF_REFS, *(GIT_PARAMETERS if kind == "jenkins" else ())}
        if (name is not None and not is_ref) or (place == "path" and not is_job_of_branch):
            continue
        texts_of_value = [text] if name is None or place.startswith("form/") else re.split(r"[\s,]+", text)
        if any(map(reads_main, texts_of_value)) or text in ids_of_main:
            return f"{place} = {text!r}"
    return None


def leaves_it_open(stand: Stand, request: httpx.Request) -> str | None:
    """Why a request makes the vendor take the default branch, `main`; None where it says what is built."""
    places = {place for place, _text in leaves(request)}
    if stand.case.kind == "jenkins":
        is_open = "default" in stand.name and "form/WHERE" not in places
        return "form/WHERE is left to its default, origin/main" if is_open else None
    is_said = any(re.fullmatch(REF_PLACES[stand.case.kind], place) for place in places)
    return None if is_said else "no ref is sent"
