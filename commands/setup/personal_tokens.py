"""Personal tokens, by which a program acts as a person: `/build me token [new NAME [--act] | revoke NAME]`."""

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from bot.blocks.message import Block, Message, actions, button, section
from bot.blocks.message import context as small_print
from bot.blocks.text import code, escape, when
from bot.core.errors import UsageError
from bot.store.rows import NewPersonalToken, PersonalTokenRow
from bot.store.states import TokenScope
from commands.core.context import Context, Source

USAGE = "me token [new NAME [--act] | revoke NAME]"
COMMAND_WORDS = "me token"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
PREFIX = "bbp_"
SECRET_BYTES = 32
SHOWN_TO_ONE_PERSON = frozenset({Source.SLASH, Source.BUTTON, Source.MODAL})
"""Where an answer is seen by the person alone and is not kept: in a conversation a token would stay."""
LIFETIME = timedelta(days=180)
"""After that a token counts for nothing: a forgotten one is not good for ever."""
SCOPES = {TokenScope.READ: "reads only", TokenScope.ACT: "reads and acts"}


class TokenAct(StrEnum):
    """What to do with one's tokens."""

    LIST = "list"
    NEW = "new"
    REVOKE = "revoke"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """What to do with which token; `scope` is that of a new one."""

    act: TokenAct
    name: str = ""
    scope: TokenScope = TokenScope.READ

    @property
    def changes(self) -> bool:
        """Whether a token is made or revoked."""
        return self.act is not TokenAct.LIST

    @property
    def spoken(self) -> str:
        """Return the request as one would type it after `me`."""
        words = ["token", *([self.act.value, self.name] if self.changes else [])]
        return " ".join([*words, *(["--act"] if self.scope is TokenScope.ACT else [])])


def parse_request(words: list[str]) -> TokenRequest:
    """Read the words after `me token`. Raises UsageError."""
    may_act = "--act" in words
    match [word for word in words if word != "--act"]:
        case []:
            if may_act:
                raise UsageError("Which name shall the token have?", usage=USAGE)
            return TokenRequest(act=TokenAct.LIST)
        case ["new", name] if NAME.fullmatch(name):
            return TokenRequest(act=TokenAct.NEW, name=name, scope=TokenScope.ACT if may_act else TokenScope.READ)
        case ["revoke", name] if not may_act:
            return TokenRequest(act=TokenAct.REVOKE, name=name)
        case _:
            raise UsageError("A name is up to 40 letters, digits, `-`, `_` and `.`.", usage=USAGE)


def end_of(token: NewPersonalToken) -> datetime:
    """Return when a token ends."""
    return token.created_at + LIFETIME


def digest_of(secret: str) -> str:
    """Return what the store keeps of a token."""
    return hashlib.sha256(secret.encode()).hexdigest()


async def answer(request: TokenRequest, context: Context) -> Message:
    """Do what is requested and return what to show the person. Raises UsageError."""
    if not context.services.has_mcp:
        raise UsageError(
            "Tokens for programs are switched off.", hint="The operator can set `enabled = true` in `[mcp]`."
        )
    if context.source in {Source.MCP, Source.TERMINAL, Source.SCHEDULE}:
        raise UsageError("Tokens are made and revoked by people, in Slack.")
    match request.act:
        case TokenAct.NEW:
            return await _made(request, context)
        case TokenAct.REVOKE:
            if not await context.store.personal_tokens.remove(context.team, context.user, request.name):
                raise UsageError(f"You have no token called `{request.name}`.")
            line = f"The token {code(request.name)} is revoked. Programs that use it are refused from now on."
            return Message(text=line, blocks=(section(line),))
        case TokenAct.LIST:
            return _listed(await context.store.personal_tokens.of_user(context.team, context.user), context)


async def _made(request: TokenRequest, context: Context) -> Message:
    if context.source not in SHOWN_TO_ONE_PERSON:
        raise UsageError(
            "A token is shown once, to you alone, and this answer would stay in the conversation. No token was made.",
            hint=f"Type `{context.command} {COMMAND_WORDS} new {request.name}`, or press the button in my App Home.",
        )
    secret = f"{PREFIX}{secrets.token_hex(SECRET_BYTES)}"
    row = NewPersonalToken(
        team=context.team,
        user=context.user,
        enterprise=context.enterprise,
        is_enterprise_install=context.is_enterprise_install,
        name=request.name,
        scope=request.scope,
        digest=digest_of(secret),
        created_at=context.now,
    )
    if not await context.store.personal_tokens.add(row):
        raise UsageError(f"You have a token called `{request.name}` already.", hint="Revoke it, or take another name.")
    line = f"Your new token {code(request.name)} {SCOPES[request.scope]}. It ends {when(end_of(row))}. It is shown this once: copy it now."
    rights = "A program that holds it may do what you may do, and the audit log says so under your name."
    if context.services.public_url:
        rights += f" It connects to {escape(context.services.public_url)}/mcp"
    return Message(
        text=line,
        blocks=(
            section(line),
            section(f"```{secret}```"),
            small_print(rights),
            actions(button("Revoke it", f"{COMMAND_WORDS} revoke {request.name}", style="danger")),
        ),
    )


def _listed(tokens: list[PersonalTokenRow], context: Context) -> Message:
    blocks: list[Block] = [
        section("*Tokens for programs* that act as you" if tokens else "You have no tokens for programs.")
    ]
    for token in tokens:
        used = f"last used {when(token.used_at)}" if token.used_at else "never used"
        ends = f"{'ended' if end_of(token) <= context.now else 'ends'} {when(end_of(token))}"
        blocks += [
            section(
                f"{code(token.name)} · {SCOPES[token.scope]} · made {when(token.created_at)} · {ends} · {used}",
                accessory=button("Revoke", f"{COMMAND_WORDS} revoke {token.name}", style="danger"),
            )
        ]
    name = _free_name({token.name for token in tokens})
    blocks += [
        actions(
            button("New token that reads", f"{COMMAND_WORDS} new {name}"),
            button("New token that acts", f"{COMMAND_WORDS} new {name} --act"),
        )
    ]
    if context.services.public_url:
        blocks.append(small_print(f"Programs connect to {escape(context.services.public_url)}/mcp"))
    names = ", ".join(token.name for token in tokens)
    return Message(text=f"Your tokens: {names}" if tokens else "You have no tokens for programs.", blocks=tuple(blocks))


def _free_name(taken: set[str]) -> str:
    return next(name for number in range(1, len(taken) + 2) if (name := f"token-{number}") not in taken)
