"""Addresses: the paths of the API, the pages of App Store Connect, and what a pasted page shows."""

import re
from dataclasses import dataclass

from bot.core.errors import NotFound
from bot.core.models import Page
from bot.providers.base.urls import page_below, path, web_page

APP_STORE_CONNECT = "https://appstoreconnect.apple.com"

RUN_PREFIX = "run:"
"""Before a run's id: the workflow that the run belongs to. A build's page does not name its workflow."""
APP_PREFIX = "app:"
"""Before an app's id: the only workflow of that app's product."""

PRODUCTS = path("v1", "ciProducts")
WORKFLOWS = path("v1", "ciWorkflows")
RUNS = path("v1", "ciBuildRuns")
REPOSITORIES = path("v1", "scmRepositories")
XCODE_VERSIONS = path("v1", "ciXcodeVersions")
MAC_OS_VERSIONS = path("v1", "ciMacOsVersions")
SCM_PROVIDERS = path("v1", "scmProviders")
STORE_BUILDS = path("v1", "builds")


def product(product_id: str) -> str:
    """Return the path of one product."""
    return path("v1", "ciProducts", product_id)


def product_workflows(product: str) -> str:
    """Return the path of a product's workflows."""
    return path("v1", "ciProducts", product, "workflows")


def product_runs(product: str) -> str:
    """Return the path of a product's runs."""
    return path("v1", "ciProducts", product, "buildRuns")


def product_repositories(product: str) -> str:
    """Return the path of the repositories that a product's workflows can build."""
    return path("v1", "ciProducts", product, "primaryRepositories")


def product_additional_repositories(product: str) -> str:
    """Return the path of the repositories that a product's builds need besides."""
    return path("v1", "ciProducts", product, "additionalRepositories")


def workflow(workflow_id: str) -> str:
    """Return the path of one workflow."""
    return path("v1", "ciWorkflows", workflow_id)


def workflow_runs(workflow_id: str) -> str:
    """Return the path of a workflow's runs."""
    return path("v1", "ciWorkflows", workflow_id, "buildRuns")


def run(run_id: str) -> str:
    """Return the path of one run."""
    return path("v1", "ciBuildRuns", run_id)


def run_actions(run_id: str) -> str:
    """Return the path of a run's actions."""
    return path("v1", "ciBuildRuns", run_id, "actions")


def run_uploads(run_id: str) -> str:
    """Return the path of what a run handed to TestFlight and the App Store."""
    return path("v1", "ciBuildRuns", run_id, "builds")


def action_run(action: str) -> str:
    """Return the path of the run that an action belongs to."""
    return path("v1", "ciBuildActions", action, "buildRun")


def action_issues(action: str) -> str:
    """Return the path of an action's issues."""
    return path("v1", "ciBuildActions", action, "issues")


def action_tests(action: str) -> str:
    """Return the path of an action's test results."""
    return path("v1", "ciBuildActions", action, "testResults")


def action_artifacts(action: str) -> str:
    """Return the path of an action's artifacts."""
    return path("v1", "ciBuildActions", action, "artifacts")


def artifact(artifact_id: str) -> str:
    """Return the path of one artifact."""
    return path("v1", "ciArtifacts", artifact_id)


def provider_repositories(provider: str) -> str:
    """Return the path of the repositories that a SCM provider keeps."""
    return path("v1", "scmProviders", provider, "repositories")


def repository_refs(repository: str) -> str:
    """Return the path of a repository's branches and tags."""
    return path("v1", "scmRepositories", repository, "gitReferences")


def repository_pull_requests(repository: str) -> str:
    """Return the path of a repository's pull requests."""
    return path("v1", "scmRepositories", repository, "pullRequests")


_WEB_PAGE = re.compile(r"^(?:/teams/(?P<team>[^/]+))?/apps/(?P<app>\d+)/ci(?P<rest>/.*)?$")
_ID = re.compile(r"^[0-9A-Za-z-]+$")
_UUID = re.compile(r"^[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The web pages of a connection: App Store Connect's, or a stand-in's own. `team` is part of their addresses."""

    team: str | None
    root: str = APP_STORE_CONNECT

    @property
    def home(self) -> str:
        """Return Xcode Cloud's front page."""
        return f"{self.root}/xcode-cloud"

    def page(self, app: str | None, run_id: str | None = None) -> str:
        """Return the page of an app or of one of its builds; the front page where team or app are unknown.

        A framework has no app and so no page of its own.
        """
        if self.team is None or app is None:
            return self.home
        build = ("builds", run_id) if run_id else ()
        try:
            return web_page(self.root, "teams", self.team, "apps", app, "ci", *build)
        except NotFound:
            return self.home

    def parse(self, url: str, *homes: str) -> Page | None:
        """Return what a page of App Store Connect, or one below `homes`, shows; None for another team's pages.

        A build's page has the pipeline `run:ID`, and names the action where one is shown; an app's page has `app:ID`.
        """
        address = page_below(url, self.root, *homes)
        match = _WEB_PAGE.match(address.path) if address is not None else None
        if match is None or not self._is_own_team(match["team"]):
            return None
        match [part for part in (match["rest"] or "").split("/") if part]:
            case ["builds", run_id, *rest] if _ID.match(run_id):
                action = next((part for part in rest if _UUID.match(part)), None)
                return Page(pipeline=f"{RUN_PREFIX}{run_id}", build=run_id, job=action)
            case ["workflows", workflow_id, *_] if _ID.match(workflow_id):
                return Page(pipeline=workflow_id)
            case _:
                return Page(pipeline=f"{APP_PREFIX}{match['app']}")

    def _is_own_team(self, team: str | None) -> bool:
        return team is None or self.team is None or team.casefold() == self.team.casefold()
