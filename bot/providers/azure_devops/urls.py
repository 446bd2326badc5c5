"""API paths and web pages: how they are built, and what a pasted address or a typed path names."""

import re
from dataclasses import dataclass
from urllib.parse import parse_qs, urlencode, urlsplit

from bot.core.errors import NotFound
from bot.core.models import Page
from bot.providers.azure_devops.options import LABEL, SERVICES, AzureOptions
from bot.providers.base.urls import page_below, page_segments, path, site_of, web_page

GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
TEST_RESULTS = "https://vstmr.dev.azure.com"
"""Where Azure DevOps Services keeps test results; an Azure DevOps Server keeps them itself."""
RUN_PAGE = "_build"
"""Between project and number it makes a number a build's: pages of builds do not name their pipeline."""


def is_number(text: str) -> bool:
    """Return whether a text is a number that the service may have given."""
    return text.isascii() and text.isdecimal() and len(text) <= 12


# API paths


def base_url(options: AzureOptions) -> str:
    """Return the API's root: the organization, or the collection of a server."""
    return web_page(options.url or SERVICES, options.organization)


def site(options: AzureOptions) -> str:
    """Return where the pages of the organization or the collection lie."""
    return web_page(site_of(options.web_url, options.url, SERVICES), options.organization)


def projects_path(project: str | None = None) -> str:
    """Return the path of the list of projects, or of one project."""
    return path("_apis", "projects", *([project] if project else []))


def connection_path() -> str:
    """Return the path of the call that reports whose credentials are used; it is outside the published API."""
    return path("_apis", "connectionData")


def project_path(project: str, *segments: str | int) -> str:
    """Return the path of something in a project: `project_path(p, "build", "definitions", 7)`."""
    return path(project, "_apis", *segments)


def build_path(project: str, build: str, *segments: str | int) -> str:
    """Return the path of a build or of a part of it. Raises NotFound for an id that is no number."""
    return project_path(project, "build", "builds", check_build(build), *segments)


def test_results_path(options: AzureOptions, project: str, *segments: str) -> str:
    """Return the address of something in the API of test results, which Services keeps on a host of its own."""
    in_project = project_path(project, "testresults", *segments)
    if not options.is_services:
        return in_project
    return "/".join((web_page(TEST_RESULTS, options.organization), in_project))


def build_uri(build: str) -> str:
    """Return a build's name in the API of tests. Raises NotFound for an id that is no number."""
    return f"vstfs:///Build/Build/{check_build(build)}"


def check_build(build: str) -> str:
    """Return a build's id as it is. Raises NotFound for one that is no number: it would be sent in vain."""
    if not is_number(build):
        raise NotFound(
            "That is not the id of a build.",
            provider=LABEL,
            hint="Azure DevOps' builds have numbers for ids: the one after `buildId=` in a page's address.",
        )
    return build


# web pages


def build_page(root: str, project: str, build: str, **view: str) -> str:
    """Return the address of a build's page; `view`, `j` and `t` choose a tab, a job and a task on it."""
    page = web_page(root, project, "_build", "results")
    return f"{page}?{urlencode({'buildId': check_build(build), **view})}"


def job_page(root: str, project: str, build: str, job: str) -> str:
    """Return the address of a job's log."""
    return build_page(root, project, build, view="logs", j=job)


def pipeline_page(root: str, project: str, definition: int) -> str:
    """Return the address of a pipeline's page."""
    page = web_page(root, project, "_build")
    return f"{page}?{urlencode({'definitionId': definition})}"


def parse_url(url: str, options: AzureOptions, *homes: str) -> Page | None:
    """Return what an address shows: a build, one of its jobs, or a pipeline; None outside the connection.

    Builds are recognized by `buildId`, in the query or (older servers) in the fragment, whatever the page shows of them: its
    summary, a job's log, tests, artifacts. API addresses that hooks and answers carry are read as well.
    """
    organization = options.organization.lower()
    own_host = f"https://{organization}.visualstudio.com"
    page = page_below(url, *homes, own_host)
    if page is None:
        return None
    segments = list(page_segments(page))
    if page.hostname != urlsplit(own_host).hostname:
        if not segments or segments.pop(0).lower() != organization:
            return None
    elif segments and segments[0].lower() == "defaultcollection":
        del segments[0]
    query = {name.lower(): values[0] for name, values in parse_qs(page.query).items()}
    fragment = {name.lower(): values[0] for name, values in parse_qs(page.fragment).items()}
    if len(segments) < 2 or not _is_of_project(segments[0], options.project):
        return None
    project, *rest = segments
    build = query.get("buildid") or fragment.get("buildid")
    definition = query.get("definitionid") or fragment.get("definitionid") or ""
    match [segment.lower() for segment in rest]:
        case ["_apis", "build", "builds", number, *_] | ["_apis", "pipelines", _, "runs", number, *_]:
            return _build_page(project, number)
        case ["_apis", "build", "definitions", number, *_] | ["_apis", "pipelines", number, *_]:
            return Page(pipeline=f"{project}/{number}") if is_number(number) else None
        case segments_below if not {"_build", "_apps"} & set(segments_below[:2]):
            return None
        case _ if build:
            return _build_page(project, build, query.get("j"))
        case _ if is_number(definition):
            return Page(pipeline=f"{project}/{definition}")
        case _:
            return None


def _build_page(project: str, build: str, job: str | None = None) -> Page | None:
    if not is_number(build):
        return None
    job_id = job.lower() if job and GUID.fullmatch(job) else None
    return Page(pipeline=f"{project}/{RUN_PAGE}/{build}", build=build, job=job_id)


def _is_of_project(segment: str, project: str) -> bool:
    """Return whether a page's project may be the connection's; an id may be that of any project."""
    return not project or bool(GUID.fullmatch(segment)) or segment.lower() == project.lower()


# what people type


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelinePath:
    """What a pipeline's id or path names: a definition or a build by number, or a definition by folders and name."""

    project: str
    definition: str | None = None
    build: str | None = None
    names: tuple[str, ...] = ()


def parse_pipeline(text: str, project: str) -> PipelinePath | None:
    """Return what a pipeline's id or a typed path names; `project` is the connection's only one, or empty."""
    parts = [part for part in text.strip().split("/") if part.strip()]
    if not parts:
        return None
    if GUID.fullmatch(parts[0]) or not project or (len(parts) > 1 and parts[0].lower() == project.lower()):
        project, *parts = parts
    match parts:
        case []:
            return None
        case ["_build", number] if is_number(number):
            return PipelinePath(project=project, build=number)
        case [number] if is_number(number):
            return PipelinePath(project=project, definition=number, names=(number,))
        case _:
            return PipelinePath(project=project, names=tuple(parts))
