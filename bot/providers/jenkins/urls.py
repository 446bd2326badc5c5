"""Full names of Jenkins' jobs, the server's routes, and the pages that people open and paste.

A job's path is one `job/NAME` for each folder and the job: `team/app` lies at `job/team/job/app`.
"""

import re
from dataclasses import dataclass
from itertools import chain
from urllib.parse import unquote

from bot.core.errors import NotFound
from bot.core.models import Page, Ref, RefKind
from bot.providers.base.urls import page_below, path, web_page
from bot.providers.jenkins.errors import LABEL

QUEUED = "queue-"
"""Before a queue item's id: the id of a build that has no number yet."""
SERVER = path("api", "json")
WHO_AM_I = path("whoAmI", "api", "json")
CRUMB = path("crumbIssuer", "api", "json")
QUEUE = path("queue", "api", "json")
CANCEL_ITEM = path("queue", "cancelItem")

_NEEDS_ENCODING = re.compile(r"[#%/?\[\]\\]")
_PULL_REQUEST = re.compile(r"PR-(\d+)(?:-(?:head|merge))?", re.ASCII)
_QUEUE_ITEM = re.compile(r"/queue/item/([0-9]{1,18})(?:/|$)")
_AXES = re.compile(r"[\w.\- ]+=[^,/]*(?:,[\w.\- ]+=[^,/]*)*")
_NODE = re.compile(r"(?:selected-node=|/execution/node/)([0-9]+)")
_NUMBER = re.compile(r"[0-9]{1,9}")
_ITEM = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an address leads: a job, a build of it and a part of that where they are named."""

    job: str
    number: int | None = None
    part: str | None = None

    @property
    def build(self) -> str | None:
        """Return the build's id."""
        return None if self.number is None else str(self.number)


def job_segments(full_name: str) -> tuple[str, ...]:
    """Return the segments of a job's path."""
    return tuple(chain.from_iterable(("job", part) for part in full_name.strip("/").split("/")))


def job_path(full_name: str, *rest: str) -> str:
    """Return a job's path, `job/team/job/app`, or of what lies below it. Raises NotFound for what can't be a name."""
    return path(*job_segments(full_name), *rest)


def build_path(full_name: str, number: str, *rest: str) -> str:
    """Return a build's path, or of what lies below it. Raises NotFound for what is no number."""
    if not is_number(number):
        raise NotFound(f"`{number[:80] if number.isprintable() else ''}` is no build of this job.", provider=LABEL)
    return job_path(full_name, number, *rest)


def is_axes(text: str) -> bool:
    """Return whether a text names a combination of a matrix: `GLASS=clear,LAMP=oil`."""
    return _AXES.fullmatch(text) is not None


def cell_path(full_name: str, axes: str, number: str, *rest: str) -> str:
    """Return the path of a combination of a matrix build, or of what lies below it."""
    if not is_number(number):
        raise NotFound(f"`{number[:80] if number.isprintable() else ''}` is no build of this job.", provider=LABEL)
    return job_path(full_name, axes, number, *rest)


def item_path(item: int) -> str:
    """Return where a queue item describes itself."""
    return path("queue", "item", item, "api", "json")


def artifact_path(full_name: str, number: str, file: str) -> str:
    """Return an artifact's path. Raises NotFound for one that leads out of its build."""
    return build_path(full_name, number, "artifact", *file.split("/"))


def blue_path(full_name: str, number: str, *rest: str) -> str:
    """Return a build's path in Blue Ocean's API: a name that holds an encoded branch is one of a multibranch project."""
    *folders, last = full_name.split("/")
    kind = "branches" if "%" in last and folders else "pipelines"
    inside = chain.from_iterable([*(("pipelines", folder) for folder in folders), (kind, last)])
    return path("blue", "rest", "organizations", "jenkins", *inside, "runs", number, *rest)


def is_number(text: str) -> bool:
    """Return whether a text is the number of a build or of a stage."""
    return _NUMBER.fullmatch(text) is not None


def branch_name(branch: str) -> str:
    """Return the name of a branch's job in a multibranch project: `feature/x` is `feature%2Fx`."""
    if branch in {".", ".."}:
        return f"%2E{branch[1:]}"
    return _NEEDS_ENCODING.sub(lambda match: f"%{ord(match[0]):02X}", branch)


def job_names(ref: Ref) -> tuple[str, ...]:
    """Return which jobs of a multibranch project may build a ref."""
    if ref.kind is RefKind.COMMIT:
        return ()
    if ref.kind is RefKind.PULL_REQUEST:
        return tuple(f"PR-{ref.name}{end}" for end in ("", "-merge", "-head"))
    return (branch_name(ref.name),)


