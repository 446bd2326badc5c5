"""What else GitHub reports of a run, by a plain name."""

from bot.providers.base.details import plain_details
from bot.providers.base.times import parse_time
from bot.providers.github_actions import wire


def build_details(run: wire.Run) -> dict[str, str]:
    """Return the rest of a run: its title and event, who caused it first, the commit's time, the workflows it calls."""
    commit = run.head_commit
    committer = commit.committer if commit else None
    first = run.actor.login if run.actor else None
    again = run.triggering_actor.login if run.triggering_actor else None
    head = run.head_repository.full_name if run.head_repository else None
    return plain_details(
        {
            "title": run.display_title,
            "event": run.event,
            "first started by": first if first != again else None,
            "from repository": head if run.repository is None or head != run.repository.full_name else None,
            "committed": parse_time(commit.timestamp) if commit else None,
            "committer": committer.name if committer else None,
            "calls workflows": tuple(
                f"{called.path} ({called.sha[:7]})" if called.path and called.sha else called.path
                for called in run.referenced_workflows or ()
            ),
        }
    )
