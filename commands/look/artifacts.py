"""The files a build left: /build artifacts [target] [pattern] [--upload]."""

import re
from dataclasses import dataclass

from bot.blocks.artifacts import artifacts_message
from bot.core.errors import NotFound, UsageError
from bot.core.models import Artifact
from bot.core.text import fits_glob
from bot.providers.base.capabilities import Capability
from commands.core.actions import must_be_able, noted
from commands.core.context import Answer, Command, File, Request, Role, Services
from commands.core.grammar import ParsedArgs, Target, read
from commands.core.resolve import BuildMatch, build

USAGE = "artifacts [target] [pattern] [--upload]"
UPLOAD_BYTES = 50 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Artifacts:
    """Which build's files, which of them."""

    target: Target
    pattern: str
    ask: ParsedArgs


def parse(words: str) -> Artifacts:
    """Read the words after `artifacts`. Raises UsageError."""
    ask = read(words, switches=("upload", "public"))
    if len(ask.words) > 2:
        raise UsageError("I take one target and one pattern.", usage=USAGE)
    first = ask.words[0] if ask.words else ""
    looks_like_a_file = (
        len(ask.words) == 1 and ("*" in first or re.search(r"\.[A-Za-z0-9]{1,5}$", first)) and "://" not in first
    )
    if looks_like_a_file:
        return Artifacts(target=ask.target(99), pattern=first, ask=ask)
    return Artifacts(target=ask.target(), pattern=ask.words[1] if len(ask.words) > 1 else "", ask=ask)


async def run(ask: Artifacts, request: Request, services: Services) -> Answer:
    """Return names and sizes, or put one file (at most 50 MiB) into the channel."""
    found = await build(ask.target, request, services, acting=False, verb="artifacts")
    must_be_able(found.place, Capability.ARTIFACTS, found.build)
    files = await found.provider.artifacts(found.build.pipeline, found.build.id)
    glob = ask.pattern
    glob = glob if any(c in glob for c in "*?[") else f"*{glob}*"
    fits = tuple(file for file in files if fits_glob(file.name, glob))
    if ask.ask.has("upload"):
        return await _upload(fits, ask, found)
    return Answer(
        message=noted(artifacts_message(fits, build=found.build, label=found.place.label), found.place),
        public=ask.ask.has("public"),
        connection=found.place.connection,
        pipeline=found.place.pipeline,
        build=found.build.id,
    )


async def _upload(fits: tuple[Artifact, ...], ask: Artifacts, found: BuildMatch) -> Answer:
    must_be_able(found.place, Capability.DOWNLOAD, found.build)
    if len(fits) != 1:
        raise UsageError(
            f"`{ask.pattern}` fits {len(fits)} files; I upload one at a time.",
            hint=f"Name one of: {', '.join(f'`{file.name}`' for file in fits[:10])}." if fits else None,
        )
    file = fits[0]
    limit = f"{UPLOAD_BYTES // 1024**2} MiB"
    if file.size_bytes is not None and file.size_bytes > UPLOAD_BYTES:
        raise UsageError(f"{file.name} is larger than {limit}.", hint=found.build.web_url)
    content = bytearray()
    async for chunk in found.provider.download(file):
        content += chunk
        if len(content) > UPLOAD_BYTES:
            raise UsageError(f"{file.name} is larger than {limit}.", hint=found.build.web_url)
    if not content:
        raise NotFound(f"{file.name} is empty.", provider=found.provider.label)
    name = file.name.replace("\\", "/").rsplit("/", 1)[-1]
    return Answer(
        file=File(name=name, content=bytes(content), title=f"{name} · {found.place.label}"),
        connection=found.place.connection,
        pipeline=found.place.pipeline,
        build=found.build.id,
    )


COMMAND = Command(
    verb="artifacts",
    usage=USAGE,
    summary="Files of a build",
    role=Role.VIEW,
    group="Look",
    parse=parse,
    run=run,
    aliases=("art",),
    flags=(
        ("--upload", "put the one file that fits into the channel, at most 50 MiB"),
        ("--public", "show the list to the channel"),
    ),
    examples=("artifacts", "artifacts #412 *.ipa", "artifacts web#last report.html --upload"),
    inferred="the last build",
)