def ref_of_job(name: str) -> Ref:
    """Return what a job of a multibranch project builds; tags can't be distinguished from branches."""
    number = pull_request(name)
    if number is not None:
        return Ref(kind=RefKind.PULL_REQUEST, name=number)
    return Ref(kind=RefKind.BRANCH, name=unquote(name))


def pull_request(name: str) -> str | None:
    """Return the number of the pull request that a job is named for."""
    match = _PULL_REQUEST.fullmatch(name)
    return match[1] if match else None


def parent(full_name: str) -> str | None:
    """Return the folder or multibranch project that a job stands in."""
    return full_name.rpartition("/")[0] or None


def readable_name(full_name: str) -> str:
    """Return a full name as people read it: encoded branches decoded."""
    return " » ".join(map(unquote, full_name.split("/")))


def queue_id(location: str | None) -> int | None:
    """Return the queue item that an address names, whatever its host says."""
    match = _QUEUE_ITEM.search(location or "")
    return int(match[1]) if match else None


def waiting_item(build: str) -> int | None:
    """Return the queue item of a build's id, `queue-912`; None for builds with a number. Raises NotFound."""
    if not build.startswith(QUEUED):
        return None
    digits = build.removeprefix(QUEUED)
    if not _ITEM.fullmatch(digits):
        raise NotFound(f"`{build[:80] if build.isprintable() else ''}` is no build of this job.", provider=LABEL)
    return int(digits)


def place(address: str) -> Place | None:
    """Return the job and the build that an address names from its first `job/` on; views on the way are left out.

    None also for a module of a Maven build, whose numbers are its own.
    """
    parts = [part for part in address.partition("?")[0].partition("#")[0].split("/") if part]
    names: list[str] = []
    at = parts.index("job") if "job" in parts else len(parts)
    while at + 1 < len(parts) and parts[at] in {"job", "view"}:
        if parts[at] == "job":
            names.append(unquote(parts[at + 1]))
        at += 2
    if any(name.strip() in {"", ".", ".."} or "/" in name for name in names) or not names:
        return None
    rest = [unquote(part) for part in parts[at : at + 2]]
    if len(rest) == 2 and is_number(rest[1]) and "$" in rest[0]:
        return None
    if len(rest) == 2 and is_number(rest[1]) and is_axes(rest[0]):
        return Place(job="/".join(names), number=int(rest[1]), part=rest[0])
    number = int(rest[0]) if rest and is_number(rest[0]) else None
    node = _NODE.search(address) if number is not None else None
    return Place(job="/".join(names), number=number, part=node[1] if node else None)


def place_of_name(full_name: str) -> Place | None:
    """Return the place of a job by its full name, None for what can't be a name."""
    try:
        job_path(full_name)
    except NotFound:
        return None
    return Place(job=full_name)


def job_page(home: str, full_name: str) -> str:
    """Return a job's page. Addresses in answers are made from another setting and may lead nowhere."""
    return f"{web_page(home, *job_segments(full_name))}/"


def below(page: str, *segments: str) -> str:
    """Return the address of what lies below a page."""
    return web_page(page, *segments)


def parse(url: str, *homes: str) -> Page | None:
    """Return what a page of the server shows: a job, a build or a part of one, classic or in Blue Ocean."""
    page = page_below(url, *homes)
    if page is None:
        return None
    address = page.geturl().partition(page.netloc)[2]
    place_ = _blue_place(page.path) if page.path.startswith("/blue/organizations/") else place(address)
    if place_ is None:
        return None
    return Page(pipeline=place_.job, build=place_.build, number=place_.number, job=place_.part)


def _blue_place(address: str) -> Place | None:
    parts = [part for part in address.split("/") if part]
    if len(parts) < 4 or not unquote(parts[3]).strip("/"):
        return None
    job = unquote(parts[3]).strip("/")
    if any(part.strip() in {"", ".", ".."} for part in job.split("/")):
        return None
    if len(parts) < 7 or parts[4] != "detail" or not is_number(parts[6]):
        return Place(job=job)
    branch = branch_name(unquote(parts[5]))
    # a plain pipeline's own name stands where a multibranch project's branch does
    inside = job if branch == job.rpartition("/")[2] else f"{job}/{branch}"
    part = parts[8] if len(parts) > 8 and parts[7] == "pipeline" and is_number(parts[8]) else None
    return Place(job=inside, number=int(parts[6]), part=part)
