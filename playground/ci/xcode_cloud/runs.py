"""Build runs, their actions, and what those leave: artifacts, issues, test results, builds in TestFlight."""

import uuid
from collections.abc import Callable, Iterable

from starlette.responses import Response

from playground.ci.model import (
    Artifact,
    Build,
    BuildState,
    Commit,
    Issue,
    IssueKind,
    Job,
    JobState,
    Outcome,
    Pipeline,
    Repo,
    Result,
    Source,
    Test,
    iso,
)
from playground.ci.simulation import newest_first
from playground.ci.system import JSON, Call
from playground.ci.xcode_cloud.account import Account
from playground.ci.xcode_cloud.documents import Resource, comma

PROCESSING_SECONDS = 300
MARKETING_VERSION = "2.1.0"
DEVICES = (("iPhone 17", "26.1"), ("iPad Pro (M5)", "26.1"))
RUN_INCLUDES = ("builds", "workflow", "product", "sourceBranchOrTag", "destinationBranch", "pullRequest")
ISSUE_TYPES = {
    IssueKind.ERROR: "ERROR",
    IssueKind.WARNING: "WARNING",
    IssueKind.ANALYZER_WARNING: "ANALYZER_WARNING",
    IssueKind.TEST_FAILURE: "TEST_FAILURE",
}


