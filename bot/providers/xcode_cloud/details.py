"""What else Apple reports of a run, by a plain name."""

from bot.providers.base.details import plain_details
from bot.providers.xcode_cloud.wire import Commit, RunAttributes


def run_details(attributes: RunAttributes) -> dict[str, str]:
    """Return the rest of a run: who committed what was built, and the commit that a pull request goes to."""
    source, target = attributes.source_commit or Commit(), attributes.destination_commit or Commit()
    return plain_details(
        {
            "target commit": (target.commit_sha or "").lower()[:8],
            "subject of the target commit": (target.message or "").strip().partition("\n")[0],
            "author of the target commit": target.author.display_name if target.author else None,
            "page of the target commit": target.web_url,
            "committer": source.committer.display_name if source.committer else None,
            "page of the commit": source.web_url,
            "start": (attributes.start_reason or "").replace("_", " ").lower(),
            "for a pull request": attributes.is_pull_request_build,
        }
    )
