"""What else CircleCI reports of a pipeline, by a plain name."""

from bot.providers.base.details import plain_details
from bot.providers.base.times import parse_time
from bot.providers.circleci import wire


def build_details(raw: wire.PipelineWire) -> dict[str, str]:
    """Return the rest of a pipeline: what triggered it and when, where its source is, the review's page."""
    trigger, vcs = raw.trigger, raw.vcs
    return plain_details(
        {
            "trigger's type": trigger.type if trigger else None,
            "trigger received": parse_time(trigger.received_at) if trigger else None,
            "set-up": raw.state,
            "host": vcs.provider_name if vcs else None,
            "review": vcs.review_url if vcs else None,
            "from repository": vcs.origin_repository_url
            if vcs and vcs.origin_repository_url != vcs.target_repository_url
            else None,
        }
    )
