"""The files a build left: /build artifacts [target] [pattern] [--job NAME] [--upload]."""

import re
import shlex
from dataclasses import dataclass, replace

from bot.blocks.artifacts import artifacts_message, size_words
from bot.core.errors import Ambiguous, NotFound, ProviderError, UsageError
from bot.core.models import Artifact
from bot.core.text import fits_glob, holds_name
from bot.providers.base.capabilities import Capability
from commands.core.actions import must_be_able, noted
from commands.core.context import Answer, Context, File, Role
from commands.core.grammar import Target, read, unexpected
from commands.core.matches import BuildMatch
from commands.core.registry import Command, anyone
from commands.core.resolve import resolve_build

USAGE = "artifacts [target] [pattern] [--job NAME] [--upload]"
UPLOAD_BYTES = 50 * 1024 * 1024
_FILE = re.compile(r"\.[A-Za-z0-9]{1,5}$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """Which build's files, which of them. Two files of one name are distinguished by their job, or by `id`."""

    target: Target
    pattern: str = ""
    job: str = ""
    file_id: str = ""
    upload: bool = False
    public: bool = False


def parse(words: str) -> Args:
    """Read the words after `artifacts`. Raises UsageError."""
    parsed = read(words, values=("job", "file"), switches=("upload", "public"))
    if len(parsed.words) > 2:
        raise unexpected(parsed.words[2], "", USAGE)
    first = parsed.words[0] if parsed.words else ""
    is_file = (
        len(parsed.words) == 1 and ("*" in first or _FILE.search(first)) and "://" not in first and "#" not in first
    )
    pattern = first if is_file else parsed.words[1] if len(parsed.words) > 1 else ""
    return Args(
        target=parsed.target(len(parsed.words) if is_file else 0),
        pattern=pattern,
        job=parsed.flag("job") or "",
        file_id=parsed.flag("file") or "",
        upload=parsed.has("upload"),
        public=parsed.public,
    )


async def resolve(args: Args, context: Context) -> BuildMatch:
    """Return the build named, else the last one."""
    match = await resolve_build(args.target, context, acting=False, verb="artifacts")
    must_be_able(match.pipeline, Capability.ARTIFACTS, match.build)
    return match


async def run(args: Args, match: BuildMatch, _context: Context) -> Answer:
    """Return names and sizes, or put one file (at most 50 MiB) into the channel."""
    files = await _with_job_names(await match.provider.artifacts(match.build.pipeline, match.build.id), match)
    fits = tuple(file for file in files if _fits(file, args))
    if args.upload:
        return Answer(file=await _chosen(fits, args, match))
    none = "This build has none." if not files else "None of its files fits."
    message = artifacts_message(fits, build=match.build, label=match.pipeline.name, none=none)
    return Answer(message=noted(message, match.pipeline), public=args.public)


def _fits(file: Artifact, args: Args) -> bool:
    if args.file_id and file.id != args.file_id:
        return False
    if args.job and not holds_name(file.job, args.job):
        return False
    glob = args.pattern if any(sign in args.pattern for sign in "*?[") else f"*{args.pattern}*"
    return fits_glob(file.name, glob)


async def _with_job_names(files: tuple[Artifact, ...], match: BuildMatch) -> tuple[Artifact, ...]:
    """Return the files with their jobs by name where the provider gives ids (a request where it does)."""
    if not match.provider.can(Capability.JOBS) or not any(file.job for file in files):
        return files
    try:
        jobs = await match.provider.jobs(match.build.pipeline, match.build.id)
    except ProviderError:
        return files
    names = {job.id: job.name for job in jobs}
    return tuple(replace(file, job=names.get(file.job or "", file.job)) for file in files)


async def _chosen(fits: tuple[Artifact, ...], args: Args, match: BuildMatch) -> File:
    """Return the one file that fits, with its content. Raises Ambiguous for several, NotFound for none."""
    must_be_able(match.pipeline, Capability.DOWNLOAD, match.build)
    if not fits:
        fitting = f" like `{args.pattern}`" if args.pattern else ""
        raise NotFound(f"{match.name} has no file{fitting}.", provider=match.provider.label)
    if len(fits) > 1:
        raise Ambiguous(
            f"Which of {len(fits)} files?",
            choices=tuple(
                (_label(file), f"artifacts {match.spoken} --upload --file={shlex.quote(file.id)}")
                for file in fits[:100]
            ),
            hint="Name one, or its job: `--job NAME`.",
        )
    file = fits[0]
    limit = f"{UPLOAD_BYTES // 1024**2} MiB"
    if file.size_bytes is not None and file.size_bytes > UPLOAD_BYTES:
        raise UsageError(f"{file.name} is larger than {limit}.", hint=match.build.web_url)
    content = bytearray()
    async for chunk in match.provider.download(file):
        content += chunk
        if len(content) > UPLOAD_BYTES:
            raise UsageError(f"{file.name} is larger than {limit}.", hint=match.build.web_url)
    if not content:
        raise NotFound(f"{file.name} is empty.", provider=match.provider.label)
    name = file.name.replace("\\", "/").rsplit("/", 1)[-1]
    return File(name=name, content=bytes(content), title=f"{name} · {match.pipeline.name}")


def _label(file: Artifact) -> str:
    size = size_words(file.size_bytes) if file.size_bytes is not None else ""
    return " · ".join(part for part in (file.name, file.job or "", size) if part)


COMMAND = Command(
    verb="artifacts",
    names_target=True,
    usage=USAGE,
    summary="Files of a build",
    role=Role.VIEW,
    group="Look",
    parse=parse,
    resolve=resolve,
    authorize=anyone,
    run=run,
    aliases=("art",),
    flags=(
        ("--job NAME", "only files of this job: for several of one name"),
        ("--upload", "put the one file that fits into the channel, at most 50 MiB"),
        ("--public", "show the list to the channel"),
    ),
    examples=("artifacts", "artifacts #412 *.ipa", "artifacts web#last report.html --upload"),
    inferred="the last build",
)
