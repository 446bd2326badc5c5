"""Requests to one Jenkins server: what it reports by `tree`, what acts by POST, and which jobs, folders and refs there are."""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import msgspec
from cachetools import LRUCache

from bot.core.clock import Clock, Sleep
from bot.core.errors import NotFound, ProviderError, UnexpectedResponse
from bot.core.models import Build, BuildFilter, Pipeline, Ref, RefKind, Status
from bot.core.text import holds_name
from bot.http.client import ApiClient, Query
from bot.http.reply import Reply
from bot.providers.base.listing import SEARCH_PAGES, parse_items
from bot.providers.base.send_once import read_back, send_once
from bot.providers.jenkins import convert, urls, wire
from bot.providers.jenkins.errors import LABEL, NoCrumb, signed_out
from bot.providers.jenkins.parameters import BRANCH_PARAMETERS, branch_default, definitions, find, kind

MOVED: Collection[int] = {302, 303}
REMEMBERED = 1000
BRANCH_JOBS = 20_000
SEARCHED = 50
PAGE_SIZE = 50
NEWEST = 100
"""How many builds `builds` holds; older ones stand in `allBuilds`."""
LEVELS = 4
FOLDERS = 50
GUESSES = 3
MAIN_BRANCHES = ("main", "master", "trunk", "develop")
ESCALATE_AFTER = timedelta(seconds=10)
STOPS = ("stop", "term", "kill")
STOPPING_SECONDS = (0.5, 1.0, 1.5)
LISTED = "_class,name,fullName,displayName,color,buildable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    """The job that builds a ref; `ref` where a parameter of it has to say so. `is_branch`: it builds its own branch."""

    job: wire.Item
    full_name: str
    ref: Ref | None = None
    is_branch: bool = False


class Server:
    """One server, as one user.

    `aliases` are the queue items that were shown before they had a number, with it; `branch_jobs` the jobs known to be
    branches of a multibranch project. Both forget what was used longest ago.
    """

    def __init__(self, api: ApiClient, *, connection: str, user: str, site: str) -> None:
        self.api = api
        self._site = site
        self.user = user
        self.aliases: LRUCache[tuple[str, int], int | None] = LRUCache(REMEMBERED)
        self.branch_jobs: LRUCache[str, bool] = LRUCache(BRANCH_JOBS)
        self._connection = connection
        self._crumb: Mapping[str, str] = {}

    async def of_folder(self, full_name: str, tree: str) -> msgspec.Raw:
        """Return what Jenkins reports about a folder or a job ("" is the server), no more of it than `tree` says."""
        if not full_name:
            return data(await self.api.get(urls.SERVER, {"tree": tree}))
        return await self.of_job(full_name, tree)

    async def of_job(self, full_name: str, tree: str) -> msgspec.Raw:
        """Return what Jenkins reports about a job, no more of it than `tree` says."""
        return data(await self.api.get(urls.job_path(full_name, "api", "json"), {"tree": tree}))

    async def of_build(self, full_name: str, number: str, tree: str, *part: str) -> msgspec.Raw:
        """Return what Jenkins reports about a build, or a part of one, no more of it than `tree` says."""
        return data(await self.api.get(urls.build_path(full_name, number, *part, "api", "json"), {"tree": tree}))

    async def job(self, full_name: str) -> wire.Item:
        """Return a job with its parameters, or a folder with what stands in it."""
        raw = wire.Item.of(await self.of_job(full_name, wire.JOB))
        self.learn(full_name, raw.property)
        return raw

    def learn(self, full_name: str, properties: Iterable[msgspec.Raw] | None) -> None:
        """Remember a job that is a branch: its builds are the branch's even before they checked anything out."""
        if convert.is_branch_job(properties):
            self.branch_jobs[full_name] = True

    async def recorded(self, pipeline: str, number: str, what: str, tree: str) -> msgspec.Raw | None:
        """Return what a plugin recorded for a build, or None where it recorded nothing. Raises NotFound."""
        try:
            return await self.of_build(pipeline, number, tree, what)
        except NotFound:
            await self.of_build(pipeline, number, "number")
            return None

    async def run(self, pipeline: str, number: str) -> wire.Run:
        """Return a build."""
        return wire.Run.of(await self.of_build(pipeline, number, wire.RUN))

    async def artifact_sizes(self, pipeline: str, number: str) -> Mapping[str, int | None]:
        """Return the sizes of a build's artifacts, nothing where the stage view does not report them."""
        try:
            sized = (await self.api.get(urls.build_path(pipeline, number, "wfapi", "artifacts"))).items()
        except (NotFound, UnexpectedResponse):
            return {}
        return {file.path: file.size for file in convert.members(sized, wire.SizedFile.of)}

    def build(self, payload: msgspec.Raw, pipeline: str) -> Build:
        """Return a build of a list."""
        return self.read(wire.Run.of(payload), pipeline)

    def read(self, raw: wire.Run, pipeline: str) -> Build:
        """Return a build as the bot's model."""
        return convert.build(raw, self.context(pipeline, raw.queue_id))

    async def newest(self, full_name: str, tree: str) -> list[wire.Numbered]:
        """Return the newest builds of a job, no more of each than `tree` says."""
        listed = wire.Builds.of(await self.of_job(full_name, f"builds[{tree}]{{0,{SEARCHED}}}"))
        return list(parse_items(listed.builds or (), wire.Numbered.of))

    async def item(self, item: int) -> wire.QueueItem:
        """Return a queue item. Raises NotFound some five minutes after it left the queue."""
        return wire.QueueItem.of(data(await self.api.get(urls.item_path(item), {"tree": wire.ITEM})))

    async def queue(self) -> list[wire.QueueItem]:
        """Return the items of the queue."""
        reply = await self.api.get(urls.QUEUE, {"tree": f"items[{wire.ITEM}]"})
        return list(parse_items(reply.items("items"), wire.QueueItem.of))

    async def post(self, path: str, *, form: Mapping[str, str] | None = None, query: Query | None = None) -> Reply:
        """Send what acts. Where Jenkins wants a crumb nothing has happened yet, so it is sent again with one."""

        async def send() -> Reply:
            return await self.api.send("POST", path, form=form, query=query, headers=self._crumb, accept=MOVED)

        try:
            reply = await send()
        except NoCrumb as exc:
            self._crumb = await self._new_crumb(exc)
            reply = await send()
        target = reply.headers.get("location", "")
        if reply.status in MOVED and ("/login" in target or "/securityRealm/" in target):
            raise signed_out(reply.status)
        return reply

    async def _new_crumb(self, cause: NoCrumb) -> Mapping[str, str]:
        """Return a crumb with the session it belongs to, as headers."""
        try:
            reply = await self.api.get(urls.CRUMB)
            raw = wire.Crumb.of(data(reply))
        except ProviderError:
            raise cause from None
        session = "; ".join(cookie.partition(";")[0] for cookie in reply.headers.get_list("set-cookie"))
        return {raw.crumb_request_field: raw.crumb, **({"Cookie": session} if session else {})}

    def page(self, full_name: str) -> str:
        """Return a job's page."""
        return urls.job_page(self._site, full_name)

    def build_page(self, full_name: str, number: str) -> str:
        """Return a build's page."""
        return f"{self.page(full_name)}{number}/"

    def context(self, pipeline: str, queue_id: int | None = None) -> convert.ReadContext:
        """Return what readers have to know; a build that was shown before it had a number keeps that id."""
        alias = f"{urls.QUEUED}{queue_id}" if queue_id is not None and (pipeline, queue_id) in self.aliases else None
        return convert.ReadContext(
            connection=self._connection,
            pipeline=pipeline,
            page=self.page(pipeline),
            user=self.user,
            alias=alias,
            is_branch="%" in pipeline.rpartition("/")[2] or pipeline in self.branch_jobs,
        )


