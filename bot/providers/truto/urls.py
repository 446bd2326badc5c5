"""Paths of the unified API, and the web pages of the systems behind Truto, which has none of its own."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qs

from bot.core.errors import NotFound
from bot.core.models import Page
from bot.providers.base.urls import page_below, page_segments, path, site_of, web_page
from bot.providers.truto.options import Integration, TrutoOptions

API = "https://api.truto.one"
SITES: Mapping[Integration, str] = {
    Integration.AZURE: "https://dev.azure.com",
    Integration.BITBUCKET: "https://bitbucket.org",
    Integration.CIRCLECI: "https://app.circleci.com",
    Integration.GITHUB: "https://github.com",
    Integration.TRAVIS: "https://app.travis-ci.com",
}
"""Where the systems' pages lie. A Jenkins may be anywhere: its pages are read only below the connection's `url`."""
_LONG_HOSTS: Mapping[str, str] = {"gh": "github", "bb": "bitbucket"}
_SHORT_HOSTS: Mapping[str, str] = {long: short for short, long in _LONG_HOSTS.items()}
_TRAVIS_HOSTS = frozenset({"github", "bitbucket", "gitlab", "assembla"})
_STEP = re.compile(r"\{[0-9a-f-]{4,40}\}", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A pipeline of a connection: where an object comes from, where a request goes, and below which site its pages lie."""

    connection: str
    integration: Integration
    pipeline: str
    owner: str = ""
    site: str = ""

    @property
    def is_whole_workspace(self) -> bool:
        """Whether the pipeline is a whole project of Azure DevOps, with the builds of all its repositories."""
        return self.integration is Integration.AZURE and self.pipeline == self.owner


# API paths


def unified(resource: str, *ids: str) -> str:
    """Return the path of a resource of the unified model, or of one of its objects."""
    return path("unified", "ci-cd", resource, *ids)


def account_path(account: str, *segments: str) -> str:
    """Return the path of an integrated account, or of something in it."""
    return path("integrated-account", account, *segments)


def jenkins_job(workflow: str) -> tuple[str, ...]:
    """Return a Jenkins job's segments, whether its name is written with `job/` between the folders or without.

    Raises NotFound for a name with an empty part.
    """
    parts = workflow.strip("/").split("/")
    if not all(parts):
        raise NotFound(f"`{workflow[:80]}` is no job of a Jenkins.", provider="Jenkins")
    is_path = "job" in parts[:1] or "job" in parts[1::2]
    names = [part for part in parts if part != "job"] if is_path else parts
    return tuple(segment for name in names for segment in ("job", name))


# web pages


def build_page(place: Place, build: str, number: int | None, repository: str | None) -> str | None:
    """Return a build's page where its address follows from what is known."""
    segments: tuple[str, ...]
    match place.integration:
        case Integration.GITHUB:
            segments = (place.owner, place.pipeline, "actions", "runs", build)
        case Integration.BITBUCKET if number is not None:
            segments = (place.owner, place.pipeline, "pipelines", "results", str(number))
        case Integration.CIRCLECI if number is not None:
            host, *rest = place.pipeline.split("/")
            segments = ("pipelines", _LONG_HOSTS.get(host, host), *rest, str(number))
        case Integration.TRAVIS if "/" in (slug := repository or place.pipeline):
            segments = ("github", *slug.split("/"), "builds", build)
        case _:
            return None
    try:
        return web_page(place.site or SITES[place.integration], *segments)
    except NotFound:
        return None


def site(options: TrutoOptions) -> str:
    """Return where the pages of the system behind Truto lie, "" where that is not known, as of a Jenkins."""
    return site_of(options.web_url, options.url, SITES.get(options.integration, ""), API)


def homes(options: TrutoOptions) -> tuple[str, ...]:
    """Return the addresses below which the connection's pages lie."""
    return tuple(dict.fromkeys(filter(None, (site(options), SITES.get(options.integration, ""), options.url))))


def parse_url(url: str, home: Place, *homes: str) -> Page | None:
    """Return what a page shows, None where it is not one of the connection's. `home` is the pipeline of the options."""
    page = page_below(url, *homes)
    return _READERS[home.integration](page, page_segments(page), home) if page else None


