"""What channels follow, for build monitors, status pages and calendars: `GET /feeds/<token>/…`.

The token alone opens a feed, so it is made by an admin, shown once, kept as a digest and revocable. A feed holds the
pipelines and schedules of its channel (or workspace) and nothing of another one. Whatever is wrong with a request for
a feed is answered alike, 404: a wrong token learns nothing.

CCTray: https://cctray.org/v1/ - iCalendar: https://www.rfc-editor.org/rfc/rfc5545
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape as escaped

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from bot.blocks.text import visible
from bot.core.clock import Clock
from bot.core.errors import UsageError
from bot.core.models import NO_RESULT, Build, Conclusion, Status
from bot.core.recurrence import parse_rule, upcoming, zone_of
from bot.core.text import same_name
from bot.security.redaction import redact
from bot.store import Store
from bot.store.rows import FeedRow, LinkRow, ScheduleRow

NAME_LETTERS = 12
MOST_LINKS = 200
RECENT = 15
RUNS = 10
LINE_BYTES = 73
"""A line of a calendar has at most 75 bytes; what continues one begins with a space."""
HEADERS = {
    "cache-control": "private, max-age=30",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
}
GREY, BLUE = "#8d8d8d", "#1d6fe0"
COLOURS = {
    Conclusion.PASSED: "#1b7f4b",
    Conclusion.PARTIAL: "#b37400",
    Conclusion.FAILED: "#c4314b",
    Conclusion.TIMEOUT: "#c4314b",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedToken:
    """A token as it is shown once, and what is kept of it."""

    text: str
    name: str
    digest: str


def new_token() -> FeedToken:
    """Return a fresh token of 256 random bits behind a name that finds its row."""
    name = secrets.token_hex(NAME_LETTERS // 2)
    text = f"{name}{secrets.token_urlsafe(32)}"
    return FeedToken(text=text, name=name, digest=digest_of(text))


def digest_of(token: str) -> str:
    """Return what is stored of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A followed pipeline: its newest unfinished build, and the newest that ended with a result."""

    link: LinkRow
    running: Build | None = None
    last: Build | None = None

    @property
    def name(self) -> str:
        """Return the pipeline as the channel calls it, with the branch that is followed."""
        label = self.link.alias or self.link.name
        return f"{label} ({self.branch})" if self.branch else label

    @property
    def branch(self) -> str:
        """Return the branch that is followed, "" where that is not known."""
        return self.link.branch or self.link.default_branch

    @property
    def state(self) -> str:
        """Return the newest end as a word."""
        return self.last.conclusion.value if self.last is not None and self.last.conclusion else "unknown"


Sees = Callable[[str, str], bool]
"""Whether a workspace may see a connection: (team, connection's name)."""


class Feeds:
    """The feeds' routes."""

    def __init__(self, store: Store, *, sees: Sees, clock: Clock) -> None:
        self._store = store
        self._sees = sees
        self._clock = clock

    async def cctray(self, request: Request) -> Response:
        """Return the pipelines as CCTray's XML."""
        feed = await self._feed(request)
        if feed is None:
            return _not_found()
        return Response(cctray_xml(await self._projects(feed)), media_type="application/xml", headers=HEADERS)

    async def status(self, request: Request) -> Response:
        """Return the pipelines as JSON."""
        feed = await self._feed(request)
        if feed is None:
            return _not_found()
        projects = [_as_json(project) for project in await self._projects(feed)]
        return JSONResponse({"pipelines": projects}, headers=HEADERS)

    async def badge(self, request: Request) -> Response:
        """Return the badge of one pipeline: `?pipeline=` takes its alias, path or name; without it the default's."""
        feed = await self._feed(request)
        if feed is None:
            return _not_found()
        projects = await self._projects(feed)
        wanted = request.query_params.get("pipeline", "")
        project = next((project for project in projects if _is_named(project.link, wanted)), None)
        if project is None:
            return _not_found()
        return Response(badge_svg(project), media_type="image/svg+xml", headers=HEADERS)

    async def schedules(self, request: Request) -> Response:
        """Return the next runs of the scheduled commands as a calendar."""
        feed = await self._feed(request)
        if feed is None:
            return _not_found()
        rows = await (
            self._store.schedules.of_channel(feed.team, feed.channel)
            if feed.channel
            else self._store.schedules.of_team(feed.team)
        )
        return Response(calendar(rows, self._clock()), media_type="text/calendar; charset=utf-8", headers=HEADERS)

    async def _feed(self, request: Request) -> FeedRow | None:
        """Return the feed that the token in the path opens; the comparison takes the same time for every token."""
        token = str(request.path_params["token"])
        row = await self._store.feeds.named(token[:NAME_LETTERS])
        expected = row.digest if row is not None else digest_of("")
        return row if hmac.compare_digest(digest_of(token), expected) else None

    async def _projects(self, feed: FeedRow) -> list[Project]:
        links = await (
            self._store.links.of_channel(feed.team, feed.channel) if feed.channel else self._store.links.all(feed.team)
        )
        seen: dict[tuple[str, str, str], LinkRow] = {}
        for link in sorted(links, key=lambda link: not link.is_default):
            if self._sees(feed.team, link.connection):
                seen.setdefault((link.connection, link.pipeline, link.branch or link.default_branch), link)
        return [await self._project(link) for link in list(seen.values())[:MOST_LINKS]]

    async def _project(self, link: LinkRow) -> Project:
        branch = link.branch or link.default_branch or None
        builds = await self._store.builds.of_pipeline(link.connection, link.pipeline, branch=branch, limit=RECENT)
        return Project(
            link=link,
            running=next((build for build in builds if not build.completed), None),
            last=next((build for build in builds if build.completed and build.conclusion not in NO_RESULT), None),
        )


def _not_found() -> Response:
    return PlainTextResponse("There is no such feed.", status_code=404, headers=HEADERS)


def _is_named(link: LinkRow, name: str) -> bool:
    names = (link.alias, link.name, link.path, link.pipeline, f"{link.connection}:{link.path}")
    return not name or any(same_name(name, each) for each in names)


def cctray_xml(projects: Sequence[Project]) -> bytes:
    """Return projects as CCTray's XML; builds that never ended have no last result."""
    root = ET.Element("Projects")
    for project in projects:
        last, running = project.last, project.running
        shown = last or running
        activity = "Building" if running is not None and running.status is Status.IN_PROGRESS else "Sleeping"
        ET.SubElement(
            root,
            "Project",
            {
                "name": visible(project.name),
                "activity": activity,
                "lastBuildStatus": _cctray_status(last),
                "lastBuildLabel": visible(_number(last)),
                "lastBuildTime": last.completed_at.isoformat() if last is not None and last.completed_at else "",
                "webUrl": visible((shown.web_url if shown is not None else None) or ""),
            },
        )
    drawn: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return drawn


def _cctray_status(build: Build | None) -> str:
    if build is None or build.conclusion is None:
        return "Unknown"
    if build.conclusion is Conclusion.PASSED:
        return "Success"
    return "Failure" if build.conclusion.is_red else "Unknown"


def _number(build: Build | None) -> str:
    if build is None:
        return ""
    return build.label or (str(build.number) if build.number is not None else build.id)


def _as_json(project: Project) -> dict[str, object]:
    last, running = project.last, project.running
    return {
        "name": project.link.alias or project.link.name,
        "connection": project.link.connection,
        "pipeline": project.link.path,
        "branch": project.branch,
        "state": project.state,
        "build": _number(last),
        "commit": last.commit if last is not None else None,
        "url": last.web_url if last is not None else None,
        "finished_at": last.completed_at.isoformat() if last is not None and last.completed_at else None,
        "seconds": last.seconds if last is not None else None,
        "running": _number(running) or None,
    }


def badge_svg(project: Project) -> str:
    """Return a badge: the pipeline's name, and its state in words and colour."""
    last = project.last
    label, state = visible(project.link.alias or project.link.name)[:60], project.state
    colour = GREY
    if last is not None and last.conclusion is not None:
        colour = COLOURS.get(last.conclusion, GREY)
    elif project.running is not None:
        state, colour = "running", BLUE
    left, right = 7 * len(label) + 14, 7 * len(state) + 14
    text = 'fill="#fff" font-family="Verdana,sans-serif" font-size="11" text-anchor="middle"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img">'
        f"<title>{escaped(label)}: {escaped(state)}</title>"
        f'<rect width="{left}" height="20" fill="#555"/>'
        f'<rect x="{left}" width="{right}" height="20" fill="{colour}"/>'
        f'<text x="{left / 2:g}" y="14" {text}>{escaped(label)}</text>'
        f'<text x="{left + right / 2:g}" y="14" {text}>{escaped(state)}</text></svg>'
    )