class Catalogue:
    """Finds jobs."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def jobs(self, query: str | None) -> AsyncIterator[Pipeline]:
        """Yield jobs, those of branches included; pull requests' jobs only where `query` asks for them.

        One request for four levels of folders, one more for each folder below (50 at most).
        """
        tree = LISTED
        for _ in range(LEVELS):
            tree = f"{LISTED},jobs[{tree}]"
        folders = [""]
        for _ in range(FOLDERS):
            if not folders:
                return
            name = folders.pop(0)
            try:
                root = wire.Item.of(await self._server.of_folder(name, tree))
            except NotFound:
                if not name:
                    raise
                continue  # it was deleted meanwhile
            for raw, full_name, in_multibranch in _leaves(root, name, folders):
                if not query and in_multibranch and urls.pull_request(full_name.rpartition("/")[2]):
                    continue
                page = self._server.page(full_name)
                pipeline = convert.pipeline(raw, full_name, page=page, in_multibranch=in_multibranch)
                if holds_name(pipeline.path, query or "") or holds_name(pipeline.name, query or ""):
                    yield pipeline

    async def find(self, path: str) -> Pipeline:
        """Return a job. A multibranch project stands for its main branch; a branch may be typed with its slashes."""
        raw, full_name = await self._named(path.strip("/"))
        if convert.is_container(raw):
            raw, full_name = await self._main_branch(raw, full_name)
        in_multibranch = convert.is_branch_job(raw.property)
        return convert.pipeline(raw, full_name, page=self._server.page(full_name), in_multibranch=in_multibranch)

    async def refs(self, full_name: str) -> list[Ref] | None:
        """Return the branches and pull requests of a job's multibranch project, None where it is in none."""
        above = urls.parent(full_name)
        project = await self._server.job(above) if above is not None else None
        if project is None or not convert.is_multibranch(project):
            return None
        jobs = parse_items(project.jobs or (), wire.Item.of)
        return [urls.ref_of_job(job.name) for job in jobs if job.name and job.buildable is not False]

    async def built(self, full_name: str) -> list[Ref]:
        """Return the default of a job's branch parameter, and the refs that its newest builds were made of."""
        default = branch_default(definitions(await self._server.job(full_name)))
        refs = [Ref(kind=RefKind.BRANCH, name=default)] if default else []
        builds = self.builds(full_name, BuildFilter(limit=PAGE_SIZE))
        refs += [build.history_ref async for build in builds if build.history_ref is not None]
        return list(dict.fromkeys(refs))

    async def builds(self, full_name: str, build_filter: BuildFilter) -> AsyncIterator[Build]:
        """Yield the job's first waiting build, then its builds; another branch's from the branch's own job.

        A request for each fifty builds, a thousand at most.
        """
        narrow = bool(build_filter.fields)
        size = PAGE_SIZE if narrow else min(max(build_filter.limit, 1), PAGE_SIZE)
        left = build_filter.limit
        for page in range(SEARCH_PAGES * 2):
            begin, end = page * size, (page + 1) * size
            member = "builds" if end <= NEWEST else "allBuilds"
            first = f"_class,property[_class],queueItem[{wire.ITEM}]," if page == 0 else ""
            tree = f"{first}{member}[{wire.RUN}]{{{begin},{end}}}"
            raw = wire.Builds.of(await self._server.of_job(full_name, tree))
            self._server.learn(full_name, raw.property)
            if page == 0 and (other := sibling(full_name, raw, build_filter.branch)) is not None:
                try:
                    async for build in self.builds(other, build_filter):
                        yield build
                except NotFound:  # there is no such branch
                    pass
                return
            waiting = [convert.queued(raw.queue_item, self._server.context(full_name))] if raw.queue_item else []
            listed = raw.builds if member == "builds" else raw.all_builds
            read = partial(self._server.build, pipeline=full_name)
            for build in (*waiting, *parse_items(listed or (), read)):
                if build_filter.is_past(build):
                    return
                if left > 0 and build_filter.admits(build):
                    left -= 1
                    yield build
            if left <= 0 or len(listed or ()) < size:
                return

    async def builder(self, full_name: str, ref: Ref | None) -> Builder:
        """Return the job that builds a ref, and the ref where a parameter has to say it."""
        job = await self._server.job(full_name)
        above, own = urls.parent(full_name), full_name.rpartition("/")[2]
        is_branch = above is not None and convert.is_branch_job(job.property)
        if ref is None:
            return Builder(job=job, full_name=full_name, is_branch=is_branch)
        if above is None or not is_branch:
            return Builder(job=job, full_name=full_name, ref=None if _builds_anyway(job, ref) else ref)
        names = urls.job_names(ref)
        if own in names or not names:
            return Builder(job=job, full_name=full_name, ref=ref if not names else None, is_branch=True)
        for name in names:
            try:
                sibling = await self._server.job(f"{above}/{name}")
            except NotFound:
                continue
            return Builder(job=sibling, full_name=f"{above}/{name}", is_branch=True)
        raise NotFound(
            f"{urls.readable_name(above)} has no job for {ref}.",
            provider=LABEL,
            hint="A new branch gets its job when Jenkins has scanned the project.",
        )

    async def _named(self, path: str) -> tuple[wire.Item, str]:
        """Return the item that a path names; where there is none, its last parts may be one branch."""
        urls.job_path(path)
        parts = path.split("/")
        guesses = ["/".join([*parts[:at], "%2F".join(parts[at:])]) for at in range(len(parts) - 2, 0, -1)][:GUESSES]
        try:
            raw = await self._server.job(path)
        except NotFound:
            for guess in guesses:
                try:
                    raw = await self._server.job(guess)
                except NotFound:
                    continue
                return raw, raw.full_name or guess
            raise
        return raw, raw.full_name or path

    async def _main_branch(self, raw: wire.Item, full_name: str) -> tuple[wire.Item, str]:
        children = [child.name for child in parse_items(raw.jobs or (), wire.Item.of) if child.name]
        main = next((name for name in MAIN_BRANCHES if name in children), None)
        if main is not None and convert.is_multibranch(raw):
            return await self._server.job(f"{full_name}/{main}"), f"{full_name}/{main}"
        examples = ", ".join(f"`{full_name}/{name}`" for name in children[:10])
        what = "has no main branch that I know" if convert.is_multibranch(raw) else "is a folder"
        raise NotFound(
            f"{full_name} {what}.",
            provider=LABEL,
            hint=f"In it: {examples}." if examples else "There is no job in it.",
        )


