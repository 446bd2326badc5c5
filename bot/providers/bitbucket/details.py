"""What else Bitbucket reports of a run, by a plain name."""

from bot.providers.base.details import plain_details, seconds
from bot.providers.base.times import parse_time
from bot.providers.bitbucket import wire


def build_details(run: wire.PipelineRun) -> dict[str, str]:
    """Return the rest of a run: minutes charged, its own times, where its definition came from. No variables: secrets."""
    target = run.target
    into = target.destination_commit if target else None
    return plain_details(
        {
            "build time charged": seconds(run.build_seconds_used),
            "duration by Bitbucket": seconds(run.duration_in_seconds),
            "this run made": parse_time(run.run_creation_date),
            "definition from": tuple(source.source for source in run.configuration_sources or ()),
            "has variables": run.has_variables,
            "expired": run.expired,
            "target commit": into.hash[:8] if into and into.hash else None,
            "trigger's name": run.trigger.name if run.trigger else None,
        }
    )
