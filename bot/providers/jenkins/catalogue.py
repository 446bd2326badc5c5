"""A server's jobs, folders and branches: which there are, which one a path means, which one builds a ref."""

from collections.abc import AsyncIterator

from bot.core.errors import NotFound
from bot.core.models import Pipeline, Ref, RefKind
from bot.core.text import folded
from bot.providers.base.listing import parse_items
from bot.providers.jenkins import convert, parameters, urls, wire
from bot.providers.jenkins.client import Server

LEVELS = 4
FOLDERS = 50
GUESSES = 3
MAIN_BRANCHES = ("main", "master", "trunk", "develop")
LISTED = "_class,name,fullName,displayName,color,buildable"


class Catalogue:
    """Finds jobs."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def all(self, query: str | None) -> AsyncIterator[Pipeline]:
        """Yield jobs, those of branches included; pull requests' jobs only where `query` asks for them.

        One request for four levels of folders, one more for each folder below (50 at most).
        """
        tree = LISTED
        for _ in range(LEVELS):
            tree = f"{LISTED},jobs[{tree}]"
        wanted = folded(query or "")
        folders = [""]
        for _ in range(FOLDERS):
            if not folders:
                return
            name = folders.pop(0)
            try:
                root = wire.Item.of(await self._server.json(urls.job_path(name) if name else "", tree))
            except NotFound:
                if not name:
                    raise
                continue  # it was deleted meanwhile
            for it, full_name, in_multibranch in _leaves(root, name, folders):
                if not wanted and in_multibranch and urls.pull_request(full_name.rpartition("/")[2]):
                    continue
                page = self._server.page(full_name)
                found = convert.pipeline(it, full_name, page=page, in_multibranch=in_multibranch)
                if wanted in folded(found.path) or wanted in folded(found.name):
                    yield found

    async def one(self, path: str) -> Pipeline:
        """Return a job. A multibranch project stands for its main branch; a branch may be typed with its slashes."""
        it, full_name = await self._named(path.strip("/"))
        if convert.is_container(it):
            it, full_name = await self._main_branch(it, full_name)
        in_multibranch = convert.is_branch_job(it.property)
        found = convert.pipeline(it, full_name, page=self._server.page(full_name), in_multibranch=in_multibranch)
        return convert.with_source(found, it, branch=parameters.branch_default(convert.definitions(it)))

    async def refs(self, full_name: str) -> list[Ref] | None:
        """Return the branches and pull requests of a job's multibranch project, None where it is in none."""
        above = urls.parent(full_name)
        project = await self._server.job(above) if above is not None else None
        if project is None or not convert.is_multibranch(project):
            return None
        jobs = parse_items(project.jobs or (), wire.Item.of)
        return [urls.ref_of_job(it.name) for it in jobs if it.name and it.buildable is not False]

    async def builder(self, full_name: str, ref: Ref | None) -> tuple[wire.Item, str, Ref | None]:
        """Return the job that builds a ref, its full name, and the ref where a parameter has to say it."""
        job = await self._server.job(full_name)
        if ref is None:
            return job, full_name, None
        above, own = urls.parent(full_name), full_name.rpartition("/")[2]
        if above is None or not convert.is_branch_job(job.property):
            return job, full_name, None if _builds_anyway(job, ref) else ref
        wanted = urls.job_names(ref)
        if own in wanted:
            return job, full_name, None
        if not wanted:
            return job, full_name, ref
        for name in wanted:
            try:
                return await self._server.job(f"{above}/{name}"), f"{above}/{name}", None
            except NotFound:
                continue
        raise NotFound(
            f"{urls.readable_name(above)} has no job for {ref}.",
            provider=urls.LABEL,
            hint="A new branch gets its job when Jenkins has scanned the project.",
        )

    async def _named(self, path: str) -> tuple[wire.Item, str]:
        """Return the item that a path names; where there is none, its last parts may be one branch."""
        urls.job_path(path)
        parts = path.split("/")
        guesses = ["/".join([*parts[:at], "%2F".join(parts[at:])]) for at in range(len(parts) - 2, 0, -1)][:GUESSES]
        try:
            it = await self._server.job(path)
        except NotFound:
            for guess in guesses:
                try:
                    it = await self._server.job(guess)
                except NotFound:
                    continue
                return it, it.full_name or guess
            raise
        return it, it.full_name or path

    async def _main_branch(self, it: wire.Item, full_name: str) -> tuple[wire.Item, str]:
        children = [child.name for child in parse_items(it.jobs or (), wire.Item.of) if child.name]
        main = next((name for name in MAIN_BRANCHES if name in children), None)
        if main is not None and convert.is_multibranch(it):
            return await self._server.job(f"{full_name}/{main}"), f"{full_name}/{main}"
        shown = ", ".join(f"`{full_name}/{name}`" for name in children[:10])
        what = "has no main branch that I know" if convert.is_multibranch(it) else "is a folder"
        raise NotFound(
            f"{full_name} {what}.",
            provider=urls.LABEL,
            hint=f"In it: {shown}." if shown else "There is no job in it.",
        )


def sibling(full_name: str, it: wire.Builds, branch: str | None) -> str | None:
    """Return the job of another branch of the same multibranch project."""
    above, own = urls.parent(full_name), full_name.rpartition("/")[2]
    if branch is None or above is None or not convert.is_branch_job(it.property) or urls.branch_name(branch) == own:
        return None
    return f"{above}/{urls.branch_name(branch)}"


def _leaves(root: wire.Item, name: str, folders: list[str]) -> list[tuple[wire.Item, str, bool]]:
    """Return the jobs below an item, and whether each is a branch; folders not opened are added to `folders`."""
    found: list[tuple[wire.Item, str, bool]] = []
    for it in parse_items(root.jobs or (), wire.Item.of):
        full_name = it.full_name or "/".join(filter(None, (name, it.name)))
        if not full_name:
            continue
        if not convert.is_container(it):
            found.append((it, full_name, convert.is_multibranch(root)))
        elif it.jobs is None:
            folders.append(full_name)
        else:
            found += _leaves(it, full_name, folders)
    return found


def _builds_anyway(job: wire.Item, ref: Ref) -> bool:
    """Return whether a job builds this branch without being told."""
    if ref.kind is not RefKind.BRANCH or parameters.find(convert.definitions(job), parameters.BRANCH_PARAMETERS):
        return False
    return convert.git_ref(convert.checkout(job))[0] == ref.name
