"""The files a build left."""

from collections.abc import Sequence

from bot.blocks.lines import called
from bot.blocks.message import Message, actions, link_button, section, sections
from bot.blocks.text import (
    DOT,
    clean_url,
    code,
    link,
    plural,
    safe,
)
from bot.core.models import (
    Artifact,
    Build,
)

MOST = 50
_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def artifacts_message(
    artifacts: Sequence[Artifact], *, build: Build, label: str, none: str = "This build has none."
) -> Message:
    """Return the files a build left, with sizes; a link only where a browser may open it. `none` stands for no files."""
    title = f"Artifacts of {safe(called(build, label), 120)}"
    lines = [_artifact_line(artifact) for artifact in artifacts[:MOST]]
    if len(artifacts) > MOST:
        lines.append(f"… {len(artifacts) - MOST} more")
    return Message(
        text=f"{title}: {plural(len(artifacts), 'file')}",
        blocks=(
            section(f"*{title}*{DOT}{plural(len(artifacts), 'file')}"),
            *sections(lines or [none]),
            actions(link_button("Open", build.web_url)),
        ),
    )


def _artifact_line(artifact: Artifact) -> str:
    name = link(artifact.url, artifact.name, 150) if clean_url(artifact.url) else code(artifact.name, 150)
    size = size_words(artifact.size_bytes) if artifact.size_bytes is not None else ""
    kind = safe(artifact.kind, 40) if artifact.kind else ""
    return "• " + DOT.join(part for part in (name, size, kind, safe(artifact.job, 60) if artifact.job else "") if part)


def size_words(size_bytes: int) -> str:
    """Return a size as people read it: `512 bytes`, `3.4 MB`."""
    if size_bytes < 1000:
        return plural(size_bytes, "byte")
    size = float(size_bytes)
    position = 0
    while size >= 999.95 and position < len(_UNITS) - 1:
        size /= 1000
        position += 1
    return f"{size:.1f} {_UNITS[position]}"
