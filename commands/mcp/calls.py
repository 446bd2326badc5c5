"""A call of a tool: whose token it carries, the command it runs, and its answer as text. Knows nothing of the protocol."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from bot.blocks.plain import as_text
from bot.blocks.text import cut
from bot.core.errors import BotError, NotAllowed, UsageError
from bot.core.models import BuildKey, spoken
from bot.security.redaction import redact
from bot.store.rows import PersonalTokenRow
from bot.store.states import TokenScope
from commands.core.context import Answer, Context, Services, Source
from commands.core.executor import Handled, Outcome, execute
from commands.mcp.tools import CHANNEL, CONFIRM, TOOLS, Tool
from commands.setup.personal_tokens import digest_of, end_of

MOST_CHARACTERS = 30_000
_CHANNEL = re.compile(r"[CGD][A-Z0-9]{5,30}")

Deliver = Callable[[Context, Answer], Awaitable[None]]
"""Shows an answer in Slack."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a tool answers. `outcome` is the word of the audit row; a question counts as an error: nothing was done."""

    text: str
    outcome: Outcome
    connection: str = ""
    pipeline: str = ""
    build: str = ""

    @property
    def is_error(self) -> bool:
        """Whether the program did not get what it asked for."""
        return self.outcome is not Outcome.OK

    def fields(self) -> dict[str, str]:
        """Return what the result holds beside its text."""
        about = {"connection": self.connection, "pipeline": self.pipeline, "build": self.build}
        return {"outcome": self.outcome.value} | {name: value for name, value in about.items() if value}


class Calls:
    """Runs tools through the executor, with the rights and in the name of the token's owner."""

    def __init__(self, services: Services, deliver: Deliver) -> None:
        self._services = services
        self._deliver = deliver

    async def owner(self, secret: str) -> PersonalTokenRow | None:
        """Return the token of a secret; None where there is none, it was revoked or has ended, or its owner is deactivated."""
        token = await self._services.store.personal_tokens.of_digest(digest_of(secret)) if secret else None
        if (
            token is None
            or end_of(token) <= self._services.clock()
            or (await self._services.people.standing(token.team, token.user)).is_deactivated
        ):
            return None
        return token

    async def call(self, name: str, arguments: Mapping[str, object], token: PersonalTokenRow) -> Result:
        """Run a tool. Never raises: what is wrong is in the result."""
        try:
            tool = _tool(name)
            line = tool.line(arguments)
            context = await self._context(arguments, token)
        except BotError as exc:
            outcome = Outcome.REFUSED if isinstance(exc, NotAllowed | UsageError) else Outcome.FAILED
            return Result(text=f"{exc} {exc.hint or ''}".strip(), outcome=outcome)
        await self._services.store.personal_tokens.use(token, context.now)
        handled = await execute(line, context)
        answer = handled.answer
        if answer.public and handled.outcome is Outcome.OK:
            await self._deliver(context, answer)
        return await self._result(tool, handled, context, is_dry=arguments.get("dry_run") is True)

    async def _context(self, arguments: Mapping[str, object], token: PersonalTokenRow) -> Context:
        """Return the person's context. Raises UsageError for what is no channel, NotAllowed for one they are not in."""
        channel = arguments.get(CHANNEL) or ""
        if channel and (not isinstance(channel, str) or not _CHANNEL.fullmatch(channel)):
            raise UsageError("`channel` takes a Slack channel's id, such as C0123456789.")
        context = Context(
            services=self._services,
            team=token.team,
            channel="",
            user=token.user,
            now=self._services.clock(),
            enterprise=token.enterprise,
            is_enterprise_install=token.is_enterprise_install,
            source=Source.MCP,
            may_act=token.scope is TokenScope.ACT,
        )
        if channel and not await self._services.people.is_member(token.team, str(channel), token.user):
            raise NotAllowed("You are not known to be in that channel. Nothing was done.")
        return replace(context, channel=str(channel))

    async def _result(self, tool: Tool, handled: Handled, context: Context, *, is_dry: bool) -> Result:
        answer = handled.answer
        outcome = handled.outcome
        is_question = (answer.is_question and not is_dry) or answer.form is not None
        if outcome is Outcome.OK and is_question:
            outcome = Outcome.ASKED
        parts: list[str] = []
        if answer.message is not None:
            parts.append(as_text(answer.message.payload(), command=context.command))
        if answer.file is not None:
            parts.append(redact(answer.file.content.decode(errors="replace")))
        if outcome is Outcome.OK and answer.build and not parts:
            parts.append(await self._acted_on(answer, context))
        if outcome is Outcome.ASKED:
            how = (
                f"Call it again with `{CONFIRM}` if the person agrees, or name what is meant."
                if tool.confirmable
                else "Name what is meant."
            )
            parts.insert(0, f"Nothing was done yet. {how}")
        text = "\n".join(parts) or ("Done." if outcome is Outcome.OK else "Nothing was done.")
        return Result(
            text=str(cut(text, MOST_CHARACTERS)),
            outcome=outcome,
            connection=answer.connection,
            pipeline=answer.pipeline,
            build=answer.build,
        )

    async def _acted_on(self, answer: Answer, context: Context) -> str:
        """Return what an act did that Slack shows by a card: the build, as just recorded."""
        key = BuildKey(connection=answer.connection, pipeline=answer.pipeline, id=answer.build)
        stored = await context.store.builds.get(key)
        if stored is None:
            return "Done."
        build, _row = stored
        words = spoken(build.connection, build.pipeline, number=build.number)
        return f"Done: {words} {build.web_url or ''}".strip()


def _tool(name: str) -> Tool:
    for tool in TOOLS:
        if tool.name == name:
            return tool
    raise UsageError(f"There is no tool called `{name}`.")
