"""Where things are: pipelines by their ids and paths, and GitHub's web pages.

A pipeline is `owner/repo/WORKFLOW`; the workflow is its number, its file's name, or `runs/N` for the one that a run
belongs to (all that a run's address tells).
"""

from dataclasses import dataclass
from itertools import pairwise
from urllib.parse import quote, unquote, urlsplit

from bot.core.models import Page
from bot.providers.base.urls import page_below

WORKFLOWS = ".github/workflows/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A workflow of a repository; without one, the repository."""

    owner: str
    repo: str
    workflow: str = ""

    @property
    def repository(self) -> str:
        """Return `owner/repo`."""
        return f"{self.owner}/{self.repo}"

    @property
    def root(self) -> str:
        """Return the repository's path in the API."""
        return f"repos/{quote(self.owner, safe='')}/{quote(self.repo, safe='')}"


def place(text: str, owner: str) -> Place | None:
    """Return what a pipeline's id or path names; `repo/file` stands below the connection's owner."""
    parts = text.strip().strip("/").split("/")
    if len(parts) == 2 and parts[1].endswith((".yml", ".yaml")) and parts[0].lower() != owner.lower():
        parts.insert(0, owner)
    if len(parts) < 2 or not all(parts) or any(part in {".", ".."} for part in parts):
        return None
    return Place(owner=parts[0], repo=parts[1], workflow="/".join(parts[2:]).removeprefix(WORKFLOWS))


def is_exact(workflow: str) -> bool:
    """Return whether the API knows a workflow by this word: its number or its file's name."""
    return _is_number(workflow) or (workflow.endswith((".yml", ".yaml")) and "/" not in workflow)


def web(base_url: str) -> str:
    """Return where the web pages of an API are: beside it on a server, else at github.com or the tenant's own host."""
    address = urlsplit(base_url)
    host = address.hostname or ""
    if host.startswith("api.") and host.endswith(".ghe.com"):
        return f"https://{host.removeprefix('api.')}"
    if address.path.rstrip("/").endswith("/api/v3"):
        return f"{address.scheme}://{address.netloc}{address.path.rstrip('/').removesuffix('/api/v3')}"
    return "https://github.com"  # its own API, or a proxy before it


def page(url: str, owner: str, *homes: str) -> Page | None:
    """Return what a web page below one of `homes` shows: a run, a job, a workflow, or a workflow's file."""
    address = page_below(url, *homes)
    if address is None:
        return None
    parts = [unquote(part) for part in address.path.split("/") if part]
    if len(parts) < 3 or parts[0].lower() != owner.lower() or any("/" in part for part in parts[:2]):
        return None
    repository = f"{parts[0]}/{parts[1]}"
    match parts[2:]:
        case ["actions", "runs", run, *rest] if _is_number(run):
            return Page(pipeline=f"{repository}/runs/{run}", build=run, job=_job(rest))
        case ["actions", "workflows", workflow, *_]:
            return Page(pipeline=f"{repository}/{workflow}")
        case ["blob" | "tree" | "edit" | "blame" | "commits", *rest]:
            file = "/".join(rest).partition(WORKFLOWS)[2]
            return Page(pipeline=f"{repository}/{file}") if file and "/" not in file else None
        case _:
            return None


def _job(parts: list[str]) -> str | None:
    for name, value in pairwise(parts):
        if name in {"job", "jobs"} and _is_number(value):
            return value
    return None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()
