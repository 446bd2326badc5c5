"""Full names, paths and addresses of Jenkins jobs, and what the last part of a name says."""

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from bot.core.errors import NotFound
from bot.core.models import Page, Ref, RefKind

LABEL = "Jenkins"
QUEUED = "queue-"
"""Before a queue item's id: the id of a build that has no number yet."""

_NEEDS_ENCODING = re.compile(r"[#%/?\[\]\\]")
_PULL_REQUEST = re.compile(r"PR-(\d+)(?:-(?:head|merge))?")
_QUEUE_ITEM = re.compile(r"/queue/item/(\d{1,18})(?:/|$)")
_NODE = re.compile(r"(?:selected-node=|/execution/node/)(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an address leads: a job, and a build of it where one is named."""

    job: str
    number: int | None = None

    @property
    def build(self) -> str | None:
        """Return the build's id."""
        return None if self.number is None else str(self.number)


def job_path(full_name: str) -> str:
    """Return a job's path, `job/team/job/app`. Raises NotFound for what can't be a name."""
    parts = full_name.strip("/").split("/")
    if any(part in {"", ".", ".."} for part in parts):
        raise NotFound(f"`{full_name[:80]}` can't be the name of a job.", provider=LABEL)
    return "/".join(f"job/{quote(part, safe='')}" for part in parts)


def build_path(full_name: str, number: str) -> str:
    """Return a build's path. Raises NotFound for what is no number."""
    if not number.isdecimal():
        raise NotFound(f"`{number[:80]}` is no build of this job.", provider=LABEL)
    return f"{job_path(full_name)}/{number}"


def file_path(relative: str) -> str:
    """Return an artifact's path behind `artifact/`. Raises NotFound for one that leads out of it."""
    parts = [part for part in relative.split("/") if part]
    if not parts or any(part in {".", ".."} for part in parts):
        raise NotFound(f"`{relative[:80]}` can't be an artifact.", provider=LABEL)
    return "/".join(quote(part, safe="") for part in parts)


def blue_path(full_name: str, number: str) -> str:
    """Return a build's path in Blue Ocean's API: a name that holds an encoded branch is one of a multibranch project."""
    *folders, last = full_name.split("/")
    kind = "branches" if "%" in last and folders else "pipelines"
    steps = [*(("pipelines", folder) for folder in folders), (kind, last)]
    path = "/".join(f"{kind}/{quote(name, safe='')}" for kind, name in steps)
    return f"blue/rest/organizations/jenkins/{path}/runs/{number}"


def branch_name(branch: str) -> str:
    """Return the name of a branch's job in a multibranch project: `feature/x` is `feature%2Fx`."""
    if branch in {".", ".."}:
        return f"%2E{branch[1:]}"
    return _NEEDS_ENCODING.sub(lambda found: f"%{ord(found[0]):02X}", branch)


def job_names(ref: Ref) -> tuple[str, ...]:
    """Return which jobs of a multibranch project may build a ref."""
    if ref.kind is RefKind.COMMIT:
        return ()
    if ref.kind is RefKind.PULL_REQUEST:
        return tuple(f"PR-{ref.name}{end}" for end in ("", "-merge", "-head"))
    return (branch_name(ref.name),)


def ref_of_job(name: str) -> Ref:
    """Return what a job of a multibranch project builds; tags can't be told from branches."""
    number = pull_request(name)
    if number is not None:
        return Ref(kind=RefKind.PULL_REQUEST, name=number)
    return Ref(kind=RefKind.BRANCH, name=unquote(name))


def pull_request(name: str) -> str | None:
    """Return the number of the pull request that a job is named for."""
    found = _PULL_REQUEST.fullmatch(name)
    return found[1] if found else None


def parent(full_name: str) -> str | None:
    """Return the folder or multibranch project that a job stands in."""
    return full_name.rpartition("/")[0] or None


def readable_name(full_name: str) -> str:
    """Return a full name as people read it: encoded branches decoded."""
    return " » ".join(map(unquote, full_name.split("/")))


def queue_id(location: str | None) -> int | None:
    """Return the queue item that an address names, whatever its host says."""
    found = _QUEUE_ITEM.search(location or "")
    return int(found[1]) if found else None


def waiting_item(build: str) -> int | None:
    """Return the queue item of a build's id, `queue-912`; None for builds with a number. Raises NotFound."""
    if not build.startswith(QUEUED):
        return None
    digits = build.removeprefix(QUEUED)
    if not digits.isdecimal() or len(digits) > 18:
        raise NotFound(f"`{build[:80]}` is no build of this job.", provider=LABEL)
    return int(digits)


def place(path: str) -> Place | None:
    """Return the job and the build that a path names from its first `job/` on; views on the way are left out."""
    parts = [part for part in path.partition("?")[0].partition("#")[0].split("/") if part]
    names: list[str] = []
    at = parts.index("job") if "job" in parts else len(parts)
    while at + 1 < len(parts) and parts[at] in {"job", "view"}:
        if parts[at] == "job":
            names.append(unquote(parts[at + 1]))
        at += 2
    if not names or any(name in {"", ".", ".."} or "/" in name for name in names):
        return None
    rest = parts[at] if at < len(parts) else ""
    return Place(job="/".join(names), number=int(rest) if rest.isdecimal() and len(rest) < 10 else None)


def page(url: str, base: str) -> Page | None:
    """Return what a page below `base` shows: a job or a build, classic or in Blue Ocean."""
    try:
        here, root = urlsplit(url.strip()), urlsplit(base)
        mine = (here.hostname or "", here.port), (root.hostname or "", root.port)
    except ValueError:
        return None
    home = f"{root.path.rstrip('/')}/"
    if here.scheme not in {"http", "https"} or mine[0] != mine[1] or not here.path.startswith(home):
        return None
    path = here.path.removeprefix(home)
    found = _blue_place(path) if path.startswith("blue/organizations/") else place(path)
    if found is None:
        return None
    node = _NODE.search(url) if found.number is not None else None
    return Page(pipeline=found.job, build=found.build, number=found.number, job=node[1] if node else None)


def _blue_place(path: str) -> Place | None:
    parts = [part for part in path.split("/") if part]
    if len(parts) < 4 or not unquote(parts[3]).strip("/"):
        return None
    job = unquote(parts[3]).strip("/")
    if any(part in {"", ".", ".."} for part in job.split("/")):
        return None
    if len(parts) < 7 or parts[4] != "detail" or not parts[6].isdecimal() or len(parts[6]) > 9:
        return Place(job=job)
    branch = branch_name(unquote(parts[5]))
    # a plain pipeline's own name stands where a multibranch project's branch does
    inside = job if branch == job.rpartition("/")[2] else f"{job}/{branch}"
    return Place(job=inside, number=int(parts[6]))
