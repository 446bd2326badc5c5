"""GitHub Actions, REST API 2022-11-28: github.com, and Enterprise Server at https://HOST/api/v3.

Pages: https://docs.github.com/en/rest/actions and https://docs.github.com/en/webhooks, read in August 2026. A pipeline is
a workflow, `owner/repo/NUMBER`; a build is a run, an attempt one of its attempts. Limits: 5,000 requests an hour for a user,
up to 12,500 for an App's installation (unchanged lists are free), bursts limited apart; 100 items a page.
"""

from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import ClassVar

import httpx
from typing_extensions import override

from bot.core.clock import Clock, Sleep, sleep
from bot.core.errors import AuthFailed, NotFound, Rejected, Unsupported
from bot.core.models import (
    Account,
    Approval,
    Artifact,
    Build,
    BuildFilter,
    Changes,
    Commit,
    Issue,
    IssueCounts,
    Job,
    Log,
    Page,
    Parameter,
    Pipeline,
    Ref,
    StartRequest,
    StartTarget,
    Status,
    Watched,
    WebhookEvent,
)
from bot.core.workers import in_worker
from bot.http.client import ApiClient
from bot.providers.base.auth import Bearer
from bot.providers.base.capabilities import Capability
from bot.providers.base.listing import SEARCH_PAGES, matching, parse_items
from bot.providers.base.logs import LOG_TAIL_BYTES
from bot.providers.base.provider import Provider
from bot.providers.github_actions import convert, errors, logs, parameters, start, urls, webhook, wire
from bot.providers.github_actions.annotations import Annotations
from bot.providers.github_actions.auth import SCOPES, AppAuth, Identity, signing_key
from bot.providers.github_actions.client import ARTIFACT_PAGES, Client
from bot.providers.github_actions.convert import PER_PAGE
from bot.providers.github_actions.errors import LABEL
from bot.providers.github_actions.options import GitHubOptions
from bot.providers.github_actions.poll import Poll


