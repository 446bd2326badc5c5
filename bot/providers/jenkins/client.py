"""Asking one Jenkins server: JSON by `tree`, what acts by POST, refusals read from web pages."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

import httpx
import msgspec

from bot.core.errors import AuthFailed, NotFound, ProviderError, Rejected, Unavailable
from bot.http.client import Api, Query, Reply, message_of
from bot.providers.jenkins import wire
from bot.providers.jenkins.convert import Around, is_branch_job, plain
from bot.providers.jenkins.urls import LABEL, build_path, job_path

K = TypeVar("K")
V = TypeVar("V")

MOVED: Collection[int] = {302, 303}
REMEMBERED = 1000

_HEADING = re.compile(r"<(h1|h2|title|p)\b[^>]*>(.*?)</\1>", re.IGNORECASE | re.DOTALL)
_HTTP_ERROR = re.compile(r"^(?:HTTP )?ERROR \d{3}\s*", re.IGNORECASE)
_EMPTY_WORDS = frozenset({"", "error", "access denied", "oops!", "jenkins", "error jenkins", "error [jenkins]"})


class NoCrumb(AuthFailed):
    """Jenkins wants a crumb; nothing was done."""


class Server:
    """One server, as one user.

    `aliases` are the queue items that were shown before they had a number, with it; `branch_jobs` the jobs known to be
    branches of a multibranch project.
    """

    def __init__(self, api: Api, *, connection: str, user: str) -> None:
        self.api = api
        self.user = user
        self.aliases: dict[tuple[str, int], int | None] = {}
        self.branch_jobs: set[str] = set()
        self._connection = connection
        self._crumb: Mapping[str, str] = {}

    async def json(self, path: str, tree: str) -> msgspec.Raw:
        """Return what stands at a path ("" is the server), no more of it than `tree` says."""
        return data(await self.api.get(f"{path}/api/json" if path else "api/json", {"tree": tree}))

    async def job(self, full_name: str) -> wire.Item:
        """Return a job with its parameters, or a folder with what stands in it."""
        it = wire.Item.of(await self.json(job_path(full_name), wire.JOB))
        self.learn(full_name, it.property)
        return it

    def learn(self, full_name: str, properties: Iterable[wire.Property] | None) -> None:
        """Remember a job that is a branch: its builds are the branch's even before they checked anything out."""
        if is_branch_job(properties):
            self.branch_jobs.add(full_name)

    async def recorded(self, pipeline: str, number: str, what: str, tree: str) -> msgspec.Raw | None:
        """Return what a plugin recorded for a build, or None where it recorded nothing. Raises NotFound."""
        try:
            return await self.json(f"{build_path(pipeline, number)}/{what}", tree)
        except NotFound:
            await self.json(build_path(pipeline, number), "number")
            return None

    async def post(self, path: str, *, form: Mapping[str, str] | None = None, query: Query | None = None) -> Reply:
        """Send what acts. Where Jenkins wants a crumb nothing has happened yet, so it is sent again with one."""

        async def send() -> Reply:
            return await self.api.send("POST", path, form=form, query=query, headers=self._crumb, accept=MOVED)

        try:
            reply = await send()
        except NoCrumb as exc:
            self._crumb = await self._new_crumb(exc)
            reply = await send()
        target = reply.headers.get("location", "")
        if reply.status in MOVED and ("/login" in target or "/securityRealm/" in target):
            raise _signed_out(reply.status)
        return reply

    async def _new_crumb(self, cause: NoCrumb) -> Mapping[str, str]:
        """Return a crumb with the session it belongs to, as headers."""
        try:
            reply = await self.api.get("crumbIssuer/api/json")
            it = wire.Crumb.of(data(reply))
        except ProviderError:
            raise cause from None
        session = "; ".join(cookie.partition(";")[0] for cookie in reply.headers.get_list("set-cookie"))
        return {it.crumb_request_field: it.crumb, **({"Cookie": session} if session else {})}

    def page(self, full_name: str) -> str:
        """Return a job's page. Addresses in answers are made from another setting and may lead nowhere."""
        return f"{self.api.base_url}/{job_path(full_name)}/"

    def around(self, pipeline: str, queue_id: int | None = None) -> Around:
        """Return what readers have to know; a build that was shown before it had a number keeps that id."""
        alias = f"queue-{queue_id}" if queue_id is not None and (pipeline, queue_id) in self.aliases else None
        return Around(
            connection=self._connection,
            pipeline=pipeline,
            page=self.page(pipeline),
            user=self.user,
            alias=alias,
            is_branch="%" in pipeline.rpartition("/")[2] or pipeline in self.branch_jobs,
        )


def keep(known: dict[K, V], key: K, value: V) -> None:
    """Remember something, and forget the oldest where that makes too many."""
    known[key] = value
    if len(known) > REMEMBERED:
        del known[next(iter(known))]


def data(reply: Reply) -> msgspec.Raw:
    """Return the body. A page where data should be is a sign-in page before the server. Raises AuthFailed."""
    if reply.is_page:
        raise _signed_out(reply.status)
    return reply.raw


def _signed_out(status: int) -> AuthFailed:
    return AuthFailed(
        f"{LABEL} showed me a page to sign in instead of answering.",
        provider=LABEL,
        status=status,
        hint="Check `user` and `token`, and whether a sign-on stands before the server's API.",
    )


def map_error(reply: Reply) -> ProviderError | None:
    """Return an error in words: Jenkins answers refusals with web pages."""
    said = _said(reply)
    tail = f": {said}" if said else "."
    match reply.status:
        case 403 if said is not None and "crumb" in said.lower():
            return NoCrumb(
                f"{LABEL} wants a crumb, so this is a password and no API token.",
                provider=LABEL,
                status=403,
                hint="Make an API token for the user and set it as `token`; tokens need no crumbs.",
            )
        case 403:
            permission = reply.headers.get("x-required-permission")
            return AuthFailed(
                f"{LABEL} does not let this connection do that{tail}",
                provider=LABEL,
                status=403,
                hint=f"The user lacks {permission}." if permission else "The user's permissions are too small.",
            )
        case 409 if said is None:
            return Rejected("That job is disabled or can't be built.", provider=LABEL, status=409)
        case 400 | 409 | 422:
            return Rejected(f"{LABEL} refused{tail}", provider=LABEL, status=reply.status)
        case 503 if said is not None and "ready" in said.lower():
            return Unavailable(f"{LABEL} is starting up.", provider=LABEL, status=503)
        case _:
            return None


def _said(reply: Reply) -> str | None:
    """Return what a refusal says, also where it says so in a web page; never what the request carried."""
    is_page = reply.is_page or reply.text.lstrip().startswith("<")
    words = page_words(reply.text) if is_page else None
    if words is None:
        return message_of(reply)
    return message_of(replace(reply, content=words.encode(), headers=httpx.Headers()))


def page_words(text: str) -> str | None:
    """Return what an error page says: the first heading, title or paragraph that is more than "Error"."""
    for _tag, inside in _HEADING.findall(text[:20_000]):
        words = _HTTP_ERROR.sub("", plain(inside))
        if words.lower() not in _EMPTY_WORDS:
            return words[:300]
    return None
