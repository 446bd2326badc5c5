"""GitLab's addresses: the API's routes below a project, and the pages that people open and paste."""

from typing import Final

import httpx

from bot.core.models import Page
from bot.http.paging import link_next
from bot.http.reply import Reply
from bot.providers.base.urls import page_below, page_segments, path

RESERVED: Final = frozenset(
    {"-", "admin", "api", "assets", "dashboard", "explore", "groups", "help", "profile", "search", "uploads", "users"}
)
"""First parts of paths that are no group."""
WHOLE_PIPELINE: Final = "pipeline "
"""Begins what stands for a build on the page of a whole pipeline of an old server, which is none."""
BELOW_PROJECT: Final = frozenset({"pipelines", "builds", "jobs", "commit", "commits", "tree", "blob", "merge_requests"})
"""Where a project's path ends on servers that write no `-` after it."""


def project_route(pipeline: str, *rest: str) -> str:
    """Return the route of a project, or of what lies below it. Its id or path goes in encoded whole."""
    return path("projects", pipeline, *rest)


def group_projects(group: str) -> str:
    """Return the route of a group's projects."""
    return path("groups", group, "projects")


def commit_route(pipeline: str, sha: str, *rest: str) -> str:
    """Return the route of a commit, or of what lies below it."""
    return project_route(pipeline, "repository", "commits", sha, *rest)


def run_route(pipeline: str, build: str, *rest: str) -> str:
    """Return the route of a v4 pipeline, which is our build, or of what lies below it."""
    return project_route(pipeline, "pipelines", build, *rest)


def job_route(pipeline: str, job: str, *rest: str) -> str:
    """Return the route of a v4 job, or of what lies below it."""
    return project_route(pipeline, "jobs", job, *rest)


def old_build_route(pipeline: str, build: str, *rest: str) -> str:
    """Return the route of a v3 build, or of what lies below it."""
    return project_route(pipeline, "builds", build, *rest)


def parse_url(url: str, root: str, *, builds_are_jobs: bool = False) -> Page | None:
    """Return what a page below a server's root shows. Old servers leave out the `-` after the project.

    With `builds_are_jobs` (API v3) a job's page is a build's, and a pipeline's page is a build that cannot be found:
    it shows several.
    """
    page = page_below(url, root)
    parts = page_segments(page) if page else ()
    if not parts or parts[0] in RESERVED:
        return None
    if "-" in parts:
        cut = parts.index("-")
        below = parts[cut + 1 :]
    else:
        cut = next((at for at in range(2, len(parts)) if parts[at] in BELOW_PROJECT), len(parts))
        below = parts[cut:]
    if cut < 2:
        return None
    project = "/".join(parts[:cut]).removesuffix(".git")
    match below:
        case ("pipelines", number, *_) if number.isdecimal():
            return Page(pipeline=project, build=f"{WHOLE_PIPELINE}{number}" if builds_are_jobs else number)
        case ("jobs" | "builds", number, *_) if number.isdecimal():
            if builds_are_jobs:
                return Page(pipeline=project, build=number, number=int(number), job=number)
            return Page(pipeline=project, job=number)
        case _:
            return Page(pipeline=project)


def next_page(reply: Reply) -> str | None:
    """Return the next page: by its number where GitLab gives one, else by the link.

    The number keeps us at the address we were given: a server behind a proxy writes its own name into the links.
    """
    number = reply.headers.get("x-next-page", "")
    if number.isdigit():
        return with_page(reply.url, int(number))
    return link_next(reply)


def with_page(url: str, number: int) -> str:
    """Return the address of another page of the same list."""
    return str(httpx.URL(url).copy_set_param("page", number))
