"""A stand-in of Xcode Cloud's part of the App Store Connect API for one team: an app with workflows and a framework."""

import json
import uuid

from starlette.responses import Response
from starlette.routing import BaseRoute
from typing_extensions import override

from playground.ci.model import Build, Pipeline, stamp
from playground.ci.simulation import Simulation
from playground.ci.system import JSON, Call, Meter, WebhookRequest
from playground.ci.xcode_cloud import tokens
from playground.ci.xcode_cloud.account import APP_ID
from playground.ci.xcode_cloud.documents import Resource
from playground.ci.xcode_cloud.runs import RUN_INCLUDES, Runs
from playground.ci.xcode_cloud.sources import NAMESPACE, REPOSITORY_INCLUDES
from playground.ci.xcode_cloud.tokens import Key

PER_HOUR = 3600


class XcodeCloud(Runs):
    """Xcode Cloud."""

    name = "xcode_cloud"
    label = "Xcode Cloud"
    connection = "demo-xcode"

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        self.issuer_id = str(uuid.uuid5(NAMESPACE, "issuer"))
        self.team_key = Key("PLAYGRND26", self.issuer_id)
        self.own_key = Key("PERSONAL26")
        self._keys = {key.id: key for key in (self.team_key, self.own_key)}
        self._meter = Meter(round(PER_HOUR * simulation.quota), 3600)

    @override
    def options(self, base: str) -> dict[str, object]:
        return {
            **self.individual_options(base),
            "key_id": self.team_key.id,
            "issuer_id": self.issuer_id,
            "private_key": self.team_key.pem,
        }

    def individual_options(self, base: str) -> dict[str, object]:
        """Return the bot's connection options for a key of one person's own, which has no issuer."""
        return {
            "kind": "xcode_cloud",
            "url": f"{base}{self.mount}",
            "key_id": self.own_key.id,
            "private_key": self.own_key.pem,
            "webhook_secret": self.webhook_secret,
            "private_network": True,
        }

    @override
    def routes(self) -> list[BaseRoute]:
        api = self.api
        product, workflow, run = "/v1/ciProducts/{id}", "/v1/ciWorkflows/{id}", "/v1/ciBuildRuns/{id}"
        action, repository = "/v1/ciBuildActions/{id}", "/v1/scmRepositories/{id}"

        return [
            api("/v1/ciProducts", self._list_products),
            api(product, self._get_product),
            api(product, self._delete_product, "DELETE"),
            api(f"{product}/workflows", self._workflows),
            api(f"{product}/buildRuns", self._product_runs),
            api(f"{product}/primaryRepositories", self._repositories_of_product),
            api(f"{product}/additionalRepositories", self._more_repositories),
            api("/v1/apps/{id}/ciProduct", self._product_of_app),
            api("/v1/ciWorkflows", self._create_workflow, "POST"),
            api(
                "/v1/ciWorkflows",
                lambda _call: self._not_allowed("ciWorkflows", "CREATE, DELETE, GET_INSTANCE, UPDATE"),
            ),
            api(workflow, self._get_workflow),
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
            api("/v1/ciXcodeVersions", self._list_xcodes),
            api("/v1/ciMacOsVersions", self._list_macs),
            api("/v1/builds", self._store_builds),
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

    # credentials, limits

    @override
    def authenticate(self, call: Call) -> Response | None:
        is_valid = tokens.is_valid(call, self._keys, now=self.simulation.now, mount=self.mount)
        return None if is_valid else self.unauthorized()

    @override
    def meters(self) -> list[Meter]:
        return [self._meter]

    @override
    def rate_headers(self, now: float) -> dict[str, str]:
        return {"X-Rate-Limit": f"user-hour-lim:{self._meter.limit};user-hour-rem:{self._meter.left()};"}

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
        product = self._product_of(build.pipeline)
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
            "ciProduct": {
                "id": product.uid,
                "type": "ciProducts",
                "attributes": dict(self._product(product).attributes),
            },
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
