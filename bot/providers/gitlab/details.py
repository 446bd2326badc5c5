"""What else GitLab reports of a build, by a plain name."""

from bot.providers.base.details import plain_details, seconds
from bot.providers.base.times import parse_time
from bot.providers.gitlab import wire

NO_COMMIT = "0" * 40


def build_details(raw: wire.PipelineRun) -> dict[str, str]:
    """Return the rest of a pipeline of v4: its own word, coverage, the times that GitLab counts, what was pushed upon."""
    before = raw.before_sha if raw.before_sha != NO_COMMIT else None
    return plain_details(
        {
            "in GitLab's words": raw.detailed_status.label if raw.detailed_status else None,
            "coverage": f"{raw.coverage} %" if raw.coverage not in {None, ""} else None,
            "source": raw.source,
            "starter's name": raw.user.name if raw.user and raw.user.username else None,
            "commit before": before[:8] if before else None,
            "committed": parse_time(raw.committed_at),
            "ran by GitLab's count": seconds(raw.duration),
            "queued by GitLab's count": seconds(raw.queued_duration),
            "errors of the configuration": raw.yaml_errors,
        }
    )


def old_details(raw: wire.OldBuild) -> dict[str, str]:
    """Return the rest of a build of v3: its stage, coverage, runner, file, who started it."""
    runner = (raw.runner.description or raw.runner.name) if raw.runner else None
    file, commit = raw.artifacts_file, raw.commit
    subject = (commit.message or "").strip().splitlines()[:1] if commit else []
    return plain_details(
        {
            "stage": raw.stage,
            "starter's name": raw.user.name if raw.user and raw.user.username else None,
            "artifacts": f"{file.filename} ({file.size:,} bytes)"
            if file and file.size
            else file.filename
            if file
            else None,
            "coverage": None if raw.coverage is None else f"{raw.coverage:g} %",
            "runner": runner,
            "title of the commit": commit.title if commit and [commit.title] != subject else None,
            "committed": parse_time(commit.created_at) if commit else None,
            "erased": parse_time(raw.erased_at),
        }
    )
