"""What the providers' converters share: state maps, job counts, repository names."""

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from bot.core.models import Build, Conclusion, Job, Status

log = logging.getLogger(__name__)

StateMap = Mapping[str, tuple[Status, Conclusion | None]]


def state_from(raw: str | None, states: StateMap, *, finished: bool = False) -> tuple[Status, Conclusion | None]:
    """Return a vendor's word as ours. An unknown one is completed without conclusion, or in progress; logged once."""
    word = (raw or "").strip()
    known = states.get(word) or states.get(word.lower()) or states.get(word.upper())
    if known is not None:
        return known
    if word and word[:80] not in _UNKNOWN:
        _UNKNOWN.add(word[:80])
        log.warning("a CI system sent a state I don't know", extra={"state": word[:80]})
    return (Status.COMPLETED, None) if finished else (Status.IN_PROGRESS, None)


_UNKNOWN: set[str] = set()


def job_counts(jobs: Iterable[Job]) -> Mapping[str, int]:
    """Return how many jobs stand in each state, by the words of Status and Conclusion."""
    counts: dict[str, int] = {}
    for job in jobs:
        if job.retried:
            continue
        word = job.conclusion.value if job.conclusion else job.status.value
        counts[word] = counts.get(word, 0) + 1
    return counts


def total(counts: Iterable[int | None]) -> int | None:
    """Return the sum of the known counts: None where none is known, and where one is negative, which is no count."""
    numbers = [count for count in counts if count is not None]
    return sum(numbers) if numbers and min(numbers) >= 0 else None


def with_jobs(build: Build, jobs: Iterable[Job]) -> Build:
    """Return the build with its jobs counted."""
    return replace(build, jobs=job_counts(jobs))


_GIT_URL = re.compile(r"^(?:[a-z+]+://)?(?:[^@/]+@)?[^/:]+(?::\d+)?[/:](.+?)(?:\.git)?/?$")


def repository(url: str | None) -> str | None:
    """Return `owner/name` of a git address; what is no address stays as it is."""
    found = _GIT_URL.match(url or "")
    return found[1].lstrip("/") if found else url or None


_NOREPLY = re.compile(
    r"[0-9]{1,15}-([a-z0-9][\w.-]{0,100})@users\.noreply\.gitlab\.com"
    r"|(?:[0-9]{1,15}\+)?([a-z0-9][a-z0-9_-]{0,80}(?:\[bot\])?)@users\.noreply\.(github\.com|[a-z0-9.-]{1,200})",
    re.IGNORECASE | re.ASCII,
)


def noreply_login(email: str | None, *, of_servers: bool = False) -> str | None:
    """Return the login inside a no-reply address of GitHub or GitLab; None in any other.

    `12345+login@users.noreply.github.com`, `12-login@users.noreply.gitlab.com`; with `of_servers` also those of GitHub
    servers, whose host may be any: `login@users.noreply.git.example.com`.
    """
    match = _NOREPLY.fullmatch((email or "").strip())
    if match is None:
        return None
    if match[1] is None and match[3].lower() != "github.com" and not of_servers:
        return None
    return match[1] or match[2]
