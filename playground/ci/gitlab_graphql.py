"""GitLab's GraphQL types over the simulation: what polls many projects at once."""

import base64
from collections.abc import Mapping
from typing import Any

from playground.ci import gitlab_wire as wire
from playground.ci.gitlab_requests import admits
from playground.ci.graphql import QueryError, Type
from playground.ci.model import (
    Build,
    BuildState,
    Person,
    Pipeline,
    iso,
    stamp,
)
from playground.ci.simulation import newest_first

MOST_PATHS = 50


class Schema:
    """What GraphQL queries reach; `root` is the service's address and `mount` its path."""

    def __init__(self, pipelines: list[Pipeline], owner: Person, root: str, mount: str) -> None:
        self._pipelines = pipelines
        self._owner = owner
        self._root = root
        self._mount = mount

    def root_type(self) -> Type:
        """Return the type that queries start at."""

        def projects(arguments: Mapping[str, Any]) -> Type:
            paths = arguments.get("fullPaths")
            if paths is not None and len(paths) > MOST_PATHS:
                raise QueryError(f"Too many paths: at most {MOST_PATHS} can be given")
            ids = arguments.get("ids")
            pipelines = [
                it
                for it in self._pipelines
                if (paths is None or it.path in paths)
                and (ids is None or f"gid://gitlab/Project/{it.repo.number}" in ids)
            ]
            return _connection("Project", [self._project_type(it) for it in pipelines], arguments)

        def project(arguments: Mapping[str, Any]) -> Type | None:
            found = [it for it in self._pipelines if it.path == arguments.get("fullPath")]
            return self._project_type(found[0]) if found else None

        def described(arguments: Mapping[str, Any]) -> Type | None:
            return self._described(str(arguments.get("name")))

        return Type(
            "Query",
            {
                "projects": projects,
                "project": project,
                "currentUser": self._user_type(self._owner.login, self._owner.name),
                "metadata": Type("Metadata", {"version": wire.VERSION, "revision": "5f2c1ab09d3", "enterprise": True}),
                "__type": described,
            },
        )

    def _described(self, name: str) -> Type | None:
        """Return a type's fields; the arguments that matter to a poll are told."""
        pipeline = self._pipelines[0]
        kinds = {
            "Project": self._project_type(pipeline),
            "Pipeline": self._pipeline_type(pipeline.builds[0]),
        }
        arguments = {"pipelines": ("first", "after", "updatedAfter", "updatedBefore", "status", "ref", "sha", "source")}
        if name not in kinds:
            return None
        fields = [
            Type(
                "__Field",
                {"name": it, "args": [Type("__InputValue", {"name": arg}) for arg in arguments.get(it, ())]},
            )
            for it in kinds[name].fields
        ]
        return Type("__Type", {"name": name, "kind": "OBJECT", "fields": fields})

    def _user_type(self, login: str, name: str) -> Type:
        return Type("UserCore", {"username": login, "name": name})

    def _project_type(self, pipeline: Pipeline) -> Type:
        def pipelines(arguments: Mapping[str, Any]) -> Type:
            query = {
                name: str(arguments[key])
                for key, name in (
                    ("updatedAfter", "updated_after"),
                    ("updatedBefore", "updated_before"),
                    ("ref", "ref"),
                    ("sha", "sha"),
                )
                if arguments.get(key)
            }
            if arguments.get("status"):
                query["status"] = str(arguments["status"]).lower()
            found = [build for build in newest_first(pipeline.builds) if admits(query, build, self._owner)]
            return _connection("Pipeline", [self._pipeline_type(build) for build in found], arguments)

        def pipeline_of(arguments: Mapping[str, Any]) -> Type | None:
            for build in pipeline.builds:
                if str(build.number) == arguments.get("iid") or str(arguments.get("id")).endswith(f"/{build.id}"):
                    return self._pipeline_type(build)
            return None

        return Type(
            "Project",
            {
                "id": f"gid://gitlab/Project/{pipeline.repo.number}",
                "name": pipeline.repo.name,
                "fullPath": pipeline.path,
                "webUrl": f"{self._root}/{pipeline.path}",
                "archived": False,
                "repository": Type("Repository", {"rootRef": pipeline.repo.default_branch}),
                "pipelines": pipelines,
                "pipeline": pipeline_of,
                "ciPipelineCreationInputs": [],
                "ciConfigVariables": [
                    Type(
                        "CiConfigVariable",
                        {
                            "key": "DEPLOY_REGION",
                            "value": "eu-west-1",
                            "description": "Where to deploy",
                            "valueOptions": ["eu-west-1", "us-east-1"],
                        },
                    )
                ],
            },
        )

    def _pipeline_type(self, build: Build) -> Type:
        tests = [test for _, test in build.tests()]
        counted = wire.test_counts(tests)
        total = {
            "count": counted["total_count"],
            "success": counted["success_count"],
            "failed": counted["failed_count"],
            "skipped": counted["skipped_count"],
            "error": 0,
            "time": counted["total_time"],
            "suiteError": None,
        }
        author, commit = build.commit.author, build.commit
        creator = build.creator or self._owner
        detailed = wire.detailed_status_json(build, self._mount)
        jobs = [
            Type(
                "CiJob",
                {
                    "id": f"gid://gitlab/Ci::Build/{job.number}",
                    "name": job.step.name,
                    "status": wire.job_status(job).upper(),
                    "allowFailure": wire.may_fail(job),
                    "retried": job.retried,
                    "stage": Type("CiStage", {"name": job.step.stage}),
                    "startedAt": iso(job.started_at),
                    "finishedAt": iso(job.finished_at),
                    "webPath": f"{self._mount}/{build.pipeline.path}/-/jobs/{job.number}",
                },
            )
            for job in build.current
        ]
        return Type(
            "Pipeline",
            {
                "id": f"gid://gitlab/Ci::Pipeline/{build.id}",
                "iid": str(build.number),
                "status": wire.pipeline_status(build).upper(),
                "detailedStatus": Type(
                    "DetailedStatus", {name: detailed[name] for name in ("group", "label", "text", "icon")}
                ),
                "ref": wire.ref_of(build),
                "refText": wire.ref_of(build),
                "refPath": wire.ref_of(build) if build.pull else f"refs/{'tags' if build.tag else 'heads'}/{build.ref}",
                "tag": build.tag is not None,
                "sha": commit.sha,
                "beforeSha": commit.parent,
                "source": wire.SOURCES[build.source],
                "name": None,
                "path": f"{self._mount}{wire.web_path(build)}",
                "createdAt": stamp(build.created_at),
                "startedAt": iso(build.started_at),
                "finishedAt": iso(build.finished_at),
                "updatedAt": stamp(build.updated_at),
                "duration": wire.duration(build),
                "queuedDuration": wire.queued_duration(build),
                "complete": build.finished,
                "active": build.state in {BuildState.QUEUED, BuildState.RUNNING},
                "user": self._user_type(creator.login, creator.name),
                "commit": Type(
                    "Commit",
                    {
                        "sha": commit.sha,
                        "title": commit.title,
                        "message": commit.message,
                        "authorName": author.name,
                        "authorEmail": author.email,
                        "webUrl": f"{self._root}/{build.pipeline.path}/-/commit/{commit.sha}",
                    },
                ),
                "mergeRequest": Type(
                    "MergeRequest",
                    {
                        "iid": str(build.pull.number),
                        "sourceBranch": build.pull.branch,
                        "targetBranch": build.pull.target,
                    },
                )
                if build.pull
                else None,
                "testReportSummary": Type("TestReportSummary", {"total": Type("TestReportTotal", total)}),
                "codeQualityReportSummary": None,
                "jobs": lambda arguments: _connection("CiJob", jobs, arguments),
            },
        )


def _connection(kind: str, nodes: list[Type], arguments: Mapping[str, Any]) -> Type:
    size = min(int(arguments.get("first") or 100), 100)
    after = arguments.get("after")
    start = int(base64.b64decode(after)) if after else 0
    page = nodes[start : start + size]
    end = base64.b64encode(str(start + len(page)).encode()).decode()
    info = Type("PageInfo", {"hasNextPage": start + size < len(nodes), "endCursor": end if page else None})
    return Type(f"{kind}Connection", {"nodes": page, "pageInfo": info, "count": len(nodes)})
