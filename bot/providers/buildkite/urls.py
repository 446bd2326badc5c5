"""Buildkite's addresses: the API's routes, and the pages that people open and paste."""

import re
from dataclasses import dataclass
from urllib.parse import unquote

from bot.core.models import Page
from bot.providers.base.urls import is_uuid, page_below, page_segments, path, web_page

SITE = "https://buildkite.com"
TOKEN = path("v2", "access-token")
EVERY_BUILD = path("v2", "builds")
"""The route of the builds of all organizations that the token's user is in."""

_PLACE = re.compile(r"/v2/organizations/([^/?#]+)/pipelines/([^/?#]+)(?:/builds/(\d+))?(?:/jobs/[^/?#]+)?/?$")
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_JOB_IN_QUERY = re.compile(rf"(?:#|\bjid=)({_UUID})", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildPlace:
    """What an address in the API says: the organization, the pipeline's slug and, of a build, its number."""

    organization: str
    pipeline: str
    number: str | None = None


def place_of(url: str | None) -> BuildPlace | None:
    """Return what the API's address of a pipeline or a build says, or None for another address."""
    match = _PLACE.search(url or "")
    return BuildPlace(organization=unquote(match[1]), pipeline=unquote(match[2]), number=match[3]) if match else None


@dataclass(frozen=True, slots=True)
class Urls:
    """The addresses of one organization, with pages below `site`. Every segment is escaped; NotFound where one could reach another route."""

    organization: str
    site: str = SITE

    def pipelines(self) -> str:
        """Return the route of all pipelines."""
        return path("v2", "organizations", self.organization, "pipelines")

    def pipeline(self, pipeline: str, *rest: str) -> str:
        """Return the route of a pipeline, or of what lies below it."""
        return path("v2", "organizations", self.organization, "pipelines", pipeline, *rest)

    def all_builds(self) -> str:
        """Return the route of the builds of all pipelines."""
        return path("v2", "organizations", self.organization, "builds")

    def builds(self, pipeline: str) -> str:
        """Return the route of a pipeline's builds."""
        return self.pipeline(pipeline, "builds")

    def build(self, pipeline: str, build: str, *rest: str) -> str:
        """Return the route of a build, or of what lies below it."""
        return self.pipeline(pipeline, "builds", build, *rest)

    def job(self, job: str) -> str:
        """Return the route of a job of any build."""
        return path("v2", "organizations", self.organization, "jobs", job)

    def job_of(self, pipeline: str, build: str, job: str, *rest: str) -> str:
        """Return the route of what lies below a job of a build."""
        return self.build(pipeline, build, "jobs", job, *rest)

    def tests(self, build_uuid: str) -> str:
        """Return Test Engine's route of a build's tests."""
        return path("v2", "analytics", "organizations", self.organization, "builds", build_uuid, "tests")

    def failed_executions(self, suite: str, run: str) -> str:
        """Return Test Engine's route of the failed tests of one run."""
        suites = ("v2", "analytics", "organizations", self.organization, "suites")
        return path(*suites, suite, "runs", run, "failed_executions")

    def build_page(self, pipeline: str, build: str, job: str | None = None) -> str:
        """Return the page of a build, at one of its jobs where that is named."""
        page = web_page(self.site, self.organization, pipeline, "builds", build)
        return f"{page}#{job}" if job else page

    def parse(self, url: str, *homes: str) -> Page | None:
        """Return what a page of this organization shows.

        Pages of a build name a job after `#` or as `jid=`; those of artifacts lie below `/organizations/` and name it
        in their path.
        """
        page = page_below(url, *homes)
        if page is None:
            return None
        match page_segments(page):
            case ("organizations", organization, "pipelines", pipeline, *rest):
                pass
            case (organization, pipeline, *rest):
                pass
            case _:
                return None
        if organization.lower() != self.organization.lower():
            return None
        match rest:
            case ["builds", number, *below] if number.isdecimal():
                job = _JOB_IN_QUERY.search(f"{page.query}#{page.fragment}")
                in_path = below[1] if len(below) > 1 and below[0] == "jobs" and is_uuid(below[1]) else None
                named = job[1] if job else in_path
                return Page(pipeline=pipeline, build=number, number=int(number), job=named.lower() if named else None)
            case _:
                return Page(pipeline=pipeline)
