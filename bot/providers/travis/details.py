"""What else Travis CI reports of a build, by a plain name."""

from bot.providers.base.details import plain_details, seconds
from bot.providers.base.times import parse_time
from bot.providers.travis import wire


def build_details(raw: wire.Build) -> dict[str, str]:
    """Return the rest of a build: the state before, its stages, the pull request's title, the commit's time and page."""
    commit, creator = raw.commit, raw.created_by
    return plain_details(
        {
            "state before": raw.previous_state,
            "title of the pull request": raw.pull_request_title,
            "stages": tuple(f"{stage.name} {stage.state or ''}".strip() for stage in raw.stages or () if stage.name),
            "starter's name": creator.name if creator and creator.login else None,
            "ran by Travis CI's count": seconds(raw.duration),
            "committed": parse_time(commit.committed_at) if commit else None,
            "git ref": commit.ref if commit else None,
            "changes": commit.compare_url if commit else None,
            "private": raw.private,
            "priority": raw.priority,
        }
    )
