"""What Apple's refusals and rate-limit headers mean, and refusals of our own.

Facts: "Parsing the Error Response Code" and "Identifying Rate Limits", checked 2026-11. Codes are dotted from general to
specific, so prefixes count. A 429 comes while hourly quota is left, too: there is a shorter window that is not reported.
"""

import re
from datetime import datetime
from email.utils import parsedate_to_datetime

import httpx

from bot.core.errors import AuthFailed, NotFound, ProviderError, RateLimited, UnexpectedResponse
from bot.core.models import Build
from bot.http.errors import message_of
from bot.http.quota import Quota
from bot.http.reply import Reply
from bot.providers.xcode_cloud.auth import refusal_hint
from bot.providers.xcode_cloud.convert import Workflow
from bot.providers.xcode_cloud.options import LABEL
from bot.providers.xcode_cloud.wire import ApiError, ApiErrors

BURST_SECONDS = 5.0
HOUR_SPENT_SECONDS = 300.0

_AGREEMENTS = "FORBIDDEN.REQUIRED_AGREEMENTS_MISSING_OR_EXPIRED"
_RATE_LIMIT = re.compile(r"user-hour-(lim|rem):(\d{1,9})(?:;|$)")


def map_error(reply: Reply) -> ProviderError | None:
    """Return an error where Apple's own codes say more than the status."""
    codes = [error.code for error in _errors(reply)]
    message = message_of(reply)
    tail = f" Apple says: {message}." if message else ""
    match reply.status:
        case 401:
            return AuthFailed(
                f"Apple refused the credentials.{tail}",
                provider=LABEL,
                status=401,
                hint=refusal_hint(
                    reply.secrets, path=httpx.URL(reply.url).path, server_time=_server_time(reply.headers)
                ),
            )
        case 403 if any(code.startswith(_AGREEMENTS) for code in codes):
            return AuthFailed(
                "Apple answers nothing until an agreement is signed: one is new or has expired.",
                provider=LABEL,
                status=403,
                hint="The Account Holder signs it in App Store Connect under Business.",
            )
        case 403:
            return AuthFailed(
                f"Apple does not let this key do that.{tail}",
                provider=LABEL,
                status=403,
                hint="The key's role is too small. An Admin key can start builds and change workflows.",
            )
        case 429 if "retry-after" not in reply.headers:
            quota = _quota(reply.headers)
            spent = quota is not None and quota.remaining <= 0
            return RateLimited(
                "Apple asks me to slow down.",
                provider=LABEL,
                status=429,
                retry_after=HOUR_SPENT_SECONDS if spent else BURST_SECONDS,
            )
        case _:
            return None


def _server_time(headers: httpx.Headers) -> datetime | None:
    """Return when Apple answered, by its own clock."""
    try:
        return parsedate_to_datetime(headers.get("date", ""))
    except ValueError:
        return None


def of_another_workflow(build: Build, workflow: Workflow) -> NotFound:
    """Return the error for a number, counted per product, that is a build of another workflow than the one named."""
    product, other = workflow.product.name, build.workflow or build.pipeline
    return NotFound(
        f"{product} #{build.number} is a build of {other}, not of {workflow.name}.",
        provider=LABEL,
        hint=f"Numbers count per product. Write `{product}/{other}#{build.number}`.",
    )


def no_such_number(number: int, workflow: Workflow) -> NotFound:
    """Return the error for a number that is not among the newest builds of a workflow's product."""
    return NotFound(f"There is no build #{number} in {workflow.product.name}, or it is very old.", provider=LABEL)


def read_quota(headers: httpx.Headers, _now: datetime) -> Quota | None:
    """Return what is left of the rolling hour; when it refills is not reported."""
    return _quota(headers)


def _quota(headers: httpx.Headers) -> Quota | None:
    parts = dict(_RATE_LIMIT.findall(headers.get("x-rate-limit", "").replace(" ", "")))
    if parts.keys() != {"lim", "rem"}:
        return None
    return Quota(limit=int(parts["lim"]), remaining=int(parts["rem"]))


def _errors(reply: Reply) -> tuple[ApiError, ...]:
    try:
        return ApiErrors.of(reply.raw).errors
    except UnexpectedResponse:
        return ()