def _azure(page: SplitResult, segments: tuple[str, ...], home: Place) -> Page | None:
    match segments:
        case (_, project, "_build", *_) if project.lower() == home.owner.lower():
            query = parse_qs(page.query)
            build, job = (query.get(name, [""])[0] for name in ("buildId", "j"))
            return Page(
                pipeline=home.pipeline,
                build=build if _is_number(build) else None,
                job=job or None if _is_number(build) else None,
            )
        case _:
            return None


def _bitbucket(_page: SplitResult, segments: tuple[str, ...], home: Place) -> Page | None:
    match segments:
        case (owner, repository, *rest) if owner.lower() == home.owner.lower():
            pass
        case _:
            return None
    match rest:
        case [] | ["pipelines"]:
            return Page(pipeline=repository)
        case ["pipelines", "results", number, *below] | ["pipelines", number, *below] if _is_number(number):
            step = below[1] if len(below) > 1 and below[0] == "steps" and _STEP.fullmatch(below[1]) else None
            return Page(pipeline=repository, number=int(number), job=step)
        case ["pipelines", *_]:
            return Page(pipeline=repository)
        case _:
            return None


def _circleci(_page: SplitResult, segments: tuple[str, ...], home: Place) -> Page | None:
    match segments:
        case ("pipelines", host, organization, project, *rest):
            pipeline = "/".join((_SHORT_HOSTS.get(host, host), organization, project))
        case _:
            return None
    if pipeline.lower() != home.pipeline.lower():
        return None
    match rest:
        case [number, "workflows", _, "jobs", job, *_] if _is_number(number):
            return Page(pipeline=home.pipeline, number=int(number), job=job)
        case [number, *_] if _is_number(number):
            return Page(pipeline=home.pipeline, number=int(number))
        case _:
            return Page(pipeline=home.pipeline)


def _github(_page: SplitResult, segments: tuple[str, ...], home: Place) -> Page | None:
    match segments:
        case (owner, repository, *rest) if owner.lower() == home.owner.lower():
            pass
        case _:
            return None
    match rest:
        case ["actions", "runs", build, *below] if _is_number(build):
            job = below[below.index("job") + 1] if "job" in below[:-1] else None
            return Page(pipeline=repository, build=build, job=job if job and _is_number(job) else None)
        case ["runs", job] if _is_number(job):
            return Page(pipeline=repository, job=job)
        case [] | ["actions", *_]:
            return Page(pipeline=repository)
        case _:
            return None


def _jenkins(_page: SplitResult, segments: tuple[str, ...], home: Place) -> Page | None:
    names: list[str] = []
    rest = list(segments)
    while len(rest) > 1 and rest[0] == "job":
        names.append(rest[1])
        rest = rest[2:]
    if not names:
        return None
    is_home = tuple(names) == jenkins_job(home.pipeline)[1::2]
    pipeline = home.pipeline if is_home else "/job/".join(names)
    if rest and _is_number(rest[0]):
        return Page(pipeline=pipeline, build=rest[0], number=int(rest[0]))
    return Page(pipeline=pipeline)


def _travis(_page: SplitResult, segments: tuple[str, ...], home: Place) -> Page | None:
    if len(segments) > 2 and segments[0] in _TRAVIS_HOSTS:
        segments = segments[1:]
    # a connection may name its repository by number: then its pages can't be distinguished from others'
    if "/".join(segments[:2]).lower() != home.pipeline.lower():
        return None
    match segments[2:]:
        case ("builds", build, *_) if _is_number(build):
            return Page(pipeline=home.pipeline, build=build)
        case ("jobs", job, *_) if _is_number(job):
            return Page(pipeline=home.pipeline, job=job)
        case _:
            return Page(pipeline=home.pipeline)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 18


_READERS: Mapping[Integration, Callable[[SplitResult, tuple[str, ...], Place], Page | None]] = {
    Integration.AZURE: _azure,
    Integration.BITBUCKET: _bitbucket,
    Integration.CIRCLECI: _circleci,
    Integration.GITHUB: _github,
    Integration.JENKINS: _jenkins,
    Integration.TRAVIS: _travis,
}