def calendar(rows: Sequence[ScheduleRow], now: datetime) -> str:
    """Return the next ten runs of each schedule as a calendar. One whose rule can't be read is left out."""
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Buildbell//Schedules//EN"]
    for row in rows:
        try:
            runs = upcoming(parse_rule(row.cron), zone_of(row.tz), now, RUNS)
        except UsageError:
            continue
        for run in runs:
            lines += [
                "BEGIN:VEVENT",
                f"UID:schedule-{row.id}-{_instant(run)}@buildbell",
                f"DTSTAMP:{_instant(now)}",
                f"DTSTART:{_instant(run)}",
                f"DTEND:{_instant(run + timedelta(minutes=15))}",
                f"SUMMARY:{_ics(redact(row.command))}",
                f"DESCRIPTION:{_ics(f'{row.words} ({row.tz})')}",
                "TRANSP:TRANSPARENT",
                "END:VEVENT",
            ]
    lines.append("END:VCALENDAR")
    return "".join(f"{_wrapped(line)}\r\n" for line in lines)


def _instant(at: datetime) -> str:
    return f"{at.astimezone(zone_of('UTC')):%Y%m%dT%H%M%SZ}"


def _ics(text: str) -> str:
    flat = visible(text).replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,")
    return flat.replace("\r", "").replace("\n", "\\n")


def _wrapped(line: str) -> str:
    """Return a line in pieces of at most 75 bytes; no character is cut in two."""
    pieces, piece, size = [], "", 0
    for char in line:
        width = len(char.encode())
        if size + width > LINE_BYTES:
            pieces.append(piece)
            piece, size = "", 0
        piece, size = piece + char, size + width
    return "\r\n ".join([*pieces, piece])
