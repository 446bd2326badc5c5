"""What a person who is to approve a build wants to know: what would go out, and who may approve."""

from cachetools import LRUCache

from bot.blocks.text import DOT, Markup, clean_url, code, link, plural, safe, when
from bot.core.errors import ProviderError
from bot.core.models import Build, Commit, RefKind, is_sha
from bot.core.policies import Policy
from bot.core.refs import refs_of_build
from bot.providers.base.capabilities import Capability
from bot.providers.base.provider import AnyProvider
from bot.security.redaction import redact
from bot.slack.people import People
from bot.store import Store
from bot.store.rows import AttemptRow, GrantRow, NewNotification

PASSED = "passed"
CONSIDERED = 40
SHOWN = 4
MOST_NAMED = 6
COMPARISONS = 256
ROLES = frozenset({"approver", "admin"})
COMPARE = {
    "github_actions": "compare/{old}...{new}",
    "gitlab": "-/compare/{old}...{new}",
    "bitbucket": "branches/compare/{new}..{old}",
}
"""The page that compares two commits, below a repository's, where the CI system is the code host as well."""


class ApprovalContext:
    """Gathers it from what is stored; commits are compared by the CI system where it can, each pair once."""

    def __init__(self, store: Store, people: People) -> None:
        self._store = store
        self._people = people
        self._compared: LRUCache[tuple[str, str, str, str], tuple[Commit, ...]] = LRUCache(COMPARISONS)

    async def going(self, build: Build, provider: AnyProvider) -> tuple[str, ...]:
        """Return lines about what would go out since the last build of the same ref that passed; none without one."""
        ref = build.history_ref
        if ref is None:
            return ()
        attempts = await self._store.attempts.of_ref(build.connection, build.pipeline, ref, limit=CONSIDERED)
        last = next((row for row in attempts if row.conclusion == PASSED and row.build != build.id), None)
        if last is None and not any(row.build != build.id for row in attempts):
            return ()  # nobody followed the pipeline here: what passed before is not known
        if last is None:
            return (Markup("What would go out: nothing passed on this ref before, as far as is known"),)
        if last.commit_sha and last.commit_sha == (build.commit or "").lower():
            return (Markup(f"The same commit went out as {_number(last)} {when(last.completed_at)}"),)
        since = f"since {_number(last)} ({when(last.completed_at)})"
        url = _compare_url(build, last, provider.kind)
        title = link(url, "What would go out") if url else "What would go out"
        compared = await self._compare(build, last, provider)
        built = await self._commits(build, last) if ref.kind is RefKind.BRANCH and not compared else ()
        lines = [_commit(other) for other in compared] or [_commit_of(other) for other in built or (build,)]
        word = "commit" if compared else "built commit"
        shown = [Markup(f"• {line}") for line in lines[:SHOWN]]
        if len(lines) > SHOWN:
            shown.append(Markup(f"• +{plural(len(lines) - SHOWN, f'more {word}')}"))
        return (Markup(f"{title} {since}: {plural(len(lines), word)}"), *shown)

    async def _compare(self, build: Build, last: AttemptRow, provider: AnyProvider) -> tuple[Commit, ...]:
        """Return the commits after the one that went out, newest first; none where the system does not compare them."""
        if not provider.can(Capability.COMMITS) or not last.commit_sha or not build.commit:
            return ()
        key = (build.connection, build.pipeline, last.commit_sha, build.commit.lower())
        if key not in self._compared:
            try:
                self._compared[key] = await provider.commits(build.pipeline, last.commit_sha, build.commit)
            except ProviderError:
                return ()
        return self._compared[key]

    async def _commits(self, build: Build, last: AttemptRow) -> tuple[Build, ...]:
        """Return a build for each commit of its branch after the one that went out, the newest first."""
        builds = await self._store.builds.of_pipeline(
            build.connection, build.pipeline, branch=build.branch, limit=CONSIDERED
        )
        commits: dict[str, Build] = {}
        is_reached = False
        for other in builds:
            if other.id == last.build or (other.commit or "").lower() == last.commit_sha:
                break
            is_reached = is_reached or other.id == build.id
            if is_reached and other.commit:
                commits.setdefault(other.commit, other)
        return tuple(commits.values())

    async def approvers(self, row: NewNotification, build: Build) -> str:
        """Return who may approve a build in Slack, without mentioning anybody: a card is no reason to be called."""
        listed = await self._store.pipelines.get(build.connection, build.pipeline)
        names = {build.pipeline, *((listed.path, listed.name, f"{build.connection}:{listed.path}") if listed else ())}
        refs = refs_of_build(build)
        grants = [
            grant
            for grant in await self._store.grants.all(row.team)
            if grant.role in ROLES
            and grant.channel in {"", row.channel}
            and (grant.refs == "*" or refs)
            and Policy(pipelines=grant.pipelines, refs=grant.refs).fits(names, refs)
        ]
        who = list(dict.fromkeys([await self._who(grant, row.team) for grant in grants]))
        shown = who[:MOST_NAMED] + ([f"{len(who) - MOST_NAMED} more"] if len(who) > MOST_NAMED else [])
        return Markup(", ".join([*shown, "admins"]))

    async def _who(self, grant: GrantRow, team: str) -> str:
        kind, _, subject = grant.subject.partition(":")
        match kind:
            case "user":
                return safe(await self._people.name(team, subject), 60)
            case "channel":
                return f"members of <#{subject}>"
            case _:
                return "members of a user group"


def _number(row: AttemptRow) -> str:
    return f"#{row.number}" if row.number is not None else "an earlier build"


def _commit(commit: Commit) -> str:
    words = (link(commit.url, commit.sha[:7]) if commit.url else code(commit.sha[:7]), safe(redact(commit.subject), 72))
    return " ".join(word for word in words if word) + (f"{DOT}{safe(commit.author, 60)}" if commit.author else "")


def _commit_of(build: Build) -> str:
    person = build.author.name or build.author.login if build.author else None
    words = (code((build.commit or "?")[:7]), safe(redact(build.subject or ""), 72))
    return " ".join(word for word in words if word) + (f"{DOT}{safe(person, 60)}" if person else "")


def _compare_url(build: Build, last: AttemptRow, kind: str) -> str | None:
    """Return the page that compares what would go out with what did, where it is known."""
    page, repo = build.web_url or "", build.repo or ""
    if (
        kind not in COMPARE
        or not repo
        or f"/{repo}/" not in page
        or not is_sha(build.commit or "")
        or not is_sha(last.commit_sha)
    ):
        return None
    home = page.partition(f"/{repo}/")[0]
    return clean_url(f"{home}/{repo}/{COMPARE[kind].format(old=last.commit_sha, new=build.commit)}")
