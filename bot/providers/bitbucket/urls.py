"""API paths and web pages: how they are built, and what a pasted address shows."""

import re
from urllib.parse import unquote

from bot.core.errors import NotFound
from bot.core.models import Page
from bot.providers.base.urls import page_below, page_segments, path, site_of, web_page
from bot.providers.bitbucket.options import BitbucketOptions

SITE = "https://bitbucket.org"
OTHER_SITES = ("https://www.bitbucket.org", "https://api.bitbucket.org")
API_VERSION = "/2.0"
"""The last part of the API's root; pages lie beside it."""
_UUID = re.compile(r"\{[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\}", re.IGNORECASE)
_FRAGMENT_RESULT = re.compile(r"!?/results/(\d{1,12})(?:/steps/([^/]+))?")
_PIPELINES_PAGE = re.compile(r"/[^/]+/[^/]+/(?:addon/pipelines/home#!|pipelines)/results/\d+")


# API paths


def workspace_path(workspace: str) -> str:
    """Return the path of a workspace's list of repositories."""
    return path("repositories", workspace)


def repository_path(workspace: str, repository: str, *segments: str | int) -> str:
    """Return the path of a repository, by slug or UUID, or of something in it."""
    return path("repositories", workspace, repository, *segments)


# web pages


def run_page(full_name: str | None, number: int | None, site: str = SITE) -> str | None:
    """Return a run's page below `site`, None where its repository or its number is not reported.

    The answer's own links may name a host that nobody reaches.
    """
    if not full_name or number is None:
        return None
    return _page(site, *full_name.split("/"), "pipelines", "results", number)


def step_page(run: str | None, step: str) -> str | None:
    """Return a step's page below its run's."""
    return _page(run, "steps", step) if run else None


def _page(root: str, *segments: str | int) -> str | None:
    """Return an address below `root`, None where a name that Bitbucket sent makes none."""
    try:
        return web_page(root, *segments)
    except NotFound:
        return None


def is_pipelines_page(url: str | None, site: str = SITE) -> bool:
    """Return whether an address is the page of a run below `site`, as Pipelines' own commit statuses name it."""
    address = url or ""
    return address.startswith(site) and _PIPELINES_PAGE.match(address.removeprefix(site)) is not None


def site(options: BitbucketOptions) -> str:
    """Return where the connection's pages lie."""
    return site_of(options.web_url, options.url, SITE, *OTHER_SITES, suffix=API_VERSION)


def parse_url(url: str, options: BitbucketOptions, *homes: str) -> Page | None:
    """Return what an address shows: a run by its number, one of its steps, or a repository.

    Pages below `homes` are read, and addresses of the API there.
    """
    page = page_below(url, *homes)
    if page is None:
        return None
    segments = list(page_segments(page))
    if "repositories" in segments[:2]:  # /2.0/repositories/…
        segments = segments[segments.index("repositories") + 1 :]
    if len(segments) < 2 or segments[0].lower() != options.workspace.lower() or segments[1] == "workspace":
        return None
    repository = segments[1]
    match segments[2:]:
        case ["pipelines", "results", number, *rest] if _is_number(number):
            return Page(pipeline=repository, number=int(number), job=_step(rest))
        case ["pipelines", number, *rest] if _is_number(number):
            return Page(pipeline=repository, number=int(number), job=_step(rest))
        case ["pipelines", uuid, *rest] if _UUID.fullmatch(uuid):
            return Page(pipeline=repository, build=uuid.lower(), job=_step(rest))
        case ["pipelines", *_] | ["addon", "pipelines", *_]:
            return _page_of_fragment(repository, page.fragment)
        case _:
            return Page(pipeline=repository)


def _page_of_fragment(repository: str, fragment: str) -> Page:
    """Return what the fragment of an older page shows: `#!/results/41/steps/{…}`."""
    match = _FRAGMENT_RESULT.match(unquote(fragment))
    if match is None:
        return Page(pipeline=repository)
    step = match[2] if match[2] and _UUID.fullmatch(match[2]) else None
    return Page(pipeline=repository, number=int(match[1]), job=step.lower() if step else None)


def _step(segments: list[str]) -> str | None:
    match segments:
        case ["steps", uuid, *_] if _UUID.fullmatch(uuid):
            return uuid.lower()
        case _:
            return None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 12