class Runs(Account):
    """The builds of an account."""

    def _find_run(self, call: Call) -> Build:
        build = self.simulation.build(self.name, call.at("id"))
        if build is None or build.uid != call.at("id"):
            raise self._missing("ciBuildRuns", call.at("id"))
        return build

    def _runs(self, call: Call, builds: Iterable[Build]) -> Response:
        sort = call.query.get("sort")
        if sort not in {None, "number", "-number"}:
            raise self._refuse(
                400,
                "PARAMETER_ERROR.INVALID",
                "A parameter has an invalid value",
                f"'{sort}' is not a valid sort",
                parameter="sort",
            )
        newest = newest_first(builds)
        found = newest if sort == "-number" else newest[::-1]
        return self._list(call, [self._run(build) for build in found], *RUN_INCLUDES)

    def _product_runs(self, call: Call) -> Response:
        product = self._the_product(call)
        builds = [build for pipeline in self._pipelines_of(product) for build in pipeline.builds]
        return self._runs(call, builds)

    def _workflow_runs(self, call: Call) -> Response:
        return self._runs(call, self._find_workflow(call).builds)

    def _commit(self, repo: Repo, commit: Commit) -> JSON:
        person = {"displayName": commit.author.name, "avatarUrl": f"{self.root()}/avatars/{commit.author.login}.png"}
        return {
            "commitSha": commit.sha,
            "message": commit.message,
            "author": person,
            "committer": person,
            "webUrl": f"{self.root()}/scm/{repo.slug}/commit/{commit.sha}",
        }

    def _run(self, build: Build) -> Resource:
        repo = build.pipeline.repo
        reason = {
            Source.PUSH: "GIT_REF_CHANGE",
            Source.PULL: "PULL_REQUEST_UPDATE",
            Source.SCHEDULE: "SCHEDULE",
            Source.REBUILD: "MANUAL_REBUILD",
        }.get(build.source, "MANUAL")
        pull = build.pull
        target = repo.branches.get(pull.target) if pull else None
        return Resource(
            type="ciBuildRuns",
            id=build.uid,
            attributes={
                "number": build.number,
                "createdDate": iso(build.created_at),
                "startedDate": iso(build.started_at),
                "finishedDate": iso(build.finished_at) if build.finished else None,
                "sourceCommit": self._commit(repo, build.commit),
                "destinationCommit": self._commit(repo, target) if target else None,
                "isPullRequestBuild": pull is not None,
                "issueCounts": _issue_counts(build.count) if build.finished and not build.canceling else None,
                "executionProgress": _progress(build),
                "completionStatus": _completion(build),
                "startReason": reason,
                "cancelReason": "MANUALLY_BY_USER" if build.canceling else None,
            },
            related={
                "builds": lambda: self._uploads(build),
                "workflow": lambda: self._workflow(build.pipeline),
                "product": lambda: self._product(self._product_of(build.pipeline)),
                "sourceBranchOrTag": lambda: self._reference(
                    repo, "tags" if build.tag else "heads", build.tag or build.branch or repo.default_branch
                ),
                "destinationBranch": lambda: self._reference(repo, "heads", pull.target) if pull else None,
                "pullRequest": lambda: self._pull(repo, pull) if pull else None,
            },
            linked=("builds", "actions"),
        )

    def _uploads(self, build: Build) -> list[Resource]:
        """Return what a build handed to TestFlight; it is processed there for a while."""
        return [
            self._upload(build, job, audience)
            for job in build.current
            if job.step.kind == "ARCHIVE"
            and job.state is JobState.PASSED
            and (audience := self.audience_of(build.pipeline, job.step.name)) is not None
        ]

    def _upload(self, build: Build, job: Job, audience: str) -> Resource:
        is_ready = job.finished_at is not None and self.simulation.now >= job.finished_at + PROCESSING_SECONDS
        return Resource(
            type="builds",
            id=str(uuid.uuid5(uuid.UUID(job.uid), "upload")),
            attributes={
                "version": str(build.number),
                "uploadedDate": iso(job.finished_at),
                "expired": False,
                "minOsVersion": "18.0",
                "processingState": "VALID" if is_ready else "PROCESSING",
                "buildAudienceType": audience,
                "usesNonExemptEncryption": False,
            },
            related={"preReleaseVersion": _release},
            linked=("preReleaseVersion",),
        )

    def _app_builds(self, call: Call) -> Response:
        return self._list(call, self._uploads(self._find_run(call)))

    def _store_builds(self, call: Call) -> Response:
        """Answer the builds in TestFlight, only those of `filter[id]` where that is given."""
        ids = comma(call.query.get("filter[id]"))
        uploads = [
            upload
            for pipeline in self._pipelines()
            for build in pipeline.builds
            for upload in self._uploads(build)
            if not ids or upload.id in ids
        ]
        return self._list(call, uploads, "preReleaseVersion")

    def _start(self, call: Call) -> Response:
        attributes, ids = self._parsed_document(call, "ciBuildRuns")
        self._check_attributes(attributes, frozenset({"clean"}))
        kinds = {
            "workflow": "ciWorkflows",
            "buildRun": "ciBuildRuns",
            "sourceBranchOrTag": "scmGitReferences",
            "pullRequest": "scmPullRequests",
        }
        for name, pointed in ids.items():
            if pointed.get("type") != kinds.get(name):
                raise self._relation_invalid(name, f"'{name}' is not a relationship to '{pointed.get('type')}'")
        if "workflow" not in ids:
            raise self._relation_required("workflow")
        sources = [name for name in kinds if name != "workflow" and name in ids]
        if not sources:
            raise self._relation_required("sourceBranchOrTag")
        if len(sources) > 1:
            raise self._relation_invalid(sources[1], "Only one source can be given")
        pipeline = next((it for it in self._pipelines() if it.uid == ids["workflow"]["id"]), None)
        if pipeline is None:
            raise self._relation_invalid("workflow")
        if not pipeline.enabled:
            raise self._refuse(
                409,
                "STATE_ERROR",
                "The request cannot be fulfilled because of the state of another resource.",
                "The workflow cannot start a build in its current state",
            )
        key = ids[sources[0]]["id"]
        self._check_starts(pipeline, sources[0], key)
        match sources[0]:
            case "buildRun":
                build = self._start_again(pipeline, key)
            case "pullRequest":
                build = self._start_pull(pipeline, key)
            case _:
                build = self._start_reference(pipeline, key)
        build.clean = attributes.get("clean") is True
        return self._resource(call, self._run(build), status=201)

    def _check_starts(self, pipeline: Pipeline, source: str, key: str) -> None:
        """Refuse a start for which the workflow has no manual start condition, as vaguely as Apple does."""
        tags = {pipeline.repo.ref_uid("tags", name) for name in pipeline.repo.tags}
        condition = {
            "buildRun": None,
            "pullRequest": "manualPullRequestStartCondition",
            "sourceBranchOrTag": "manualTagStartCondition" if key in tags else "manualBranchStartCondition",
        }[source]
        if condition is not None and not self.starts_by_hand(pipeline, condition):
            raise self._refuse(
                409,
                "STATE_ERROR",
                "The request cannot be fulfilled because of the state of another resource.",
                "The workflow cannot start a build from this source",
            )

    def _start_again(self, pipeline: Pipeline, key: str) -> Build:
        old = self.simulation.build(self.name, key)
        if old is None or old.pipeline is not pipeline:
            raise self._relation_invalid("buildRun")
        return self.simulation.start(
            pipeline,
            commit=old.commit,
            source=Source.REBUILD,
            branch=old.branch,
            tag=old.tag,
            pull=old.pull,
            rebuilt_from=old,
        )

    def _start_pull(self, pipeline: Pipeline, key: str) -> Build:
        repo = pipeline.repo
        for pull in repo.pulls.values():
            if pull.uid == key and not pull.closed:
                return self.simulation.start(
                    pipeline, commit=repo.branches[pull.branch], source=Source.WEB, branch=pull.branch, pull=pull
                )
        raise self._relation_invalid("pullRequest")

    def _start_reference(self, pipeline: Pipeline, key: str) -> Build:
        repo = pipeline.repo
        for name, commit in repo.branches.items():
            if repo.ref_uid("heads", name) == key:
                return self.simulation.start(pipeline, commit=commit, source=Source.WEB, branch=name)
        for name, commit in repo.tags.items():
            if repo.ref_uid("tags", name) == key:
                return self.simulation.start(pipeline, commit=commit, source=Source.WEB, tag=name)
        raise self._relation_invalid("sourceBranchOrTag")

    # actions and what they leave

    def _find_action(self, call: Call) -> tuple[Build, Job]:
        match = self.simulation.job(self.name, call.at("id"))
        if match is None or match[1].uid != call.at("id"):
            raise self._missing("ciBuildActions", call.at("id"))
        return match

    def _actions(self, call: Call) -> Response:
        build = self._find_run(call)
        return self._list(call, [self._action(build, job) for job in build.current], "buildRun")

    def _action(self, build: Build, job: Job) -> Resource:
        return Resource(
            type="ciBuildActions",
            id=job.uid,
            attributes={
                "name": job.step.name,
                "actionType": job.step.kind,
                "startedDate": iso(job.started_at),
                "finishedDate": iso(job.finished_at),
                "issueCounts": _issue_counts(job.count) if job.state.final and not job.canceling else None,
                "executionProgress": _job_progress(job),
                "completionStatus": _job_completion(job),
                "isRequiredToPass": not job.step.tolerated,
            },
            related={"buildRun": lambda: self._run(build)},
            linked=("artifacts", "issues", "testResults"),
        )

    def _artifact(self, call: Call, artifact: Artifact) -> Resource:
        return Resource(
            type="ciArtifacts",
            id=artifact.uid,
            attributes={
                "fileType": artifact.kind,
                "fileName": artifact.path,
                "fileSize": len(artifact.content),
                "downloadUrl": self.presigned(call, artifact),
            },
            related={},
        )

    def _artifacts(self, call: Call) -> Response:
        return self._list(call, [self._artifact(call, it) for it in self._find_action(call)[1].artifacts])

    def _get_artifact(self, call: Call) -> Response:
        artifact = self.artifact(call.at("id"))
        if artifact is None:
            raise self._missing("ciArtifacts", call.at("id"))
        return self._resource(call, self._artifact(call, artifact))

    def _issue(self, issue: Issue) -> Resource:
        return Resource(
            type="ciIssues",
            id=issue.uid,
            attributes={
                "issueType": ISSUE_TYPES[issue.kind],
                "message": issue.message,
                "fileSource": {"path": issue.file, "lineNumber": issue.line} if issue.file else None,
                "category": issue.category,
            },
            related={},
        )

    def _issues(self, call: Call) -> Response:
        return self._list(call, [self._issue(it) for it in self._find_action(call)[1].issues])

    def _get_issue(self, call: Call) -> Response:
        for build in self.simulation.builds:
            for job in build.jobs:
                for issue in job.issues:
                    if build.pipeline.system == self.name and issue.uid == call.at("id"):
                        return self._resource(call, self._issue(issue))
        raise self._missing("ciIssues", call.at("id"))

    def _test_result(self, job: Job, test: Test) -> Resource:
        # A failure on one of two devices is MIXED; the test's line decides, so that it stays what it was.
        mixed = test.outcome == "failed" and test.line % 2 == 1
        words = {"passed": "SUCCESS", "skipped": "SKIPPED", "failed": "FAILURE"}
        devices = [
            {
                "uuid": str(uuid.uuid5(uuid.UUID(job.uid), f"{test.uid}/{device}")),
                "deviceName": device,
                "osVersion": version,
                "status": "SUCCESS" if mixed and index else words[test.outcome],
                "duration": test.seconds,
            }
            for index, (device, version) in enumerate(DEVICES)
        ]
        return Resource(
            type="ciTestResults",
            id=str(uuid.uuid5(uuid.UUID(job.uid), test.uid)),
            attributes={
                "className": test.class_name,
                "name": test.name,
                "status": "MIXED" if mixed else words[test.outcome],
                "fileSource": {"path": test.file, "lineNumber": test.line},
                "message": test.message,
                "destinationTestResults": devices,
            },
            related={},
        )

    def _test_results(self, call: Call) -> Response:
        _, job = self._find_action(call)
        return self._list(call, [self._test_result(job, test) for test in job.tests])

    def _get_test_result(self, call: Call) -> Response:
        for build in self.simulation.builds:
            if build.pipeline.system == self.name:
                for job, test in build.tests():
                    made = self._test_result(job, test)
                    if made.id == call.at("id"):
                        return self._resource(call, made)
        raise self._missing("ciTestResults", call.at("id"))