class Stops:
    """Stops running builds of one server."""

    def __init__(self, server: Server, *, clock: Clock, sleep: Sleep) -> None:
        self._server = server
        self._clock = clock
        self._sleep = sleep
        self._stopped: LRUCache[tuple[str, str], tuple[int, datetime]] = LRUCache(REMEMBERED)

    async def stop(self, pipeline: str, number: str) -> Build:
        """Stop a running build and see whether it ends; a pipeline that was asked before is ended more firmly.

        Costs three requests, up to three more within three seconds. A build that is over is returned as it is.
        """
        run = await self._shape(pipeline, number)
        if run is not None and convert.state(run)[0] is Status.COMPLETED:
            return await self._read(pipeline, number)
        now, key = self._clock(), (pipeline, number)
        before = self._stopped.get(key)
        level = 0
        if before is not None and run is not None and kind(run.class_) == "WorkflowRun":
            level = min(before[0] + (now - before[1] >= ESCALATE_AFTER), len(STOPS) - 1)

        async def send() -> Build:
            await self._server.post(urls.build_path(pipeline, number, STOPS[level]))
            self._stopped[key] = (level, now)
            build = await read_back(self._read(pipeline, number), label=LABEL)
            for pause in STOPPING_SECONDS:
                if build.completed:
                    break
                await self._sleep(pause)
                build = await read_back(self._read(pipeline, number), label=LABEL)
            return build

        async def confirm() -> Build | None:
            build = await self._read(pipeline, number)
            return build if build.completed else None

        return await send_once(send, confirm, label=LABEL, sleep=self._sleep)

    async def _shape(self, pipeline: str, number: str) -> wire.Run | None:
        """Return how a build stands; None where that can't be read now, which keeps nobody from stopping it. Raises NotFound."""
        try:
            return wire.Run.of(await self._server.of_build(pipeline, number, wire.SHAPE))
        except NotFound:
            raise
        except ProviderError:
            return None

    async def _read(self, pipeline: str, number: str) -> Build:
        return self._server.read(await self._server.run(pipeline, number), pipeline)


