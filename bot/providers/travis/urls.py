"""API paths and web pages: how they are built, and what a pasted address shows."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from bot.core.errors import NotFound
from bot.core.models import Page
from bot.providers.base.urls import page_below, page_segments, path, site_of, web_page
from bot.providers.travis.options import LABEL, TravisOptions

SITE = "https://app.travis-ci.com"
OTHER_SITES = ("https://www.app.travis-ci.com", "https://travis-ci.com", "https://www.travis-ci.com")
API = "https://api.travis-ci.com"
API_FOLDER = "/api"
"""The last part of the API's root at an installation of one's own; its pages lie beside it."""
CODE_HOSTS: Mapping[str, str] = {
    "github": "github",
    "bitbucket": "bitbucket",
    "gitlab": "gitlab",
    "assembla": "assembla",
}
"""The first segment of a page's address, by the first word of what Travis calls the code host."""
_FIRST_WORD = re.compile(r"^[A-Z][a-z]+")
_REPOSITORY_NAME = re.compile(r"[\w.-]{1,200}")


# API paths


def owner_path(owner: str, *segments: str) -> str:
    """Return the path of what lies below an owner."""
    return path("owner", owner, *segments)


def repository_path(repository: str, *segments: str | int) -> str:
    """Return the path of a repository, by number or `owner/name` (one segment), or of something in it."""
    return path("repo", repository, *segments)


def build_path(build: str, *segments: str) -> str:
    """Return the path of a build or of something in it."""
    return path("build", build, *segments)


def job_path(job: str, *segments: str) -> str:
    """Return the path of a job or of something in it."""
    return path("job", job, *segments)


def full_slug(name: str, owner: str) -> str:
    """Return what a repository's route takes for what people type: a number, `owner/name`, or a name of the owner's.

    Raises NotFound for a name that no repository has.
    """
    if name.isdecimal() or "/" in name:
        return name
    if not _REPOSITORY_NAME.fullmatch(name):
        raise NotFound(f"`{name[:80]}` is not a repository's name.", provider=LABEL)
    return f"{owner}/{name}"


# web pages


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where pages for people lie. An installation of one's own has the code host in no address."""

    root: str
    with_host: bool

    def page(self, slug: str | None, vcs_type: str | None, *segments: str) -> str | None:
        """Return a page below a repository's, None where its name is not reported or makes no address."""
        if not slug:
            return None
        host = (code_host(vcs_type),) if self.with_host else ()
        try:
            return web_page(self.root, *host, *slug.split("/"), *segments)
        except NotFound:
            return None


def code_host(vcs_type: str | None) -> str:
    """Return the code host as addresses have it: `GithubRepository` and `GithubUser` are `github`."""
    word = _FIRST_WORD.match(vcs_type or "")
    return CODE_HOSTS.get(word[0].lower() if word else "", "github")


def site(options: TravisOptions) -> Site:
    """Return where the connection's pages lie."""
    is_vendors = site_of("", options.url, SITE, API, *OTHER_SITES, suffix=API_FOLDER) == SITE
    root = site_of(options.web_url, options.url, SITE, API, *OTHER_SITES, suffix=API_FOLDER)
    return Site(root=root, with_host=is_vendors)


def parse_url(url: str, options: TravisOptions, *homes: str) -> Page | None:
    """Return what an address shows: a build, a job (which does not name its build) or a repository.

    Pages of other owners are none of the connection's.
    """
    page = page_below(url, *homes)
    if page is None:
        return None
    segments = page_segments(page)
    owner = options.owner.lower()
    if len(segments) > 2 and segments[0] in CODE_HOSTS.values() and segments[1].lower() == owner:
        segments = segments[1:]
    if len(segments) < 2 or segments[0].lower() != owner:
        return None
    slug = "/".join(segments[:2])
    match segments[2:]:
        case ("builds", build, *_) if _is_id(build):
            return Page(pipeline=slug, build=build)
        case ("jobs", job, *_) if _is_id(job):
            return Page(pipeline=slug, job=job)
        case _:
            return Page(pipeline=slug)


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 18