class GitHubActions(Provider[GitHubOptions]):
    """The workflows of one owner's repositories; runs are builds."""

    kind = "github_actions"
    label = LABEL
    approvals_last = timedelta(days=30)
    takes_message = False
    default_url = "https://api.github.com"
    default_site = "https://github.com"
    api_suffix = "/api/v3"
    page = "https://docs.github.com/en/rest/actions"
    states = convert.STATES
    options_type = GitHubOptions
    scopes = SCOPES
    capabilities = frozenset(Capability) - errors.CANNOT
    refusals: ClassVar[Mapping[Capability, tuple[str, str]]] = errors.REFUSALS

    def __init__(
        self, api: ApiClient, options: GitHubOptions, *, connection: str, clock: Clock, sleep: Sleep = sleep
    ) -> None:
        super().__init__(api, options, connection=connection, clock=clock, sleep=sleep)
        if options.is_app:
            self.capabilities = self.capabilities - {Capability.REJECT}
        self._web = self.site(options)
        self._client = Client(api, options, connection=connection, clock=clock)
        self._poll = Poll(api, self._client)
        self._annotations = Annotations(api, self._client, clock=clock)
        self._identity = Identity(api, owner=options.owner, installation_id=options.installation_id, clock=clock)
        self._starter = start.Starter(
            api, self._client, clock=clock, sleep=sleep, login=self._identity.login, page=self._page
        )

    @override
    @classmethod
    def auth(cls, options: GitHubOptions, clock: Clock) -> httpx.Auth:
        if options.token is not None:
            return Bearer(options.token)
        return AppAuth(
            signing_key(options.private_key.get_secret_value() if options.private_key else ""),
            app_id=options.app_id,
            installation_id=options.installation_id,
            base_url=cls.base_url(options),
            clock=clock,
        )

    @override
    @classmethod
    def headers(cls, options: GitHubOptions) -> Mapping[str, str]:
        return {
            "Accept": "application/vnd.github+json",
            "User-Agent": "buildbell",
            errors.VERSION_HEADER: options.api_version,
        }

    @override
    @classmethod
    def site(cls, options: GitHubOptions) -> str:
        return options.web_url.rstrip("/") or urls.tenant_site(options.url) or super().site(options)

    map_error = staticmethod(errors.map_error)
    read_quota = staticmethod(errors.read_quota)

    @property
    @override
    def web_homes(self) -> tuple[str, ...]:
        is_server = self.options.url.rstrip("/").endswith(self.api_suffix) or urls.tenant_site(self.options.url)
        return (self._web, self.options.url) if is_server else super().web_homes

    @override
    async def check(self) -> Account:
        """Return whose credentials these are. One request, one more where its user is not the owner; four for an App."""
        return await self._identity.account()

    @override
    def pipelines(self, query: str | None = None) -> AsyncIterator[Pipeline]:
        """Yield workflows, those of the repositories last pushed to first.

        Costs a request for each hundred repositories and one for each repository, at most 200 of these. A query
        with a slash narrows the repositories, too.
        """
        return self._client.pipelines(query)

    @override
    async def pipeline(self, path: str) -> Pipeline:
        """Return a workflow; see `Client.pipeline` for what may name it. Two to five requests."""
        return await self._client.pipeline(self._client.location(path))

    @override
    async def builds(self, pipeline: str, build_filter: BuildFilter) -> AsyncIterator[Build]:
        """Yield a workflow's runs. GitHub filters by branch, whole commit and some states; the rest is filtered here."""
        path = (await self._client.exact(self._client.location(pipeline))).of_workflow("runs")
        pages = self._api.pages(path, convert.list_query(build_filter), member="workflow_runs", ceiling=SEARCH_PAGES)
        async for build in matching(pages, lambda raw: self._client.as_build(wire.Run.of(raw), pipeline), build_filter):
            yield build

    @override
    async def build(self, pipeline: str, build: str) -> Build:
        """Return one run, of the workflow that GitHub names. One request while it is queued, then one for its jobs."""
        run = await self._client.build(pipeline, build)
        return run if run.status is Status.QUEUED else await self._client.with_jobs(run)

    @override
    async def build_of_job(self, pipeline: str, job: str) -> Build:
        """Return the run that a job belongs to. Three requests."""
        return await self.build(pipeline, await self._client.run_of_job(pipeline, job))

    @override
    def poll_target(self, pipeline: str) -> str:
        """Return the repository: each has a list of its own."""
        at = urls.location(pipeline, self.options.owner)
        return at.repository.lower() if at else ""

    @override
    async def changes(self, cursor: str | None, watched: Watched) -> Changes:
        """One conditional request a poll for a watched repository; one more for each run that has just ended.

        Unfinished runs older than the newest thirty cost one conditional request each. Unchanged lists and runs are
        not counted by GitHub.
        """
        return await self._poll.changes(cursor, watched)

    @override
    def refs(self, pipeline: str, query: str | None = None) -> AsyncIterator[Ref]:
        """Yield branches, then tags: all that begin with `query`, then those of the first 300 that hold it."""
        return self._client.refs(self._client.location(pipeline), query)

    @override
    async def parameters(self, pipeline: str, ref: Ref | None) -> tuple[Parameter, ...]:
        """Return the inputs that the workflow's file declares on a ref; empty where the file can't be read.

        Costs two requests, one more where an input names an environment.
        """
        return await parameters.read(self._api, self._client, self._client.location(pipeline), ref)

    @override
    async def start_target(self, pipeline: str, request: StartRequest) -> StartTarget:
        """Return the branch or tag that `start` sends, or raise what it would raise. One request where no ref is named."""
        return await self._starter.target(pipeline, request)

    @override
    async def start(self, pipeline: str, request: StartRequest) -> Build:
        """Start a workflow on a branch or a tag and return the run that GitHub names, or the only one that can be ours.

        Costs three requests, one more without a ref and for a tag; see `Starter.start` for older servers.
        """
        return await self._starter.start(pipeline, request)

    @override
    async def cancel(self, pipeline: str, build: str) -> Build:
        """Stop a run and read it until that shows, at most three times: GitHub stops it in its own time."""
        path = self._client.location(pipeline).run(build, "cancel")
        return await self._starter.act(pipeline, build, lambda: self._api.post(path), lambda run: run.completed)

    @override
    async def rebuild(self, pipeline: str, build: str, request: StartRequest) -> Build:
        """Run all jobs of a run again, at its commit and with its inputs: the same run's next attempt. Three requests."""
        start.refuse_what_a_rerun_lacks(request)
        return await self._starter.rerun(pipeline, build, self._client.location(pipeline).run(build, "rerun"))

    @override
    async def retry(self, pipeline: str, build: str, *, failed_only: bool = True, job: str | None = None) -> Build:
        """Run jobs again as the run's next attempt. Three requests, four for a job. Raises Rejected while the run goes on.

        Raises NotFound where the job belongs to another run.
        """
        at = self._client.location(pipeline)
        if job is None:
            return await self._starter.rerun(
                pipeline, build, at.run(build, "rerun-failed-jobs" if failed_only else "rerun")
            )
        if await self._client.run_of_job(pipeline, job) != build:
            raise NotFound("That job belongs to another run.", provider=LABEL, hint="Name it by its own page.")
        return await self._starter.rerun(pipeline, build, at.job(job, "rerun"))

    @override
    async def erase(self, pipeline: str, build: str) -> Build:
        """Delete a completed run's artifacts and logs. Costs a request for each artifact, and four."""
        if not (await self._client.build(pipeline, build)).completed:
            raise Rejected(
                "GitHub deletes logs only after the whole run has ended.", provider=LABEL, hint="Cancel it first."
            )
        at = self._client.location(pipeline)
        for artifact in await self.artifacts(pipeline, build):
            await self._api.send("DELETE", at.path("actions", "artifacts", artifact.id))
        await self._api.send("DELETE", at.run(build, "logs"))
        return await self.build(pipeline, build)

    @override
    async def jobs(self, pipeline: str, build: str, *, all_attempts: bool = False) -> tuple[Job, ...]:
        """Return the jobs of the run's latest attempt; jobs that passed before stand in it, too."""
        return await self._client.jobs(pipeline, build, all_attempts=all_attempts)

    @override
    async def log(self, job: Job, tail_bytes: int = LOG_TAIL_BYTES) -> Log:
        """Return the end of a job's log. GitHub sends all of it: only its end is kept. Costs two requests."""
        try:
            data, is_cut = await self._api.tail(
                self._client.location(job.pipeline).job(job.id, "logs"), keep=tail_bytes
            )
        except NotFound as exc:
            raise NotFound(
                "GitHub has no log of this job now.",
                provider=LABEL,
                status=exc.status,
                hint="Logs come after a job, sometimes only after the whole run, has ended, and are deleted in time.",
            ) from exc
        text = await in_worker(logs.plain_log, data.partition(b"\n")[2] if is_cut and b"\n" in data else data)
        return Log(text=text, truncated=is_cut, job=job.name, url=job.web_url)

    @override
    async def artifacts(self, pipeline: str, build: str) -> tuple[Artifact, ...]:
        """Return the files of a run that have not expired. One request for each hundred, ten at most."""
        path = self._client.location(pipeline).run(build, "artifacts")
        pages = self._api.pages(path, {"per_page": PER_PAGE}, member="artifacts", ceiling=ARTIFACT_PAGES)
        sent = [it async for page in pages for it in parse_items(page, wire.ArtifactWire.of)]
        page_url = self._page(pipeline, build)
        return tuple(convert.artifact(it, pipeline, build, page_url) for it in sent if not it.expired)

    @override
    async def download(self, artifact: Artifact) -> AsyncIterator[bytes]:
        """Yield an artifact's zip. Two requests: GitHub redirects to a signed address."""
        path = self._client.location(artifact.pipeline).path("actions", "artifacts", artifact.id, "zip")
        async for chunk in self._api.download(path):
            yield chunk

    @override
    async def issues(self, pipeline: str, build: str) -> tuple[Issue, ...]:
        """Return annotations, errors first, and failed jobs that have none. Costs as much as `counts`."""
        return await self._annotations.issues(pipeline, build)

    @override
    async def commits(self, pipeline: str, base: str, head: str) -> tuple[Commit, ...]:
        """Return the newest commits between, at most 250. One request."""
        return await self._client.commits(self._client.location(pipeline), base, head)

    @override
    async def counts(self, build: Build) -> IssueCounts:
        """Return errors and warnings from the annotations of the run's jobs; GitHub knows no tests and no analyzers.

        Costs one request (two for a run not seen lately), and one for each job with annotations, fifty at most. Where
        the token may not read checks: one for the jobs and one for the log of each failed job, five at most.
        """
        return await self._annotations.counts(build.pipeline, build.id, build.conclusion)

    @override
    async def approvals(self, pipeline: str, build: str) -> tuple[Approval, ...]:
        """Return the deployments that wait, or the approval that a fork's run waits for. Costs one or two requests."""
        page = self._page(pipeline, build)
        reply = await self._api.get(self._client.location(pipeline).run(build, "pending_deployments"))
        waiting = list(parse_items(reply.items(), wire.Pending.of))
        if waiting:
            return tuple(convert.approval(it, pipeline, build, page, by_app=self.options.is_app) for it in waiting)
        run = await self._client.run(pipeline, build)
        return (convert.fork_approval(pipeline, build, page),) if convert.waits_for_approval(run) else ()

    @override
    async def decide(
        self, approval: Approval, *, approve: bool, fields: Mapping[str, str] | None = None, comment: str | None = None
    ) -> Build:
        """Review a deployment in the token owner's name, or let a fork's run start. Costs one request and a read.

        An App is no reviewer: it lets forks' runs start, and nothing else.
        """
        is_fork = approval.id == convert.FORK_APPROVAL
        if is_fork and not approve:
            raise Unsupported(
                "GitHub can let a fork's run start, but not reject it.",
                provider=LABEL,
                hint=f"Leave it waiting, or close the pull request: {approval.url or ''}".strip(),
            )
        if self.options.is_app and not is_fork:
            raise self.unsupported(Capability.REJECT, approval.url)
        body = None if is_fork else convert.review(approval, approve=approve, comment=comment)
        path = self._client.location(approval.pipeline).run(
            approval.build, "approve" if is_fork else "pending_deployments"
        )

        async def send() -> Build | None:
            try:
                await self._api.post(path, json=body)
            except (Rejected, AuthFailed) as exc:
                raise errors.review_refused(exc, approval) from exc
            return None

        async def confirm() -> Build | None:
            if any(it.id == approval.id for it in await self.approvals(approval.pipeline, approval.build)):
                return None
            return await self.build(approval.pipeline, approval.build)

        decided = await self.send_once(send, confirm)
        if decided is not None:
            return decided
        return await self._client.with_jobs(await self._starter.after_act(approval.pipeline, approval.build))

    @override
    def parse_url(self, url: str) -> Page | None:
        """Return what a page of GitHub, or one below the connection's `url`, shows; see `urls.parse`."""
        return urls.parse(url, self.options.owner, *self.web_homes)

    @override
    def parse_webhook(
        self, headers: Mapping[str, str], body: bytes, path_secret: str | None = None
    ) -> WebhookEvent | None:
        """Return which run to read, once the signature fits."""
        return webhook.parse(headers, body, secret=self.webhook_secret(), owner=self.options.owner)

    def _page(self, pipeline: str, build: str) -> str:
        return urls.run_page(self._web, self._client.location(pipeline), build)