def _release() -> Resource:
    return Resource(
        type="preReleaseVersions",
        id="release-2-1-0",
        attributes={"version": MARKETING_VERSION, "platform": "IOS"},
        related={},
    )


def _issue_counts(count: Callable[[IssueKind], int]) -> JSON:
    return {
        "analyzerWarnings": count(IssueKind.ANALYZER_WARNING),
        "errors": count(IssueKind.ERROR),
        "testFailures": count(IssueKind.TEST_FAILURE),
        "warnings": count(IssueKind.WARNING),
    }


def _progress(build: Build) -> str:
    match build.state:
        case BuildState.QUEUED:
            return "PENDING"
        case BuildState.RUNNING | BuildState.WAITING:
            return "RUNNING" if build.started_at is not None else "PENDING"
        case BuildState.FINISHED:
            return "COMPLETE"


def _completion(build: Build) -> str | None:
    match build.result:
        case None:
            return None
        case Result.PASSED:
            return "SUCCEEDED"
        case Result.CANCELED:
            return "CANCELED"
        case Result.TIMEOUT:
            return "ERRORED"
        case Result.FAILED:
            return "ERRORED" if build.outcome is Outcome.ERROR else "FAILED"


def _job_progress(job: Job) -> str:
    if job.state.final:
        return "COMPLETE"
    return "RUNNING" if job.state is JobState.RUNNING else "PENDING"


def _job_completion(job: Job) -> str | None:
    if not job.state.final:
        return None
    match job.state:
        case JobState.PASSED | JobState.UNBLOCKED:
            return "SUCCEEDED"
        case JobState.CANCELED:
            return "CANCELED"
        case JobState.SKIPPED:
            return "SKIPPED"
        case JobState.TIMEOUT:
            return "ERRORED"
        case _:
            return "ERRORED" if job.reason == "infrastructure" else "FAILED"
