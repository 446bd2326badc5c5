"""Pages of repository hosts that compare two commits."""

import re
from urllib.parse import quote

from bot.core.models import Build

HOSTS = {"github": "https://github.com", "gitlab": "https://gitlab.com", "bitbucket": "https://bitbucket.org"}
"""Repository hosts by the names that stand in the addresses of CI systems' pages."""


def compare_page(before: Build, after: Build) -> str | None:
    """Return the page of the repository's host that compares the commits of two builds.

    The host is one that the build's page, or its commit's, names in its address; None where neither does, or a commit or
    the repository is unknown.
    """
    addresses = f"{after.web_url or ''}/{after.details.get('page of the commit', '')}"
    host = next((part for part in re.split(r"[/.]", addresses.lower()) if part in HOSTS), None)
    if host is None or not after.repo or not before.commit or not after.commit:
        return None
    path, base, head = (quote(part, safe="/") for part in (after.repo, before.commit, after.commit))
    if host == "bitbucket":
        return f"{HOSTS[host]}/{path}/branches/compare/{head}..{base}"
    return f"{HOSTS[host]}/{path}/{'-/' if host == 'gitlab' else ''}compare/{base}...{head}"
