"""A stand-in of Xcode Cloud's part of the App Store Connect API for one product, `Aurora iOS`."""

import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from starlette.responses import Response
from starlette.routing import BaseRoute
from typing_extensions import override

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
    Pull,
    Repo,
    Result,
    Source,
    Test,
    iso,
    stamp,
)
from playground.ci.simulation import Simulation, newest_first
from playground.ci.system import JSON, Call, Meter, Refusal, System, WebhookRequest, answer

AUDIENCE = "appstoreconnect-v1"
LONGEST_TOKEN_SECONDS = 1200
CLOCK_LEEWAY_SECONDS = 60
PER_HOUR = 3600
APP_ID = "6448220113"
NAMESPACE = uuid.UUID("7b5b7a52-7a3e-4f9b-8d54-1d6a7c9f2e31")
DEVICES = (("iPhone 17", "26.1"), ("iPad Pro (M5)", "26.1"))
XCODES = (("Xcode 26.1 (17B55)", "17B55"), ("Xcode 16.4 (16F6)", "16F6"))
MACS = (("macOS Tahoe 26.1", "25B78"), ("macOS Sequoia 15.6", "24G84"))
WORKFLOW_ATTRIBUTES = frozenset(
    {
        "name",
        "description",
        "branchStartCondition",
        "tagStartCondition",
        "pullRequestStartCondition",
        "scheduledStartCondition",
        "manualBranchStartCondition",
        "manualTagStartCondition",
        "manualPullRequestStartCondition",
        "actions",
        "isEnabled",
        "isLockedForEditing",
        "clean",
        "containerFilePath",
    }
)
NEEDED_ATTRIBUTES = ("name", "description", "actions", "isEnabled", "clean", "containerFilePath")
RUN_INCLUDES = ("builds", "workflow", "product", "sourceBranchOrTag", "destinationBranch", "pullRequest")
WORKFLOW_INCLUDES = ("product", "repository", "xcodeVersion", "macOsVersion")
REPOSITORY_INCLUDES = ("scmProvider", "defaultBranch")

