"""CircleCI's slugs and addresses: the API's routes, and the pages that people open and paste.

CircleCI writes the same project as `gh/acme/web` in the API and as `github/acme/web` on pages.
"""

import re
from dataclasses import dataclass

from bot.core.errors import NotFound
from bot.core.models import Page
from bot.providers.base.urls import page_below, page_segments, path, web_page
from bot.providers.circleci.errors import LABEL

CLOUD = "https://circleci.com"
CLOUD_PAGES = "https://app.circleci.com"
LONG = {"gh": "github", "bb": "bitbucket", "circleci": "circleci"}
SHORT = {**{long: short for short, long in LONG.items()}, "gh": "gh", "bb": "bb"}
ME = path("api", "v2", "me")
COLLABORATIONS = path("api", "v2", "me", "collaborations")
PIPELINES = path("api", "v2", "pipeline")
V1_PROJECTS = path("api", "v1.1", "projects")
V1_RECENT = path("api", "v1.1", "recent-builds")

_BEFORE_SLUG = (("pipelines",), ("jobs",), ("insights",), ("settings", "project"))
"""What stands before a project's slug in the addresses of pages."""
_OPAQUE_URL = re.compile(r"^(?:https?:)?//circleci\.com/([^/]+)/([^/]+)/?$")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,12}")


def short(slug: str) -> str:
    """Return a slug in the short form, as it is shown and as it is a pipeline's id."""
    head, slash, rest = slug.strip("/").partition("/")
    return f"{SHORT.get(head.lower(), head)}{slash}{rest}"


def long(slug: str) -> str:
    """Return a slug in the long form, as pages have it."""
    head, slash, rest = short(slug).partition("/")
    return f"{LONG.get(head, head)}{slash}{rest}"


def fold(slug: str) -> str:
    """Return a slug for comparison: names at GitHub and Bitbucket have no case, CircleCI's own ids do."""
    text = short(slug)
    return text if text.startswith("circleci/") else text.lower()


def is_project(slug: str) -> bool:
    """Return whether a text has the form of a project's slug."""
    parts = slug.split("/")
    return len(parts) == 3 and parts[0].lower() in SHORT and all(part.strip(". ") for part in parts)


def is_within(slug: str, organization: str) -> bool:
    """Return whether a project belongs to an organization."""
    return is_project(slug) and fold(slug).rpartition("/")[0] == fold(organization)


def v1_slug(vcs_type: str | None, username: str | None, reponame: str | None, vcs_url: str | None) -> str | None:
    """Return the slug of a project as v1.1 names it, None where it reports only names and no ids."""
    head = SHORT.get((vcs_type or "").lower())
    if head in {"gh", "bb"}:
        return f"{head}/{username}/{reponame}" if username and reponame else None
    match = _OPAQUE_URL.match(vcs_url or "")
    return f"circleci/{match[1]}/{match[2]}" if match else None


def is_cloud(url: str) -> bool:
    """Return whether an API root is CircleCI's own."""
    return url.rstrip("/") == CLOUD


def is_number(text: str) -> bool:
    """Return whether a text is the number of a job or a build."""
    return _NUMBER.fullmatch(text) is not None


def is_uuid(text: str) -> bool:
    """Return whether a text is one of CircleCI's ids."""
    return _UUID.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Urls:
    """The addresses of one organization. Every segment is escaped; NotFound where one could reach another route.

    `organization` is its short slug, `home` where its pages lie.
    """

    organization: str
    home: str

    def slug(self, pipeline: str) -> str:
        """Return the short slug that a pipeline's path means; a bare name is a project of the organization.

        Raises NotFound for projects of other organizations.
        """
        text = pipeline.strip().strip("/")
        slug = text if "/" in text else f"{self.organization}/{text}"
        if not is_within(slug, self.organization):
            raise NotFound(
                f"{pipeline[:200]} is no project of {self.organization}.",
                provider=LABEL,
                hint=f"Write `{self.organization}/NAME`.",
            )
        return short(slug)

    def project(self, pipeline: str, *rest: str) -> str:
        """Return the route of a project, or of what lies below it."""
        return path("api", "v2", "project", *self.slug(pipeline).split("/"), *rest)

    def branches(self, pipeline: str) -> str:
        """Return the route of the branches that ran of late."""
        return path("api", "v2", "insights", *self.slug(pipeline).split("/"), "branches")

    def definitions(self, project: str) -> str:
        """Return the route of a project's pipeline definitions, by the project's UUID."""
        return path("api", "v2", "projects", project, "pipeline-definitions")

    def build(self, build: str, *rest: str) -> str:
        """Return the route of a build (CircleCI: a pipeline) by its UUID, or of what lies below it.

        Raises NotFound for another id.
        """
        if not is_uuid(build):
            shown = build[:80] if build.isprintable() else "that"
            raise NotFound(f"`{shown}` is no build of {LABEL}'s.", provider=LABEL, hint="Name the build by its number.")
        return path("api", "v2", "pipeline", build, *rest)

    def workflow(self, workflow: str, *rest: str) -> str:
        """Return the route of a workflow by its UUID, or of what lies below it."""
        return path("api", "v2", "workflow", workflow, *rest)

    def v1_job(self, pipeline: str, job: str, *rest: str | int) -> str:
        """Return the v1.1 route of a job by its number, or of what lies below it."""
        return path("api", "v1.1", "project", *self.slug(pipeline).split("/"), job, *rest)

    def project_page(self, slug: str) -> str:
        """Return a project's page."""
        return web_page(self.home, "pipelines", *long(slug).split("/"))

    def build_page(self, slug: str, number: int | None) -> str | None:
        """Return a build's page, None where its number is unknown."""
        return None if number is None else f"{self.project_page(slug)}/{number}"

    def workflow_page(self, slug: str, number: int | None, workflow: str, job: int | None = None) -> str | None:
        """Return the page of a workflow, or of a job of it that has a number; None where the build's is unknown."""
        page = self.build_page(slug, number)
        if page is None:
            return None
        return web_page(page, "workflows", workflow, *(() if job is None else ("jobs", job)))

    def parse(self, url: str, *homes: str) -> Page | None:
        """Return what a page of this organization shows.

        A job's old, short address names no build, and neither does one under `/jobs/`: then only the job is returned.
        """
        page = page_below(url, *homes)
        if page is None:
            return None
        parts = page_segments(page)
        before = next((head for head in _BEFORE_SLUG if parts[: len(head)] == head), ())
        rest = parts[len(before) :]
        if len(rest) > 3 and rest[2] == "workflows" and not before:  # circleci.com/gh/acme/workflows/web
            rest = (*rest[:2], rest[3])
        slug, below = "/".join(rest[:3]), rest[3:]
        if not is_within(slug, self.organization):
            return None
        number = below[0] if below and is_number(below[0]) else None
        match before:
            case ("pipelines",):
                job = below[below.index("jobs") + 1] if "jobs" in below[:-1] else None
                return Page(
                    pipeline=short(slug),
                    number=int(number) if number else None,
                    job=job if number and job and is_number(job) else None,
                )
            case ("jobs",) | ():
                return Page(pipeline=short(slug), job=str(int(number)) if number else None)
            case _:
                return Page(pipeline=short(slug))
