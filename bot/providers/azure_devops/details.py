"""What else Azure DevOps reports of a build, by a plain name."""

from bot.providers.azure_devops import wire
from bot.providers.base.details import plain_details


def build_details(run: wire.BuildWire) -> dict[str, str]:
    """Return the rest of a build: its queue and pool, who asked for it, its tags, what started and what keeps it."""
    pool = run.queue.pool if run.queue else None
    asked_by, runs_for = run.requested_by, run.requested_for
    by_another = asked_by is not None and (runs_for is None or asked_by.id != runs_for.id)
    before = run.triggered_by_build
    about = {name: value for name, value in (run.trigger_info or {}).items() if isinstance(value, str)}
    return plain_details(
        {
            "queue": run.queue.name if run.queue else None,
            "pool": pool.name if pool else None,
            "hosted by Microsoft": pool.is_hosted if pool else None,
            "priority": run.priority if run.priority != "normal" else None,
            "tags": tuple(run.tags or ()),
            "folder": run.definition.path if run.definition and run.definition.path != "\\" else None,
            "project": run.project.name if run.project else None,
            "kind of repository": run.repository.type if run.repository else None,
            "starter's address": runs_for.unique_name if runs_for else None,
            "asked for by": asked_by.display_name if asked_by and by_another else None,
            "last changed by": run.last_changed_by.display_name if run.last_changed_by else None,
            "title of the pull request": about.get("pr.title"),
            "merged as": run.source_version if about.get("pr.sourceSha") else None,
            "started by build": (before.build_number or str(before.id or "")) if before else None,
            "found when it was queued": tuple(found.message for found in run.validation_results or ()),
            "retained by a release": run.retained_by_release,
            "kept for ever": run.keep_forever,
            "deleted": run.deleted,
        }
    )