ISSUE_TYPES = {
    IssueKind.ERROR: "ERROR",
    IssueKind.WARNING: "WARNING",
    IssueKind.ANALYZER_WARNING: "ANALYZER_WARNING",
    IssueKind.TEST_FAILURE: "TEST_FAILURE",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A JSON:API resource; `related` yields what each relationship points at, one or a list."""

    type: str
    id: str
    attributes: Mapping[str, Any]
    related: Mapping[str, Callable[[], "Resource | list[Resource] | None"]]
    linked: tuple[str, ...] = ()


class XcodeCloud(System):
    """Xcode Cloud."""

    name = "xcode_cloud"
    label = "Xcode Cloud"
    connection = "demo-xcode"

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        self._private_key = ec.generate_private_key(ec.SECP256R1())
        self.key_id = "PLAYGRND26"
        self.issuer_id = str(uuid.uuid5(NAMESPACE, "issuer"))
        self._meter = Meter(round(PER_HOUR * simulation.quota), 3600)
        self._product_id = str(uuid.uuid5(NAMESPACE, "product"))
        self._extra: dict[str, JSON] = {}
        self._changed: dict[str, float] = {}

    @override
    def options(self, base: str) -> dict[str, object]:
        pem = self._private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        return {
            "kind": "xcode_cloud",
            "url": f"{base}{self.mount}",
            "key_id": self.key_id,
            "issuer_id": self.issuer_id,
            "private_key": pem,
            "webhook_secret": self.webhook_secret,
            "private_network": True,
        }

    @override
    def routes(self) -> list[BaseRoute]:
        api = self.api
        product, workflow, run = "/v1/ciProducts/{id}", "/v1/ciWorkflows/{id}", "/v1/ciBuildRuns/{id}"
        action, repository = "/v1/ciBuildActions/{id}", "/v1/scmRepositories/{id}"

        return [
            api("/v1/ciProducts", self._products),
            api(
                product, lambda call: self._resource(call, self._the_product(call), "app,bundleId,primaryRepositories")
            ),
            api(f"{product}/workflows", self._workflows),
            api(f"{product}/buildRuns", self._product_runs),
            api(f"{product}/primaryRepositories", self._repositories_of_product),
            api(f"{product}/additionalRepositories", self._no_repositories),
            api("/v1/apps/{id}/ciProduct", self._product_of_app),
            api("/v1/ciWorkflows", self._create_workflow, "POST"),
            api(
                "/v1/ciWorkflows",
                lambda _call: self._not_allowed("ciWorkflows", "CREATE, DELETE, GET_INSTANCE, UPDATE"),
            ),
            api(
                workflow,
                lambda call: self._resource(call, self._workflow(self._find_workflow(call)), *WORKFLOW_INCLUDES),
            ),
            api(workflow, self._update_workflow, "PATCH"),
            api(workflow, self._delete_workflow, "DELETE"),
            api(f"{workflow}/buildRuns", self._workflow_runs),
            api(f"{workflow}/repository", self._workflow_repository),
            api("/v1/ciBuildRuns", self._start, "POST"),
            api("/v1/ciBuildRuns", lambda _call: self._not_allowed("ciBuildRuns", "CREATE, GET_INSTANCE")),
            api(run, lambda call: self._resource(call, self._run(self._find_run(call)), *RUN_INCLUDES)),
            api(f"{run}/actions", self._actions),
            api(f"{run}/builds", self._app_builds),
            api(action, lambda call: self._resource(call, self._action(*self._find_action(call)), "buildRun")),
            api(f"{action}/artifacts", self._artifacts),
            api(f"{action}/issues", self._issues),
            api(f"{action}/testResults", self._test_results),
            api(
                f"{action}/buildRun",
                lambda call: self._resource(call, self._run(self._find_action(call)[0]), *RUN_INCLUDES),
            ),
            api("/v1/ciArtifacts/{id}", self._get_artifact),
            api("/v1/ciIssues/{id}", self._get_issue),
            api("/v1/ciTestResults/{id}", self._get_test_result),
            api(
                "/v1/ciXcodeVersions",
                lambda call: self._list(call, [self._xcode(i) for i in range(len(XCODES))], "macOsVersions"),
            ),
            api(
                "/v1/ciMacOsVersions",
                lambda call: self._list(call, [self._mac(i) for i in range(len(MACS))], "xcodeVersions"),
            ),
            api("/v1/scmProviders", lambda call: self._list(call, [self._provider()])),
            api("/v1/scmProviders/{id}/repositories", self._repositories),
            api("/v1/scmRepositories", self._repositories),
            api(
                repository,
                lambda call: self._resource(call, self._repository(self._find_repo(call)), *REPOSITORY_INCLUDES),
            ),
            api(f"{repository}/gitReferences", self._references),
            api(f"{repository}/pullRequests", self._pulls),
            api(
                "/v1/scmGitReferences/{id}",
                lambda call: self._resource(call, self._find_reference(call, call.at("id")), "repository"),
            ),
            api(
                "/v1/scmPullRequests/{id}",
                lambda call: self._resource(call, self._find_pull(call, call.at("id")), "repository"),
            ),
            self.other_paths(),
        ]

    # credentials, limits, errors

    @override
    def authenticate(self, call: Call) -> Response | None:
        scheme, _, token = call.header("authorization").partition(" ")
        try:
            header = jwt.get_unverified_header(token)
            claims = jwt.decode(
                token,
                self._private_key.public_key(),
                algorithms=["ES256"],
                audience=AUDIENCE,
                options={"require": ["iat", "exp"], "verify_exp": False, "verify_iat": False},
            )
        except jwt.PyJWTError:
            return self._unauthorized()
        issued, ends, now = claims["iat"], claims["exp"], self.simulation.now
        numbers = all(isinstance(at, int | float) for at in (issued, ends))
        by_team = claims.get("iss") == self.issuer_id and "sub" not in claims
        alone = claims.get("sub") == "user" and "iss" not in claims
        if (
            scheme != "Bearer"
            or header.get("kid") != self.key_id
            or not numbers
            or not (by_team or alone)
            or ends <= now
            or issued > now + CLOCK_LEEWAY_SECONDS
            or ends - issued > LONGEST_TOKEN_SECONDS
            or not _in_scope(call, claims.get("scope"))
        ):
            return self._unauthorized()
        return None

    def _unauthorized(self) -> Response:
        return self._error(
            401,
            "NOT_AUTHORIZED",
            "Authentication credentials are missing or invalid.",
            "Provide a properly configured and signed bearer token, and make sure that it has not expired.",
        )

    @override
    def meters(self) -> list[Meter]:
        return [self._meter]

    @override
    def rate_headers(self, now: float) -> dict[str, str]:
        return {"X-Rate-Limit": f"user-hour-lim:{self._meter.limit};user-hour-rem:{self._meter.left()};"}

    @override
    def failure(self, status: int, message: str) -> Response:
        if status == 401:
            return self._unauthorized()
        code = {
            400: "PARAMETER_ERROR.INVALID",
            403: "FORBIDDEN_ERROR",
            404: "NOT_FOUND",
            429: "RATE_LIMIT_EXCEEDED",
            500: "UNEXPECTED_ERROR",
        }.get(status, "ENTITY_ERROR")
        return self._error(status, code, message, message)

    def _error(self, status: int, code: str, title: str, detail: str, **source: str) -> Response:
        error: JSON = {
            "id": str(uuid.uuid4()),
            "status": str(status),
            "code": code,
            "title": title,
            "detail": detail,
        }
        if source:
            error["source"] = source
        return answer({"errors": [error]}, status)

    def _refuse(self, status: int, code: str, title: str, detail: str, **source: str) -> Refusal:
        return Refusal(self._error(status, code, title, detail, **source))

    def _missing(self, kind: str, key: str) -> Refusal:
        return self._refuse(
            404,
            "NOT_FOUND",
            "The specified resource does not exist",
            f"There is no resource of type '{kind}' with id '{key}'",
        )

    def _not_allowed(self, kind: str, allowed: str) -> Response:
        return self._error(
            403,
            "FORBIDDEN_ERROR",
            "The given operation is not allowed",
            f"The resource '{kind}' does not allow 'GET_COLLECTION'. Allowed operations are: {allowed}",
        )

    @override
    def unknown_path(self, call: Call) -> Response:
        return self._error(
            404, "PATH_ERROR", "The URL path is not valid", f"The resource '{call.at('rest')}' does not exist"
        )

    # documents

    def _document(
        self, call: Call, resources: "list[Resource]", includes: Iterable[str]
    ) -> tuple[list[JSON], list[JSON]]:
        allowed = [name for part in includes for name in part.split(",")]
        names = _comma(call.query.get("include"))
        for name in names:
            if name not in allowed:
                raise self._refuse(
                    400,
                    "PARAMETER_ERROR.INVALID",
                    "A parameter has an invalid value",
                    f"'{name}' is not a valid relationship name",
                    parameter="include",
                )
        fields = {
            name[len("fields[") : -1]: _comma(value)
            for name, value in call.request.query_params.items()
            if name.startswith("fields[")
        }
        included: dict[tuple[str, str], JSON] = {}
        data = [self._write(call, resource, names, fields, included) for resource in resources]
        return data, list(included.values())

    def _write(
        self,
        call: Call,
        resource: Resource,
        includes: list[str],
        fields: Mapping[str, list[str]],
        included: dict[tuple[str, str], JSON],
    ) -> JSON:
        field_names = fields.get(resource.type)
        own = f"{self.root(call)}/v1/{resource.type}/{resource.id}"
        attributes = {
            name: value
            for name, value in resource.attributes.items()
            if value is not None and (field_names is None or name in field_names)
        }
        made: JSON = {"type": resource.type, "id": resource.id, "attributes": attributes}
        relationships: JSON = {}
        for name in (*resource.related, *resource.linked):
            if field_names is not None and name not in field_names:
                continue
            relation: JSON = {}
            if name in resource.linked:
                relation["links"] = {"self": f"{own}/relationships/{name}", "related": f"{own}/{name}"}
            if name in includes and name in resource.related:
                points = resource.related[name]()
                several = points if isinstance(points, list) else [points] if points else []
                for other in several:
                    included.setdefault((other.type, other.id), {})
                    included[(other.type, other.id)] = self._write(call, other, [], fields, included)
                named = [{"type": other.type, "id": other.id} for other in several]
                if isinstance(points, list):
                    relation["data"] = named
                    relation["meta"] = {"paging": {"total": len(named), "limit": max(len(named), 10)}}
                elif named:
                    relation["data"] = named[0]
            if relation:
                relationships[name] = relation
        if relationships:
            made["relationships"] = relationships
        made["links"] = {"self": own}
        return made

    def _resource(self, call: Call, resource: Resource, *includes: str, status: int = 200) -> Response:
        (data,), included = self._document(call, [resource], includes)
        made: JSON = {"data": data, "links": {"self": call.url}}
        if _comma(call.query.get("include")):
            made["included"] = included
        return answer(made, status)

    def _list(self, call: Call, resources: list[Resource], *includes: str) -> Response:
        limit = self._limit(call)
        start = 0
        cursor = call.query.get("cursor")
        if cursor is not None:
            ids = [resource.id for resource in resources]
            if cursor not in ids:
                raise self._refuse(
                    400,
                    "PARAMETER_ERROR.INVALID",
                    "A parameter has an invalid value",
                    "'cursor' is not a valid cursor",
                    parameter="cursor",
                )
            start = ids.index(cursor) + 1
        page = resources[start : start + limit]
        data, included = self._document(call, page, includes)
        links, paging = {"self": str(call.request.url)}, {"total": len(resources), "limit": limit}
        if start + limit < len(resources):
            kept = [(key, value) for key, value in call.request.query_params.multi_items() if key != "cursor"]
            links["next"] = f"{call.url}?{urlencode([*kept, ('cursor', page[-1].id)])}"
            paging["nextCursor"] = page[-1].id  # type: ignore[assignment]
        made: JSON = {"data": data, "links": links, "meta": {"paging": paging}}
        if _comma(call.query.get("include")):
            made["included"] = included
        return answer(made)

    def _limit(self, call: Call) -> int:
        text = call.query.get("limit")
        if text is None:
            return 50
        if not text.isdigit() or not 1 <= int(text) <= 200:
            raise self._refuse(
                400,
                "PARAMETER_ERROR.INVALID",
                "A parameter has an invalid value",
                "The limit must be between 1 and 200",
                parameter="limit",
            )
        return int(text)

    # products and workflows

    def _pipelines(self) -> list[Pipeline]:
        return self.simulation.of_system(self.name)

    def _repo(self) -> Repo:
        return self._pipelines()[0].repo

    def _product(self) -> Resource:
        return Resource(
            type="ciProducts",
            id=self._product_id,
            attributes={"name": "Aurora iOS", "createdDate": "2025-02-03T09:00:00.000Z", "productType": "APP"},
            related={
                "app": lambda: Resource(
                    type="apps",
                    id=APP_ID,
                    attributes={
                        "name": "Aurora",
                        "bundleId": "example.demo.aurora",
                        "sku": "aurora",
                        "primaryLocale": "en-GB",
                    },
                    related={},
                ),
                "bundleId": lambda: Resource(
                    type="bundleIds",
                    id="BNDL26",
                    attributes={
                        "name": "Aurora",
                        "platform": "IOS",
                        "identifier": "example.demo.aurora",
                        "seedId": "DEMO26",
                    },
                    related={},
                ),
                "primaryRepositories": lambda: [self._repository(self._repo())],
            },
            linked=("workflows", "primaryRepositories", "additionalRepositories", "buildRuns"),
        )

    def _the_product(self, call: Call) -> Resource:
        if call.at("id") != self._product_id:
            raise self._missing("ciProducts", call.at("id"))
        return self._product()

    def _products(self, call: Call) -> Response:
        kinds, apps = _comma(call.query.get("filter[productType]")), _comma(call.query.get("filter[app]"))
        found = [] if (kinds and "APP" not in kinds) or (apps and APP_ID not in apps) else [self._product()]
        return self._list(call, found, "app,bundleId,primaryRepositories")

    def _product_of_app(self, call: Call) -> Response:
        if call.at("id") != APP_ID:
            raise self._missing("apps", call.at("id"))
        return self._resource(call, self._product(), "app,bundleId,primaryRepositories")

    def _workflows(self, call: Call) -> Response:
        self._the_product(call)
        return self._list(call, [self._workflow(pipeline) for pipeline in self._pipelines()], *WORKFLOW_INCLUDES)

    def _find_workflow(self, call: Call) -> Pipeline:
        return self._workflow_by_id(call.at("id"))

    def _workflow_by_id(self, key: str) -> Pipeline:
        for pipeline in self._pipelines():
            if pipeline.uid == key:
                return pipeline
        raise self._missing("ciWorkflows", key)

    def _workflow(self, pipeline: Pipeline) -> Resource:
        everything = {"isAllMatch": True, "patterns": []}
        actions = [
            {
                "name": step.name,
                "actionType": step.kind,
                "destination": "ANY_IOS_SIMULATOR" if step.kind != "ARCHIVE" else "ANY_IOS_DEVICE",
                "scheme": "Aurora",
                "platform": "IOS",
                "isRequiredToPass": not step.tolerated,
            }
            for step in pipeline.steps
        ]
        attributes: JSON = {
            "name": pipeline.name,
            "description": f"{pipeline.name} of Aurora",
            "actions": actions,
            "isEnabled": pipeline.enabled,
            "isLockedForEditing": False,
            "clean": False,
            "containerFilePath": "Aurora.xcodeproj",
            "manualBranchStartCondition": {"source": everything},
            "manualTagStartCondition": {"source": everything},
            "lastModifiedDate": stamp(self._changed.get(pipeline.uid, pipeline.created_at)),
        }
        if Source.PULL in pipeline.sources:
            attributes["pullRequestStartCondition"] = {
                "source": everything,
                "destination": everything,
                "autoCancel": True,
            }
            attributes["manualPullRequestStartCondition"] = {"source": everything, "destination": everything}
        if Source.SCHEDULE in pipeline.sources:
            attributes["scheduledStartCondition"] = {
                "source": everything,
                "schedule": {"frequency": "DAILY", "hour": 3, "minute": 0, "timezone": "Europe/Stockholm"},
            }
        if Source.PUSH in pipeline.sources:
            attributes["branchStartCondition"] = {"source": everything, "autoCancel": True}
        attributes.update(self._extra.get(pipeline.uid, {}))
        return Resource(
            type="ciWorkflows",
            id=pipeline.uid,
            attributes=attributes,
            related={
                "product": self._product,
                "repository": lambda: self._repository(pipeline.repo),
                "xcodeVersion": lambda: self._xcode(0),
                "macOsVersion": lambda: self._mac(0),
            },
            linked=("repository", "buildRuns"),
        )

    def _parsed_document(self, call: Call, kind: str) -> tuple[JSON, JSON]:
        """Return the attributes and the relationships' ids that a request's document gives."""
        body = self.body(call)
        data = body.get("data")
        if not isinstance(data, dict):
            raise self._refuse(
                422,
                "ENTITY_UNPROCESSABLE",
                "The entity could not be processed",
                "The document has no data",
                pointer="/data",
            )
        if data.get("type") != kind:
            raise self._refuse(
                409,
                "ENTITY_ERROR.TYPE_MISMATCH",
                "The type does not fit the path",
                f"Expected a resource of type '{kind}'",
                pointer="/data/type",
            )
        attributes, relationships = data.get("attributes") or {}, data.get("relationships") or {}
        ids = {}
        for name, relation in relationships.items():
            pointed = relation.get("data") if isinstance(relation, dict) else None
            if not isinstance(pointed, dict) or not isinstance(pointed.get("id"), str):
                raise self._refuse(
                    409,
                    "ENTITY_ERROR.RELATIONSHIP.INVALID",
                    "The provided entity includes a relationship with an invalid value",
                    f"The relationship '{name}' has no value",
                    pointer=f"/data/relationships/{name}",
                )
            ids[name] = pointed
        return attributes, ids

    def _check_attributes(self, attributes: JSON, allowed: frozenset[str]) -> None:
        for name in attributes:
            if name not in allowed:
                raise self._refuse(
                    409,
                    "ENTITY_ERROR.ATTRIBUTE.UNKNOWN",
                    "The provided entity includes an unknown attribute",
                    f"'{name}' is not an attribute on the resource",
                    pointer=f"/data/attributes/{name}",
                )
        for name, kind in (("isEnabled", bool), ("clean", bool), ("name", str), ("actions", list)):
            if name in attributes and not isinstance(attributes[name], kind):
                raise self._refuse(
                    409,
                    "ENTITY_ERROR.ATTRIBUTE.TYPE",
                    "An attribute in the provided entity has the wrong type",
                    f"'{name}' must be a {kind.__name__}",
                    pointer=f"/data/attributes/{name}",
                )

    def _apply(self, pipeline: Pipeline, attributes: JSON) -> None:
        name = attributes.get("name")
        if name is not None and any(other.name == name and other is not pipeline for other in self._pipelines()):
            raise self._refuse(
                409,
                "ENTITY_ERROR.ATTRIBUTE.INVALID.DUPLICATE",
                "The provided entity includes an attribute with a value that has already been used",
                f"There is a workflow named '{name}' already",
                pointer="/data/attributes/name",
            )
        pipeline.name = name or pipeline.name
        pipeline.path = f"{pipeline.group}/{pipeline.name}"
        pipeline.enabled = attributes.get("isEnabled", pipeline.enabled)
        self._extra.setdefault(pipeline.uid, {}).update(attributes)
        self._changed[pipeline.uid] = self.simulation.now

    def _update_workflow(self, call: Call) -> Response:
        pipeline = self._find_workflow(call)
        attributes, _ = self._parsed_document(call, "ciWorkflows")
        self._check_attributes(attributes, WORKFLOW_ATTRIBUTES)
        self._apply(pipeline, attributes)
        return self._resource(call, self._workflow(pipeline))

    def _create_workflow(self, call: Call) -> Response:
        attributes, ids = self._parsed_document(call, "ciWorkflows")
        self._check_attributes(attributes, WORKFLOW_ATTRIBUTES)
        for name in NEEDED_ATTRIBUTES:
            if name not in attributes:
                raise self._refuse(
                    409,
                    "ENTITY_ERROR.ATTRIBUTE.REQUIRED",
                    "The provided entity is missing a required attribute",
                    f"You must provide a value for the attribute '{name}' with this request",
                    pointer=f"/data/attributes/{name}",
                )
        existing_ids = {
            "product": {self._product_id},
            "repository": {self._repo().uid},
            "xcodeVersion": {self._xcode(i).id for i in range(len(XCODES))},
            "macOsVersion": {self._mac(i).id for i in range(len(MACS))},
        }
        for name, allowed in existing_ids.items():
            if name not in ids:
                raise self._relation_required(name)
            if ids[name]["id"] not in allowed:
                raise self._relation_invalid(name)
        model = self._pipelines()[0]
        steps = {step.kind: step for pipeline in self._pipelines() for step in pipeline.steps}
        chosen = [
            replace(
                steps[action["actionType"]],
                name=str(action.get("name") or steps[action["actionType"]].name),
                tolerated=action.get("isRequiredToPass") is False,
            )
            for action in attributes["actions"]
            if isinstance(action, dict) and action.get("actionType") in steps
        ]
        if not chosen:
            raise self._refuse(
                409,
                "ENTITY_ERROR.ATTRIBUTE.INVALID",
                "An attribute value is invalid",
                "A workflow needs at least one action",
                pointer="/data/attributes/actions",
            )
        pipeline = replace(
            model,
            uid=self.simulation.uid(),
            number=len(self._pipelines()) + 1,
            name="",
            steps=tuple(chosen),
            sources=(Source.PUSH,),
            created_at=self.simulation.now,
            builds=[],
        )
        self._apply(pipeline, attributes)
        self.simulation.pipelines.append(pipeline)
        return self._resource(call, self._workflow(pipeline), status=201)

    def _delete_workflow(self, call: Call) -> Response:
        pipeline = self._find_workflow(call)
        for build in list(pipeline.builds):
            self.simulation.remove(build)
        self.simulation.pipelines.remove(pipeline)
        return Response(status_code=204)

    def _xcode(self, index: int) -> Resource:
        name, version = XCODES[index]
        return Resource(
            type="ciXcodeVersions",
            id=f"xcode-{version}",
            attributes={"name": name, "version": version},
            related={"macOsVersions": lambda: [self._mac(i) for i in range(len(MACS))]},
            linked=("macOsVersions",),
        )

    def _mac(self, index: int) -> Resource:
        name, version = MACS[index]
        return Resource(
            type="ciMacOsVersions",
            id=f"macos-{version}",
            attributes={"name": name, "version": version},
            related={"xcodeVersions": lambda: [self._xcode(i) for i in range(len(XCODES))]},
            linked=("xcodeVersions",),
        )

    # source control

    def _provider(self) -> Resource:
        return Resource(
            type="scmProviders",
            id=str(uuid.uuid5(NAMESPACE, "provider")),
            attributes={
                "scmProviderType": {"kind": "GITHUB_CLOUD", "displayName": "GitHub", "isOnPremise": False},
                "url": f"{self.root()}/scm",
            },
            related={},
            linked=("repositories",),
        )

    def _repository(self, repo: Repo) -> Resource:
        return Resource(
            type="scmRepositories",
            id=repo.uid,
            attributes={
                "lastAccessedDate": stamp(self.simulation.now),
                "httpCloneUrl": f"{self.root()}/scm/{repo.slug}.git",
                "sshCloneUrl": f"ssh://git@demo.example/{repo.slug}.git",
                "ownerName": repo.owner,
                "repositoryName": repo.name,
            },
            related={
                "scmProvider": self._provider,
                "defaultBranch": lambda: self._reference(repo, "heads", repo.default_branch),
            },
            linked=("gitReferences", "pullRequests"),
        )

    def _find_repo(self, call: Call) -> Repo:
        if call.at("id") != self._repo().uid:
            raise self._missing("scmRepositories", call.at("id"))
        return self._repo()

    def _repositories(self, call: Call) -> Response:
        if "id" in call.request.path_params and call.at("id") != self._provider().id:
            raise self._missing("scmProviders", call.at("id"))
        return self._list(call, [self._repository(self._repo())], *REPOSITORY_INCLUDES)

    def _repositories_of_product(self, call: Call) -> Response:
        self._the_product(call)
        return self._list(call, [self._repository(self._repo())], *REPOSITORY_INCLUDES)

    def _no_repositories(self, call: Call) -> Response:
        self._the_product(call)
        return self._list(call, [], *REPOSITORY_INCLUDES)

    def _workflow_repository(self, call: Call) -> Response:
        return self._resource(call, self._repository(self._find_workflow(call).repo), *REPOSITORY_INCLUDES)

    def _reference(self, repo: Repo, kind: str, name: str, *, deleted: bool = False) -> Resource:
        return Resource(
            type="scmGitReferences",
            id=repo.ref_uid(kind, name),
            attributes={
                "name": name,
                "canonicalName": f"refs/{kind}/{name}",
                "isDeleted": deleted,
                "kind": "TAG" if kind == "tags" else "BRANCH",
            },
            related={"repository": lambda: self._repository(repo)},
        )

    def _all_references(self, repo: Repo) -> list[Resource]:
        return [
            self._reference(repo, "heads", "experiment/old-tabs", deleted=True),
            *(self._reference(repo, "heads", name) for name in repo.branches),
            *(self._reference(repo, "tags", name) for name in repo.tags),
        ]

    def _references(self, call: Call) -> Response:
        return self._list(call, self._all_references(self._find_repo(call)), "repository")

    def _find_reference(self, _call: Call, key: str) -> Resource:
        for reference in self._all_references(self._repo()):
            if reference.id == key:
                return reference
        raise self._missing("scmGitReferences", key)

    def _pull(self, repo: Repo, pull: Pull) -> Resource:
        return Resource(
            type="scmPullRequests",
            id=pull.uid,
            attributes={
                "title": pull.title,
                "number": pull.number,
                "webUrl": f"{self.root()}/scm/{repo.slug}/pull/{pull.number}",
                "sourceRepositoryOwner": repo.owner,
                "sourceRepositoryName": repo.name,
                "sourceBranchName": pull.branch,
                "destinationRepositoryOwner": repo.owner,
                "destinationRepositoryName": repo.name,
                "destinationBranchName": pull.target,
                "isClosed": pull.closed,
                "isCrossRepository": False,
            },
            related={"repository": lambda: self._repository(repo)},
        )

    def _pulls(self, call: Call) -> Response:
        repo = self._find_repo(call)
        return self._list(call, [self._pull(repo, pull) for pull in repo.pulls.values()], "repository")

    def _find_pull(self, _call: Call, key: str) -> Resource:
        for pull in self._repo().pulls.values():
            if pull.uid == key:
                return self._pull(self._repo(), pull)
        raise self._missing("scmPullRequests", key)

    # runs

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
        self._the_product(call)
        return self._runs(call, [build for pipeline in self._pipelines() for build in pipeline.builds])

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
                "product": self._product,
                "sourceBranchOrTag": lambda: self._reference(
                    repo, "tags" if build.tag else "heads", build.tag or build.branch or repo.default_branch
                ),
                "destinationBranch": lambda: self._reference(repo, "heads", pull.target) if pull else None,
                "pullRequest": lambda: self._pull(repo, pull) if pull else None,
            },
            linked=("builds", "actions"),
        )

    def _uploads(self, build: Build) -> list[Resource]:
        return [
            Resource(
                type="builds",
                id=str(uuid.uuid5(uuid.UUID(job.uid), "upload")),
                attributes={
                    "version": str(build.number),
                    "uploadedDate": iso(job.finished_at),
                    "expired": False,
                    "minOsVersion": "18.0",
                    "processingState": "VALID",
                    "buildAudienceType": "APP_STORE_ELIGIBLE",
                    "usesNonExemptEncryption": False,
                },
                related={},
            )
            for job in build.current
            if job.step.kind == "ARCHIVE" and job.state is JobState.PASSED
        ]

    def _app_builds(self, call: Call) -> Response:
        return self._list(call, self._uploads(self._find_run(call)))

    def _relation_required(self, name: str) -> Refusal:
        return self._refuse(
            409,
            "ENTITY_ERROR.RELATIONSHIP.REQUIRED",
            "The provided entity is missing a required relationship",
            f"You must provide a value for the relationship '{name}' with this request",
            pointer=f"/data/relationships/{name}",
        )

    def _relation_invalid(self, name: str, detail: str = "") -> Refusal:
        return self._refuse(
            409,
            "ENTITY_ERROR.RELATIONSHIP.INVALID",
            "The provided entity includes a relationship with an invalid value",
            detail or f"The relationship '{name}' points at nothing this key can see",
            pointer=f"/data/relationships/{name}",
        )

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
        match sources[0]:
            case "buildRun":
                build = self._start_again(pipeline, key)
            case "pullRequest":
                build = self._start_pull(pipeline, key)
            case _:
                build = self._start_reference(pipeline, key)
        build.clean = attributes.get("clean") is True
        return self._resource(call, self._run(build), status=201)

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

    # pages and webhooks

    @override
    def web_path(self, build: Build) -> str:
        return f"/teams/{self.issuer_id}/apps/{APP_ID}/ci/builds/{build.uid}"

    @override
    def pipeline_web_path(self, pipeline: Pipeline) -> str:
        return f"/teams/{self.issuer_id}/apps/{APP_ID}/ci/workflows/{pipeline.uid}"

    @override
    def web_page(self, path: str) -> str | None:
        app = f"teams/{self.issuer_id}/apps/{APP_ID}/ci"  # the bot links an app's page where a workflow has none
        return super().web_page("" if path.strip("/") == app else path)

    @override
    def webhooks(self, event: str, build: Build) -> list[WebhookRequest]:
        kind = {"created": "BUILD_CREATED", "started": "BUILD_STARTED", "finished": "BUILD_COMPLETED"}.get(event)
        if kind is None:
            return []
        repo, run = build.pipeline.repo, self._run(build)
        kept = (
            "number",
            "createdDate",
            "startedDate",
            "finishedDate",
            "isPullRequestBuild",
            "executionProgress",
            "completionStatus",
        )
        attributes = {name: run.attributes[name] for name in kept if run.attributes[name] is not None}
        for name in ("sourceCommit", "destinationCommit"):
            if (commit := run.attributes[name]) is not None:
                attributes[name] = {
                    "commitSha": commit["commitSha"],
                    "author": {"displayName": commit["author"]["displayName"]},
                    "committer": {"displayName": commit["committer"]["displayName"]},
                    "htmlUrl": commit["webUrl"],
                }
        payload: JSON = {
            "webhook": {
                "id": str(uuid.uuid5(NAMESPACE, "webhook")),
                "name": "Buildbell",
                "url": f"{self.simulation.base or ''}/hooks/{self.connection}",
            },
            "metadata": {
                "type": "metadata",
                "attributes": {"createdDate": stamp(build.updated_at), "eventType": kind},
            },
            "app": {"id": APP_ID, "type": "apps"},
            "ciWorkflow": {
                "id": build.pipeline.uid,
                "type": "ciWorkflows",
                "attributes": {
                    "name": build.pipeline.name,
                    "description": f"{build.pipeline.name} of Aurora",
                    "isEnabled": build.pipeline.enabled,
                    "isLockedForEditing": False,
                },
            },
            "ciProduct": {"id": self._product_id, "type": "ciProducts", "attributes": dict(self._product().attributes)},
            "ciBuildRun": {"id": build.uid, "type": "ciBuildRuns", "attributes": attributes},
            "ciBuildActions": [
                {
                    "id": job.uid,
                    "type": "ciBuildActions",
                    "attributes": {
                        name: value for name, value in self._action(build, job).attributes.items() if value is not None
                    },
                    "relationships": {},
                }
                for job in build.current
            ],
            "scmProvider": {
                "type": "scmProviders",
                "attributes": {
                    "scmProviderType": {
                        "scmProviderType": "GITHUB_CLOUD",
                        "displayName": "GitHub",
                        "isOnPremise": False,
                    },
                    "endpoint": f"{self.root()}/scm/{repo.slug}.git",
                },
            },
            "scmRepository": {
                "id": repo.uid,
                "type": "scmRepositories",
                "attributes": {
                    "httpCloneUrl": f"{self.root()}/scm/{repo.slug}.git",
                    "sshCloneUrl": f"ssh://git@demo.example/{repo.slug}.git",
                    "ownerName": repo.owner,
                    "repositoryName": repo.name,
                },
            },
            "scmGitReference": self._flat(
                self._reference(
                    repo, "tags" if build.tag else "heads", build.tag or build.branch or repo.default_branch
                )
            ),
        }
        if build.pull:
            payload["scmPullRequest"] = self._flat(self._pull(repo, build.pull))
        return [
            WebhookRequest(
                path=f"/{self.webhook_secret}",
                headers={"Content-Type": "application/json"},
                body=json.dumps(payload).encode(),
            )
        ]

    def _flat(self, resource: Resource) -> JSON:
        attributes = {("htmlUrl" if name == "webUrl" else name): value for name, value in resource.attributes.items()}
        return {"id": resource.id, "type": resource.type, "attributes": attributes}


def _comma(text: str | None) -> list[str]:
    return [part for part in (text or "").split(",") if part]


def _in_scope(call: Call, scope: object) -> bool:
    """Return whether a token without a scope was used, or one whose scope names this very request."""
    if scope is None:
        return True
    if not isinstance(scope, list):
        return False
    path = call.raw_path.partition("/xcode_cloud")[2]
    ignored = {"limit", "cursor", "sort"}
    parameters = sorted((name, value) for name, value in call.request.query_params.multi_items() if name not in ignored)
    for entry in scope:
        method, _, resource = str(entry).partition(" ")
        wanted_path, _, query = resource.partition("?")
        pairs = [part.partition("=")[::2] for part in query.split("&") if part]
        if (method, wanted_path) == (call.request.method, path) and parameters == sorted(
            pair for pair in pairs if pair[0] not in ignored
        ):
            return True
    return False


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
