"""Addresses: where a pipeline is in the API, GitHub's web pages, and what a pasted page shows.

A pipeline is `owner/repo/WORKFLOW`. The workflow is its number, its file's name or its name; `runs/N` and `jobs/N` stand
for the workflow of a run or a job, which is all that their pages show.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from urllib.parse import parse_qs, urlsplit

from bot.core.models import Page
from bot.providers.base.urls import page_below, page_segments, path, web_page

WORKFLOWS = ".github/workflows/"
RUNS_PREFIX = "runs/"
JOBS_PREFIX = "jobs/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """A workflow of a repository; without one, the repository."""

    owner: str
    repo: str
    workflow: str = ""

    @property
    def repository(self) -> str:
        """Return `owner/repo`."""
        return f"{self.owner}/{self.repo}"

    def path(self, *segments: str | int) -> str:
        """Return a path below the repository in the API. Raises NotFound for a segment that no id looks like."""
        return path("repos", self.owner, self.repo, *segments)

    def of_workflow(self, *segments: str) -> str:
        """Return a path at or below the workflow, which must be named by its number or its file."""
        return self.path("actions", "workflows", self.workflow, *segments)

    def run(self, run: str, *segments: str) -> str:
        """Return a path at or below one of the repository's runs."""
        return self.path("actions", "runs", run, *segments)

    def job(self, job: str, *segments: str) -> str:
        """Return a path at or below one of the repository's jobs."""
        return self.path("actions", "jobs", job, *segments)


def location(text: str, owner: str) -> Location | None:
    """Return what a pipeline's id or path names; `repo/file` stands below the connection's owner."""
    parts = text.strip().strip("/").split("/")
    if len(parts) == 2 and parts[1].endswith((".yml", ".yaml")) and parts[0].lower() != owner.lower():
        parts.insert(0, owner)
    if len(parts) < 2 or any(part.strip() in {"", ".", ".."} for part in parts):
        return None
    return Location(owner=parts[0], repo=parts[1], workflow="/".join(parts[2:]).removeprefix(WORKFLOWS))


def is_exact(workflow: str) -> bool:
    """Return whether the API knows a workflow by this word: its number or its file's name."""
    return _is_number(workflow) or (workflow.endswith((".yml", ".yaml")) and "/" not in workflow)


def tenant_site(base_url: str) -> str | None:
    """Return where the pages of a tenant's own API at ghe.com lie, None for another API."""
    host = urlsplit(base_url).hostname or ""
    if host.startswith("api.") and host.endswith(".ghe.com"):
        return f"https://{host.removeprefix('api.')}"
    return None


def run_page(home: str, at: Location, run: str) -> str:
    """Return the web page of a run."""
    return web_page(home, at.owner, at.repo, "actions", "runs", run)


def parse(url: str, owner: str, *homes: str) -> Page | None:
    """Return what a web page below one of `homes` shows: a run, a job, a workflow, its file, or a repository's Actions.

    A run's page has the pipeline `owner/repo/runs/N`, a job's that does not name its run `owner/repo/jobs/N`.
    """
    address = page_below(url, *homes)
    if address is None:
        return None
    parts = page_segments(address)
    if len(parts) < 3 or parts[0].lower() != owner.lower() or any("/" in part for part in parts[:2]):
        return None
    repository = f"{parts[0]}/{parts[1]}"
    match parts[2:]:
        case ["actions", "runs", run, *rest] if _is_number(run):
            return Page(pipeline=f"{repository}/{RUNS_PREFIX}{run}", build=run, job=_job(rest))
        case ["actions", "workflows", workflow, *_] if "/" not in workflow:
            return Page(pipeline=f"{repository}/{workflow}")
        case ["actions"]:
            return Page(pipeline=repository)
        case ["runs", job, *_] | ["commit", _, "checks", job, *_] if _is_number(job):
            return Page(pipeline=f"{repository}/{JOBS_PREFIX}{job}", job=job)
        case ["pull", _, "checks", *_]:
            job = next(iter(parse_qs(address.query).get("check_run_id", ())), "")
            return Page(pipeline=f"{repository}/{JOBS_PREFIX}{job}", job=job) if _is_number(job) else None
        case ["blob" | "tree" | "edit" | "blame" | "commits" | "raw", *rest]:
            file = "/".join(rest).partition(WORKFLOWS)[2]
            return Page(pipeline=f"{repository}/{file}") if file and "/" not in file else None
        case _:
            return None


def _job(parts: Sequence[str]) -> str | None:
    for name, value in pairwise(parts):
        if name in {"job", "jobs"} and _is_number(value):
            return value
    return None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()
