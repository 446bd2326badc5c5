"""Slugs and addresses: CircleCI writes the same project as `gh/acme/web` here and as `github/acme/web` there."""

import re
from urllib.parse import quote, unquote, urlsplit

from bot.core.models import Page

CLOUD = "https://circleci.com"
CLOUD_PAGES = "https://app.circleci.com"
LONG = {"gh": "github", "bb": "bitbucket", "circleci": "circleci"}
SHORT = {**{long: short for short, long in LONG.items()}, "gh": "gh", "bb": "bb"}

_BEFORE_SLUG = (("pipelines",), ("jobs",), ("insights",), ("settings", "project"))
"""What stands before a project's slug in the addresses of pages."""
_OPAQUE_URL = re.compile(r"^(?:https?:)?//circleci\.com/([^/]+)/([^/]+)/?$")


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


def encoded(slug: str) -> str:
    """Return a slug for a route: its slashes stay, everything else is quoted."""
    return "/".join(quote(part, safe="") for part in short(slug).split("/"))


def is_project(slug: str) -> bool:
    """Return whether a text has the form of a project's slug."""
    parts = slug.split("/")
    return len(parts) == 3 and parts[0].lower() in SHORT and all(part.strip(". ") for part in parts)


def is_within(slug: str, organization: str) -> bool:
    """Return whether a project belongs to an organization."""
    return is_project(slug) and fold(slug).rpartition("/")[0] == fold(organization)


def v1_slug(vcs_type: str | None, username: str | None, reponame: str | None, vcs_url: str | None) -> str | None:
    """Return the slug of a project as v1.1 names it, None where it tells only names and no ids."""
    head = SHORT.get((vcs_type or "").lower())
    if head in {"gh", "bb"}:
        return f"{head}/{username}/{reponame}" if username and reponame else None
    found = _OPAQUE_URL.match(vcs_url or "")
    return f"circleci/{found[1]}/{found[2]}" if found else None


def pages(url: str) -> str:
    """Return where people's pages are: beside the API on one's own server, apart from it in the cloud."""
    parts = urlsplit(url)
    return CLOUD_PAGES if not url or is_cloud(url) else f"{parts.scheme}://{parts.netloc}"


def is_cloud(url: str) -> bool:
    """Return whether an API root is CircleCI's own."""
    return url.rstrip("/") == CLOUD


def project_page(at: str, slug: str) -> str:
    """Return a project's page."""
    return f"{at}/pipelines/{'/'.join(quote(part, safe='') for part in long(slug).split('/'))}"


def workflow_page(at: str, slug: str, number: int | None, workflow: str) -> str | None:
    """Return a workflow's page, None where the build's number is unknown."""
    return None if number is None else f"{project_page(at, slug)}/{number}/workflows/{quote(workflow, safe='')}"


def read_page(url: str, organization: str, base_url: str) -> Page | None:
    """Return what a page shows.

    A job's old, short address names no build, and neither does one under `/jobs/`: then only the job is told.
    """
    try:
        address = urlsplit(url.strip())
        port = address.port
    except ValueError:
        return None
    own = urlsplit(base_url)
    is_ours = (address.hostname, port) == (own.hostname, own.port)
    if is_cloud(base_url):
        is_ours = address.hostname in {"circleci.com", "www.circleci.com", "app.circleci.com"} and port in {None, 443}
    if address.scheme not in {"http", "https"} or not is_ours:
        return None
    parts = [unquote(part) for part in address.path.split("/") if part]
    before = next((head for head in _BEFORE_SLUG if tuple(parts[: len(head)]) == head), ())
    rest = parts[len(before) :]
    if len(rest) > 3 and rest[2] == "workflows" and not before:  # circleci.com/gh/acme/workflows/web
        rest = [*rest[:2], rest[3]]
    slug = "/".join(rest[:3])
    if not is_within(slug, organization):
        return None
    tail = rest[3:]
    number = _number(tail[0]) if tail else None
    if before == ("pipelines",):
        job = tail[tail.index("jobs") + 1] if "jobs" in tail[:-1] else None
        return Page(
            pipeline=short(slug),
            number=number,
            job=job if number is not None and _number(job or "") is not None else None,
        )
    is_job = before == ("jobs",) or not before
    return Page(pipeline=short(slug), job=str(number) if is_job and number is not None else None)


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,12}", text) else None
