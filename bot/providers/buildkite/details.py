"""What else Buildkite reports of a build and a job, by a plain name."""

from bot.providers.base.details import plain_details
from bot.providers.base.times import parse_time
from bot.providers.buildkite import wire


def build_details(raw: wire.BuildWire) -> dict[str, str]:
    """Return the rest of a build. Its variables and meta-data are left out: they may hold secrets."""
    origin, request, before = raw.triggered_from, raw.pull_request, raw.rebuilt_from
    of_trigger = origin.build_pipeline_slug if origin else None
    return plain_details(
        {
            "triggered by a step of": f"{of_trigger} #{origin.build_number}" if origin and of_trigger else None,
            "reason given for a cancel": raw.cancel_reason,
            "scheduled": parse_time(raw.scheduled_at),
            "failing since": parse_time(raw.failing_at),
            "source": raw.source,
            "creator's address": raw.creator.email if raw.creator and raw.creator.name else None,
            "pull request's repository": request.repository if request and request.id else None,
            "build id": raw.id,
            "id of the build before": before.id if before else None,
        }
    )


def job_details(raw: wire.JobWire) -> dict[str, str]:
    """Return the rest of a job: its command, its agent's host and version, how it ended, whose attempt it repeats."""
    source, agent = raw.retry_source, raw.agent
    return plain_details(
        {
            "scheduled": parse_time(raw.scheduled_at),
            "retry": (source.retry_type if source else None) or raw.retry_type,
            "retry of": source.job_id if source else None,
            "retries": str(raw.retries_count) if raw.retries_count else None,
            "exit status": None if raw.exit_status is None else str(raw.exit_status),
            "command": raw.command,
            "artifact paths": raw.artifact_paths,
            "asks for agents": tuple(raw.agent_query_rules or ()),
            "agent's host": agent.hostname if agent else None,
            "agent's version": agent.user_agent if agent else None,
            "agent's connection": agent.connection_state if agent else None,
            "queue": raw.cluster_queue_id,
        }
    )
