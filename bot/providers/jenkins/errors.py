"""What Jenkins refuses and why: it answers refusals with web pages, whose words are read."""

import re
from collections.abc import Mapping
from dataclasses import replace

import httpx
import msgspec

from bot.core.errors import AuthFailed, ProviderError, Rejected, Unavailable
from bot.http.errors import message_of
from bot.http.reply import Reply
from bot.providers.base.capabilities import Capability
from bot.providers.jenkins.wire import html_text

LABEL = "Jenkins"
CANNOT = frozenset(
    {
        Capability.RETRY_ALL,
        Capability.ERASE,
        Capability.ERASE_JOB,
        Capability.PIPELINE_ADMIN,
        Capability.COMMITS,
        Capability.UPLOADS,
    }
)
"""What Jenkins cannot do, or what is not done through its API here."""
REFUSALS: Mapping[Capability, tuple[str, str]] = {
    Capability.RETRY_ALL: (
        "Jenkins can't run a build again under the same number.",
        "`rebuild` builds everything again, as a new build.",
    ),
    Capability.RETRY_FAILED: (
        "Jenkins can go on from a failed stage only in a finished declarative pipeline.",
        "`rebuild` builds everything again, as a new build.",
    ),
    Capability.RETRY_JOB: (
        "Jenkins can start from a stage only in a finished declarative pipeline.",
        "`rebuild` builds everything again, as a new build.",
    ),
    Capability.ERASE: ("Jenkins can only delete a whole build, and I don't do that.", "Delete it on its page."),
    Capability.ERASE_JOB: ("Jenkins deletes no log of a single stage.", "Delete the whole build on its page."),
    Capability.PIPELINE_ADMIN: ("Jenkins' jobs are managed on their own pages.", "Open the job's configuration."),
}

_HEADING = re.compile(r"<(h1|h2|title|p)\b[^<>]*+>(.{0,1000}?)</\1>", re.IGNORECASE | re.DOTALL)
_HTTP_ERROR = re.compile(r"^(?:HTTP )?ERROR \d{3}\s*", re.IGNORECASE)
_EMPTY_WORDS = frozenset({"", "error", "access denied", "oops!", "jenkins", "error jenkins", "error [jenkins]"})


class NoCrumb(AuthFailed):
    """Jenkins wants a crumb; nothing was done."""


def data(reply: Reply) -> msgspec.Raw:
    """Return the body. A page where data should be is a sign-in page before the server. Raises AuthFailed."""
    if reply.is_page:
        raise signed_out(reply.status)
    return reply.raw


def signed_out(status: int) -> AuthFailed:
    """Return the error for a sign-in page in place of an answer."""
    return AuthFailed(
        f"{LABEL} showed me a page to sign in instead of answering.",
        provider=LABEL,
        status=status,
        hint="Check `user` and `token`, and whether a sign-on stands before the server's API.",
    )


def map_error(reply: Reply) -> ProviderError | None:
    """Return an error with the words of the web page that Jenkins answers a refusal with."""
    reason = _reason(reply)
    tail = f": {reason}" if reason else "."
    match reply.status:
        case 403 if reason is not None and "crumb" in reason.lower():
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
        case 409 if reason is None:
            return Rejected("That job is disabled or can't be built.", provider=LABEL, status=409)
        case 400 | 409 | 422:
            return Rejected(f"{LABEL} refused{tail}", provider=LABEL, status=reply.status)
        case 503 if reason is not None and "ready" in reason.lower():
            return Unavailable(f"{LABEL} is starting up.", provider=LABEL, status=503)
        case _:
            return None


def _reason(reply: Reply) -> str | None:
    """Return why a refusal was made, also where a web page says so; never what the request carried."""
    is_page = reply.is_page or reply.text.lstrip().startswith("<")
    words = page_words(reply.text) if is_page else None
    if words is None:
        return message_of(reply)
    return message_of(replace(reply, content=words.encode(), headers=httpx.Headers()))


def page_words(text: str) -> str | None:
    """Return what an error page says: the first heading, title or paragraph that is more than "Error"."""
    for _tag, inside in _HEADING.findall(text[:20_000]):
        words = _HTTP_ERROR.sub("", html_text(inside))
        if words.lower() not in _EMPTY_WORDS:
            return words[:300]
    return None