def sibling(full_name: str, raw: wire.Builds, branch: str | None) -> str | None:
    """Return the job of another branch of the same multibranch project."""
    above, own = urls.parent(full_name), full_name.rpartition("/")[2]
    if branch is None or above is None or not convert.is_branch_job(raw.property) or urls.branch_name(branch) == own:
        return None
    return f"{above}/{urls.branch_name(branch)}"


def _leaves(root: wire.Item, name: str, folders: list[str]) -> list[tuple[wire.Item, str, bool]]:
    """Return the jobs below an item, and whether each is a branch; folders not opened are added to `folders`."""
    leaves: list[tuple[wire.Item, str, bool]] = []
    for full_name, raw in convert.jobs_in(root, name):
        if not convert.is_container(raw):
            leaves.append((raw, full_name, convert.is_multibranch(root)))
        elif raw.jobs is None:
            folders.append(full_name)
        else:
            leaves += _leaves(raw, full_name, folders)
    return leaves


def _builds_anyway(job: wire.Item, ref: Ref) -> bool:
    """Return whether a job without a branch parameter built this branch at last: then nothing else says so."""
    if ref.kind is not RefKind.BRANCH or find(definitions(job), BRANCH_PARAMETERS):
        return False
    return convert.git_ref(convert.checkout(job))[0] == ref.name


def data(reply: Reply) -> msgspec.Raw:
    """Return the body. A page where data should be is a sign-in page before the server. Raises AuthFailed."""
    if reply.is_page:
        raise signed_out(reply.status)
    return reply.raw
